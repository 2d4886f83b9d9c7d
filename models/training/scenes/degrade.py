"""Make a portrait look like a webcam: light, colour, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Image


def degrade(picture: Image, generator: np.random.Generator, strength: float = 1.0) -> Image:
    """A random, mostly mild degradation.

    Args:
        picture: (H, W, 3) uint8 RGB.
        generator: source of chance.
        strength: 0 leaves the picture alone.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    x = relight(picture.astype(np.float32), generator, strength)
    if generator.random() < 0.4 * strength:
        x = reduce(x, generator.uniform(1.0, 2.5))
    if generator.random() < 0.4 * strength:
        x += generator.normal(0, generator.uniform(1, 8), x.shape).astype(np.float32)
    result = np.clip(x, 0, 255).astype(np.uint8)
    if generator.random() < 0.3 * strength:
        result = jpeg(result, int(generator.integers(40, 90)))
    return result


def relight(x: NDArray[np.float32], generator: np.random.Generator, strength: float = 1.0) -> NDArray[np.float32]:
    """Random gain, gamma and white balance of an RGB picture in 0..255."""
    gain = np.exp(generator.normal(0, 0.12 * strength, 3) * 0.35 + generator.normal(0, 0.15 * strength))
    gamma = np.exp(generator.normal(0, 0.15 * strength))
    lit = 255 * np.power(np.clip(x, 0, 255) / 255, gamma) * gain
    return np.clip(lit, 0, 255).astype(np.float32)


def reduce(x: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Scale down by `factor` and up again: what a face far from the camera looks like."""
    height, width = x.shape[:2]
    small = cv2.resize(x, (max(8, round(width / factor)), max(8, round(height / factor))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def jpeg(picture: Image, quality: int) -> Image:
    """Encode as JPEG and decode; RGB uint8."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
