"""Dye for brows and beard: hair so thin that skin shows through it, as a mixture of both colours.

How far a pixel is from the skin beside it to the hair's own colour tells how much of it is hair. So much of the
difference between the dye and that colour is added: light, shadow and single hairs stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.editor import Crop
from models.embedded.beard import find_beard, find_grey_beard
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
        brows, beard: how dark these are, of the hair's own luminance.
        lightest: luminance that dyed hair may have at most, of the skin beside it.
        darkest: luminance that it may have at least, of its own: thin hair is no paint.
        fewest: least pixels that tell a colour.
    """

    reach: float = 0.05
    soft: float = 0.025
    dark: float = 0.2
    bright: float = 0.4
    differs: tuple[float, float] = (0.12, 0.3)
    brows: float = 0.65
    beard: float = 0.85
    lightest: float = 0.65
    darkest: float = 0.55
    fewest: int = 40


MIXTURE = Mixture()
LEAST = 0.02
"""How much of a place counts as part of it."""


def dye_facial_hair(crop: Crop, *, covered: Floats, wanted: Look, amount: float) -> tuple[Floats, Floats]:
    """Dye brows and beard.

    Args:
        crop: with its mesh; without one nothing is dyed.
        covered: (S, S) float32 in 0..1, what lies over them: hair of the head, glasses, a hand.
        wanted: the look of the dyed hair.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB, the change, and (S, S) float32 in 0..1, where there is one.
    """
    change, where = np.zeros(crop.image.shape, np.float32), np.zeros(covered.shape, np.float32)
    if crop.mesh is None or amount <= 0:
        return change, where
    beard = np.maximum(find_beard(crop), find_grey_beard(crop))
    for place, share in (*((brow, MIXTURE.brows) for brow in _brows(crop)), (beard, MIXTURE.beard)):
        free = np.asarray(place * (1 - covered), np.float32)
        box = box_of(free > LEAST)
        if box is not None:
            added = _mixed(crop.image[box].astype(np.float32), free[box], wanted, share)
            change[box] += np.float32(amount) * added
            where[box] = np.maximum(where[box], added.any(2))
    return change, where


def _mixed(picture: Floats, weight: Floats, wanted: Look, share: float) -> Floats:
    """(H, W, 3) float32, what the whole dye adds to a place; `share` of the luminance of the dyed hair is wanted."""
    light = picture @ LUMINANCE
    colours = _hair_and_skin(picture, light, weight)
    if colours is None:
        return np.zeros_like(picture)
    own, skin = colours
    lights = float(own @ LUMINANCE), float(skin @ LUMINANCE)
    luminance = min(share * float(np.exp(wanted.level) - FILTER.offset), MIXTURE.lightest * lights[1])
    dyed = wanted.colour * np.float32(max(luminance, MIXTURE.darkest * lights[0]))
    told = smoothstep(np.log((lights[1] + FILTER.offset) / (np.asarray(lights[0]) + FILTER.offset)), *MIXTURE.differs)
    dark = np.clip((lights[1] - light) / max(lights[1] - lights[0], 1.0), 0, 1.3)
    return np.asarray((told * weight * dark)[..., None] * (dyed - own), np.float32)


def _hair_and_skin(picture: Floats, light: Floats, weight: Floats) -> tuple[Floats, Floats] | None:
    """(3,) float32 RGB each: the colour of the hair in a place and of the skin between it; None if it is too small."""
    inside = weight > 0.5
    if np.count_nonzero(inside) < MIXTURE.fewest:
        return None
    colours, lights = picture[inside], light[inside]
    order = np.argsort(lights)
    dark, bright = (max(round(part * len(order)), 1) for part in (MIXTURE.dark, MIXTURE.bright))
    hair = colours[order[:dark]].mean(0)
    around = picture[(weight > LEAST) & (light >= np.quantile(lights, 1 - MIXTURE.bright))]
    skin = np.median(around, axis=0) if len(around) else colours[order[-bright:]].mean(0)
    return np.asarray(hair, np.float32), np.asarray(skin, np.float32)


def _brows(crop: Crop) -> list[Floats]:
    """(S, S) float32 in 0..1 for each brow."""
    if crop.mesh is None:
        return []
    unit = float(np.linalg.norm(crop.points5[1] - crop.points5[0]))
    reach = max(round(MIXTURE.reach * unit), 1)
    brows = []
    for upper, lower in BROWS:
        place = np.zeros(crop.image.shape[:2], np.uint8)
        cv2.fillPoly(place, [np.rint(crop.mesh[[*upper, *lower]]).astype(np.int32)], 255)
        place = cv2.dilate(place, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
        soft = cv2.GaussianBlur(place, (0, 0), max(MIXTURE.soft * unit, 0.8))
        brows.append(np.asarray(soft.astype(np.float32) / np.float32(255), np.float32))
    return brows
