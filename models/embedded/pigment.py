"""The pigment of hair: removed for grey hair, restored for hair that grows young again. A network draws both."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded.beard import fairness, find_grey_beard, with_fair_ends
from models.embedded.hair_look import HairLook
from models.embedded.strands import FILTER, HALF_FILTER, Lit, Look, look_of, measure_look
from models.embedded.white_hair import (
    GREYED,
    ears,
    half_white,
    matt,
    ornaments,
    stranded,
    white_in,
    white_level,
    without_outline,
    without_red,
)
from models.face.imaging import LUMINANCE, box_of, smoothstep

BROWN = look_of(np.array([68, 51, 39], np.float32))
"""Brown hair in white room light, the median over portraits of people who have it."""
RESTORED = 0.88
"""Share of the way to brown that grey hair goes at most."""
GREYNESS = (-0.5, 0.0)
"""Level of hair less that of brown hair in the same light from which it gets pigment, and at which it gets all."""
LEAST_HAIR = 0.02
"""Alpha of hair, or probability of a beard, from which a pixel is processed."""
WARMER = 0.45
"""By how much brown hair is warmer than grey hair in the same light at most, log red over blue: in white light their
medians are 0.55 and 0.12.
"""
BEGUN = (0.0, 0.15)
"""Shares of the way to another look over which the network's drawing is shown more and more."""
EDGE = 4
"""Crop pixels around hair in which its edge lies."""


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
        steady = crop.steady_light
        light = cv2.transform(crop.image[wide].astype(np.float32), LUMINANCE[None]) if steady is None else steady[wide]
        drawn += stranded(drawn, weight[wide], light, amount)
        drawn += without_outline(np.clip(drawn, 0, 255), weight[wide], colour, amount)
        own, usual = (np.log((each[0] + 1e-2) / (each[2] + 1e-2)) for each in (now.colour, skin))
        red = amount * float(smoothstep(np.asarray(own - usual), *GREYED.fair))
        if red > 0:
            drawn += red * without_red(drawn, weight[wide], skin)
        change[wide] = drawn - crop.image[wide]
    # the first step of a slider changes little
    change *= smoothstep(np.asarray(amount), *BEGUN)
    return change, np.asarray(change.any(2), np.float32)


def grey_beard(network: HairLook, crop: Crop, beard: Floats, *, skin: Floats, amount: float) -> tuple[Floats, Floats]:
    """Turn a man's beard grey. The rest is as of `grey_hair`; `beard` is of `models.embedded.beard_alpha`."""
    fair = fairness(crop.image, beard, skin)
    beard = with_fair_ends(crop, beard, fair)
    weight = beard * (beard > LEAST_HAIR)
    now = _mean_look(crop, weight) if amount > 0 else None
    if now is None:
        return np.zeros(crop.image.shape, np.float32), np.zeros_like(beard)
    # seen through a beard, skin bounds how white it looks
    bound = float(np.log(GREYED.beard_light * (skin @ LUMINANCE) + 1))
    level = max(min(white_level(now, skin), bound), now.level + GREYED.lighter)
    colour = half_white(white_in(skin), now, amount)
    wanted = Look(now.level + amount * (level - now.level), now.broad, now.fine, colour)
    change = network.change(crop, weight, now=now, wanted=wanted, skin=skin)
    red = amount * float(smoothstep(np.asarray(fair), *GREYED.fair))
    box = box_of(weight > 0, 2 * GREYED.beside)
    if red > 0 and box is not None:
        change[box] += red * without_red(crop.image[box] + change[box], weight[box], skin)
    change *= smoothstep(np.asarray(amount), *BEGUN)
    return change, np.asarray(change.any(2), np.float32)


def restore_pigment(
    network: HairLook, crop: Crop, alpha: Floats, *, skin: Floats, now: Look, light: Lit, amount: float
) -> tuple[Floats, Floats]:
    """Give grey hair brown pigment in the `light` on the face; no hair gets lighter. The rest is as of `grey_hair`."""
    brown = _brown_in(light, now)
    # dark hair has its pigment
    lacks = float(smoothstep(np.asarray(now.level - brown.level), *GREYNESS))
    share = RESTORED * amount * lacks
    level = now.level + share * min(brown.level - now.level, 0.0)
    colour = now.colour + np.float32(share) * (brown.colour - now.colour)
    wanted = Look(level, now.broad, now.fine, np.asarray(colour, np.float32))
    change = network.change(crop, alpha * (alpha > LEAST_HAIR), now=now, wanted=wanted, skin=skin)
    change *= smoothstep(np.asarray(amount * lacks), *BEGUN)
    return change, np.asarray(change.any(2), np.float32)


def restore_beard(network: HairLook, crop: Crop, *, skin: Floats, light: Lit, amount: float) -> tuple[Floats, Floats]:
    """Give a man's grey beard brown pigment. The rest is as of `restore_pigment`; the crop has a mesh."""
    beard = find_grey_beard(crop)
    now = _mean_look(crop, beard * (beard > LEAST_HAIR))
    if now is None:
        return np.zeros(crop.image.shape, np.float32), np.zeros_like(beard)
    return restore_pigment(network, crop, beard, skin=skin, now=now, light=light, amount=amount)


def _mean_look(crop: Crop, weight: Floats) -> Look | None:
    """The look of a beard by its mean, as there may be little of it; None where there is none."""
    box = box_of(weight > 0)
    if box is None:
        return None
    part, picture = weight[box] / weight[box].sum(), crop.image[box].astype(np.float32)
    light = picture @ LUMINANCE
    level = float((np.log(light + np.float32(FILTER.offset)) * part).sum())
    colour = np.einsum("hwc,hw->c", picture, part) / max(float((light * part).sum()), 1.0)
    return Look(level, BROWN.broad, BROWN.fine, np.asarray(colour, np.float32))


def _brown_in(light: Lit, now: Look) -> Look:
    """Brown hair in a light. Grey hair, which has little colour of its own, tells a cold one better than skin."""
    wanted = light.on(BROWN)
    (red, _, blue), (warm, _, cold) = (np.maximum(each, np.float32(1e-3)) for each in (now.colour, wanted.colour))
    over = max(float(np.log(warm / cold) - np.log(red / blue)) - WARMER, 0.0)
    colour = wanted.colour * np.exp(np.array([-over / 2, 0, over / 2], np.float32))
    return Look(wanted.level, wanted.broad, wanted.fine, np.asarray(colour / (colour @ LUMINANCE), np.float32))


def _sized(hair: Floats, size: int) -> Floats:
    return np.asarray(cv2.resize(hair, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
