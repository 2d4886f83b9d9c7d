from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.editor import Edit
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.face.texture_space import SIZE, FaceSpace
from models.training.apply import apply_edit
from models.training.data import FaceSet
from models.training.editor.reader import reader_loss, train_reader
from models.training.editor.statistics import smile_trends, trend
from models.training.editor.texture_space import measure_geometry
from models.training.scenes.degrade import degrade


def test_apply_edit_is_exact_where_the_mask_is_zero() -> None:
    generator = np.random.default_rng(0)
    camera = generator.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    mask = np.zeros((32, 32), np.float32)
    mask[8:16] = 1
    flow = np.ones((32, 32, 2), np.float32)
    delta = np.full((32, 32, 3), 7, np.float32)
    done = apply_edit(Edit(mask=mask, flow=flow, delta=delta), camera)
    np.testing.assert_array_equal(done[mask == 0], camera[mask == 0])
    np.testing.assert_array_equal(done[8:16, :31], np.minimum(camera[9:17, 1:].astype(int) + 7, 255))


def test_degrading_repeats_with_its_seed_and_keeps_the_shape() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    once, again = (degrade(picture, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.shape == picture.shape
    assert once.dtype == np.uint8


def test_a_trend_tells_age_from_smiles_and_sources(shared: Path) -> None:
    faces = FaceSet.load(shared)
    rows = faces.split("train")
    rows = rows[np.isfinite(faces.labels["skin_L"][rows])][::4]
    years = np.maximum(faces.labels["age"][rows] - 25, 0)
    odd = faces.labels["source"][rows] == "us_congress"
    measured = 0.02 * years + 5 * faces.labels["smile"][rows] + 3 * odd
    found = trend(faces, rows, (np.array([value]) for value in measured))
    np.testing.assert_allclose(found.ageing, 0.02 * 45, atol=0.03)
    np.testing.assert_allclose(found.youth, 0, atol=0.05)
    np.testing.assert_allclose(found.smile, 5, rtol=0.1)


def test_a_smile_is_measured_on_the_skull(shared: Path) -> None:
    faces = FaceSet.load(shared)
    space = FaceSpace.load(EMBEDDED / TABLES)
    rows = faces.split("train")[::3]
    grey = np.full((len(faces), SIZE, SIZE, 3), 128, np.uint8)
    shape, skin = smile_trends(faces, space, grey, rows)
    column, row = (space.mean[61] / 3).astype(int)
    assert shape[row, column, 1] < -4  # texture pixels, upwards
    assert shape[row, column, 0] < -3  # outwards
    column, row = (space.mean[168] / 3).astype(int)
    assert np.abs(shape[row, column]).max() < 1
    np.testing.assert_allclose(shape[:, ::-1] * np.array([-1, 1]), shape, atol=0.1)
    assert not skin.any()


def test_unknown_attributes_cost_nothing() -> None:
    read = torch.zeros(2, 8)
    wanted = torch.zeros(2, 8)
    wanted[:, [1, 4, 5]] = torch.nan
    assert reader_loss(read, wanted).item() == 0
    wanted[0, 0] = 0.5
    assert reader_loss(read, wanted).item() > 0


def test_the_reader_goes_on_where_it_stopped(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faces = FaceSet.load(shared)
    rows = np.concatenate([faces.split("train")[:64], faces.split("val")[:4]])
    few = replace(
        faces,
        images=faces.images[rows],
        mesh=faces.mesh[rows],
        points5=faces.points5[rows],
        hair=faces.hair[rows],
        person=faces.person[rows],
        labels={name: column[rows] for name, column in faces.labels.items()},
    )
    with np.load(EMBEDDED / TABLES) as tables:
        space = FaceSpace.from_tables(dict(tables))
    device = torch.device("cpu")
    train_reader(few, space, tmp_path, device, (1, 0))
    train_reader(few, space, tmp_path, device, (1, 1))
    assert torch.load(tmp_path / "reader.pt", weights_only=True)["done"] == 2
    assert "reader 2/2" in capsys.readouterr().out


def test_geometry_is_measured_from_meshes_alone(shared: Path) -> None:
    faces = FaceSet.load(shared)
    tables = measure_geometry(faces, faces.split("train")[:300])
    space = FaceSpace.from_tables(tables)
    np.testing.assert_allclose(space.weights.sum(2), 1, atol=1e-4)
    row = int(faces.split("val")[0])
    placed = space.fit(faces.mesh[row]).points[:468]
    assert np.abs(placed - faces.mesh[row, :468]).mean() < 2
