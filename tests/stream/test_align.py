"""The face of a photo, cut out for jobs on one photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from models.arrays import Image
from models.crops import CropSpec
from stream import align
from stream.photos import PhotoError, read_photo


@pytest.fixture(scope="module")
def portrait() -> Image:
    """NASA's portrait of Eileen Collins, (512, 512, 3) uint8 BGR."""
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def test_a_face_is_cut_out(tmp_path: Path, portrait: Image) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), portrait)
    assert align.main([str(tmp_path / "photo.png"), str(tmp_path / "face.png"), "--size", "128"]) == 0
    face = cv2.imread(str(tmp_path / "face.png"))
    assert face is not None
    assert face.shape == (128, 128, 3)
    # the eyes of an FFHQ crop lie in its middle; the photo's are around (224, 100), a head of some 120 pixels
    scale = cv2.matchTemplate(portrait, cv2.resize(face, (190, 190)), cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(scale)
    assert best > 0.6
    assert np.hypot(x + 95 - 224, y + 95 - 110) < 30


def test_a_picture_without_a_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((200, 300, 3), 90, np.uint8))
    assert align.main([str(tmp_path / "photo.png"), str(tmp_path / "face.png")]) == 1
    assert "both eyes are visible" in capsys.readouterr().err
    assert not (tmp_path / "face.png").exists()


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n"])
def test_no_picture(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "photo.png").write_bytes(content)
    with pytest.raises(PhotoError, match=r"photo\.png"):
        read_photo(tmp_path / "photo.png")


def test_the_largest_face_is_taken(portrait: Image) -> None:
    face = align.tracked_faces()(portrait)[0]
    small = type(face)(**{name: getattr(face, name) for name in face.__slots__} | {"box": face.box * 0.1})
    got = align.align(portrait, CropSpec("ffhq", 64), lambda _: [small, face])
    np.testing.assert_array_equal(got, align.align(portrait, CropSpec("ffhq", 64), lambda _: [face]))
