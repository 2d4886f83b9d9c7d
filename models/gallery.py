"""What a gallery tells of an editor: its group, its licences with their texts, what it needs, how fast it is.

Speeds are measured ones, and say where. What was not measured is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models import figures
from models.entry import Entry

Group = Literal["ready", "own", "published"]

OWN = ("your own", "that of where you got it")
"""Licences of weights that their user makes or brings."""

TEXTS: Mapping[str, str] = {
    "MIT": "https://opensource.org/license/mit",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "CC BY-NC-SA 4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC BY-NC 4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "NVIDIA Source Code License": "https://nvlabs.github.io/stylegan2/license.html",
}
"""Where a licence stands, by what its name begins with."""


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
    """Licences of an editor's weights, each with the address of its text, "" where there is none to name."""
    names = dict.fromkeys(weights.licence for weights in entry.weights)
    return [(name, next((url for start, url in TEXTS.items() if name.startswith(start)), "")) for name in names]


def hardware_of(entry: Entry) -> str:
    """What an editor needs to keep up with a camera."""
    needs = "An NVIDIA GPU; a processor takes seconds a frame." if entry.needs_gpu else "A plain processor."
    work = figures.gflop_of(entry.frame)
    return f"{needs} {work:.0f} GFLOP a frame." if work else needs


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
