"""The pigment of hair: removed for grey hair, restored for hair that grows young again.

Pigment comes back at half the crop's resolution: strands finer than that stay the camera's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded.beard import find_beard
from models.embedded.hair import SURE, strand_mask
from models.embedded.strands import FILTER, HALF_FILTER, REPAINT, Lit, Look, look_of, measure_look, pure_hair, repaint
from models.face.imaging import LUMINANCE, smoothstep

GREY = look_of(np.array([153, 150, 145], np.float32))
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
    """How hair loses its pigment. Lights are log units or shares of white hair's, lengths are crop pixels. Shading and
    contrast are those of 60 portraits of people above 60 with grey hair.

    Attributes:
        lighter: least light of white hair over that of this hair.
        tint, paler: slope of the log of red over blue against that of skin, and what is taken off.
        tints: bounds of it.
        green: how much less green there is, log.
        around: side of the window of the light around a strand.
        shading: power of the hair's broad light in that of white hair, which scatters light.
        shades: bounds of the broad light of white hair over its median.
        contrast: bounds of a strand's light over that around it.
        power: of that light in what a white strand gives back.
        colour: power of what is kept of pigment in what is kept of a pixel's own colour.
        temples: how much whiter hair is beside the face, and how much darker far from it.
        beside: Gaussian of the face's reach, share of the crop.
        locks: how much earlier light locks turn white, share per log unit.
        edge: width of the edge in which bright strands are not trusted.
        noise: luminance, 0..255, of which half the contrast of single pixels is believed.
        noise_still: the same in a single picture, where noise does not flicker.
        noise_sigma: Gaussian that takes the other half.
        mean_window: side of the window of the mean light of hair and of what is beside it.
        told: shares of its own light by which hair must be darker than what is beside it to be told from it.
    """

    lighter: float = 0.3
    tint: float = 0.6
    paler: float = 0.15
    tints: tuple[float, float] = (-0.08, 0.13)
    green: float = 0.022
    around: int = 15
    shading: float = 0.75
    shades: tuple[float, float] = (0.4, 1.3)
    contrast: tuple[float, float] = (0.4, 2.2)
    power: float = 0.45
    colour: float = 1.8
    temples: tuple[float, float] = (0.06, -0.18)
    beside: float = 0.09
    locks: float = 0.35
    edge: int = 3
    beard: float = 1.12
    beard_light: float = 0.8
    beard_shading: float = 0.35
    noise: float = 70.0
    noise_still: float = 25.0
    noise_sigma: float = 1.2
    mean_window: int = 26
    told: tuple[float, float] = (0.25, 0.6)
    shaded: float = 0.85
    edge_sigma: float = 1.5
    redder: tuple[float, float] = (0.16, 0.35)
    dark: float = 12.0


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


def grey_hair(
    crop: Crop, hair: Floats, *, skin: Floats, now: Look, light: Lit, amount: float
) -> tuple[Floats, Floats]:
    """Turn hair grey, strand by strand: half way some locks are white and others still dark.

    Args:
        crop: the face, with masks.
        hair: (M, M) float32, hair probability over the crop.
        skin: (3,) float32 RGB, 0..255, median of the face.
        now: `hair_look` of this hair, smoothed over time or not.
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
    weight *= 1 - _ears(crop, box) * _redder(picture, skin, now)
    face = np.zeros_like(hair) if crop.masks is None else crop.masks.face
    beside = cv2.GaussianBlur(face, (0, 0), GREYED.beside * len(face))
    beside = _sized(np.clip(2 * beside, 0, 1), size)[box]
    far, near = GREYED.temples[1], GREYED.temples[0]
    steady = None if crop.steady_light is None else crop.steady_light[box]
    level = max(light.on(GREY).level, now.level + GREYED.lighter)
    wanted = Look(level, now.broad, now.fine, white_in(skin))
    share = np.float32(amount) * (1 + np.float32(far) + np.float32(near - far) * beside)
    change[box] = _grey(picture, weight, _sized(face, size)[box], now=now, wanted=wanted, share=share, steady=steady)
    where[box] = np.abs(change[box]).max(axis=2) > 0
    return change, where


