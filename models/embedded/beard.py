"""Where a man's beard is: hair of the lower face that is darker and rougher than his cheeks.

The segmenter counts a beard as skin. A shadow is as dark and smooth; lips, which are as dark, are known from the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.editor import Crop
from models.face.imaging import smoothstep


@dataclass(frozen=True, slots=True)
class BeardSigns:
    """How a beard is told from skin. Lights are log units of green, lengths are shares of the distance of the eyes.

    Attributes:
        offset: added to 0..255 before the logarithm.
        broad: Gaussian over strands.
        cheek: half the side of the place whose light the cheek has.
        darker: how much darker than the cheeks a beard is.
        rough: deviation of its strands, over `rough_window`.
        beard_darker, beard_rough: the same where the chin shows a beard.
        redder, red_darker, red_rough: the same of a fair beard, which is more colourful than cheeks: log red over blue.
        rough_window: Gaussian of that.
        black: how much darker than the cheeks only hair is, rough or not.
        beside: distances from the middle of the face between which the beard's upper end rises to the sideburns.
        sideburns: how far below the eyes it ends there.
        soft: length over which it begins.
        lips: Gaussian by which the lips' outline is softened.
        chin: half the width of the chin.
        gap: float = 0.07
    below: int = 3
    fair: tuple[float, float] = (0.3, 0.5)
    length: float = 1.5
    bearded: mean over the chin at which there is no beard and a whole one: the side of a face may lie in the shade.
    """

    offset: float = 12.0
    broad: float = 0.022
    cheek: float = 0.06
    darker: tuple[float, float] = (0.22, 0.6)
    rough: tuple[float, float] = (0.035, 0.085)
    beard_darker: tuple[float, float] = (0.16, 0.5)
    beard_rough: tuple[float, float] = (0.025, 0.07)
    redder: tuple[float, float] = (0.08, 0.3)
    red_darker: tuple[float, float] = (0.0, 0.2)
    red_rough: tuple[float, float] = (0.015, 0.05)
    rough_window: float = 0.06
    black: tuple[float, float] = (0.8, 1.2)
    beside: tuple[float, float] = (0.65, 0.9)
    sideburns: float = 0.3
    soft: float = 0.08
    lips: float = 0.025
    chin: float = 0.35
    gap: float = 0.07
    below: int = 3
    fair: tuple[float, float] = (0.3, 0.5)
    length: float = 1.5
    bearded: tuple[float, float] = (0.14, 0.28)


SIGNS = BeardSigns()
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""Mesh points of the lips' outline."""
CHEEKS = (50, 280)
NOSE, LOWER_LIP, CHIN = 2, 17, 152
"""Mesh points of the cheeks, of the lower end of the nose, of the lower lip and of the chin."""


def find_beard(crop: Crop) -> Floats:
    """How much of each pixel is beard, (S, S) float32 in 0..1.

    Args:
        crop: a man's face, with mesh and masks.
    """
    assert crop.mesh is not None
    assert crop.masks is not None
    size = len(crop.image)
    middle, apart = crop.points5[:2].mean(axis=0), crop.points5[1] - crop.points5[0]
    eyes = max(float(np.linalg.norm(apart)), 1.0)
    axes = np.stack([apart, [-apart[1], apart[0]]]) / np.float32(eyes * eyes)
    ends = (crop.mesh - middle) @ axes.T
    x, y = np.meshgrid(*2 * [np.arange(size, dtype=np.float32)])
    x, y = x - np.float32(middle[0]), y - np.float32(middle[1])
    across, down = x * axes[0, 0] + y * axes[0, 1], x * axes[1, 0] + y * axes[1, 1]

    logs = np.log(crop.image.astype(np.float32) + np.float32(SIGNS.offset))
    broad = cv2.GaussianBlur(logs, (0, 0), SIGNS.broad * eyes)
    window = (2 * int(SIGNS.cheek * eyes) + 1,) * 2
    places = crop.mesh[None, list(CHEEKS)].astype(np.float32)
    cheeks = cv2.remap(cv2.blur(broad, window), places, None, cv2.INTER_LINEAR)[0]
    # one side of a face may lie in the shade: a beard is darker than the cheek above it
    left, right = ends[list(CHEEKS), 0]
    share = np.clip((across - left) / max(float(right - left), 0.1), 0, 1)
    darker = cheeks[0, 1] + (cheeks[1, 1] - cheeks[0, 1]) * share - broad[..., 1]
    redder = (broad[..., 0] - broad[..., 2]) - (cheeks[:, 0] - cheeks[:, 2]).mean()
    rough = np.sqrt(cv2.GaussianBlur((logs[..., 1] - broad[..., 1]) ** 2, (0, 0), SIGNS.rough_window * eyes))
    nose = float(ends[NOSE, 1])
    top = nose + (SIGNS.sideburns - nose) * smoothstep(np.abs(across - ends[NOSE, 0]), *SIGNS.beside)
    below = smoothstep(down - top, 0, SIGNS.soft)
    lips = np.zeros((size, size), np.float32)
    outline = np.rint(crop.mesh[list(LIPS)]).astype(np.int32)
    cv2.fillPoly(lips, [outline], (1.0,))
    cv2.polylines(lips, [outline], True, (1.0,), max(int(2 * SIGNS.lips * eyes), 1))
    below *= 1 - cv2.GaussianBlur(lips, (0, 0), SIGNS.lips * eyes)
    chin = np.abs(across - ends[CHIN, 0]) < SIGNS.chin
    chin &= (down > ends[LOWER_LIP, 1] + SIGNS.lips) & (down < ends[CHIN, 1])
    sure = _hairy(darker[chin], rough[chin], SIGNS.darker, SIGNS.rough) * below[chin]
    beard = _hairy(darker, rough, SIGNS.beard_darker, SIGNS.beard_rough)
    red = smoothstep(redder, *SIGNS.redder) * smoothstep(rough, *SIGNS.red_rough) * smoothstep(darker, *SIGNS.red_darker)
    gap = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(SIGNS.gap * eyes) + 1,) * 2)
    beard = cv2.morphologyEx(np.maximum(beard, red), cv2.MORPH_CLOSE, gap) * below
    beard *= smoothstep(sure.mean() if sure.size else np.zeros(()), *SIGNS.bearded)
    masks = crop.masks
    reach = cv2.dilate(masks.face, np.ones((2 * SIGNS.below + 1,) * 2, np.uint8)) * masks.person
    fair = float((redder * beard).sum() / (beard.sum() + 1))
    if fair > SIGNS.fair[0]:
        # a fair beard is known from clothes by its colour, however long it is
        far = smoothstep(redder, *SIGNS.redder) * smoothstep(np.asarray(fair), *SIGNS.fair)
        far *= smoothstep(SIGNS.length - (down - ends[CHIN, 1]), 0, 0.3) * smoothstep(down - ends[LOWER_LIP, 1], -0.2, 0)
        small = cv2.resize(far, masks.face.shape[::-1], interpolation=cv2.INTER_AREA)
        reach = np.maximum(reach, small * masks.person)
    seen = reach * (1 - np.maximum(masks.hair, masks.occluder))
    return np.asarray(beard * cv2.resize(seen, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _hairy(darker: Floats, rough: Floats, dark: tuple[float, float], strands: tuple[float, float]) -> Floats:
    strong = np.maximum(smoothstep(rough, *strands), smoothstep(darker, *SIGNS.black))
    return np.asarray(smoothstep(darker, *dark) * strong, np.float32)
