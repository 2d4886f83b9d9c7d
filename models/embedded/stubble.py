"""The shadow of shaved hair: where bald people keep hair, above and behind the ears, its roots show in the skin."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.embedded.bare_head import beyond_sides
from models.embedded.head_noise import hairs, noise_on
from models.embedded.scalp import HeadMap
from models.face.imaging import LOG_OFFSET, box_of, enlarge, smoothstep


@dataclass(frozen=True, slots=True)
class Stubble:
    """How stubble looks.

    Attributes:
        share: share of the way from the colour of skin to that of hair, in log colour, where it is dense.
        lighter: share of it where hair is lighter than skin: the roots are darker than what the sun bleached.
        region: distances from `models.embedded.bare_head.SideHair`, in its half widths, over which it begins.
        within: distances inside the skull's outline over which it begins, crop pixels.
        cover: pixels of hair around it that are none of it: there an ear or the forehead is seen beside the hair.
        soft: Gaussian of the edge of what was hair, crop pixels.
        single: by how much single hairs differ.
        least: hair that must be seen, pixels.
    """

    share: float = 0.4
    lighter: float = 0.3
    region: tuple[float, float] = (-2.0, 2.5)
    within: tuple[float, float] = (0.0, 5.0)
    cover: int = 9
    soft: float = 4.0
    single: float = 0.3
    least: int = 100


STUBBLE = Stubble()


def with_stubble(colours: Floats, image: Image, *, hidden: Floats, erased: Floats, head: HeadMap) -> Floats:
    """Let the roots of short hair show at the sides of a shaved head.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a drawing of the head without hair.
        image: (S, S, 3) uint8 RGB, the camera's crop.
        hidden: (S, S) float32 in 0..1, where it shows hair.
        erased: (S, S) float32 in 0..1, where the drawing is shown.
        head: polar map; single hairs move with it.

    Returns:
        (S, S, 3) float32 RGB.
    """
    hair = hidden > 0.9
    if np.count_nonzero(hair) < STUBBLE.least:
        return colours
    full = erased.shape[::-1]
    # without the blur, the steps of the coarse grid show
    sides = enlarge(cv2.GaussianBlur(beyond_sides(head, 1.0), (0, 0), 1.5), full)
    grown = cv2.GaussianBlur(cv2.erode(hidden, np.ones((STUBBLE.cover,) * 2, np.uint8)), (0, 0), STUBBLE.soft)
    dense = smoothstep(-sides, *STUBBLE.region) * smoothstep(enlarge(head.distance, full), *STUBBLE.within)
    dense *= grown * erased
    box = box_of(dense > 0)
    if box is None:
        return colours
    roots = np.log(np.median(image[hair], axis=0).astype(np.float32) + np.float32(LOG_OFFSET))
    skin = np.maximum(colours[box], 0) + np.float32(LOG_OFFSET)
    share = STUBBLE.share * np.clip(dense[box] * (1 + STUBBLE.single * noise_on(head, hairs(), box)), 0, 2)
    away = roots - np.log(skin)
    change = share[..., None] * np.where(away > 0, np.float32(STUBBLE.lighter) * away, away)
    finished = colours.copy()
    finished[box] += skin * np.expm1(change)
    return finished
