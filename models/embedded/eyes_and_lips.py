"""What age does to lips and to the rims of the eyes, where no crease is drawn: lips pale, lashes thin, lids redden.

Everything lies at fixed places of the texture square, which blinks and speech carry along; the opening of the mouth is
left out, so that teeth keep their colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.embedded.beard import LIPS
from models.embedded.eye_axes import LEFT_LIDS, RIGHT_LIDS
from models.face.imaging import LUMINANCE, log_colour
from models.face.texture_space import SIZE

OPENING = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
"""Mesh points around the opening of the mouth."""
CHEEKS = slice(60, 120), slice(50, 142)
"""Rows and columns of the texture square whose median is the colour of skin."""
FINE = 8
"""Steps of a texture pixel in which outlines are drawn."""
FEATHER = 0.7
"""Gaussian of the outlines, texture pixels."""
LENGTH = 4
"""Number of values that a face's own change has."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What `models.embedded.ageing.AGEING_YEARS` change, the medians of 135 pairs of likes, 25-45 and 68-84 years old.

    Attributes:
        lips: share of their difference in tint from the skin that lips lose.
        lips_light: share of their difference in light that lips lose, of women and men.
        lashes: share of their darkness that the rims of the eyes lose, of women and men.
        rims: (2, 3) change of log colour there, of women and men.
        most: bound of the lips' difference in light, and of that in tint, log.
        youth: share of all this that is drawn the other way towards youth.
    """

    lips: float = 0.55
    lips_light: tuple[float, float] = (0.2, 0.0)
    lashes: tuple[float, float] = (0.16, 0.12)
    rims: tuple[tuple[float, float, float], ...] = ((0.055, -0.02, -0.04), (0.023, -0.008, -0.022))
    most: float = 0.4
    youth: float = 0.5


RATES = Rates()


@dataclass(frozen=True, slots=True)
class EyesAndLips:
    """Where they are in the texture square.

    Attributes:
        lips: (192, 192) float32 in 0..1, the lips without the opening between them.
        rims: (192, 192) float32 in 0..1, lashes and the edges of lids.
    """

    lips: Floats
    rims: Floats

    @staticmethod
    def of(mean: Floats) -> EyesAndLips:
        """Find them by the mean mesh, (468, 2) float32, texture pixels."""
        opening = cv2.dilate(_filled(mean, OPENING), np.ones((3, 3), np.uint8))
        eyes = _filled(mean, RIGHT_LIDS, LEFT_LIDS)
        rims = cv2.dilate(eyes, np.ones((5, 5), np.uint8)) - cv2.erode(eyes, np.ones((3, 3), np.uint8))
        lips = np.clip(_filled(mean, LIPS) - opening, 0, 1)
        return EyesAndLips(*(cv2.GaussianBlur(each, (0, 0), FEATHER) for each in (lips, rims)))

    def read(self, texture: Image, male: float) -> Floats:
        """How they change in `models.embedded.ageing.AGEING_YEARS`, (`LENGTH`,) float32.

        Args:
            texture: (192, 192, 3) uint8 RGB, the face unwrapped.
            male: 0 for a woman, 1 for a man.

        Returns:
            Change of the lips' log colour, then of the rims' log light.
        """
        logs = log_colour(texture)
        skin = np.median(logs[CHEEKS].reshape(-1, 3), axis=0)
        away = _mean(logs, self.lips) - skin
        light = float(np.clip(away @ LUMINANCE, -RATES.most, RATES.most))
        tint = away - float(away @ LUMINANCE)
        tint *= min(1.0, RATES.most / max(float(np.abs(tint).max()), 1e-3))
        dark = float(np.maximum(skin - _mean(logs, self.rims), 0) @ LUMINANCE)
        lighter = RATES.lips_light[0] + male * (RATES.lips_light[1] - RATES.lips_light[0])
        thinner = RATES.lashes[0] + male * (RATES.lashes[1] - RATES.lashes[0])
        return np.array([*(-RATES.lips * tint - lighter * light), thinner * dark], np.float32)

    def change(self, own: Floats, male: float, strength: float) -> Floats:
        """Change of log colour, (192, 192, 3) float32.

        Args:
            own: what `read` gave.
            male: 0 for a woman, 1 for a man.
            strength: multiple of `models.embedded.ageing.AGEING_YEARS`, negative for younger.
        """
        woman, man = np.array(RATES.rims, np.float32)
        rims = woman + np.float32(male) * (man - woman) + own[3]
        drawn = np.float32(max(strength, 0) + RATES.youth * min(strength, 0))
        planes = cv2.merge([self.lips, self.rims])
        return np.asarray(cv2.transform(planes, drawn * np.stack([own[:3], rims], axis=1)), np.float32)


def _mean(logs: Floats, where: Floats) -> Floats:
    return np.asarray(np.einsum("hwc,hw->c", logs, where) / where.sum(), np.float32)


def _filled(mean: Floats, *outlines: tuple[int, ...]) -> Floats:
    """What lies within outlines of mesh points, (192, 192) float32 in 0..1."""
    drawn = np.zeros((SIZE * FINE, SIZE * FINE), np.uint8)
    for outline in outlines:
        cv2.fillPoly(drawn, [np.rint((mean[list(outline)] + 0.5) * FINE).astype(np.int32)], 255)
    return np.asarray(cv2.resize(drawn, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
