from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.face.texture_space import SIZE, STEP, VERTICES, FaceSpace

TURN = np.array([[1.1, -0.2, 60.0], [0.2, 1.1, 20.0]], np.float32)


@pytest.fixture(scope="module")
def space() -> FaceSpace:
    return FaceSpace.load(EMBEDDED / TABLES)


@pytest.fixture
def mesh(space: FaceSpace) -> Floats:
    return (space.mean @ TURN[:, :2].T + TURN[:, 2]).astype(np.float32)


def test_the_mean_face_is_placed_by_its_turn_alone(space: FaceSpace, mesh: Floats) -> None:
    fit = space.fit(mesh)
    np.testing.assert_allclose(fit.affine, TURN, atol=1e-2)
    np.testing.assert_allclose(fit.upright, TURN, atol=1e-2)
    np.testing.assert_allclose(fit.points[:VERTICES], mesh, atol=0.1)
    assert np.abs(fit.modes).max() < 0.1


def test_modes_take_most_of_independent_noise(space: FaceSpace, mesh: Floats) -> None:
    noisy = mesh + np.random.default_rng(0).normal(0, 2, mesh.shape).astype(np.float32)
    error = space.fit(noisy).points[:VERTICES] - mesh
    assert np.abs(error).mean() < 0.35 * np.abs(noisy - mesh).mean()


def test_raised_brows_and_an_open_mouth_do_not_move_the_skull(space: FaceSpace, mesh: Floats) -> None:
    speaking = mesh.copy()
    speaking[space.mean[:, 1] < 50, 1] -= 8
    speaking[space.mean[:, 1] > 115, 1] += 12
    np.testing.assert_allclose(space.fit(speaking).upright, space.fit(mesh).upright, atol=0.1)


def test_texture_and_crop_coordinates_are_inverse(space: FaceSpace, mesh: Floats) -> None:
    bent = mesh.copy()
    bent[:, 0] += 3 * np.sin(mesh[:, 1] / 25)
    fit = space.fit(bent)
    back = cv2.resize(space.to_texture(fit, (40, 20, 280, 300)), (240, 280), interpolation=cv2.INTER_LINEAR)
    nodes = fit.nodes - np.array([40, 20], np.float32)
    lattice = np.arange(SIZE // STEP) * STEP + (STEP - 1) / 2
    for row, column in ((20, 20), (32, 32), (45, 40), (25, 50)):
        x, y = np.rint(nodes[row, column]).astype(int)
        expected = np.array([lattice[column], lattice[row]])
        assert np.abs(back[y, x] - expected).max() < 1.2


def test_unwrap_puts_the_crop_where_the_mesh_says(space: FaceSpace, mesh: Floats) -> None:
    ramp = np.stack(np.meshgrid(np.arange(320), np.arange(320)), axis=-1).astype(np.float32)
    texture = space.unwrap(ramp, space.fit(mesh))
    for vertex in (4, 33, 263, 152):
        x, y = np.rint(space.mean[vertex]).astype(int)
        np.testing.assert_allclose(texture[y, x], np.array([x, y]) @ TURN[:, :2].T + TURN[:, 2], atol=0.6)


def test_tables_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "tables.npz", mean=np.zeros((VERTICES, 2)))
    with pytest.raises(ValueError, match="lack"):
        FaceSpace.load(tmp_path / "tables.npz")
