"""The pigment of hair: removed for grey hair, restored for hair that grows young again.

Pigment comes back at half the crop's resolution: strands finer than that stay the camera's own.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded.beard import fairness, find_grey_beard, with_fair_ends
from models.embedded.hair_look import HairLook
from models.embedded.single_strands import single_strands
from models.embedded.strands import FILTER, HALF_FILTER, REPAINT, Lit, Look, look_of, measure_look, pure_hair
from models.embedded.white_hair import (
    GREYED,
    ears,
    half_white,
    matt,
    ornaments,
    white_in,
    white_level,
    whiten,
    without_outline,
    without_red,
)
from models.face.imaging import LUMINANCE, box_of, smoothstep

BROWN = look_of(np.array([68, 51, 39], np.float32))
"""Brown hair in white room light, the median over portraits of people who have it."""
RESTORED = 0.88
"""Share of the way to brown that grey hair goes at most."""
GREYNESS = (-0.1, 0.45)
"""Distance of a pixel's log light above that of brown hair from which it gets pigment, and at which it gets all."""
LEAST_HAIR = 0.02
"""Alpha of hair, or probability of a beard, from which a pixel is processed."""
WARMER = 0.45
"""By how much brown hair is warmer than grey hair in the same light at most, log red over blue: in white light their
medians are 0.55 and 0.12.
"""
TINTED = 0.95
"""Share of the way to the colour of brown hair that is gone."""
STRAND_SIGMA, STRAND_GAIN, STRONGEST = 1.25, 0.7, 0.5
"""Gaussian that parts strands from the light around them, half crop pixels; by how much they stand out the more; the
bound of their log light.
"""
SHADE_SIGMA, SHADE_GAIN, SHADES = 5.0, 1.4, (-0.6, 0.4)
"""Gaussian of broad light, half crop pixels; by how much its log stands out the more, as white hair scatters light and
brown hair does not; bounds of it.
"""
DEEPER = 0.6
"""How much more colourful hair is a log unit below its median."""
VARIED, PALER = 0.07, 0.12
"""By how much single strands differ in log light, and the share of the colour that those that are lighter lack."""
BEGUN = (0.0, 0.15)
"""Shares of the way to another look over which the network's drawing is shown more and more."""
EDGE = 4
"""Crop pixels around hair in which its edge lies."""
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


def grey_hair(
    network: HairLook, crop: Crop, alpha: Floats, *, skin: Floats, now: Look, amount: float
) -> tuple[Floats, Floats]:
    """Turn hair grey: half way it is pepper and salt.

    Args:
        network: draws hair of another look.
        crop: the face, with masks.
        alpha: (S, S) float32 in 0..1, how much of each pixel is hair.
        skin: (3,) float32 RGB, 0..255, median of the face.
        now: `hair_look` of this hair, smoothed over time or not.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB, the residual, 0 without hair near; and (S, S) float32, 1 where it may differ from 0.
    """
    weight = np.zeros_like(alpha)
    box = box_of(alpha > LEAST_HAIR)
    if box is not None and amount > 0:
        own = alpha[box]
        weight[box] = own * (1 - ears(crop, box, skin, now))
        weight[box] *= 1 - ornaments(crop.image[box].astype(np.float32), own, now)
    level = max(white_level(now, skin), now.level + GREYED.lighter)
    colour = half_white(white_in(skin), now, amount)
    wanted = Look(now.level + amount * (level - now.level), now.broad, now.fine, colour)
    change = network.change(crop, weight, now=now, wanted=wanted, skin=skin)
    wide = box_of(alpha > LEAST_HAIR, EDGE)
    if wide is not None and amount > 0:
        drawn = crop.image[wide] + change[wide]
        drawn += matt(drawn, weight[wide], wanted.level, amount)
        drawn += without_outline(np.clip(drawn, 0, 255), weight[wide], colour, amount)
        own, usual = (np.log((each[0] + 1e-2) / (each[2] + 1e-2)) for each in (now.colour, skin))
        red = amount * float(smoothstep(np.asarray(own - usual), *GREYED.fair))
        if red > 0:
            drawn += red * without_red(drawn, weight[wide], skin)
        change[wide] = drawn - crop.image[wide]
    # the first step of a slider changes little
    change *= smoothstep(np.asarray(amount), *BEGUN)
    return change, np.asarray(change.any(2), np.float32)


