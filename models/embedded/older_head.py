"""What grows with age beyond the face mesh: men's foreheads and ears. The camera's own pixels are moved.

Men of 66 and more have their hairline 6.5 texture pixels further up than those of 25 to 42 in the middle, and 2 to 4.5
beside it (350 and 201 portraits); the outline of their hair is the same within 3. It is drawn 1.4 times as far, as the
shape of the face is drawn further than its mean. Ears grow by 0.22 mm a year (Heathcote 1995), 15 % in 45 years.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.editor import Crop
from models.embedded.scalp import CENTER, COARSE
from models.face.imaging import enlarge, smoothstep
from models.face.texture_space import YAW_MODE, Fit


@dataclass(frozen=True, slots=True)
class Growth:
    """How a head grows in `models.embedded.ageing.AGEING_YEARS`. Lengths are texture pixels.

    Attributes:
        forehead: how far the hairline goes up in the middle.
        most: bound of it.
        begins, ends: heights above the brows over which that begins, and over which it ends in the hair.
        middle, temples: distances from the middle over which it is less, and the share that is left.
        sides: distances from the middle over which it ends.
        ears: by how much ears grow, as a share; and across, as a share of that.
        ear: middle of an ear beyond the side of the mesh, and below it.
        half: half the width and height of an ear.
        reach: distances from its middle, of these, over which its growth ends.
        root: distances beyond the side of the mesh over which it begins.
        turned: turns of the head over which both end, units of the yaw mode: 10 degrees.
        edge: Gaussian of the head's mask, pixels of the mask.
    """

    forehead: float = 9.0
    most: float = 14.0
    begins: tuple[float, float] = (18.0, 64.0)
    ends: tuple[float, float] = (67.0, 107.0)
    middle: tuple[float, float] = (21.0, 55.0)
    temples: float = 0.45
    sides: tuple[float, float] = (62.0, 80.0)
    ears: float = 0.15
    across: float = 0.8
    ear: tuple[float, float] = (-1.0, 7.0)
    half: tuple[float, float] = (23.0, 38.0)
    reach: tuple[float, float] = (0.75, 1.25)
    root: tuple[float, float] = (-4.0, 4.0)
    turned: tuple[float, float] = (1.8, 3.2)
    edge: float = 3.0


GROWTH = Growth()
LEAST = 0.05
"""Displacement below which a place stays, crop pixels."""
SIDES = (234, 454)
"""Mesh points before the ears."""


def grown(crop: Crop, fit: Fit, strength: float) -> Floats | None:
    """How an older man's head is warped: (S, S, 2) float32, crop pixels (x, y) from each place to the one that is shown
    there; None where it is not.

    Args:
        crop: the face, with masks.
        fit: where it is.
        strength: multiple of `models.embedded.ageing.AGEING_YEARS`.
    """
    turned = float(smoothstep(np.abs(fit.modes[YAW_MODE]), *GROWTH.turned))
    strength *= 1 - turned
    if crop.masks is None or strength <= 0:
        return None
    size = len(crop.image)
    side = size // COARSE
    linear = fit.upright[:, :2].astype(np.float64)
    back = np.linalg.inv(linear)
    axis = np.arange(side, dtype=np.float32) * COARSE + np.float32((COARSE - 1) / 2)
    x, y = axis - fit.upright[0, 2], axis[:, None] - fit.upright[1, 2]
    across = x * np.float32(back[0, 0]) + y * np.float32(back[0, 1])
    down = x * np.float32(back[1, 0]) + y * np.float32(back[1, 1])

    shift = np.stack([np.zeros_like(across), _forehead(across, down, strength)], axis=-1)
    for point, outwards in zip(SIDES, (-1, 1), strict=True):
        place = back @ (fit.points[point] - fit.upright[:, 2])
        shift += _ear(across, down, place.astype(np.float32), outwards, strength)
    head = np.maximum(np.maximum(crop.masks.hair, crop.masks.face), crop.masks.person)
    head = cv2.GaussianBlur(cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA), (0, 0), GROWTH.edge)
    moved = shift @ linear.T.astype(np.float32) * head[..., None]
    moved *= (np.abs(moved).max(axis=2, keepdims=True) > LEAST).astype(np.float32)
    return enlarge(np.asarray(moved, np.float32), (size, size))


def _forehead(across: Floats, down: Floats, strength: float) -> Floats:
    """How far below each place lies what is shown there, (H, W) float32, texture pixels."""
    above, beside = np.float32(CENTER[1]) - down, np.abs(across - np.float32(CENTER[0]))
    most = np.float32(min(GROWTH.forehead * strength, GROWTH.most))
    way = smoothstep(above, *GROWTH.begins) * (1 - smoothstep(above, *GROWTH.ends))
    share = 1 - np.float32(1 - GROWTH.temples) * smoothstep(beside, *GROWTH.middle)
    return np.asarray(most * way * share * (1 - smoothstep(beside, *GROWTH.sides)), np.float32)


def _ear(across: Floats, down: Floats, side: Floats, outwards: int, strength: float) -> Floats:
    """The displacement at an ear, (H, W, 2) float32, texture pixels.

    Args:
        across, down: (H, W) float32, places.
        side: (2,) float32, the mesh point before it.
        outwards: direction away from the face.
        strength: as of `grown`.
    """
    beyond = (across - side[0]) * np.float32(outwards)
    x, y = beyond - np.float32(GROWTH.ear[0]), down - side[1] - np.float32(GROWTH.ear[1])
    away = cv2.magnitude(x / np.float32(GROWTH.half[0]), y / np.float32(GROWTH.half[1]))
    weight = smoothstep(beyond, *GROWTH.root) * (1 - smoothstep(away, *GROWTH.reach))
    grows = -weight * np.float32(GROWTH.ears * min(strength, 1.2))
    return np.stack([grows * np.float32(GROWTH.across * outwards) * x, grows * y], axis=-1)
