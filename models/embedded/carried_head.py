"""A drawing of a head that was carried to a later frame, bent to the skull that is told there.

The stream carries a drawing along with the face as one rigid picture. A head that turns shows another outline
meanwhile, and hair that is kept lies on that one.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.editor import Inpainting
from models.embedded.scalp import CENTER, COARSE, HeadMap, crop_to_texture
from models.face.head_outline import HeadFrame, apart, bend, outline
from models.face.imaging import smoothstep
from models.inpaintings import bent

STEADY = 1.0
"""Distance of both outlines along a ray, crop pixels, that is left: a still head is read as steadily as that."""


def bent_to_skull(drawn: Inpainting, head: HeadMap, edge: tuple[float, float]) -> Inpainting:
    """A drawing whose head ends where the skull of this frame does.

    Args:
        drawn: moved to this frame.
        head: polar map of its crop.
        edge: signed distances to the skull, crop pixels, over which the drawing goes over from the head to the scene.
    """
    back = cv2.invertAffineTransform(crop_to_texture(head)).astype(np.float32)
    middle, up = back @ np.array([*CENTER, 1], np.float32), -back[:, 1]
    up /= np.float32(max(float(np.hypot(*up)), 1e-6))
    frame = HeadFrame(np.asarray(middle, np.float32), np.asarray(up, np.float32))
    scale, half = np.float32(COARSE), np.float32(0.5)
    wanted = scale * outline(
        smoothstep(head.distance, *edge), HeadFrame((frame.middle + half) / scale - half, frame.up)
    )
    now = outline(drawn.head, frame)
    if apart(now, wanted) <= STEADY:
        return drawn
    away = wanted - now
    wanted = now + np.copysign(np.maximum(np.abs(away) - np.float32(STEADY), 0), away)
    return bent(drawn, drawn.behind, bend(frame, now, wanted, len(drawn.image)))