def grey_beard(crop: Crop, beard: Floats, *, skin: Floats, amount: float) -> tuple[Floats, Floats]:
    """Turn a beard grey. The rest is as of `grey_hair`; `beard` is of `models.embedded.beard_alpha`."""
    size = len(crop.image)
    change, where = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    fair = fairness(crop.image, beard, skin)
    beard = with_fair_ends(crop, beard, fair)
    box = box_of(beard > LEAST_HAIR, 2 * ROOM)
    if box is None or amount <= 0:
        return change, where
    picture, weight = crop.image[box].astype(np.float32), beard[box]
    own = np.log(picture @ LUMINANCE + np.float32(FILTER.offset))
    level = float((own * weight).sum() / weight.sum())
    now = Look(level, 0.0, 0.0, np.ones(3, np.float32))
    # seen through a beard, skin bounds how white it looks
    white = float(np.log(GREYED.beard_light * (skin @ LUMINANCE) + 1))
    wanted = Look(max(min(white_level(now, skin), white), level + GREYED.lighter), 0.0, 0.0, white_in(skin))
    steady = None if crop.steady_light is None else crop.steady_light[box]
    share = np.full_like(weight, min(GREYED.beard * amount, 1.0))
    change[box] = whiten(
        picture, weight, now=now, wanted=wanted, share=share, steady=steady, shading=GREYED.beard_shading
    )
    red = amount * float(smoothstep(np.asarray(fair), *GREYED.fair))
    if red > 0:
        change[box] += red * without_red(picture + change[box], weight, skin)
    where[box] = change[box].any(2)
    return change, where


def restore_pigment(crop: Crop, alpha: Floats, *, now: Look, light: Lit, amount: float) -> tuple[Floats, Floats]:
    """Give grey hair brown pigment in the `light` on the face; dark hair stays. The rest is as of `grey_hair`.

    `now` is `hair_look` of this hair, smoothed over time or not.
    """
    wanted = _brown_in(light, now)
    return _repainted(crop, alpha, now=now, wanted=wanted, amount=RESTORED * amount, spared=wanted.level)


def restore_beard(crop: Crop, *, light: Lit, amount: float) -> tuple[Floats, Floats]:
    """Give a man's grey beard brown pigment. The rest is as of `restore_pigment`; the crop has a mesh."""
    beard = find_grey_beard(crop)
    beard *= beard > LEAST_HAIR
    box = box_of(beard > 0)
    if box is None:
        return np.zeros(crop.image.shape, np.float32), np.zeros_like(beard)
    weight, picture = beard[box], crop.image[box].astype(np.float32)
    weight = weight / weight.sum()
    own = cv2.transform(picture, LUMINANCE[None])
    level = float((np.log(own + np.float32(FILTER.offset)) * weight).sum())
    colour = np.einsum("hwc,hw->c", picture, weight) / max(float((own * weight).sum()), 1.0)
    now = Look(level, BROWN.broad, BROWN.fine, np.asarray(colour, np.float32))
    wanted = _brown_in(light, now)
    return _repainted(crop, beard, now=now, wanted=wanted, amount=RESTORED * amount, spared=wanted.level)


def _brown_in(light: Lit, now: Look) -> Look:
    """Brown hair in a light. Grey hair, which has little colour of its own, tells a cold one better than skin."""
    wanted = light.on(BROWN)
    (red, _, blue), (warm, _, cold) = (np.maximum(each, np.float32(1e-3)) for each in (now.colour, wanted.colour))
    over = max(float(np.log(warm / cold) - np.log(red / blue)) - WARMER, 0.0)
    colour = wanted.colour * np.exp(np.array([-over / 2, 0, over / 2], np.float32))
    return Look(wanted.level, wanted.broad, wanted.fine, np.asarray(colour / (colour @ LUMINANCE), np.float32))


