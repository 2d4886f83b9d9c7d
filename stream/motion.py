"""How the points of a face moved from one frame to the next, seen in the pixels.

Landmarks of single frames shake by a pixel or two; the skin under them does not. Dense optical flow tells its motion to
a fraction of a pixel, so that landmarks need only correct its drift, slowly (`stream.smoothing.OneEuro`).
"""

from __future__ import annotations

import cv2
import numpy as np

from stream.frame import Floats, Image

PATCH = 96
"""Side in pixels of the picture of the face in which motion is measured."""
MARGIN = 1.3
"""That picture over the longer side of the points' bounding box."""


class Motion:
    """Dense inverse search flow (Kroeger et al. 2016) around a face. Not for use by several threads at once."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def __call__(self, before: Image, now: Image, points: Floats) -> Floats:
        """Measure a motion.

        Args:
            before: (H, W, 3) uint8 BGR, the frame that the points belong to.
            now: (H, W, 3) uint8 BGR, a later frame.
            points: (N, 2) float32, continuous frame coordinates.

        Returns:
            (N, 2) float32, how far each point has moved, pixels; zeros where the points have no extent.
        """
        low, high = points.min(0), points.max(0)
        side = MARGIN * float((high - low).max())
        if not np.isfinite(side) or side < 1:
            return np.zeros_like(points)
        scale = np.float32(PATCH / side)
        shift = np.float32(PATCH / 2) - (low + high) / 2 * scale
        # continuous coordinates have pixel centres at halves, OpenCV's maps at integers
        to_patch = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
        to_patch[:, 2] += 0.5 * (scale - 1)
        first, second = (_patch(image, to_patch) for image in (before, now))
        flow = self._flow.calc(first, second, None)
        where = (points * scale + shift - 0.5).astype(np.float32)
        moved = cv2.remap(flow, where[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        return np.asarray(moved / scale, np.float32)


def _patch(image: Image, to_patch: Floats) -> Image:
    patch = cv2.warpAffine(image, to_patch, (PATCH, PATCH), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY), np.uint8)
