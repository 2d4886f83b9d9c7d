"""Where the eyes are, and the frame of a face that they give: it does not depend on size or tilt."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats
from models.editor import Crop
from models.face.eye_frame import eye_frame

RIGHT_LIDS = 33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246
LEFT_LIDS = 362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398
"""Points of the mesh around each eye."""
LIDS = 0.22
"""How far lids and lashes reach beyond these points, as a share of the eye's size."""
EDGE = 9
"""Three standard deviations of the edge of what is kept of an eye, crop pixels."""


def eye_axes(crop: Crop) -> tuple[Floats, Floats]:
    """The middle of the eyes, crop pixels, and two axes: (place - middle) @ axes.T is across and down.

    The unit is the distance of the eyes.

    Returns:
        (2,) float32 and (2, 2) float32.
    """
    return eye_frame(crop.points5)


def without_eyes(opacity: Floats, crop: Crop) -> Floats:
    """An opacity over a crop, (S, S) float32, that is 0 on the eyes and their lids; as it is where there is no mesh."""
    if crop.mesh is None:
        return opacity
    opacity = opacity.copy()
    for lids in (RIGHT_LIDS, LEFT_LIDS):
        ring = crop.mesh[list(lids)]
        middle = ring.mean(axis=0)
        away = ring - middle
        away *= 1 + LIDS * float(np.hypot(*np.ptp(ring, axis=0))) / np.maximum(np.hypot(*away.T), 1)[:, None]
        outline = np.rint(middle + away).astype(np.int32)
        low, high = np.maximum(outline.min(axis=0) - EDGE, 0), outline.max(axis=0) + EDGE + 1
        box = slice(low[1], max(high[1], 0)), slice(low[0], max(high[0], 0))
        eye = np.zeros(opacity[box].shape, np.float32)
        if eye.size:
            cv2.fillPoly(eye, [outline - low], (1.0,))
            opacity[box] *= 1 - cv2.GaussianBlur(eye, (0, 0), EDGE / 3)
    return opacity
