"""Broad differences in colour within hair: of the light on it, and of its pigment. Hair of one hue looks painted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.strands import Look
from models.face.imaging import LUMINANCE


@dataclass(frozen=True, slots=True)
class Cast:
    """How much of them hair of another colour keeps.

    Attributes:
        kept: share that stays.
        most: bound of a difference before that, log.
        sigma: Gaussian over which it is measured, pixels.
        offset: offset of these logs, 0..255.
        paler: share that stays where hair only has less of its pigment than elsewhere: it is not lit by bluer light.
        least: log of a colour below which hair counts as colourless for that.
        coloured: log of a colour at which 1 / e of a cast stays, as it is one of pigment.
    """

    kept: float = 0.5
    most: float = 0.22
    sigma: float = 4.0
    offset: float = 6.0
    paler: float = 0.2
    least: float = 0.1
    coloured: float = 0.4


def casts_of(picture: Floats, weight: Floats, now: Look, cast: Cast) -> list[Floats]:
    """Factors of red, green and blue by which hair of another colour differs from that, (H, W) float32 each.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        now: the look of this hair.
        cast: how much is kept.
    """
    height, width = weight.shape
    quarter, sigma = (max(width // 4, 1), max(height // 4, 1)), cast.sigma / 4
    sure = cv2.resize(weight, quarter, interpolation=cv2.INTER_AREA) ** 2
    small = cv2.resize(picture, quarter, interpolation=cv2.INTER_AREA) * sure[..., None]
    seen = cv2.GaussianBlur(sure, (0, 0), sigma)
    tiny, offset = np.float32(1e-3), np.float32(cast.offset)
    light = cv2.GaussianBlur(cv2.transform(small, LUMINANCE[None]), (0, 0), sigma) / (seen + tiny) + offset
    own = np.log(np.maximum(now.colour, 0.05)).astype(np.float32)
    channels = cv2.split(cv2.GaussianBlur(small, (0, 0), sigma))
    away = cv2.merge([cv2.log((each / (seen + tiny) + offset) / light) for each in channels]) - own
    away -= cv2.transform(away, LUMINANCE[None])[..., None]
    pigment = own - own @ LUMINANCE
    strength = float(np.linalg.norm(pigment))
    along = pigment / np.float32(max(strength, cast.least))
    less = np.minimum(cv2.transform(away, along[None]), 0)
    away -= np.float32(1 - cast.paler) * less[..., None] * along
    share, most = cast.kept * float(np.exp(-((strength / cast.coloured) ** 2))), np.float32(cast.most)
    kept = np.float32(share) * most * np.tanh(away * (seen / (seen + np.float32(0.1)) / most)[..., None])
    return list(cv2.split(cv2.resize(cv2.exp(kept), (width, height), interpolation=cv2.INTER_LINEAR)))
