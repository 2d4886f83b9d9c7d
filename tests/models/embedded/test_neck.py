"""Cords and crepe on the neck below an old face."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.arrays import Floats
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES, read_tables
from models.embedded.neck import CHIN, JAW, Neck
from models.face.eye_frame import eye_places
from models.face.texture_space import FaceSpace

SIZE = 320
SKIN = np.array([190, 150, 130], np.float32)


@pytest.fixture(scope="module")
def neck() -> Neck:
    return Neck.from_tables(read_tables(EMBEDDED))


@pytest.fixture
def crop() -> Crop:
    """A face over a neck of skin and, on the right, a blue collar."""
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = FaceSpace.load(EMBEDDED / TABLES).mean + np.array([64, 24])
    image = np.zeros((SIZE, SIZE, 3), np.uint8) + SKIN.astype(np.uint8)
    image[:, 190:] = [60, 80, 170]
    face, person = np.zeros((128, 128), np.float32), np.ones((128, 128), np.float32)
    face[: int(mesh[152, 1] * 128 / SIZE)] = 1
    eyes = [mesh[[33, 133]].mean(0), mesh[[263, 362]].mean(0)]
    points5 = np.array([*eyes, mesh[1], mesh[61], mesh[291]], np.float32)
    return Crop(image, points5, mesh, Masks(np.zeros_like(face), face, np.zeros_like(face), person))


def drawn(neck: Neck, crop: Crop, depth: float = 0.07) -> Floats:
    delta, mask = neck.draw(crop, skin=SKIN, male=0.0, depth=depth)
    assert not delta[mask == 0].any()
    return delta


def test_the_neck_gets_relief_and_face_and_collar_stay(neck: Neck, crop: Crop) -> None:
    assert crop.mesh is not None
    delta = drawn(neck, crop)
    chin = int(crop.mesh[JAW[CHIN], 1])
    assert np.abs(delta[chin + 15 : chin + 40, 130:180]).mean() > 2
    assert abs(delta[chin + 15 : chin + 60, 120:185].mean()) < 6
    assert not delta[: chin - 12].any()
    assert np.abs(delta[:, 196:]).max() < 1


def test_nothing_is_drawn_without_depth_or_beyond_the_crop(neck: Neck, crop: Crop) -> None:
    assert crop.mesh is not None
    assert not drawn(neck, crop, 0.0).any()
    below = Crop(crop.image, crop.points5 + 200, crop.mesh + 200, crop.masks)
    assert not drawn(neck, below).any()


def test_an_open_mouth_does_not_carry_the_neck_along(neck: Neck, crop: Crop) -> None:
    assert crop.mesh is not None
    opened = crop.mesh.copy()
    opened[list(JAW)] += np.array([0, 8], np.float32) * np.hanning(len(JAW))[:, None].astype(np.float32)
    still, moved = drawn(neck, crop), drawn(neck, Crop(crop.image, crop.points5, opened, crop.masks))
    low = slice(int(crop.mesh[JAW[CHIN], 1]) + 25, None)
    assert np.abs(still[low]).max() > 4
    np.testing.assert_allclose(still[low], moved[low], atol=1.5)


def test_a_head_that_turns_does_not_carry_the_neck_along(neck: Neck, crop: Crop) -> None:
    """The relief sticks to the skin that is seen, where a video tells it."""
    assert crop.mesh is not None
    surface = eye_places(crop.points5, SIZE, SIZE // 4)
    before = replace(crop, surface=surface)
    np.testing.assert_allclose(drawn(neck, before), drawn(neck, crop), atol=2)
    # all of the face moves to the left over a neck that stays
    chin = int(crop.mesh[JAW[CHIN], 1])
    face = np.arange(SIZE // 4)[:, None] < chin // 4 + 3
    shift = np.array([6, 0], np.float32)
    apart = float(np.linalg.norm(crop.points5[1] - crop.points5[0]))
    moved = np.where(face[..., None], surface + shift / apart, surface)
    after = Crop(crop.image, crop.points5 - shift, crop.mesh - shift, crop.masks, surface=moved)
    low = slice(chin + 25, chin + 60)
    columns = slice(130, 180)
    stays, goes = (drawn(neck, each)[low, columns] for each in (after, replace(after, surface=None)))
    first = drawn(neck, before)[low, columns]
    assert np.abs(goes - first).mean() > 2 * np.abs(stays - first).mean() + 0.5


def test_a_hand_before_the_chin_does_not_carry_the_neck_away(neck: Neck, crop: Crop) -> None:
    """What passes over a chin takes its place on the surface along."""
    assert crop.mesh is not None
    surface = eye_places(crop.points5, SIZE, SIZE // 4)
    x, y = (crop.mesh[JAW[CHIN]] * 0.25).astype(int)
    carried = surface.copy()
    carried[y - 4 : y + 5, x - 4 : x + 5, 0] += 2.0
    low, columns = slice(4 * y + 30, 4 * y + 60), slice(130, 180)
    as_usual, with_hand = (drawn(neck, replace(crop, surface=each))[low, columns] for each in (surface, carried))
    assert np.abs(as_usual).mean() > 2
    np.testing.assert_allclose(with_hand, as_usual, atol=2)
