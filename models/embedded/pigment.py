"""The pigment of hair: removed for grey hair, restored for hair that grows young again.

Pigment comes back at half the crop's resolution: strands finer than that stay the camera's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded.hair import SURE, strand_mask
from models.embedded.strands import FILTER, HALF_FILTER, REPAINT, Lit, Look, look_of, measure_look, pure_hair, repaint
from models.face.imaging import LUMINANCE, smoothstep

GREY = look_of(np.array([138, 135, 130], np.float32))
"""Grey and white hair in white room light, the median over portraits of people who have it."""
BROWN = look_of(np.array([68, 51, 39], np.float32))
"""Brown hair in the same light."""
RESTORED = 0.95
"""Share of the way to brown that grey hair goes at most."""
GREYNESS = (-0.1, 0.45)
"""Distance of a pixel's log light above that of brown hair from which it gets pigment, and at which it gets all."""
LEAST_HAIR = 0.02
"""Hair probability from which a pixel is processed."""
ROOM = 6
"""Half crop pixels around the hair that are processed with it: the filters look so far."""


@dataclass(frozen=True, slots=True)
class Greyed:
    """How hair loses its pigment. Lights are shares of the skin's luminance; fitted to what a network does that learned
    from photographs of the old (`models.training.ageing`, 24 portraits of people below 48).

    Attributes:
        lift: light that hair without pigment gives back in addition, where it is lit as the skin is.
        lit: light of pigmented hair from which it counts as lit so; below, the lift falls with its square root.
        around: side of the window of the light around a strand, crop pixels.
        contrast: bounds of a strand's light over that around it.
        power: of that light in what the strand gives back.
        colourless: share of a pixel's own deviation in colour that goes.
        noise: luminance, 0..255, of which half the contrast of single pixels is believed.
        noise_sigma: Gaussian that takes the other half, crop pixels.
    """

    lift: float = 0.66
    lit: float = 0.4
    around: int = 15
    contrast: tuple[float, float] = (0.4, 2.5)
    power: float = 0.7
    colourless: float = 0.86
    noise: float = 80.0
    noise_sigma: float = 1.5


GREYED = Greyed()


def hair_look(image: Image, hair: Floats) -> Look | None:
    """The look of the hair of a crop; None where there is too little.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
    """
    half = len(image) // 2
    picture = cv2.resize(image, (half, half), interpolation=cv2.INTER_AREA).astype(np.float32)
    return measure_look(picture, _sized(hair, half), HALF_FILTER)


def grey_hair(crop: Crop, hair: Floats, *, skin: Floats, light: Lit, amount: float) -> tuple[Floats, Floats]:
    """Turn hair grey; half way some strands are white and others still dark.

    Args:
        crop: the face.
        hair: (M, M) float32, hair probability over the crop.
        skin: (3,) float32 RGB, 0..255, median of the face.
        light: the light on the face.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB, the residual, 0 without hair; and (S, S) float32, 1 where it may differ from 0.
    """
    size = len(crop.image)
    change, where = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    coarse = _sized(hair, size)
    box = _box(coarse, 2 * ROOM)
    if box is None or amount <= 0:
        return change, where
    picture = crop.image[box].astype(np.float32)
    weight = smoothstep(strand_mask(picture / np.float32(255), coarse[box], skin / np.float32(255)), *SURE)
    steady = None if crop.steady_light is None else crop.steady_light[box]
    colour = light.on(GREY).colour
    change[box] = _grey(picture, weight, skin=float(skin @ LUMINANCE), colour=colour, amount=amount, steady=steady)
    where[box] = weight > 0
    return change, where


def restore_pigment(
    crop: Crop, hair: Floats, *, skin: Floats, now: Look, light: Lit, amount: float
) -> tuple[Floats, Floats]:
    """Give grey hair brown pigment; dark hair stays. Arguments and results are those of `grey_hair`.

    `now` is `hair_look` of this hair, smoothed over time or not.
    """
    wanted = light.on(BROWN)
    return _repainted(crop, hair, skin, now=now, wanted=wanted, amount=RESTORED * amount, spared=wanted.level)


