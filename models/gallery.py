"""What a gallery tells of an editor: its group, its licences with their texts, what it needs, how fast it is.

Speeds are measured ones, and say where. What was not measured is not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.entry import Entry
from models.licences import LICENCES

Group = Literal["ready", "own", "published"]

OWN = ("your own", "that of where you got it")
"""Licences of weights that their user makes or brings."""

XEON = "two cores of an Intel Xeon with AMX"


@dataclass(frozen=True, slots=True)
class Speed:
    """How long an editor takes for a frame.

    Attributes:
        where: machine, backend and precision, in words.
        ms: median, milliseconds.
    """

    where: str
    ms: float


MEASURED: Mapping[str, tuple[Speed, ...]] = {
    "e4e": (
        Speed(f"OpenVINO bf16 on {XEON}, drawn at 256 px", 170),
        Speed(f"PyTorch f32 on {XEON}, drawn at 256 px", 966),
    ),
}
"""Of published editors at full size (`python -m engines.bench --published e4e stylegan2-256 --eager`)."""

WORK: Mapping[str, float] = {
    "e4e": 132,
    "psp": 132,
    "sam": 205,
    "lats": 56,
    "fran": 193,
    "stargan-celeba": 20,
    "stargan-rafd": 20,
    "facestyle-hair": 20,
    "stargan-celeba-256": 80,
}
"""Giga-multiplications of a frame, counted on the published networks: reading the face, and its drawings as the editor
makes them (one for generators of StyleGAN's family)."""


def group_of(entry: Entry) -> Group:
    """Which group an editor stands in."""
    if entry.state in ("ready", "needs a GPU"):
        own = entry.weights and all(weights.licence.startswith(OWN) for weights in entry.weights)
        return "own" if own else "ready"
    return "own" if any(weights.licence.startswith(OWN) for weights in entry.missing) else "published"


def licences_of(entry: Entry) -> list[tuple[str, str]]:
    """Licences of an editor's weights, each with the address of its text, "" where there is none to name."""
    names = dict.fromkeys(weights.licence for weights in entry.weights)
    return [
        (name, next((each.url for start, each in LICENCES.items() if name.startswith(start)), "")) for name in names
    ]


def hardware_of(entry: Entry) -> str:
    """What an editor needs to keep up with a camera."""
    needs = "An NVIDIA GPU; a processor takes seconds a frame." if entry.needs_gpu else "A plain processor."
    work = WORK.get(entry.name)
    return f"{needs} {work:g} G multiplications a frame." if work else needs


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
    return [*own, *MEASURED.get(entry.name, ())]
