"""Steadiness: how much more an edited clip flickers than the camera, once motion is taken out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.editor import Crop
from models.embedded_editor import EmbeddedControls, EmbeddedEditor
from models.segmenter import Segmenter
from models.training.apply import apply_edit

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

SEGMENT = 24
"""Frames for which the crop stays where it is."""
SMOOTHING = 0.3
"""Weight of a new latent in the moving average that stands for the stream's smoothing."""
FIVE = ((33, 133), (362, 263), (4, 4), (61, 61), (291, 291))
"""Mesh points whose means are the five points."""
MESH_SIDE, MESH_CROP = 256, 1.5
"""Input of the mesh network, and how much larger than the face it wants its square."""


class ClipReader:
    """Faces of a clip, one per frame, found with the measuring networks.

    Args:
        teachers: the folder with their ONNX files.
    """

    def __init__(self, teachers: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = teachers / "mp_face_landmarks_256.onnx"
        self._mesh = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._detector = cv2.FaceDetectorYN.create(str(teachers / "yunet_n_640.onnx"), "", (320, 320), 0.7)

    def segments(self, clip: Path, size: int, margin: float, count: int) -> Iterator[list[Crop]]:
        """Crops of up to `count` runs of frames; within a run the crop does not move, so the face does."""
        capture = cv2.VideoCapture(str(clip))
        frames: list[Image] = []
        while (read := capture.read())[0] and len(frames) < 400:
            frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
        for start in np.linspace(0, max(len(frames) - SEGMENT, 0), count).astype(int):
            run = self._run(frames[start : start + SEGMENT], size, margin)
            if len(run) > 2:
                yield run

    def _run(self, frames: list[Image], size: int, margin: float) -> list[Crop]:
        crops: list[Crop] = []
        to_crop: Floats | None = None
        mesh: Floats | None = None
        for frame in frames:
            mesh = self._find(frame) if mesh is None else self._follow(frame, mesh)
            if mesh is None:
                break
            if to_crop is None:
                to_crop = _ffhq(mesh, size, margin)
            image = cv2.warpAffine(
                frame, to_crop, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
            )
            placed = (mesh @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)
            points = np.stack([placed[list(pair)].mean(0) for pair in FIVE])
            crops.append(Crop(image, points.astype(np.float32), placed))
        return crops

    def _find(self, frame: Image) -> Floats | None:
        self._detector.setInputSize(frame.shape[1::-1])
        found = self._detector.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1]
        if found is None:
            return None
        x, y, width, height = found[0, :4]
        middle = np.array([x + width / 2, y + height / 2])
        return self._read(frame, middle, 1.5 * max(width, height))

    def _follow(self, frame: Image, mesh: Floats) -> Floats | None:
        low, high = mesh.min(0), mesh.max(0)
        return self._read(frame, (low + high) / 2, MESH_CROP * float((high - low).max()))

    def _read(self, frame: Image, middle: Any, side: float) -> Floats | None:
        scale = MESH_SIDE / side
        matrix = np.array(
            [[scale, 0, MESH_SIDE / 2 - middle[0] * scale], [0, scale, MESH_SIDE / 2 - middle[1] * scale]]
        )
        crop = cv2.warpAffine(frame, matrix, (MESH_SIDE, MESH_SIDE)).astype(np.float32)[None] / 255
        points, presence = self._mesh.run(None, {self._mesh.get_inputs()[0].name: crop})[:2]
        if float(np.ravel(presence)[0]) < 3:
            return None
        return np.asarray((points.reshape(478, 3)[:, :2] - matrix[:, 2]) / scale, np.float32)


def flicker(crops: list[Crop], editor: EmbeddedEditor, segmenter: Segmenter, controls: EmbeddedControls) -> float:
    """Mean flow-compensated frame difference inside the face and hair, edited over camera."""
    average = None
    edited: list[Image] = []
    for bare in crops:
        crop = replace(bare, masks=segmenter.read(bare.image))
        latent = editor.encode(crop)
        average = latent if average is None else average + SMOOTHING * (latent - average)
        edited.append(apply_edit(editor.render(crop, average, editor.steer(average, controls)), crop.image))
    motion = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    size = crops[0].image.shape[0]
    grid = np.stack(np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2), axis=-1)
    ours = camera = 0.0
    for index in range(1, len(crops)):
        before, now = crops[index - 1].image, crops[index].image
        grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (now, before)]
        where = grid + motion.calc(grey[0], grey[1], None)
        touched = (edited[index] != now).any(axis=2)
        if not touched.any():
            continue
        ours += _difference(edited[index], edited[index - 1], where)[touched].mean()
        camera += _difference(now, before, where)[touched].mean()
    return float(ours / max(camera, 1e-6))


def _difference(now: Image, before: Image, where: Floats) -> Floats:
    moved = cv2.remap(before, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.abs(now.astype(np.float32) - moved).mean(2)


def _ffhq(mesh: Floats, size: int, margin: float) -> Floats:
    left, right, _, mouth_left, mouth_right = (mesh[list(pair)].mean(0) for pair in FIVE)
    across = right - left
    down = (mouth_left + mouth_right) / 2 - (left + right) / 2
    side = across + np.array([down[1], -down[0]])
    side /= np.linalg.norm(side)
    side *= max(np.linalg.norm(across) * 2.0, np.linalg.norm(down) * 1.8)
    middle = (left + right) / 2 + down * 0.1
    scale = size / (2 * margin)
    turn = np.stack([side, [-side[1], side[0]]]) / (side @ side) * scale
    shift = size / 2 - 0.5 - turn @ middle
    return np.column_stack([turn, shift]).astype(np.float32)
