"""The embedded networks and the tracker on pictures that nobody promised to be of one face."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.select import load
from models.arrays import Image
from models.embedded import TRACKER
from models.face.detector import MAX_FACES, Detection, Detector
from models.face.landmarks import Landmarks
from stream.tracking import Tracker


@pytest.fixture(scope="module")
def networks() -> tuple[Detector, Landmarks]:
    engine = load(TRACKER / "landmarks.onnx", backend="onnxruntime", precision="f32", threads=1)
    return Detector("embedded"), Landmarks(engine)


@pytest.fixture(scope="module")
def group() -> Image:
    """insightface's group photo of six people."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from insightface.data import get_image  # noqa: PLC0415

        return np.asarray(get_image("t1"), np.uint8)


def track(networks: tuple[Detector, Landmarks], picture: Image, frames: int = 3) -> list[np.ndarray]:
    """The meshes of the last of some equal frames."""
    tracker = Tracker(*networks)
    for frame in range(frames):
        faces, _ = tracker(picture, frame / 30)
    assert len(faces) <= MAX_FACES
    for face in faces:
        assert face.mesh is not None
        assert np.isfinite(face.mesh).all()
        assert np.isfinite(face.box).all()
        assert np.isfinite(face.points5).all()
        assert 0 <= face.presence <= 1
    return [face.mesh for face in faces if face.mesh is not None]


@pytest.mark.parametrize("shape", [(1, 1), (1, 640), (640, 1), (7, 9), (480, 640)])
@pytest.mark.parametrize("kind", ["plain", "noise"])
def test_pictures_without_faces_have_none(
    networks: tuple[Detector, Landmarks], shape: tuple[int, int], kind: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert track(networks, noise if kind == "noise" else np.full_like(noise, 128)) == []


def test_two_hundred_faces_are_bounded(networks: tuple[Detector, Landmarks], group: Image) -> None:
    small = cv2.resize(group, (320, 240), interpolation=cv2.INTER_AREA)
    assert track(networks, np.tile(small, (6, 6, 1)), frames=2) is not None


def test_the_whole_group_is_found(networks: tuple[Detector, Landmarks], group: Image) -> None:
    assert len(track(networks, group)) == 6


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_faces_cut_by_the_frame_are_finite(networks: tuple[Detector, Landmarks], group: Image, side: str) -> None:
    box = networks[0](group)[0].box
    x, y = (int(v) for v in (box[:2] + box[2:]) / 2)
    parts = {"left": group[:, x:], "right": group[:, :x], "top": group[y:], "bottom": group[:y]}
    track(networks, np.ascontiguousarray(parts[side]))


def test_large_faces_beside_the_middle_are_not_forgotten(networks: tuple[Detector, Landmarks]) -> None:
    detector = networks[0]
    boxes = [[300 + 22 * i, 220, 320 + 22 * i, 245, 0.6] for i in range(-6, 6)] + [[5, 5, 205, 255, 0.95]]

    class Many:
        @staticmethod
        def detect(image: Image, max_num: int = 0) -> tuple[np.ndarray, np.ndarray]:
            assert max_num == 0
            return np.array(boxes, np.float32), np.zeros((len(boxes), 5, 2), np.float32)

    stand_in = object.__new__(Detector)
    stand_in._size, stand_in._model = detector._size, Many()
    found: list[Detection] = stand_in(np.zeros((480, 640, 3), np.uint8))
    assert len(found) == MAX_FACES
    assert found[0].score == pytest.approx(0.95)


def test_packs_have_their_own_threshold() -> None:
    assert Detector("embedded")._model.det_thresh == pytest.approx(0.4)
    assert Detector(str(Path(TRACKER)))._model.det_thresh == pytest.approx(0.5)
