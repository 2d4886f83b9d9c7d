"""Cameras without colour: infrared ones, black-and-white filters and old photographs get edits without colour."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.imaging import LUMINANCE, smoothstep

STEP = 4
"""Every so many pixels are looked at."""
OFFSET = 16.0
"""Added to the largest of red, green and blue: in the dark, noise is no colour."""
QUANTILE = 0.75
COLOURS = (0.03, 0.08)
"""Differences of red, green and blue over the largest, at that quantile, over which a picture shows colours. Skin in
white light has 0.3 to 0.5.
"""


def shown_colour(image: Image) -> float:
    """How surely a picture shows colours, 0..1.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    part = image[::STEP, ::STEP].astype(np.float32)
    most = part.max(axis=2)
    share = float(np.quantile((most - part.min(axis=2)) / (most + np.float32(OFFSET)), QUANTILE))
    return float(smoothstep(np.asarray(share), *COLOURS))


def faded(delta: Floats, colour: float) -> Floats:
    """What is added to a picture, with so much of its colour, 0..1.

    Args:
        delta: (H, W, 3) float32 RGB.
        colour: from `shown_colour`.

    Returns:
        (H, W, 3) float32 RGB; `delta` itself where all of it stays.
    """
    if colour >= 1:
        return delta
    light = cv2.transform(delta, LUMINANCE[None])[..., None]
    return np.asarray(light + np.float32(colour) * (delta - light), np.float32)
