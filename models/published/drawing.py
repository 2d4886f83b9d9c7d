"""What editors of whole crops share: pictures as networks take them, and the mask under which a drawn head is shown."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.editor import Crop, Edit

BORDER = 0.06
"""Share of the crop's side over which every mask fades to its border."""
FEATHER = 0.02
"""Softness of a head mask, a share of the crop's side."""


def to_network(image: Image) -> Floats:
    """(S, S, 3) uint8 RGB as (1, 3, S, S) float32 in [-1, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(127.5) - np.float32(1)


def to_image(picture: Floats) -> Image:
    """(3, S, S) float32 in [-1, 1] as (S, S, 3) uint8 RGB; what lies outside the range is clipped."""
    scaled = np.clip((picture + 1) * np.float32(127.5) + np.float32(0.5), 0, 255)
    return np.ascontiguousarray(scaled.transpose(1, 2, 0).astype(np.uint8))


def to_delta(difference: Floats) -> Floats:
    """(3, S, S) float32 difference of two pictures in [-1, 1] as (S, S, 3) float32 on the scale of 0..255."""
    return np.ascontiguousarray(difference.transpose(1, 2, 0) * np.float32(127.5))


def redrawn(own: Floats, wanted: Floats, mask: Floats, full: float) -> Edit:
    """The edit from a generator's drawing of a face to its drawing of the edited face.

    Args:
        own: (3, S, S) the face as the generator draws it, in [-1, 1].
        wanted: (3, S, S) the edited face.
        mask: (S, S) where it may show.
        full: 0 adds the difference to the camera, which keeps its detail; 1 shows the drawing instead of the camera.
    """
    delta = to_delta(np.clip(wanted, -1, 1) - np.clip(own, -1, 1))
    if full <= 0:
        return Edit(mask=mask, delta=delta)
    return Edit(mask=mask, delta=delta, image=to_image(wanted), opacity=np.full_like(mask, min(full, 1)))


def head_mask(crop: Crop) -> Floats:
    """(S, S) float32 in [0, 1]: hair and face, feathered, without what is in front of them, fading to the border.

    Without masks it is an ellipse about the five points, which takes in the hair of most heads.
    """
    size = len(crop.image)
    if crop.masks is None:
        mask = _ellipse(crop)
    else:
        # The sum: on the hairline both are half.
        mask = _resized(np.minimum(crop.masks.hair + crop.masks.face, 1), size)
        reach = 2 * round(FEATHER * size) + 1
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
        mask = cv2.GaussianBlur(mask, (0, 0), FEATHER * size / 2)
        mask = mask * (1 - _resized(crop.masks.occluder, size))
    return np.clip(mask * border_fade(size), 0, 1).astype(np.float32)


def border_fade(size: int) -> Floats:
    """(S, S) float32: 1 inside, falling smoothly to 0 at the crop's border."""
    distance = np.minimum(np.arange(size), np.arange(size)[::-1]) / (BORDER * size)
    ramp = _smoothstep(distance.astype(np.float32))
    return np.minimum.outer(ramp, ramp)


def _ellipse(crop: Crop) -> Floats:
    eyes, mouth = crop.points5[:2].mean(0), crop.points5[3:].mean(0)
    down = mouth - eyes
    height = max(float(np.hypot(*down)), 1.0)
    reach = max(height, float(np.hypot(*(crop.points5[1] - crop.points5[0]))))
    size = len(crop.image)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    centre = eyes - 0.05 * down
    along = ((x - centre[0]) * down[0] + (y - centre[1]) * down[1]) / height
    across = ((x - centre[0]) * -down[1] + (y - centre[1]) * down[0]) / height
    radius = np.hypot(along / (2.1 * reach), across / (1.6 * reach))
    return _smoothstep((1.1 - radius) / 0.25)


def _smoothstep(x: NDArray[np.float32]) -> Floats:
    x = np.clip(x, 0, 1)
    return (x * x * (3 - 2 * x)).astype(np.float32)


def _resized(mask: Floats, size: int) -> Floats:
    out: Floats = cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR)
    return out
