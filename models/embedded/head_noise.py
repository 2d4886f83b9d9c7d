"""Noise that moves with a head: the relief of its skin, its single hairs. It is the same in every frame."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.scalp import COARSE, HeadMap
from models.face.texture_space import SIZE

FINER = 2
"""Pixels of noise per texture pixel."""
HAIRS = (0.35, 0.8)
"""Standard deviations of a hair across and along, texture pixels."""


def noise_on(head: HeadMap, field: Floats, box: tuple[slice, slice], moved: tuple[float, float] = (0.0, 0.0)) -> Floats:
    """Noise over texture coordinates, as it is seen in a crop.

    Args:
        head: polar map.
        field: noise, from `between` or `hairs`; it repeats.
        box: rows and columns of the crop.
        moved: where the field begins, its own pixels.

    Returns:
        float32, in rows and columns of `box`.
    """
    # the upright map is affine: three corners tell all of it
    corner, places = head.texture[0, 0], np.float32(COARSE * (len(head.texture) - 1))
    right, below = (head.texture[0, -1] - corner) / places, (head.texture[-1, 0] - corner) / places
    half = np.float32((COARSE - 1) / 2)
    columns = np.arange(box[1].start, box[1].stop, dtype=np.float32) - half
    rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - half
    x, y = (
        np.float32(FINER) * (corner[i] + np.float32(SIZE / 2) + right[i] * columns + below[i] * rows)
        + np.float32(moved[i])
        for i in range(2)
    )
    return np.asarray(cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)


@lru_cache(maxsize=8)
def between(finest: float, coarsest: float) -> Floats:
    """Unit noise between two Gaussians, texture pixels."""
    noise = _white(3)
    low, high = (sigma * FINER for sigma in (finest, coarsest))
    return _unit(cv2.GaussianBlur(noise, (0, 0), low) - cv2.GaussianBlur(noise, (0, 0), high))


@lru_cache(maxsize=1)
def hairs() -> Floats:
    """Unit noise that is longer than wide, as short hair is."""
    across, along = (sigma * FINER for sigma in HAIRS)
    return _unit(cv2.GaussianBlur(_white(5), (0, 0), sigmaX=across, sigmaY=along))


def _white(seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((FINER * 2 * SIZE,) * 2).astype(np.float32)


def _unit(field: Floats) -> Floats:
    return np.asarray(field / field.std(), np.float32)
