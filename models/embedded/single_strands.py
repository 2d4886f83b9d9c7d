"""Noise that runs along the strands of hair: which of them are white, where hair is half grey.

A camera shows dark hair as one surface, so that nothing in the picture tells which strand is white. Noise is averaged
along the direction of the strands that are seen (line integral convolution, Cabral and Leedom 1993), in passes of
double reach, and sticks to what is seen.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from models.arrays import Floats
from models.editor import Crop
from models.embedded.strands import FILTER, direction_of_strands
from models.face.eye_frame import eye_frame, eye_places

GRID = 4
"""Pixels of a crop for one of the grid of places, in a single picture."""
PER_EYES = 95.0
"""Pixels of noise per distance of the eyes: more than two in a pixel of a crop would shimmer as it moves."""
FIELD = 1024
"""Side of the noise, which repeats."""
THIN = 1.1
"""Gaussian that makes a strand of it, pixels of noise."""
PASSES = (1.5, 3.5, 8.0)
"""Distances along a strand over which noise is averaged, one after the other, crop pixels."""
EDGE_SIGMA, DIRECTION_SIGMA = 0.8, 3.0
"""Gaussians by which the direction of strands is measured, crop pixels."""
CROWN = 1.5
"""Height of the crown above the eyes, from which strands run, distances of the eyes."""
USUAL = 0.2
"""Strength of that direction: gradient of log light per pixel at which what is seen counts as much."""
GAIN = 3.6
"""What brings the result of these averages to about unit variance."""
MOST = 2.5
"""Bound of it."""


def single_strands(crop: Crop, box: tuple[slice, slice], light: Floats, weight: Floats, shrunk: int = 1) -> Floats:
    """Noise of about unit variance that differs from strand to strand.

    Args:
        crop: the face; its surface, or its eyes, tell how hair moves.
        box: rows and columns of the crop, or of one that is so many times smaller.
        light: (H, W) float32, 0..255, the luminance in the box, of little noise.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        shrunk: how many times smaller the crop is that is drawn on.

    Returns:
        (H, W) float32.
    """
    whole = len(crop.image)
    size = whole // shrunk
    surface = eye_places(crop.points5, whole, whole // GRID) if crop.surface is None else crop.surface
    places = np.float32(PER_EYES) * cv2.resize(surface, (size, size), interpolation=cv2.INTER_LINEAR)[box]
    places += np.float32(FIELD / 2)
    strands = cv2.remap(_noise(), places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    log_light = cv2.log(light + np.float32(FILTER.offset))
    x, y = direction_of_strands(
        log_light, weight, EDGE_SIGMA / shrunk, DIRECTION_SIGMA / shrunk, usual=_from_crown(crop, box, shrunk)
    )
    down, across = np.indices(light.shape, np.float32)
    for reach in PASSES:
        strands = strands + sum(
            cv2.remap(strands, across + way * x, down + way * y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            for way in (np.float32(reach / shrunk), np.float32(-reach / shrunk))
        )
        strands *= np.float32(1 / 3)
    return np.clip(np.float32(GAIN) * strands, -MOST, MOST)


def _from_crown(crop: Crop, box: tuple[slice, slice], shrunk: int) -> tuple[Floats, Floats]:
    """Where strands point to if nothing is seen of them: away from the crown, across and down, of length `USUAL`."""
    middle, axes = eye_frame(crop.points5)
    crown = middle + np.linalg.pinv(axes) @ np.array([0, -CROWN], np.float32)
    columns = np.arange(box[1].start, box[1].stop, dtype=np.float32) - np.float32(crown[0] / shrunk)
    rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(crown[1] / shrunk)
    x, y = np.broadcast_arrays(columns, rows)
    length = np.maximum(cv2.magnitude(x, y), 1) / np.float32(USUAL)
    return np.asarray(x / length, np.float32), np.asarray(y / length, np.float32)


@lru_cache(maxsize=1)
def _noise() -> Floats:
    noise = cv2.GaussianBlur(np.random.default_rng(11).standard_normal((FIELD, FIELD)).astype(np.float32), (0, 0), THIN)
    return np.asarray(noise / noise.std(), np.float32)
