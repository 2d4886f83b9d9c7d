"""StyleFlow's conditions, read of a face: pose, light, beard, and all of a real portrait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.scalp import LIGHT_ESTIMATE, ScalpModel
from models.face.texture_space import FaceSpace
from models.published.styleflow.attributes import (
    POSE,
    AttributeReader,
    beard_of,
    face_normals,
    harmonics,
    head_points,
    head_pose,
    turned,
)
from models.published.styleflow.editor import ATTRIBUTES, LIGHTS
from tests.models.translators import TorchEngine, face_crop

RIGHT, UP, FRONT = np.eye(3)


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (25, 0), (-40, 0), (0, 20), (0, -15), (20, 10)])
def test_a_turned_head_has_its_pose(yaw: float, pitch: float) -> None:
    mean = FaceSpace.from_tables(read_tables(EMBEDDED)).mean
    places = turned(head_points(mean), yaw, pitch)
    mesh = np.zeros((478, 2), np.float32)
    mesh[list(POSE.points)] = 0.4 * places[:, :2] * (1, -1) + (300, 200)
    assert head_pose(mesh, mean) == pytest.approx((yaw, pitch), abs=0.01)


def test_turning_is_to_the_right_and_up() -> None:
    np.testing.assert_allclose(turned(FRONT[None], 30, 0)[0], [0.5, 0, 3**0.5 / 2], atol=1e-6)
    np.testing.assert_allclose(turned(FRONT[None], 0, 30)[0], [0, 0.5, 3**0.5 / 2], atol=1e-6)


def test_harmonics_are_the_irradiance_of_a_light() -> None:
    """Coefficients of a light from one side give a half cosine around it, as they do up to the second order."""
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    basis = harmonics(normals)
    for side in (RIGHT, UP, FRONT):
        irradiance = np.maximum(normals @ side, 0)
        coefficients, *_ = np.linalg.lstsq(basis, irradiance, rcond=None)
        assert np.abs(basis @ coefficients - irradiance).max() < 0.15
    assert harmonics(RIGHT[None])[0, 3] > 0
    assert harmonics(UP[None])[0, 2] > 0
    assert harmonics(FRONT[None])[0, 1] < 0


class Samples:
    """Lights around an average one from the front and above."""

    lights = np.array([0.85, -0.15, 0.28, -0.04, 0, 0, -0.16, 0, 0.12]) + np.random.default_rng(0).normal(
        size=(1000, 9)
    ) * np.array([0.11, 0.1, 0.12, 0.12, 0.07, 0.08, 0.08, 0.07, 0.13])


@pytest.fixture(scope="module")
def reader() -> AttributeReader:
    tables = read_tables(EMBEDDED)
    engine = TorchEngine(_Read(), {"head": (3, None, None)}, ("attributes",))
    space, scalp = FaceSpace.from_tables(tables), ScalpModel.from_tables(tables)
    return AttributeReader(engine, space, scalp, Samples.lights.astype(np.float32))


def test_light_follows_the_side_that_is_brighter(reader: AttributeReader) -> None:
    ways = np.stack([reader._scalp.shading_of_light(way) for way in np.eye(6, dtype=np.float32)])
    columns, rows = LIGHT_ESTIMATE.size
    across = np.tile(np.linspace(-1, 1, columns), rows)
    to_the_right, *_ = np.linalg.lstsq(ways.T, 0.3 * across, rcond=None)
    usual = reader._light(np.zeros(6, np.float32), 0, 0)
    np.testing.assert_allclose(usual, Samples.lights.mean(0), atol=1e-5)
    right, left = (reader._light((sign * to_the_right).astype(np.float32), 0, 0) for sign in (1, -1))
    assert right[3] > usual[3] + 0.05
    assert left[3] < usual[3] - 0.05
    assert abs(right[2] - usual[2]) < 0.05
    shade = harmonics(face_normals()) @ right
    assert np.corrcoef(shade - harmonics(face_normals()) @ usual, across)[0, 1] > 0.8


def test_a_dark_lip_and_chin_are_a_beard(reader: AttributeReader) -> None:
    mean = reader._space.mean
    bare = np.full((192, 192), 5.0, np.float32)
    assert beard_of(bare, mean) == 0
    bearded = bare.copy()
    bearded[round(float(mean[164, 1])) - 5 :] -= 0.7
    assert 0.4 < beard_of(bearded, mean) < 0.8


def test_a_face_is_read_in_the_flows_order(reader: AttributeReader) -> None:
    crop = face_crop(256)
    with pytest.raises(ValueError, match="without its mesh"):
        reader(crop)
    tables = read_tables(EMBEDDED)
    mesh = np.vstack([FaceSpace.from_tables(tables).mean, np.zeros((10, 2), np.float32)]) + 32
    values = reader(replace(crop, mesh=mesh))
    assert values.shape == (LIGHTS + len(ATTRIBUTES),)
    read = dict(zip(ATTRIBUTES, values[LIGHTS:], strict=True))
    assert read["age"] == pytest.approx(42)
    assert read["gender"] == pytest.approx(0.5)
    assert read["baldness"] == pytest.approx(0.3)
    assert read["expression"] == pytest.approx(0.7)
    assert (read["yaw"], read["pitch"]) == pytest.approx((0, 0), abs=0.1)


class _Read(nn.Module):
    def forward(self, head: Tensor) -> Tensor:
        return torch.tensor([[0.42, 0.0, 0.3, 0.1, -3.0, -3.0, 0.7, 0.5]]).expand(len(head), -1)
