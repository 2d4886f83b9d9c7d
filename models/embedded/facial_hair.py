"""Dye for brows: hair so thin that skin shows through it, as a mixture of both colours.

How far a pixel is from the skin beside it to the hair's own colour tells how much of it is hair. So much of the
difference between the dye and that colour is added: light, shadow and single hairs stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.editor import Crop
from models.embedded.strands import FILTER, Look
from models.face.imaging import LUMINANCE, box_of, smoothstep

BROWS = (
    ((70, 63, 105, 66, 107), (55, 65, 52, 53, 46)),
    ((336, 296, 334, 293, 300), (276, 283, 282, 295, 285)),
)
"""Mesh points of each brow: along its upper edge, and back along its lower one."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """How hair and skin are told apart. Lengths are shares of the distance of the eyes.

    Attributes:
        reach: how far beyond the mesh's outline brows are looked for.
        soft: Gaussian of that outline.
        dark, bright: shares of a place that are surely hair, and surely skin, by their light.
        differs: differences of log light between both over which they can be told.
        share: how dark brows are, of the dyed hair's luminance.
        lightest: luminance that dyed brows may have at most, of the skin beside them.
        darkest: luminance that they may have at least, of their own: thin hair is no paint.
        fewest: least pixels that tell a colour.
    """

    reach: float = 0.05
    soft: float = 0.025
    dark: float = 0.2
    bright: float = 0.4
    differs: tuple[float, float] = (0.12, 0.3)
    share: float = 0.65
    lightest: float = 0.65
    darkest: float = 0.55
    fewest: int = 40


MIXTURE = Mixture()
LEAST = 0.02
"""How much of a place counts as part of it."""
COLOURS_LENGTH = 7
"""Numbers of `brow_colours`."""


def brow_colours(crop: Crop, covered: Floats) -> Floats:
    """The colours of brows and of the skin between their hairs, (COLOURS_LENGTH,) float32.

    They can be averaged over time: the first number, 1 where they are seen and 0 where they are not, says by what
    the others are to be divided.

    Args:
        crop: with its mesh; without one nothing is seen.
        covered: (S, S) float32 in 0..1, what lies over them: hair of the head, glasses, a hand.
    """
    found = []
    for brow in _brows(crop):
        free = np.asarray(brow * (1 - covered), np.float32)
        box = box_of(free > LEAST)
        colours = None if box is None else _hair_and_skin(crop.image[box].astype(np.float32), free[box])
        if colours is not None:
            found.append(np.concatenate(colours))
    if not found:
        return np.zeros(COLOURS_LENGTH, np.float32)
    return np.concatenate([[1], np.mean(found, axis=0)]).astype(np.float32)


def dye_brows(crop: Crop, *, colours: Floats, covered: Floats, dye: Look, amount: float) -> tuple[Floats, Floats]:
    """Dye brows.

    Args:
        crop: with its mesh; without one nothing is dyed.
        colours: from `brow_colours`, smoothed over time or not.
        covered: as there.
        dye: the look of hair with all of the dye.
        amount: 0..1, how much of it they take.

    Returns:
        (S, S, 3) float32 RGB, the change, and (S, S) float32 in 0..1, where there is one.
    """
    change, where = np.zeros(crop.image.shape, np.float32), np.zeros(covered.shape, np.float32)
    seen = float(colours[0])
    if amount <= 0 or seen < 0.5:
        return change, where
    own, skin = colours[1:4] / seen, colours[4:7] / seen
    lights = float(own @ LUMINANCE), float(skin @ LUMINANCE)
    whole = float(np.exp(dye.level) - FILTER.offset)
    luminance = max(min(MIXTURE.share * whole, MIXTURE.lightest * lights[1]), MIXTURE.darkest * lights[0])
    # light dye darkens nothing
    added = dye.colour * np.float32(max(luminance, min(whole, lights[0]))) - own
    told = smoothstep(np.log((lights[1] + FILTER.offset) / (np.asarray(lights[0]) + FILTER.offset)), *MIXTURE.differs)
    for brow in _brows(crop):
        free = np.asarray(brow * (1 - covered), np.float32)
        box = box_of(free > LEAST)
        if box is None:
            continue
        light = crop.image[box].astype(np.float32) @ LUMINANCE
        dark = np.clip((lights[1] - light) / max(lights[1] - lights[0], 1.0), 0, 1)
        mixed = np.asarray(np.float32(amount) * told * free[box] * dark, np.float32)
        change[box] += mixed[..., None] * added
        where[box] = np.maximum(where[box], mixed > 0)
    return change, where


def _hair_and_skin(picture: Floats, weight: Floats) -> tuple[Floats, Floats] | None:
    """(3,) float32 RGB each: the colour of the hair in a place and of the skin between it; None if it is too small."""
    light = picture @ LUMINANCE
    inside = weight > 0.5
    if np.count_nonzero(inside) < MIXTURE.fewest:
        return None
    lights = light[inside]
    dark, bright = np.quantile(lights, (MIXTURE.dark, 1 - MIXTURE.bright))
    hair = picture[inside][lights <= dark].mean(0)
    skin = np.median(picture[(weight > LEAST) & (light >= bright)], axis=0)
    return np.asarray(hair, np.float32), np.asarray(skin, np.float32)


def _brows(crop: Crop) -> list[Floats]:
    """(S, S) float32 in 0..1 for each brow; none without a mesh."""
    if crop.mesh is None:
        return []
    unit = float(np.linalg.norm(crop.points5[1] - crop.points5[0]))
    reach = max(round(MIXTURE.reach * unit), 1)
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    brows = []
    for upper, lower in BROWS:
        place = np.zeros(crop.image.shape[:2], np.uint8)
        cv2.fillPoly(place, [np.rint(crop.mesh[[*upper, *lower]]).astype(np.int32)], 255)
        soft = cv2.GaussianBlur(cv2.dilate(place, shape), (0, 0), max(MIXTURE.soft * unit, 0.8))
        brows.append(np.asarray(soft.astype(np.float32) / np.float32(255), np.float32))
    return brows
