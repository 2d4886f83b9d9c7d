"""What is taught about bodies behind hair: labels, pictures, the loss."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch

from models.arrays import Floats, Image
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.body_behind_hair import BACKDROP, CLOTH, PLANES, SKIN
from models.embedded.matte import HairMatte
from models.embedded.scalp import ScalpModel
from models.face.segmenter import Segmenter
from models.face.texture_space import FACE_OVAL, FaceSpace
from models.training.bodies.labels import UNKNOWN, body_label, body_labels
from models.training.bodies.train import Bodies, BodySample, Layout, Trainer, choose_bodies
from models.training.data import MASK_SIZE, SIZE, FaceSet
from models.training.hair.mattes import Mattes
from models.training.hair.scenes import People, Scenes

FLESH, JACKET, WALL, BROWN = (200, 150, 120), (30, 40, 70), (90, 150, 90), (60, 40, 30)


@pytest.fixture(scope="module")
def mesh() -> Floats:
    points = np.zeros((478, 2), np.float32)
    points[:468] = FaceSpace.from_tables(read_tables(EMBEDDED)).mean + np.array([32, 40], np.float32)
    return points


@pytest.fixture(scope="module")
def portrait(mesh: Floats) -> tuple[Image, Floats, Floats]:
    """A face with a neck and a jacket before a wall, hair above; the person and the hair."""
    image = np.full((SIZE, SIZE, 3), WALL, np.uint8)
    left, top = mesh[list(FACE_OVAL)].min(0).astype(int)
    right, bottom = mesh[list(FACE_OVAL)].max(0).astype(int)
    person, hair = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.float32)
    image[bottom - 20 : SIZE - 24, left + 20 : right - 20] = FLESH
    image[SIZE - 24 :, 20:-20] = JACKET
    cv2.fillPoly(image, [mesh[list(FACE_OVAL)].astype(np.int32)], FLESH)
    image[top - 20 : top, left:right] = BROWN
    person[(image != WALL).any(2)] = 1
    hair[top - 20 : top, left:right] = 1
    return image, person, hair


def test_neck_is_skin_and_a_jacket_is_cloth(portrait: tuple[Image, Floats, Floats], mesh: Floats) -> None:
    image, person, hair = portrait
    label = body_label(image, mesh, person, hair)
    bottom, middle = int(mesh[list(FACE_OVAL), 1].max()), int(mesh[list(FACE_OVAL), 0].mean())
    assert label[bottom + 4, middle] == SKIN
    assert label[SIZE - 8, 40] == CLOTH
    assert label[100, 4] == BACKDROP
    assert label[int(mesh[list(FACE_OVAL), 1].min()) - 10, middle] == UNKNOWN


def test_ears_in_the_shade_are_no_cloth(portrait: tuple[Image, Floats, Floats], mesh: Floats) -> None:
    image, person, hair = portrait[0].copy(), portrait[1].copy(), portrait[2]
    left, row = int(mesh[list(FACE_OVAL), 0].min()), int(mesh[1, 1]) - 20
    image[row - 8 : row + 8, left - 5 : left + 4] = np.array((40, 30, 25), np.uint8)
    person[row - 8 : row + 8, left - 5 : left + 4] = 1
    assert body_label(image, mesh, person, hair)[row, left - 2] == SKIN


@pytest.fixture(scope="module")
def faces(portrait: tuple[Image, Floats, Floats], mesh: Floats) -> FaceSet:
    image, person, hair = portrait
    small = [(255 * cv2.resize(each, (MASK_SIZE, MASK_SIZE))).astype(np.uint8) for each in (hair, person)]
    labels = {name: np.zeros(2, np.float32) for name in ("yaw", "hat", "outside_fraction", "baldness")}
    labels |= {"age": np.full(2, 40, np.float32), "sex": np.array(["F", "F"])}
    long_hair = small[0].copy()
    long_hair[60:, :30] = 255
    return FaceSet(
        np.stack([image, image]),
        np.stack([mesh, mesh]),
        np.zeros((2, 5, 2), np.float32),
        np.stack([small[0], long_hair]),
        np.stack([small[1]] * 2),
        labels,
    )


@pytest.fixture(scope="module")
def bodies(faces: FaceSet, tmp_path_factory: pytest.TempPathFactory) -> Bodies:
    short, long_hair = choose_bodies(faces, np.arange(2))
    assert (short.tolist(), long_hair.tolist()) == ([0], [1])
    tables, rows = read_tables(EMBEDDED), np.arange(1)
    mattes = Mattes(np.array([1]), np.zeros((1, SIZE, SIZE), np.uint8), np.zeros((1, SIZE, SIZE, 3), np.uint8))
    scenes = Scenes(
        faces,
        mattes,
        People(rows, rows, rows, np.array([1]), np.array([1])),
        FaceSpace.from_tables(tables),
        ScalpModel.from_tables(tables),
        bodies=None,
        segmenter=cast(Segmenter, None),
        matte=cast(HairMatte, None),
    )
    kept = tmp_path_factory.mktemp("labels") / "bodies.npz"
    labels = body_labels(faces, np.arange(2), kept)
    again = body_labels(faces, np.arange(2), kept)
    assert all(np.array_equal(labels[row], again[row]) for row in labels)
    return Bodies(faces, scenes, short, long_hair, labels)


def under(bodies: Bodies, row: int, where: tuple[slice, slice]) -> BodySample:
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[where] = 1
    return bodies.compose(row, alpha, np.full((SIZE, SIZE, 3), BROWN, np.float32), None)


def test_what_hair_hides_counts_most_and_own_hair_not(bodies: Bodies) -> None:
    hidden = np.s_[SIZE - 60 :, 20:100]
    sample = under(bodies, 0, hidden)
    assert sample.weight[-10, 30] > 0.99
    assert 0 < sample.weight[-10, 100] < 0.3
    assert sample.shares[CLOTH, -4, 30] == 1
    assert sample.given[3, -3, 15] == 0
    own = under(bodies, 1, hidden)
    assert own.weight[100:, :20].max() == 0


def test_a_layout_is_learnt(bodies: Bodies, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sample = under(bodies, 0, np.s_[SIZE - 60 :, 20:100])
    batch = BodySample(*(np.stack([part] * 2) for part in sample))
    trainer = Trainer(tmp_path / "bodies.pt")
    lost = [trainer.step(batch) for _ in range(12)]
    assert lost[-1] < 0.5 * lost[0]
    trainer.save()
    assert Trainer(tmp_path / "bodies.pt").steps == 12


@pytest.mark.parametrize("side", [64, 80, 96])
def test_a_layout_has_twice_the_size_of_its_input(side: int) -> None:
    assert Layout().eval()(torch.zeros(1, PLANES, side, side)).shape == (1, 3, 2 * side, 2 * side)