def grey_beard(crop: Crop, *, skin: Floats, light: Lit, amount: float) -> tuple[Floats, Floats]:
    """Turn a man's beard grey. Arguments and results are those of `grey_hair`; the crop has mesh and masks."""
    size = len(crop.image)
    change, where = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    beard = find_beard(crop)
    box = _box(beard, 2 * ROOM)
    if box is None or amount <= 0:
        return change, where
    picture, weight = crop.image[box].astype(np.float32), beard[box]
    own = np.log(picture @ LUMINANCE + np.float32(FILTER.offset))
    level = float((own * weight).sum() / weight.sum())
    now = Look(level, 0.0, 0.0, np.ones(3, np.float32))
    # seen through a beard, skin bounds how white it looks
    white = float(np.log(GREYED.beard_light * (skin @ LUMINANCE) + 1))
    wanted = Look(max(min(light.on(GREY).level, white), level + GREYED.lighter), 0.0, 0.0, white_in(skin))
    steady = None if crop.steady_light is None else crop.steady_light[box]
    share = np.full_like(weight, min(GREYED.beard * amount, 1.0))
    change[box] = _grey(picture, weight, np.zeros_like(weight), now=now, wanted=wanted, share=share, steady=steady, shading=GREYED.beard_shading)
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


def white_in(skin: Floats) -> Floats:
    """The colour of hair without pigment, (3,) float32 RGB over luminance, in the light that skin tells.

    Args:
        skin: (3,) float32 RGB, 0..255, median of the face.
    """
    warmth = GREYED.tint * float(np.log(max(skin[0], 1) / max(skin[2], 1))) - GREYED.paler
    warmth = float(np.clip(warmth, *GREYED.tints))
    colour = np.exp(warmth * np.array([0.5, 0, -0.5], np.float32) - np.array([0, GREYED.green, 0], np.float32))
    return np.asarray(colour / float(colour @ LUMINANCE), np.float32)


def _grey(
    picture: Floats,
    weight: Floats,
    face: Floats,
    *,
    now: Look,
    wanted: Look,
    share: Floats,
    steady: Floats | None = None,
    shading: float = GREYED.shading,
) -> Floats:
    """Hair that loses pigment, as a mixture of its own strands and of white ones in the same light.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        face: (H, W) float32 in 0..1, how much is skin of the face.
        now: the look of this hair.
        wanted: the look of hair without pigment in this light.
        share: (H, W) float32, how much of the hair is white.
        steady: (H, W) float32, 0..255, the picture's luminance with less noise; None if there is none.

        shading: power of the hair's broad light in that of white hair.

    Returns:
        (H, W, 3) float32 RGB, what is added to the picture, 0 where there is no hair.
    """
    own = cv2.transform(picture, LUMINANCE[None])
    light = own if steady is None else steady
    noise = GREYED.noise_still if steady is None else GREYED.noise
    window, tiny = (GREYED.around, GREYED.around), np.float32(1e-3)
    sure = weight * weight * weight
    near = cv2.boxFilter(sure, -1, window) + tiny
    around = (cv2.boxFilter(light * sure, -1, window) + tiny * light) / near + np.float32(FILTER.offset)
    # what is dark is noise to a good part
    clean = light * light / (light * light + np.float32(noise**2))
    seen = cv2.GaussianBlur(light, (0, 0), GREYED.noise_sigma)
    seen += (light - seen) * clean
    strand = np.clip((seen + np.float32(FILTER.offset)) / around, *GREYED.contrast)
    matte = _matte(light, face, weight, around)
    level = np.float32(np.exp(now.level))
    shade = np.clip(cv2.pow(matte.deep / level, shading), *GREYED.shades)
    # at the edge what is brighter than hair may be skin or backdrop
    pure = pure_hair(weight, GREYED.edge)
    lock = np.log(np.minimum(strand, 1 + (strand - 1) * pure))
    gone = 1 - cv2.pow(1 - share, GREYED.colour)
    share = np.clip(share + np.float32(4 * GREYED.locks) * share * (1 - share) * lock, 0, 1)
    white = np.float32(np.exp(wanted.level)) * shade * np.exp(np.float32(GREYED.power) * lock)
    room = np.float32(REPAINT.top - REPAINT.shoulder)
    over = np.maximum(white - np.float32(REPAINT.shoulder), 0)
    white = np.minimum(white, np.float32(REPAINT.shoulder)) + room * (1 - np.exp(-over / room))
    # where hair becomes lighter than skin, its haze would show
    haze = np.clip(white / np.maximum(matte.beside, 1) - 1, 0, 0.5)
    alpha = weight + (np.minimum(matte.hair ** (1 + 4 * haze), matte.reach) - weight) * matte.told
    hair = light + (matte.deep - light) * np.maximum(matte.told, 1 - weight)
    # what is lighter than white hair already keeps its light
    lift = alpha * share * np.maximum(white - hair, 0)
    gone *= alpha
    lit = own + lift
    changes = [
        lift + gone * (lit * np.float32(tint - 1) - (value - own))
        for value, tint in zip(cv2.split(picture), wanted.colour, strict=True)
    ]
    return np.asarray(cv2.merge(changes), np.float32)


