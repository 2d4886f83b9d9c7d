"""Hats are left alone, and hair is not taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.base import Engine
from engines.select import load as load_engine
from models.embedded import EMBEDDED
from models.embedded.control import bareness
from models.embedded.editor import EmbeddedControls, load
from models.embedded.latent import EmbeddedLatent
from models.face.segmenter import Segmenter

pytest.importorskip("torch")

from models.training.apply import portrait_crop
from models.training.data import FaceSet

OTHERS = 120


def test_most_hats_are_left_and_hardly_a_head_without_one(shared: Path) -> None:
    def engine(path: Path) -> Engine:
        return load_engine(path, backend="openvino", precision="f32", threads=1)

    faces = FaceSet.load(shared)
    editor, segmenter = load(engine, EMBEDDED), Segmenter(engine(EMBEDDED / "segmenter.onnx"))
    rows, hat = faces.split("val"), faces.labels["hat"]
    worn = rows[hat[rows] == 1]
    without = np.random.default_rng(0).permutation(rows[hat[rows] != 1])[:OTHERS]

    def left(row: int) -> float:
        crop = portrait_crop(faces.image(row), faces.points5[row], faces.mesh[row], segmenter)
        return 1 - bareness(EmbeddedLatent.unpack(editor.encode(crop, EmbeddedControls())).attributes)

    assert np.mean([left(int(row)) >= 0.5 for row in worn]) > 0.65
    assert np.mean([left(int(row)) > 0.1 for row in without]) < 0.01
