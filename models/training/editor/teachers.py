"""The measuring networks: apparent age twice, identity, hair. They filter and judge; no loss ever sees them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.face.texture_space import VERTICES

ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Eyes, nose tip and mouth corners in the 112x112 picture of Deng et al. 2019 (ArcFace)."""
SOFTEN_SIGMA = 0.6
"""Blur in pixels of a 256 px portrait before it is reduced to 112 px, against aliasing."""


class Teachers:
    """The four measuring networks, on one thread.

    Args:
        folder: the folder with their ONNX files.

    Raises:
        FileNotFoundError: one of them is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._genderage = _session(folder / "genderage_v1.onnx")
        self._faceapi = _session(folder / "faceapi_age_gender.onnx")
        self._identity = _session(folder / "mobilefacenet_id_112x96.onnx")
        self._hair = _session(folder / "hair_seg_mobile_160.onnx")

    def ages(self, image: Image, points5: Floats, mesh: Floats) -> tuple[float, float]:
        """Apparent age in years by genderage_v1 and by face-api.

        Args:
            image: (S, S, 3) uint8 RGB.
            points5: (5, 2) float32, pixels.
            mesh: (>= 468, 2) float32, pixels; use those of the unedited picture for both sides of a comparison.
        """
        soft = cv2.GaussianBlur(image, (0, 0), SOFTEN_SIGMA)
        aligned = cv2.warpAffine(soft, arcface_matrix(points5), (112, 112)).astype(np.float32)
        votes = self._genderage.run(None, {"data": aligned.transpose(2, 0, 1)[None]})[0][0, 2:].reshape(100, 2)
        box = cv2.warpAffine(soft, box_matrix(mesh), (112, 112), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        years = self._faceapi.run(None, {"input": box.transpose(2, 0, 1)[None]})[0][0, 0]
        return float(votes.argmax(1).sum()), float(years)

    def identity(self, image: Image, points5: Floats) -> Floats:
        """Unit identity embedding, (128,) float32, of the picture and its mirror image together."""
        soft = cv2.GaussianBlur(image, (0, 0), SOFTEN_SIGMA)
        matrix = arcface_matrix(points5)
        matrix[0, 2] -= 8
        aligned = (cv2.warpAffine(soft, matrix, (96, 112)).astype(np.float32) - 127.5) / 128
        planes = aligned.transpose(2, 0, 1)
        embedding = self._identity.run(None, {"input": np.stack([planes, planes[:, :, ::-1]])})[0].sum(0)
        return np.asarray(embedding / np.linalg.norm(embedding), np.float32)

    def hair(self, image: Image) -> Floats:
        """Hair probability, (160, 160) float32 over the extent of the picture."""
        small = cv2.resize(image, (160, 160), interpolation=cv2.INTER_AREA).astype(np.float32)[None] / 255
        return np.asarray(self._hair.run(None, {"input_1": small})[0][0, ..., 0], np.float32)


def _session(path: Path) -> ort.InferenceSession:
    if not path.is_file():
        raise FileNotFoundError(f"no teacher {path.name} in {path.parent}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def arcface_matrix(points5: Floats) -> NDArray[np.float64]:
    """(2, 3) map from a picture to the 112x112 picture of ArcFace, from its five points."""
    return np.asarray(cv2.estimateAffinePartial2D(points5, ARCFACE_POINTS, method=cv2.LMEDS)[0])


def box_matrix(mesh: Floats) -> Floats:
    """(2, 3) map from a picture to a 112x112 square around the face, from its mesh."""
    low, high = mesh[:VERTICES].min(0), mesh[:VERTICES].max(0)
    top = low[1] - 0.12 * (high[1] - low[1])
    side = max(high[0] - low[0], high[1] - top)
    center = np.array([(low[0] + high[0]) / 2, (top + high[1]) / 2])
    scale = 112 / side
    return np.array([[scale, 0, 56 - center[0] * scale], [0, scale, 56 - center[1] * scale]], np.float32)
