"""Where the eyes are, and the frame of a face that they give: it does not depend on size or tilt."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Points
from models.editor import Crop
from models.face.imaging import enlarge

RIGHT_LIDS = 33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246
LEFT_LIDS = 362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398
"""Points of the mesh around each eye."""
LIDS = 0.22
"""How far lids and lashes reach beyond these points, as a share of the eye's size."""
COARSE = 2


def eye_axes(crop: Crop) -> tuple[Points, Floats]:
    """The middle of the eyes, crop pixels, and two axes: (place - middle) @ axes.T is across and down.

    The unit is the distance of the eyes.

    Returns:
        (2,) float32 and (2, 2) float32.
    """
    apart = crop.points5[1] - crop.points5[0]
    square = max(float(apart @ apart), 1.0)
    return crop.points5[:2].mean(axis=0), np.array([apart, [-apart[1], apart[0]]], np.float32) / np.float32(square)


def eyes_seen(crop: Crop) -> Floats:
    """Where the eyes and their lids are, (S, S) float32 in 0..1, with a soft edge; 0 where there is no mesh."""
    side = len(crop.image)
    small = np.zeros((side // COARSE, side // COARSE), np.float32)
    if crop.mesh is not None:
        for lids in (RIGHT_LIDS, LEFT_LIDS):
            ring = crop.mesh[list(lids)]
            middle = ring.mean(axis=0)
            size = float(np.hypot(*np.ptp(ring, axis=0)))
            away = ring - middle
            away *= 1 + LIDS * size / np.maximum(np.hypot(*away.T), 1)[:, None]
            cv2.fillPoly(small, [np.rint((middle + away) / COARSE).astype(np.int32)], (1.0,))
    return enlarge(cv2.GaussianBlur(small, (0, 0), 1.5), (side, side))
