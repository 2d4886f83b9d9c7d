"""The shipped tracker networks, through insightface's own classes where it has one."""

from __future__ import annotations

import os
import warnings
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from engines.onnx_file import open_network
from models.training.data import ROOT

PACK = ROOT / "models" / "embedded" / "tracker"


@pytest.fixture(scope="module")
def analysis() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from insightface.app import FaceAnalysis  # noqa: PLC0415

        analysis = FaceAnalysis(name=str(PACK), providers=["CPUExecutionProvider"])
    analysis.prepare(-1, det_size=(320, 320))
    return analysis


@pytest.fixture(scope="module")
def landmarks() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(PACK / "landmarks.onnx"), providers=["CPUExecutionProvider"])


def group_photo() -> Any:
    from insightface.data import get_image  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_image("t1")


def test_insightface_finds_both_networks(analysis: Any) -> None:
    assert set(analysis.models) == {"detection", "landmark_2d_479"}
    assert analysis.det_model.use_kps
    assert analysis.det_model.batched


def test_people_are_found_in_a_group_photo(analysis: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = analysis.get(group_photo())
    assert 6 <= len(found) <= 9
    faces = sorted(found, key=lambda face: -face.det_score)[:5]
    for face in faces:
        left, top, right, bottom = face.bbox
        mesh = face["landmark_2d_479"][:478]
        inside = (mesh > [left - 20, top - 20]).all(1) & (mesh < [right + 20, bottom + 20]).all(1)
        assert inside.mean() > 0.9
        assert face.kps[0, 0] < face.kps[1, 0]
        assert face.kps[:2, 1].max() < face.kps[3:, 1].min()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (37, 5), (480, 640)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_pictures_of_any_size_have_no_faces(analysis: Any, shape: tuple[int, int], value: int) -> None:
    height, width = shape
    boxes, points = analysis.det_model.detect(np.full((height, width, 3), value, np.uint8))
    assert len(boxes) == len(points) == 0


def test_any_input_size_that_32_divides(analysis: Any) -> None:
    session = analysis.det_model.session
    for height, width in ((32, 32), (96, 256), (640, 640)):
        outputs = session.run(None, {"input": np.zeros((1, 3, height, width), np.float32)})
        assert [o.shape[1] for o in outputs] == 3 * [height // s * (width // s) * 2 for s in (8, 16, 32)]


def test_two_hundred_faces_do_not_break_it(analysis: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = cv2.resize(group_photo(), (160, 120))
    boxes, points = analysis.det_model.detect(np.tile(picture, (6, 6, 1)), input_size=(640, 640))
    assert np.isfinite(boxes).all()
    assert np.isfinite(points).all()


@pytest.mark.parametrize("kind", ["zeros", "noise", "large"])
def test_landmarks_are_always_finite(landmarks: onnxruntime.InferenceSession, kind: str) -> None:
    rng = np.random.default_rng(0)
    blob = {
        "zeros": np.zeros((2, 3, 192, 192), np.float32),
        "noise": rng.normal(0, 1, (2, 3, 192, 192)).astype(np.float32),
        "large": np.full((2, 3, 192, 192), 1e4, np.float32),
    }[kind]
    rows = landmarks.run(None, {"input": blob})[0]
    assert rows.shape == (2, 958)
    assert np.isfinite(rows).all()
    assert (rows[:, 956] == rows[:, 957]).all()
    if kind != "large":
        assert (rows[:, 956] < 0).all(), "a face is seen where there is none"


def test_files_are_small_and_say_what_they_take() -> None:
    for name, size in (("detector.onnx", 4e6), ("landmarks.onnx", 6e6)):
        path = PACK / name
        assert path.stat().st_size < size
        model = onnx.load(str(path))
        assert [i.name for i in model.graph.input] == ["input"]


def test_landmarks_ask_for_fp32() -> None:
    assert open_network(PACK / "landmarks.onnx").precise
