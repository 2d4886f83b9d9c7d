"""Signs of a beard in the skin of a face: no network of the project was taught beards.

A grey beard on light skin is missed, and a shadow under the chin counts as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.arrays import Floats


@dataclass(frozen=True, slots=True)
class BeardMeasure:
    """Where skin is compared; points of the MediaPipe mesh."""

    grown: tuple[int, ...] = (199, 200, 175, 211, 431, 202, 422)
    """On chin and lower jaw."""
    bare: tuple[int, ...] = (50, 280, 117, 346)
    """On the cheeks, where next to none grows and no glasses sit."""
    patch: int = 4
    """Half the side of what is averaged around a point, texture pixels."""


MEASURE = BeardMeasure()


class BeardSigns(NamedTuple):
    """How chin and jaw differ from the cheeks, in log luminance.

    Attributes:
        darker: how much darker they are.
        rougher: how much more they vary within a patch.
    """

    darker: float
    rougher: float


def beard_signs(luminance: Floats, mean: Floats) -> BeardSigns:
    """The signs of a beard in an unwrapped face.

    Args:
        luminance: (192, 192) float32, log luminance of the texture square.
        mean: (468, 2) float32, the mesh in it.
    """
    (grown, rough), (bare, smooth) = (_patches(luminance, mean[list(which)]) for which in (MEASURE.grown, MEASURE.bare))
    return BeardSigns(bare - grown, rough - smooth)


def _patches(luminance: Floats, centres: Floats) -> tuple[float, float]:
    """Medians, over the patches around points of the texture square, of their mean and their spread."""
    half, patches = MEASURE.patch, []
    for column, row in np.round(centres).astype(int):
        patches.append(luminance[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1])
    inside = [patch for patch in patches if patch.size]
    return float(np.median([patch.mean() for patch in inside])), float(np.median([patch.std() for patch in inside]))
