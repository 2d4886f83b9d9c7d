"""Ears that a reading of hair holds: hair readers take them for hair, and a matte that learns it turns ears grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.eye_frame import eye_frame
from models.face.imaging import LUMINANCE, log_colour


@dataclass(frozen=True, slots=True)
class EarSigns:
    """How ears are told from hair. Lengths are distances of the eyes' middles; lights and colours are logs.

    Attributes:
        out, down: places of ears, outwards and downwards of the sides of the mesh.
        smooth: Gaussian of the picture, pixels.
        face: half the width and height of the part of the face whose median is skin.
        sure: alpha of hair alone.
        least: pixels of it that are needed.
        light, darker: lights of an ear over those of the face, and how much beyond them counts 1.
        red, redder: the same of red over green.
        yellow, yellower: the same of green over blue, on both sides.
        hair_light, hair_colour: what counts 1 away from the median of hair, beside its own deviation.
        ear: distance from the colours of an ear, over that from those of hair, below which a pixel is ear.
        far: distance from the colours of hair from which.
        unsure: the first of these two below which nobody can tell.
    """

    out: tuple[float, float] = (-0.04, 0.42)
    down: tuple[float, float] = (-0.53, 0.59)
    smooth: float = 1.2
    face: tuple[float, float] = (0.49, 0.42)
    sure: float = 0.98
    least: int = 200
    light: tuple[float, float] = (-0.25, 0.15)
    darker: float = 0.25
    red: tuple[float, float] = (-0.03, 0.18)
    redder: float = 0.07
    yellow: float = 0.06
    yellower: float = 0.07
    hair_light: float = 0.2
    hair_colour: float = 0.09
    ear: float = 0.55
    far: float = 1.3
    unsure: float = 1.2


SIGNS = EarSigns()
SIDES = (234, 454)
"""Mesh points at the sides of the face, at the height of the ears."""
NOSE, BETWEEN = 1, 168
"""Mesh points of the tip of the nose and between the eyes."""


class Ears(NamedTuple):
    """Where ears are.

    Attributes:
        skin: (H, W) float32, 1 where a pixel is surely ear and not hair.
        unsure: (H, W) float32, 1 where it may be either, and around `skin`.
    """

    skin: Floats
    unsure: Floats


def find_ears(image: Image, points5: Floats, mesh: Floats, alpha: Floats) -> Ears:
    """Find the ears that a matte holds, by their colour.

    Args:
        image: (H, W, 3) uint8 RGB.
        points5: (5, 2) float32, eyes first, pixels.
        mesh: (>= 468, 2) float32, pixels.
        alpha: (H, W) float32 in 0..1, the matte.
    """
    none = np.zeros(alpha.shape, np.float32)
    sure = alpha > SIGNS.sure
    if np.count_nonzero(sure) < SIGNS.least:
        return Ears(none, none)
    _, axes = eye_frame(points5)
    rows, columns = np.indices(alpha.shape, np.float32)

    def away(point: Floats) -> tuple[Floats, Floats]:
        x, y = columns - np.float32(point[0]), rows - np.float32(point[1])
        across, down = (x * axis[0] + y * axis[1] for axis in axes)
        return across, down

    logs = log_colour(cv2.GaussianBlur(image, (0, 0), SIGNS.smooth))
    across, down = away((mesh[NOSE] + mesh[BETWEEN]) / 2)
    face = np.hypot(across / SIGNS.face[0], down / SIGNS.face[1]) < 1
    light, red, yellow = _parts(np.asarray(logs - np.median(logs[face], axis=0), np.float32))
    to_ear = np.sqrt(
        (_beyond(light, *SIGNS.light) / SIGNS.darker) ** 2
        + (_beyond(red, *SIGNS.red) / SIGNS.redder) ** 2
        + (_beyond(yellow, -SIGNS.yellow, SIGNS.yellow) / SIGNS.yellower) ** 2
    )
    spread = SIGNS.hair_light + float((logs[sure] @ LUMINANCE).std())
    light, red, yellow = _parts(np.asarray(logs - np.median(logs[sure], axis=0), np.float32))
    to_hair = np.sqrt((light / spread) ** 2 + (red / SIGNS.hair_colour) ** 2 + (yellow / SIGNS.hair_colour) ** 2)

    place = np.zeros(alpha.shape, bool)
    for side, point in zip((-1, 1), SIDES, strict=True):
        across, down = away(mesh[point])
        out = side * across
        place |= (out > SIGNS.out[0]) & (out < SIGNS.out[1]) & (down > SIGNS.down[0]) & (down < SIGNS.down[1])
    found = (place & (to_ear < SIGNS.ear * to_hair) & (to_hair > SIGNS.far)).astype(np.uint8)
    small, large = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
    skin = cv2.morphologyEx(cv2.morphologyEx(found, cv2.MORPH_OPEN, small), cv2.MORPH_CLOSE, large)
    either = cv2.morphologyEx((place & (to_ear < SIGNS.unsure * to_hair)).astype(np.uint8), cv2.MORPH_OPEN, small)
    unsure = np.maximum(cv2.dilate(skin, large), either) * (1 - skin)
    return Ears(skin.astype(np.float32), unsure.astype(np.float32))


def _parts(logs: Floats) -> tuple[Floats, Floats, Floats]:
    """Light, red over green, and green over blue."""
    return logs @ LUMINANCE, logs[..., 0] - logs[..., 1], logs[..., 1] - logs[..., 2]


def _beyond(values: Floats, low: float, high: float) -> Floats:
    return np.asarray(np.maximum(np.maximum(low - values, values - high), 0), np.float32)
