"""The pigment of hair: removed for grey hair, restored for hair that grows young again.

The change is made at half the crop's resolution: strands finer than that stay the camera's own.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded.hair import SURE, strand_mask
from models.embedded.strands import FILTER, HALF_FILTER, Lit, Look, grey, look_of, measure_look, repaint
from models.face.imaging import LUMINANCE, smoothstep

GREY = look_of(np.array([138, 135, 130], np.float32))
"""Grey and white hair in white room light, the median over portraits of people who have it."""
GREY_STRANDS = 0.26
"""Standard deviation of its strands, log units: white ones lie between dark ones."""
BROWN = look_of(np.array([68, 51, 39], np.float32))
"""Brown hair in the same light."""
RESTORED = 0.95
"""Share of the way to brown that grey hair goes at most."""
GREYNESS = (-0.1, 0.45)
"""Distance of a pixel's log light above that of brown hair from which it gets pigment, and at which it gets all."""
LEAST_HAIR = 0.02
"""Hair probability from which a pixel is processed."""
MOST_GREY = 0.88
"""Share of the way to white that grey hair goes at most: some strands keep their pigment."""
ROOM = 6
"""Half crop pixels around the hair that are processed with it: the filters look so far."""


def hair_look(image: Image, hair: Floats) -> Look | None:
    """The look of the hair of a crop; None where there is too little.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
    """
    half = len(image) // 2
    picture = cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA).astype(np.float32)
    return measure_look(picture, _sized(hair, half), HALF_FILTER)


def grey_hair(crop: Crop, hair: Floats, *, skin: Floats, now: Look, light: Lit, amount: float) -> tuple[Floats, Floats]:
    """Turn hair grey; half way some strands are white and others still dark.

    Args:
        crop: the face.
        hair: (M, M) float32, hair probability over the crop.
        skin: (3,) float32 RGB, 0..255, median of the face.
        now: `hair_look` of this hair, smoothed over time or not.
        light: the light on the face.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB, the residual, 0 without hair; and (S, S) float32, 1 where it may differ from 0.
    """
    size = len(crop.image)
    if amount <= 0:
        return np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    picture = crop.image.astype(np.float32)
    weight = smoothstep(strand_mask(picture / np.float32(255), _sized(hair, size), skin / np.float32(255)), *SURE)
    lit = float(skin @ LUMINANCE)
    colour = light.on(GREY).colour
    change = grey(picture, weight, skin=lit, colour=colour, amount=amount, steady=crop.steady_light)
    return change, (weight > 0).astype(np.float32)


def restore_pigment(
    crop: Crop, hair: Floats, *, skin: Floats, now: Look, light: Lit, amount: float
) -> tuple[Floats, Floats]:
    """Give grey hair brown pigment; dark hair stays. Arguments and results are those of `grey_hair`."""
    wanted = light.on(BROWN)
    return _repainted(crop, hair, skin, now=now, wanted=wanted, amount=RESTORED * amount, spared=wanted.level)


def _repainted(
    crop: Crop, hair: Floats, skin: Floats, *, now: Look, wanted: Look, amount: float, spared: float | None
) -> tuple[Floats, Floats]:
    """`repaint` in the box around the hair; pixels as dark as `spared`, a log luminance, stay."""
    size, half = len(crop.image), len(crop.image) // 2
    change, where = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    coarse = _sized(hair, half)
    rows, columns = np.flatnonzero(coarse.max(1) > LEAST_HAIR), np.flatnonzero(coarse.max(0) > LEAST_HAIR)
    if not len(rows) or amount <= 0:
        return change, where
    box = (
        slice(max(int(rows[0]) - ROOM, 0), min(int(rows[-1]) + ROOM + 1, half)),
        slice(max(int(columns[0]) - ROOM, 0), min(int(columns[-1]) + ROOM + 1, half)),
    )
    fine = slice(2 * box[0].start, 2 * box[0].stop), slice(2 * box[1].start, 2 * box[1].stop)
    extent = (box[1].stop - box[1].start, box[0].stop - box[0].start)
    picture = cv2.resize(crop.image[fine], extent, interpolation=cv2.INTER_AREA).astype(np.float32)
    steady = crop.steady_light
    light = cv2.transform(picture, LUMINANCE[None]) if steady is None else _shrunk(steady[fine], extent)
    weight = smoothstep(strand_mask(picture / np.float32(255), coarse[box], skin / np.float32(255)), *SURE)
    if spared is not None:
        broad = np.log(cv2.GaussianBlur(light, (0, 0), 1.0) + np.float32(FILTER.offset))
        weight = weight * smoothstep(broad - np.float32(spared), *GREYNESS)
    changed = repaint(picture, weight, now=now, wanted=wanted, amount=amount, steady=light, lengths=HALF_FILTER)
    cv2.resize(changed, (2 * extent[0], 2 * extent[1]), dst=change[fine], interpolation=cv2.INTER_LINEAR)
    near = cv2.dilate((weight > 0).astype(np.float32), np.ones((3, 3), np.uint8))
    cv2.resize(near, (2 * extent[0], 2 * extent[1]), dst=where[fine], interpolation=cv2.INTER_NEAREST)
    return change, where


def _sized(hair: Floats, size: int) -> Floats:
    return np.asarray(cv2.resize(hair, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _shrunk(light: Floats, extent: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(light, extent, interpolation=cv2.INTER_AREA), np.float32)