def _repainted(
    crop: Crop, hair: Floats, skin: Floats, *, now: Look, wanted: Look, amount: float, spared: float
) -> tuple[Floats, Floats]:
    """`repaint` in the box around the hair; pixels as dark as `spared`, a log luminance, stay."""
    size, half = len(crop.image), len(crop.image) // 2
    change, where = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    coarse = _sized(hair, half)
    box = _box(coarse, ROOM)
    if box is None or amount <= 0:
        return change, where
    fine = slice(2 * box[0].start, 2 * box[0].stop), slice(2 * box[1].start, 2 * box[1].stop)
    extent = (box[1].stop - box[1].start, box[0].stop - box[0].start)
    picture = cv2.resize(crop.image[fine], extent, interpolation=cv2.INTER_AREA).astype(np.float32)
    steady = crop.steady_light
    light = cv2.transform(picture, LUMINANCE[None]) if steady is None else _shrunk(steady[fine], extent)
    weight = smoothstep(strand_mask(picture / np.float32(255), coarse[box], skin / np.float32(255)), *SURE)
    broad = np.log(cv2.GaussianBlur(light, (0, 0), 1.0) + np.float32(FILTER.offset))
    weight = weight * smoothstep(broad - np.float32(spared), *GREYNESS)
    changed = repaint(picture, weight, now=now, wanted=wanted, amount=amount, steady=light, lengths=HALF_FILTER)
    cv2.resize(changed, (2 * extent[0], 2 * extent[1]), dst=change[fine], interpolation=cv2.INTER_LINEAR)
    near = cv2.dilate((weight > 0).astype(np.float32), np.ones((3, 3), np.uint8))
    cv2.resize(near, (2 * extent[0], 2 * extent[1]), dst=where[fine], interpolation=cv2.INTER_NEAREST)
    return change, where


def _grey(
    picture: Floats, weight: Floats, *, skin: float, colour: Floats, amount: float, steady: Floats | None = None
) -> Floats:
    """Hair that loses pigment. Strands that are light give back more; shades stay.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        skin: luminance of the face, 0..255.
        colour: (3,) float32 RGB over luminance, of hair without pigment in this light.
        amount: 0..1.
        steady: (H, W) float32, 0..255, the picture's luminance with less noise; None if there is none.

    Returns:
        (H, W, 3) float32 RGB, what is added to the picture, 0 where there is no hair.
    """
    own = cv2.transform(picture, LUMINANCE[None])
    light = own if steady is None else steady
    window, tiny = (GREYED.around, GREYED.around), np.float32(1e-3)
    sure = weight * weight * weight
    near = cv2.boxFilter(sure, -1, window) + tiny
    around = (cv2.boxFilter(light * sure, -1, window) + tiny * light) / near + np.float32(1)
    # what is dark is noise to a good part
    clean = light * light / (light * light + np.float32(GREYED.noise**2))
    seen = cv2.GaussianBlur(light, (0, 0), GREYED.noise_sigma)
    seen += (light - seen) * clean
    strand = cv2.pow(np.clip(seen / around, *GREYED.contrast), GREYED.power)
    # at the edge what is brighter than hair may be skin or backdrop
    pure = pure_hair(weight, FILTER.bright_edge)
    strand = np.minimum(strand, 1 + (strand - 1) * pure)
    lit = np.sqrt(np.minimum(around / np.float32(max(skin, 1.0) * GREYED.lit), 1))
    lift = strand * lit * np.float32(amount * GREYED.lift * skin)
    mixed = np.maximum(around + lift - own, 0)
    lift = np.minimum(lift, mixed + pure * (lift - mixed))
    room = np.float32(REPAINT.top - REPAINT.shoulder)
    over = np.maximum(own + lift - np.float32(REPAINT.shoulder), 0)
    light = np.minimum(own + lift, np.maximum(own, np.float32(REPAINT.shoulder) + room * (1 - np.exp(-over / room))))
    gone = np.float32(amount * GREYED.colourless)
    changes = [
        ((light - own) + gone * (light * np.float32(tint - 1) - (value - own))) * weight
        for value, tint in zip(cv2.split(picture), colour, strict=True)
    ]
    return np.asarray(cv2.merge(changes), np.float32)


def _box(hair: Floats, room: int) -> tuple[slice, slice] | None:
    """The rows and columns around hair, with room beside it; None without hair."""
    rows, columns = (np.flatnonzero(hair.max(axis) > LEAST_HAIR) for axis in (1, 0))
    if not len(rows):
        return None
    first, last = (slice(max(int(each[0]) - room, 0), int(each[-1]) + room + 1) for each in (rows, columns))
    return slice(first.start, min(first.stop, len(hair))), slice(last.start, min(last.stop, len(hair)))


def _sized(hair: Floats, size: int) -> Floats:
    return np.asarray(cv2.resize(hair, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _shrunk(light: Floats, extent: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(light, extent, interpolation=cv2.INTER_AREA), np.float32)
