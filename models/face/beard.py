"""The sign of a beard in the skin of a face: no network of the project was taught beards.

A grey beard on light skin is missed, and shadow under the nose and the chin counts as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.arrays import Floats


@dataclass(frozen=True, slots=True)
class BeardMeasure:
    """Where skin is compared; points of the MediaPipe mesh, chosen on portraits of women and men."""

    grown: tuple[int, ...] = (164, 165, 391, 199, 200, 175)
    """On upper lip and chin; those along the jaw lie in its shadow on bare faces as well."""
    bare: tuple[int, ...] = (50, 280, 117, 346)
    """On the cheeks, where next to none grows and no glasses sit."""
    patch: int = 4
    """Half the side of what is averaged around a point, texture pixels."""


MEASURE = BeardMeasure()


def beard_darkness(luminance: Floats, mean: Floats) -> float:
    """How much darker upper lip and chin are than the cheeks, in log luminance.

    Args:
        luminance: (192, 192) float32, log luminance of the texture square.
        mean: (468, 2) float32, the mesh in it.
    """
    grown, bare = (_shade(luminance, mean[list(which)]) for which in (MEASURE.grown, MEASURE.bare))
    return bare - grown


def _shade(luminance: Floats, centres: Floats) -> float:
    """Mean over the patches around points of the texture square."""
    half, patches = MEASURE.patch, []
    for column, row in np.round(centres).astype(int):
        patches.append(luminance[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1])
    return float(np.mean([patch.mean() for patch in patches if patch.size]))
