"""Hair of another look as a network draws it: dark hair as grey, grey hair as brown, any hair in another colour.

The network sees the crop, how much of each pixel is hair, and how the hair looks and shall look.
"""

from __future__ import annotations

import cv2
import numpy as np

from engines.base import Engine, EngineError
from models.arrays import Floats
from models.editor import Crop
from models.embedded.strands import Look
from models.face.imaging import LUMINANCE, box_of

HAIR_LOOK = "hair_look.onnx"
"""The network's file in the embedded pack."""
PLANES = 4
"""Red, green, blue as value / 64 - 2, how much of a pixel is hair."""
LOOKS = 8
"""Level, red over green and blue over green of the hair as it is, the same as it shall be, level and warmth of skin."""
STEP = 32
"""Sides of what is drawn are multiples of so many pixels; the network takes those of 16. A few sizes are drawn faster
than many."""
LEAST, ROOM = 0.02, 12
"""Weight from which a pixel counts as hair, and pixels around it that the network sees."""
SURE, FEWEST = 0.9, 32
"""Weight over which a pixel is hair alone, and so many of these tell how it looks."""
MISSED = 0.4
"""The most that the network misses of a look, log units of red, green and blue."""
STAIN, KEPT = 0.12, 0.85
"""How far hair alone differs in colour over luminance from the look wanted where it counts as a stain, of which the
network draws some; share of smaller differences that is kept: real grey hair varies as much.
"""
DARK = 4.0
"""Offset of luminance, 0..255: in the dark noise is not made much of."""
GREY_LEVELS = 64.0
"""Grey levels of a unit of the network's colours."""
MIDDLE = 4.0
"""Log luminance that is 0 to the network."""


class HairLook:
    """The network on any engine. Thread-safe, without state.

    It takes `given` (N, 4, H, W) float32 and `looks` (N, 8) float32, and gives `change` (N, 3, H, W) float32, what is
    added to red, green and blue, over 64.

    Args:
        engine: of `HAIR_LOOK`.

    Raises:
        EngineError: the engine holds another kind of network.
    """

    def __init__(self, engine: Engine) -> None:
        if [spec.name for spec in engine.inputs] != ["given", "looks"]:
            raise EngineError("no network of hair looks: expected inputs 'given' and 'looks'")
        self._engine = engine

    def change(self, crop: Crop, weight: Floats, *, now: Look, wanted: Look, skin: Floats) -> Floats:
        """What is added to a crop so that its hair gets another look.

        Args:
            crop: the face.
            weight: (S, S) float32 in 0..1, how much of each pixel is hair that changes.
            now: the look of this hair, smoothed over time or not.
            wanted: the look it shall have; of both only level and colour count.
            skin: (3,) float32 RGB, 0..255, median of the face, which tells the light.

        Returns:
            (S, S, 3) float32 RGB, 0 beyond hair and some pixels around it.
        """
        size = len(crop.image)
        change = np.zeros((size, size, 3), np.float32)
        box = _even_box(weight)
        if box is None:
            return change
        picture = crop.image[box].astype(np.float32)
        if crop.steady_light is not None:
            # noise of the camera would be told from frame to frame
            steady, light = crop.steady_light[box], cv2.transform(picture, LUMINANCE[None])
            picture = np.clip(picture * ((steady + DARK) / (light + DARK))[..., None], 0, 255)
        given = planes_of(picture, weight[box])
        looks = looks_of(now, wanted, skin)
        drawn = self._engine.run({"given": given[None], "looks": looks[None]})["change"][0]
        part = drawn.transpose(1, 2, 0) * np.float32(GREY_LEVELS)
        part += _missing(picture + part, weight[box], wanted)
        part += _without_stains(picture + part, weight[box], wanted)
        change[box] = part
        return change


def _missing(drawn: Floats, weight: Floats, wanted: Look) -> Floats:
    """What is added to drawn hair so that its median is the one that is wanted, (H, W, 3) float32 RGB."""
    sure = weight[::2, ::2] > SURE
    if np.count_nonzero(sure) < FEWEST:
        return np.zeros_like(drawn)
    hair = np.clip(drawn[::2, ::2][sure], 0, 255)
    light = hair @ LUMINANCE + np.float32(DARK)
    colour = np.median(hair / light[:, None], axis=0)
    away = np.log(wanted.colour / np.maximum(colour / (colour @ LUMINANCE), np.float32(0.05)))
    away += np.float32(wanted.level - float(np.log(np.median(light))))
    return weight[..., None] * drawn * (np.exp(np.clip(away, -MISSED, MISSED)) - 1)


def _without_stains(drawn: Floats, weight: Floats, wanted: Look) -> Floats:
    """What is added to drawn hair so that its colour differs less from place to place, (H, W, 3) float32 RGB."""
    light = cv2.transform(drawn, LUMINANCE[None])
    usual = light[..., None] * wanted.colour
    away = np.abs(usual - drawn).max(2) / (light + np.float32(DARK))
    taken = 1 - KEPT / np.sqrt(1 + (away / np.float32(STAIN)) ** 2)
    return (weight * taken)[..., None] * (usual - drawn)


def _even_box(weight: Floats) -> tuple[slice, slice] | None:
    """Rows and columns around hair, each a multiple of `STEP` long; None without hair."""
    box = box_of(weight > LEAST, ROOM)
    if box is None:
        return None
    size = len(weight)
    sides = []
    for part in box:
        length = min(-(-(part.stop - part.start) // STEP) * STEP, size)
        start = min(part.start, size - length)
        sides.append(slice(start, start + length))
    return sides[0], sides[1]


def planes_of(picture: Floats, alpha: Floats) -> Floats:
    """The planes that the network sees, (4, H, W) float32.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        alpha: (H, W) float32 in 0..1, how much of a pixel is hair.
    """
    planes = np.empty((PLANES, *alpha.shape), np.float32)
    for place, colour in enumerate(cv2.split(picture)):
        planes[place] = colour * np.float32(1 / GREY_LEVELS) - 2
    planes[3] = alpha
    return planes


def looks_of(now: Look, wanted: Look, skin: Floats) -> Floats:
    """What the network is told of looks, (8,) float32.

    Args:
        now: the look of this hair.
        wanted: the look it shall have; of both only level and colour count.
        skin: (3,) float32 RGB, 0..255, median of the face, which tells the light.
    """
    logs = np.log(np.maximum(skin, 1))
    level = float(np.log(max(float(skin @ LUMINANCE), 1)))
    numbers = [*_numbers(now), *_numbers(wanted), level - MIDDLE, float(logs[0] - logs[2])]
    return np.array(numbers, np.float32)


def _numbers(look: Look) -> list[float]:
    red, green, blue = np.log(np.maximum(look.colour, np.float32(0.05)))
    return [look.level - MIDDLE, float(red - green), float(blue - green)]