def _repainted(
    crop: Crop, alpha: Floats, *, now: Look, wanted: Look, amount: float, spared: float
) -> tuple[Floats, Floats]:
    """`repaint` in the box around the hair; pixels as dark as `spared`, a log luminance, stay."""
    size, half = len(crop.image), len(crop.image) // 2
    change, where = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    alpha = _shrunk(alpha[: 2 * half, : 2 * half], (half, half))
    box = box_of(alpha > LEAST_HAIR, ROOM)
    if box is None or amount <= 0:
        return change, where
    fine = slice(2 * box[0].start, 2 * box[0].stop), slice(2 * box[1].start, 2 * box[1].stop)
    extent = (box[1].stop - box[1].start, box[0].stop - box[0].start)
    picture = cv2.resize(crop.image[fine], extent, interpolation=cv2.INTER_AREA).astype(np.float32)
    steady = crop.steady_light
    light = cv2.transform(picture, LUMINANCE[None]) if steady is None else _shrunk(steady[fine], extent)
    broad = np.log(cv2.GaussianBlur(light, (0, 0), 1.0) + np.float32(FILTER.offset))
    weight = alpha[box] * smoothstep(broad - np.float32(spared), *GREYNESS)
    single = single_strands(crop, box, light, alpha[box], 2)
    changed = _pigmented(picture, weight, light, single, now=now, wanted=wanted, amount=amount)
    cv2.resize(changed, (2 * extent[0], 2 * extent[1]), dst=change[fine], interpolation=cv2.INTER_LINEAR)
    near = cv2.dilate((weight > 0).astype(np.float32), np.ones((3, 3), np.uint8))
    cv2.resize(near, (2 * extent[0], 2 * extent[1]), dst=where[fine], interpolation=cv2.INTER_NEAREST)
    return change, where


def _pigmented(
    picture: Floats, weight: Floats, light: Floats, single: Floats, *, now: Look, wanted: Look, amount: float
) -> Floats:
    """Hair that takes in light: it keeps its shading, and its strands stand out the more.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        light: (H, W) float32, 0..255, its luminance, of little noise.
        single: (H, W) float32, noise that differs from strand to strand.
        now: the look of this hair.
        wanted: that of hair with all of its pigment.
        amount: 0..1.

    Returns:
        (H, W, 3) float32 RGB, what is added to the picture.
    """
    offset = np.float32(FILTER.offset)
    inside = weight + np.float32(1e-2)
    mean = cv2.GaussianBlur(light * inside, (0, 0), STRAND_SIGMA) / cv2.GaussianBlur(inside, (0, 0), STRAND_SIGMA)
    pure = pure_hair(weight, HALF_FILTER.edge)
    strand = pure * np.clip(cv2.log((light + offset) / (mean + offset)), -STRONGEST, STRONGEST)
    strand = np.float32(STRAND_GAIN) * strand + np.float32(VARIED) * pure * single
    strand *= np.where(strand < 0, np.float32(REPAINT.gaps), np.float32(REPAINT.crests))
    broad = cv2.GaussianBlur(light * inside, (0, 0), SHADE_SIGMA) / cv2.GaussianBlur(inside, (0, 0), SHADE_SIGMA)
    logs = cv2.log(broad + offset)
    # the smoothed level lags behind the exposure
    level = float((logs * weight).sum() / max(float(weight.sum()), 1e-3))
    shade = pure * np.clip(logs - np.float32(level), *SHADES)
    strand += np.float32(SHADE_GAIN) * shade
    taken = np.float32(amount * min(wanted.level - now.level, 0.0)) + np.float32(amount) * strand
    own = cv2.transform(picture, LUMINANCE[None])
    lit = (own + offset) * cv2.exp(taken) - offset
    tinted = np.float32(TINTED * amount) * (1 - np.float32(PALER) * single - np.float32(DEEPER) * (strand + shade))
    changes = []
    for value, usual, tint in zip(cv2.split(picture), now.colour, wanted.colour, strict=True):
        # what is not hair keeps its own colour
        colour = value / np.maximum(own, 1) + tinted * (tint - usual)
        changes.append(weight * (np.maximum(lit, 0) * np.maximum(colour, np.float32(0.1)) - value))
    return np.asarray(cv2.merge(changes), np.float32)


def _sized(hair: Floats, size: int) -> Floats:
    return np.asarray(cv2.resize(hair, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _shrunk(plane: Floats, extent: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(plane, extent, interpolation=cv2.INTER_AREA), np.float32)
