"""Pigment for grey hair: the way back from grey, for faces that grow younger."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.filters import guided_filter
from models.scalp import LOG_OFFSET, LUMINANCE, smoothstep

Floats = NDArray[np.float32]

TO_SKIN = 0.33
"""Luminance of brown hair over that of the face's skin."""
BROWN = np.array([1.22, 0.95, 0.72], np.float32)
"""Colour of brown hair, at luminance 1."""
MOST = 0.9
"""Share of the way to brown that grey hair goes."""
STRANDS_SIGMA = 4.0


def pigmented(image: NDArray[np.uint8], hair: Floats, skin: Floats, amount: float) -> Floats:
    """The residual that gives grey hair its colour back; hair that is dark already stays.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
        skin: (3,) float32, median log colour of the face, which tells the light.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB, 0 where there is no hair.
    """
    size = image.shape[0]
    half = size // 2
    small = cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA).astype(np.float32)
    luminance = small @ LUMINANCE
    mask = guided_filter(luminance / 255, cv2.resize(hair, (half, half), interpolation=cv2.INTER_LINEAR), 4, 1e-3)
    weight = smoothstep(mask, 0.25, 0.75)
    if not weight.any():
        return np.zeros((size, size, 3), np.float32)
    usual = float((luminance * weight).sum() / weight.sum())
    bright = float((np.exp(skin) - LOG_OFFSET) @ LUMINANCE)
    base = cv2.GaussianBlur(luminance, (0, 0), STRANDS_SIGMA)
    strands = np.clip((luminance + LOG_OFFSET) / (base + LOG_OFFSET), 0.6, 1.6)
    lights = np.power(np.clip(base / max(usual, 8.0), 0.25, 1.8), 0.7)
    wanted = TO_SKIN * bright * lights * np.power(strands, 1.3)
    lighter = smoothstep(base / (TO_SKIN * bright * lights), 1.0, 1.6)
    weight *= np.float32(MOST * amount) * lighter
    change = (np.minimum(wanted, luminance)[..., None] * BROWN - small) * weight[..., None]
    return np.asarray(cv2.resize(change.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR))
