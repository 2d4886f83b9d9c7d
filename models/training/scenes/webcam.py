"""Makes composed pictures look as if a webcam took them."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.training.scenes.geometry import pixel


def degrade(rng: np.random.Generator, picture: Image, strength: float = 1.0) -> Image:
    """Degrade a picture at random: uneven light, tone curve, grey, low resolution, defocus, motion blur, noise, JPEG.

    Args:
        rng: random generator.
        picture: (H, W, 3) uint8 RGB.
        strength: factor of every probability, 1 for training; 0 returns the picture unchanged.

    Returns:
        A new picture of the same shape.
    """

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability * strength)

    height, width = picture.shape[:2]
    dark = happens(0.18)
    if happens(0.3) and not dark:
        light = cv2.resize(
            rng.uniform(0.4, 1.25, (3, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        gain = np.clip(light * 128, 0, 255).astype(np.uint8)
        picture = cv2.multiply(picture, cv2.merge([gain, gain, gain]), scale=1 / 128)
    if happens(0.85) or dark:
        picture = cv2.LUT(picture, _tone_curve(rng, dark))
    if happens(0.06):
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if happens(0.2):
        shrunk = rng.uniform(0.3, 0.8)
        small = cv2.resize(picture, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if happens(0.15):
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.8)))
    if happens(0.12):
        picture = cv2.filter2D(picture, -1, _motion(rng))
    if dark or happens(0.35):
        noise = rng.integers(0, 256, (height, width, 1 if rng.random() < 0.3 else 3), np.uint8)
        level = float(rng.uniform(0.01, 0.12) if dark else rng.uniform(0.01, 0.07))
        noise = np.broadcast_to(noise, picture.shape)
        picture = cv2.addWeighted(picture, 1.0, np.ascontiguousarray(noise), level, -127.5 * level)
    if happens(0.3):
        quality = int(rng.integers(15, 85))
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture


def _tone_curve(rng: np.random.Generator, dark: bool) -> Image:
    level = np.arange(256, dtype=np.float64) / 255
    curves = []
    gamma = rng.uniform(0.7, 1.1) if dark else rng.uniform(0.6, 1.6)
    contrast = rng.uniform(0.7, 1.3)
    gain = rng.uniform(0.2, 0.6) if dark else rng.uniform(0.75, 1.25)
    shift = 0.0 if dark else rng.uniform(-0.08, 0.08)
    for cast in rng.uniform(0.88, 1.12, 3):
        curves.append(np.clip(((level**gamma - 0.5) * contrast + 0.5 + shift) * gain * cast, 0, 1) * 255)
    return np.stack(curves, -1).astype(np.uint8).reshape(1, 256, 3)


def _motion(rng: np.random.Generator) -> Floats:
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle, middle = rng.uniform(0, np.pi), (length - 1) / 2
    reach = middle * np.array([np.cos(angle), np.sin(angle)])
    cv2.line(kernel, pixel(middle - reach), pixel(middle + reach), 1.0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)
