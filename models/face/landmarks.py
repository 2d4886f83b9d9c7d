"""The dense landmark network: 478 points and a presence score from a rotated square around a face."""

from __future__ import annotations

import math

import cv2
import numpy as np

from engines.base import Engine
from models.arrays import Floats, Image
from models.crops import Quad, crop_to_frame

POINTS = 478
REGION_MARGIN = 1.5


class Landmarks:
    """Runs `landmarks.onnx`: input (1, 3, S, S) RGB, (x - 127.5) / 128; output (1, 958), points and presence."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._input = engine.inputs[0].name
        self._output = engine.outputs[0].name
        self._size = int(engine.inputs[0].shape[-1] or 192)

    def __call__(self, image: Image, region: Quad) -> tuple[Floats, float]:
        """Read the landmarks of one face.

        Args:
            image: (H, W, 3) uint8 BGR.
            region: the rotated square to look at, as `region_of_box` or `region_of_mesh` makes it.

        Returns:
            (478, 2) float32 mesh in continuous frame coordinates, and the presence, 0..1.
        """
        size = self._size
        crop = cv2.warpAffine(
            image, crop_to_frame(region, size), (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        blob = cv2.dnn.blobFromImage(crop, 1 / 128, (size, size), (127.5, 127.5, 127.5), swapRB=True)
        rows = self._engine.run({self._input: blob})[self._output].reshape(-1, 2)
        mesh = region.centre + rows[:POINTS, :1] * region.axis + rows[:POINTS, 1:] * region.down
        return mesh.astype(np.float32), _sigmoid(float(rows[POINTS:].mean())) if len(rows) > POINTS else 1.0


def region_of_box(box: Floats) -> Quad:
    """The upright square of 1.5 x the longer side around a detection's box (insightface's convention)."""
    half = REGION_MARGIN * max(box[2] - box[0], box[3] - box[1]) / 2
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], np.float32)
    return Quad(centre, np.array([half, 0], np.float32))


def region_of_mesh(mesh: Floats) -> Quad:
    """The square around a mesh of the last frame, turned so that the eyes are level."""
    along = mesh[263] - mesh[33]
    length = max(float(np.hypot(*along)), 1e-6)
    x = along / np.float32(length)
    y = np.array([-x[1], x[0]], np.float32)
    u, v = mesh @ x, mesh @ y
    centre = x * ((u.min() + u.max()) / 2) + y * ((v.min() + v.max()) / 2)
    half = REGION_MARGIN * max(float(np.ptp(u)), float(np.ptp(v))) / 2
    return Quad(centre.astype(np.float32), (x * half).astype(np.float32))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -30.0), 30.0)))