@dataclass(frozen=True, slots=True)
class _Matte:
    """Hair beside a face, all (H, W) float32: the light of hair itself and of skin, how much hair there is by light,
    where that can be told, and how far hair reaches.
    """

    deep: Floats
    beside: Floats
    hair: Floats
    told: Floats
    reach: Floats


def _matte(light: Floats, face: Floats, weight: Floats, around: Floats) -> _Matte:
    """Tell hair from the face by its light: skin between strands stays skin, no dark line is left before it."""
    beside, seen = _mean_of(light, face * (1 - weight))
    deep, inside = _mean_of(light, weight * (1 - face))
    inside = np.clip(4 * inside, 0, 1)
    deep = around + (np.minimum(deep + np.float32(FILTER.offset), around) - around) * inside
    told = smoothstep((beside - deep) / (beside + 1), *GREYED.told) * np.clip(6 * seen, 0, 1) * inside
    broad = cv2.GaussianBlur(light, (0, 0), GREYED.edge_sigma)
    # skin in the shade of hair is no hair
    beside = np.maximum(np.float32(GREYED.shaded) * beside, deep + 1)
    hair = np.clip((beside - np.float32(0.5) * (light + broad)) / (beside - deep), 0, 1)
    reach = cv2.GaussianBlur(cv2.dilate(weight, np.ones((3, 3), np.uint8)), (0, 0), 1.2)
    return _Matte(around + (deep - around) * told, beside, hair, told, reach)


def _mean_of(light: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Mean light near each pixel by a weight, and that weight's own mean; at half resolution, as they are smooth."""
    height, width = light.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    window = (GREYED.mean_window // 2, GREYED.mean_window // 2)
    small = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    total = cv2.blur(small, window)
    mean = cv2.blur(cv2.resize(light, half, interpolation=cv2.INTER_AREA) * small, window) / (total + 1e-4)
    both = cv2.resize(cv2.merge([mean, total]), (width, height), interpolation=cv2.INTER_LINEAR)
    return both[..., 0], both[..., 1]


def _redder(picture: Floats, skin: Floats, now: Look) -> Floats:
    """Where a pixel is redder than both skin and hair are, as ears in the shade of hair: (H, W) float32 in 0..1."""
    red, green, _ = cv2.split(cv2.GaussianBlur(picture, (0, 0), 1.5) + np.float32(GREYED.dark))
    usual = max(float(np.log(skin[0] / max(skin[1], 1))), float(np.log(now.colour[0] / max(now.colour[1], 1e-3))))
    return smoothstep(np.log(red / green) - np.float32(usual), *GREYED.redder)


def _ears(crop: Crop, box: tuple[slice, slice]) -> Floats:
    """Where ears may be, in a part of the crop: float32 in 0..1."""
    left, right = crop.points5[:2]
    middle, apart = (left + right) / 2, right - left
    scale = np.float32(1 / max(float(apart @ apart), 1.0))
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32) - np.float32(middle[0])
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(middle[1])
    across, down = np.abs(x * apart[0] + y * apart[1]) * scale, (y * apart[0] - x * apart[1]) * scale
    return smoothstep(across, 0.85, 1.0) * smoothstep(-across, -2.0, -1.6) * (smoothstep(down, -0.7, -0.4) * smoothstep(-down, -1.4, -1.1))


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
