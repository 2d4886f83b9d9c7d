"""The pigment of hair: removed for grey hair, restored for hair that grows young again.

Only the broad light of the hair changes; its strands are added back unchanged. Camera noise, which is strong relative
to the little light of dark hair, is therefore not amplified when dark hair turns white.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded.hair import strand_mask
from models.face.imaging import LOG_OFFSET, LUMINANCE, smoothstep


@dataclass(frozen=True, slots=True)
class GreyHair:
    """What grey hair looks like. Luminances are 0..255.

    Attributes:
        white_to_skin: luminance of white hair over that of the face's skin: as bright as the light allows.
        white: RGB of white hair at luminance 1.
        rise: share of the way to white that grey hair goes.
        strand_gain: contrast of grey strands over that of dark ones, where they stand out from the noise.
        noise: contrast of a strand that is noise half of the time.
    """

    white_to_skin: float = 0.9
    white: tuple[float, float, float] = (1.0, 0.99, 0.97)
    rise: float = 0.8
    strand_gain: float = 1.3
    noise: float = 10.0


@dataclass(frozen=True, slots=True)
class BrownHair:
    """What hair with its pigment restored looks like.

    Attributes:
        brown_to_skin: luminance of brown hair over that of the face's skin.
        brown: RGB of brown hair at luminance 1.
        amount: share of the way to brown that grey hair goes.
    """

    brown_to_skin: float = 0.33
    brown: tuple[float, float, float] = (1.22, 0.95, 0.72)
    amount: float = 0.9


GREY = GreyHair()
BROWN = BrownHair()
WHITE_SCALE = (*np.array(GREY.white, np.float32).tolist(), 0.0)
BROWN_SCALE = (*np.array(BROWN.brown, np.float32).tolist(), 0.0)
"""Factors per channel, as OpenCV wants them."""
STRANDS_SIGMA = 4.0
"""Gaussian that separates strands from the broad light of hair, half crop pixels."""
LEAST_HAIR = 0.02
"""Hair probability from which a pixel is processed."""
SURE = 0.7
"""Hair probability from which a pixel counts for the luminance of the hair."""
LEAST_LIGHT = 8.0
"""Lower bound of the luminance of hair, 0..255."""


@dataclass(frozen=True, slots=True)
class Hair:
    """The part of a crop that holds hair, at half resolution.

    Attributes:
        box: its rows and columns, half crop pixels.
        picture: (H, W, 3) float32 RGB.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        broad: (H, W) float32, luminance without strands.
        strands: (H, W) float32, luminance minus `broad`.
    """

    box: tuple[slice, slice]
    picture: Floats
    weight: Floats
    broad: Floats
    strands: Floats


def hair_light(image: NDArray[np.uint8], hair: Floats) -> np.float32:
    """Mean luminance of the hair, 0..255; 0 where there is none.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
    """
    sure = hair > SURE
    if not sure.any():
        return np.float32(0)
    small = cv2.resize(image, hair.shape[::-1], interpolation=cv2.INTER_AREA)
    return np.float32((small[sure] @ LUMINANCE).mean())


def grey_hair(
    image: NDArray[np.uint8], hair: Floats, *, skin: Floats, light: np.float32, amount: float
) -> tuple[Floats, Floats]:
    """Turn hair grey: remove its pigment, keep its light and strands.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
        skin: (3,) float32, median log colour of the face, a measure of the light.
        light: `hair_light` of this hair, smoothed or not.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB, the residual, 0 without hair; and (S, S) float32, 1 where it may differ from 0.
    """
    found = _hair_of(image, hair)
    if found is None:
        return _nothing(len(image))
    usual = max(float(light), LEAST_LIGHT)
    white = max(GREY.white_to_skin * _skin_light(skin), usual)
    lights = np.sqrt(np.clip(found.broad / usual, 0, 1.7))
    lifted = found.broad + np.float32(GREY.rise * (white - usual)) * (0.5 + 0.5 * lights)
    power = found.strands * found.strands
    strands = found.strands * (1 + (GREY.strand_gain - 1) * power / (power + GREY.noise * GREY.noise))
    grey = np.minimum(lifted + strands, np.maximum(found.broad + found.strands, np.float32(1.1 * white)))
    # half way, single strands are white while others are still dark
    salt = np.clip(1 + found.strands / (found.broad + LOG_OFFSET) * (2 * (1 - amount)), 0.4, 1.6)
    weight: Floats = np.clip(found.weight * salt * np.float32(amount), 0, 1)
    return _residual(
        found,
        cv2.multiply(cv2.merge([grey, grey, grey]), WHITE_SCALE),
        weight,
        len(image),
    )


def restore_pigment(
    image: NDArray[np.uint8], hair: Floats, *, skin: Floats, light: np.float32, amount: float
) -> tuple[Floats, Floats]:
    """Restore the colour of grey hair; dark hair stays. Arguments and results are those of `grey_hair`."""
    found = _hair_of(image, hair)
    if found is None:
        return _nothing(len(image))
    brown = np.float32(BROWN.brown_to_skin * _skin_light(skin))
    lights = brown * np.power(np.clip(found.broad / max(float(light), LEAST_LIGHT), 0.25, 1.8), 0.7)
    strands = np.clip(1 + found.strands / (found.broad + LOG_OFFSET), 0.6, 1.6)
    wanted = np.minimum(lights * np.power(strands, 1.3), found.broad + found.strands)
    lighter = smoothstep(found.broad / lights, 1.0, 1.6)
    weight: Floats = found.weight * np.float32(BROWN.amount * amount) * lighter
    return _residual(
        found,
        cv2.multiply(cv2.merge([wanted, wanted, wanted]), BROWN_SCALE),
        weight,
        len(image),
    )


def _hair_of(image: NDArray[np.uint8], hair: Floats) -> Hair | None:
    half = len(image) // 2
    coarse = cv2.resize(hair, (half, half), interpolation=cv2.INTER_LINEAR)
    rows, columns = np.flatnonzero(coarse.max(1) > LEAST_HAIR), np.flatnonzero(coarse.max(0) > LEAST_HAIR)
    if not len(rows):
        return None
    room = 6
    box = (
        slice(max(int(rows[0]) - room, 0), min(int(rows[-1]) + room + 1, half)),
        slice(max(int(columns[0]) - room, 0), min(int(columns[-1]) + room + 1, half)),
    )
    fine = tuple(slice(2 * part.start, 2 * part.stop) for part in box)
    extent = (box[1].stop - box[1].start, box[0].stop - box[0].start)
    picture = cv2.resize(image[fine], extent, interpolation=cv2.INTER_AREA).astype(np.float32)
    weight = np.clip(strand_mask(picture * np.float32(1 / 255), coarse[box]), 0, 1)
    luminance = cv2.transform(picture, LUMINANCE[None])
    broad = cv2.GaussianBlur(luminance, (0, 0), STRANDS_SIGMA)
    return Hair(box, picture, weight, broad, luminance - broad)


def _residual(hair: Hair, wanted: Floats, weight: Floats, size: int) -> tuple[Floats, Floats]:
    change, where = _nothing(size)
    fine = tuple(slice(2 * part.start, 2 * part.stop) for part in hair.box)
    extent = (fine[1].stop - fine[1].start, fine[0].stop - fine[0].start)
    moved = cv2.multiply(cv2.subtract(wanted, hair.picture), cv2.merge([weight, weight, weight]))
    cv2.resize(moved, extent, dst=change[fine], interpolation=cv2.INTER_LINEAR)
    near = cv2.dilate((weight > 0).astype(np.float32), np.ones((3, 3), np.uint8))
    cv2.resize(near, extent, dst=where[fine], interpolation=cv2.INTER_NEAREST)
    return change, where


def _nothing(size: int) -> tuple[Floats, Floats]:
    return np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)


def _skin_light(skin: Floats) -> float:
    return float((np.exp(skin) - LOG_OFFSET) @ LUMINANCE)
