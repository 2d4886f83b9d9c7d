from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.training.data import FaceSet, read_labels


def make_faces(folder: Path, ids: list[str], points_ids: list[str] | None = None) -> None:
    faces = folder / "faces"
    (faces / "images").mkdir(parents=True)
    lines = ["id,split,person,age"] + [f"{name},{'val' if i else 'train'},p{i},{i or ''}" for i, name in enumerate(ids)]
    (faces / "labels.csv").write_text("\n".join(lines) + "\n")
    for i, name in enumerate(ids):
        cv2.imwrite(str(faces / "images" / f"{name}.jpg"), np.full((256, 256, 3), (10, 20, 200 - i), np.uint8))
    n = len(ids)
    np.savez(
        faces / "landmarks.npz",
        id=np.array(points_ids or ids),
        mesh=np.zeros((n, 478, 2), np.float16),
        points5=np.zeros((n, 5, 2), np.float16),
    )
    masks = np.full((n, 128, 128), 255, np.uint8)
    np.savez(faces / "masks.npz", id=np.array(ids), hair=masks, person=masks)


def test_rows_agree_and_pictures_are_rgb(tmp_path: Path) -> None:
    make_faces(tmp_path, ["a", "b"])
    faces = FaceSet.load(tmp_path, tmp_path / "cache")
    assert len(faces) == 2
    assert faces.split("train").tolist() == [0]
    assert faces.split("val").tolist() == [1]
    red, _, blue = faces.image(0)[128, 128]
    assert red > 190
    assert blue < 20
    assert faces.mask("hair", 0).shape == (256, 256)
    assert faces.mask("hair", 0, 128).max() == 1.0


def test_the_cache_is_used_again(tmp_path: Path) -> None:
    make_faces(tmp_path, ["a"])
    FaceSet.load(tmp_path, tmp_path / "cache")
    (tmp_path / "faces" / "images" / "a.jpg").unlink()
    assert len(FaceSet.load(tmp_path, tmp_path / "cache")) == 1


def test_other_order_is_refused(tmp_path: Path) -> None:
    make_faces(tmp_path, ["a", "b"], points_ids=["b", "a"])
    with pytest.raises(ValueError, match=r"landmarks\.npz and labels\.csv list different pictures"):
        FaceSet.load(tmp_path, tmp_path / "cache")


def test_missing_picture_leaves_no_cache(tmp_path: Path) -> None:
    make_faces(tmp_path, ["a"])
    (tmp_path / "faces" / "images" / "a.jpg").unlink()
    with pytest.raises(ValueError, match=r"a\.jpg is missing"):
        FaceSet.load(tmp_path, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_empty_numbers_are_nan(tmp_path: Path) -> None:
    make_faces(tmp_path, ["a", "b"])
    labels = read_labels(tmp_path / "faces" / "labels.csv")
    assert np.isnan(labels["age"][0])
    assert labels["age"][1] == 1.0
