"""What a gallery tells of an editor: its group, licences with their texts, what it needs, how fast it is, a picture.

Speeds are measured ones, and say where. What was not measured is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models import figures
from models.entry import Entry
from models.licences import parts_of

Group = Literal["ready", "own", "published"]

OWN = ("your own", "that of where you got it")
"""Licences of weights that their user makes or brings."""

PICTURES: Mapping[str, str] = {
    **{name: name for name in ("embedded", "hair", "child")},
    **dict.fromkeys(("e4e", "psp", "restyle-e4e", "restyle-psp", "mobilestylegan", "stylegan2"), "older"),
    **dict.fromkeys(("sam", "fran", "idinvert", "styleflow"), "older"),
    **dict.fromkeys(("stylegan1", "hairmapper"), "bald"),
    **dict.fromkeys(("stargan-celeba", "stargan-celeba-256", "stargan-both", "facestyle-hair"), "blond"),
    **dict.fromkeys(("alae", "alae-celebahq", "stargan-rafd"), "smile"),
    **dict.fromkeys(("babygan", "babygan-stylegan1"), "child"),
    "lats": "younger",
}
"""Picture of what an editor does, by its name: all are drawn by the editors that ship (`python -m tests.e2e.gallery`),
so for the other editors they are illustrations."""

SLOW_MS = 1000 / 15
"""Milliseconds of a frame over which an editor is slower than people call video."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How long an editor takes for a frame.

    Attributes:
        where: machine, backend and precision, in words.
        ms: median, milliseconds.
    """

    where: str
    ms: float


def group_of(entry: Entry) -> Group:
    """Which group an editor stands in."""
    if entry.state in ("ready", "needs a GPU"):
        own = entry.weights and all(weights.licence.startswith(OWN) for weights in entry.weights)
        return "own" if own else "ready"
    return "own" if any(weights.licence.startswith(OWN) for weights in entry.missing) else "published"


def licences_of(entry: Entry) -> list[tuple[str, str]]:
    """Licences of an editor's weights, each with the address of its text, "" where there is none to name.

    A file under two of them ("MIT; the generator in it under the ...") has both.
    """
    names = dict.fromkeys(name for weights in entry.weights for name in weights.licence.split("; "))
    return [(name, _text_of(name)) for name in names]


def _text_of(licence: str) -> str:
    found = [each.url for _, each in parts_of(licence)]
    return found[0] if found and not licence.startswith("none") else ""


def hardware_of(entry: Entry) -> str:
    """What an editor needs to keep up with a camera."""
    work = figures.gflop_of(entry.frame)
    counted = f" ({work:.0f} GFLOP a frame)" if work else ""
    if entry.needs_gpu:
        return f"Needs an NVIDIA GPU to keep up with a camera{counted}."
    measured = figures.speeds_of(entry.frame)
    if measured and min(measured.values()) > SLOW_MS:
        rate = max(1, round(1000 / min(measured.values())))
        return f"Runs on a plain processor, at best {rate} times a second on one core where it was measured{counted}."
    return f"Runs on a plain processor{counted}."


def download_of(entry: Entry) -> str:
    """What has to be downloaded or brought before an editor runs, in words for a user. An archive counts once."""
    missing = entry.missing
    if not missing:
        return "Nothing to download." + (" Networks are still to be made of the files." if entry.unconverted else "")
    brought = ", ".join(weights.path.name for weights in missing if not weights.urls)
    sizes = {weights.urls: weights.size for weights in missing if weights.urls}
    unstated = ", ".join(weights.path.name for weights in missing if weights.urls and not weights.size)
    known = _size(sum(sizes.values()))
    parts = [f"You bring {brought}."] if brought else []
    if unstated:
        parts.append(f"Download: {known} and {unstated}, whose size is not stated.")
    elif sizes:
        parts.append(f"Download: {known}.")
    return " ".join(parts)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.{0 if count >= 1e7 else 1}f} MB"


def speeds_of(entry: Entry, here: Mapping[str, float], backends: str) -> list[Speed]:
    """What was measured of an editor, on this server first.

    Args:
        entry: which.
        here: median milliseconds of a frame by editor, of this server's streams.
        backends: what its networks run on here, in words.
    """
    own = (
        [Speed(f"on this server{f', {backends}' if backends else ''}", here[entry.name])] if entry.name in here else []
    )
    return [*own, *(Speed(where, ms) for where, ms in figures.speeds_of(entry.frame).items())]
