"""The style of a reference face, from the command line to the editor's file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import select
from models import reference
from models.reference import FILE, main, read_face
from tests.models.translators import TorchEngine


def face(path: Path, height: int = 64, width: int = 64) -> Path:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 2] = 200  # red, in the order of files
    cv2.imwrite(str(path), picture)
    return path


def test_a_face_is_read_in_the_networks_order_and_size(tmp_path: Path) -> None:
    image = read_face(face(tmp_path / "face.png"))
    assert image.shape == (256, 256, 3)
    assert image[0, 0].tolist() == [200, 0, 0]


def test_what_is_no_aligned_face_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="64x32: an aligned face is square"):
        read_face(face(tmp_path / "wide.png", 32, 64))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="is no picture"):
        read_face(tmp_path / "text.png")


def test_the_style_lands_where_the_editor_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starganv2 = pytest.importorskip("models.published.starganv2.network")
    monkeypatch.setattr(starganv2, "MAX_CHANNELS", 8)
    monkeypatch.setattr(starganv2, "FIRST_LAYER", 2**10)
    engine = TorchEngine(starganv2.StyleEncoder(), {"image": (3, 256, 256)}, ("styles",))
    asked: list[Path] = []

    def load(path: Path) -> TorchEngine:
        asked.append(path)
        return engine

    monkeypatch.setattr(select, "load", load)
    assert main([str(face(tmp_path / "face.png")), "--networks", str(tmp_path)]) == 0
    assert asked == [tmp_path / reference.ENCODER]
    assert np.load(tmp_path / FILE).shape == (2, 64)


def test_an_absent_network_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(face(tmp_path / "face.png")), "--networks", str(tmp_path)]) == 1
    assert "style_encoder.onnx" in capsys.readouterr().err
