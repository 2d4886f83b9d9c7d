from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.base import Engine, TensorSpec
from engines.select import load as load_engine
from models.arrays import Floats
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.beard_alpha import BEARD_NETWORK, PLANES, SIDE, BeardAlpha, network_input, window

SIZE = 320


class Green(Engine):
    """Takes what is green for a beard."""

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("given", (None, PLANES, SIDE, SIDE), np.dtype(np.float32)),)
    outputs = (TensorSpec("alpha", (None, 1, SIDE, SIDE), np.dtype(np.float32)),)

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given = inputs["given"]
        return {"alpha": np.maximum(given[:, 1:2] - given[:, :1], 0)}


def crop_of(eyes: tuple[tuple[float, float], tuple[float, float]], size: int = SIZE) -> Crop:
    points5 = np.array([*eyes, (0, 0), (0, 0), (0, 0)], np.float32)
    none, all_ = (np.full((160, 160), value, np.float32) for value in (0, 1))
    return Crop(np.zeros((size, size, 3), np.uint8), points5, None, Masks(none, all_, none, all_))


def place(crop: Crop, across: float, down: float) -> Floats:
    """A place of the frame of the eyes, crop pixels."""
    left, right = crop.points5[:2]
    apart = right - left
    return np.asarray((left + right) / 2 + across * apart + down * np.array([-apart[1], apart[0]]), np.float32)


@pytest.mark.parametrize("eyes", [((130, 140), (190, 140)), ((120, 150), (175, 120)), ((150, 100), (158, 162))])
def test_a_beard_is_told_where_it_is_however_the_head_is_turned(
    eyes: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    crop = crop_of(eyes)
    chin = place(crop, 0.2, 1.7)
    cv2.circle(crop.image, (round(float(chin[0])), round(float(chin[1]))), 9, (0, 255, 0), -1)
    alpha = BeardAlpha(Green()).read(crop)
    rows, columns = np.indices(alpha.shape)
    found = np.array([(columns * alpha).sum(), (rows * alpha).sum()]) / alpha.sum()
    np.testing.assert_allclose(found, chin, atol=0.7)
    assert alpha.sum() == pytest.approx(np.pi * 9**2, rel=0.15)


def test_the_window_reaches_from_the_eyes_to_below_the_chin() -> None:
    crop = crop_of(((130, 140), (190, 140)))
    corners = window(crop) @ np.array([[-0.5, -0.5, 1], [SIDE - 0.5, SIDE - 0.5, 1]]).T
    np.testing.assert_allclose(corners.T, [[160 - 81, 140 - 6], [160 + 81, 140 + 156]], atol=1e-3)


def test_the_network_is_shown_picture_hair_and_face() -> None:
    crop = crop_of(((130, 140), (190, 140)))
    assert crop.masks is not None
    crop.image[:] = (51, 102, 204)
    given = network_input(crop, window(crop))
    np.testing.assert_allclose(given[:, 40, 40], [0.2, 0.4, 0.8, 0, 1], atol=0.005)


@pytest.mark.parametrize("hiding", ["hair", "occluder"])
def test_what_hides_a_beard_is_none(hiding: str) -> None:
    crop = crop_of(((130, 140), (190, 140)))
    crop.image[..., 1] = 255
    assert crop.masks is not None
    hidden = np.zeros((160, 160), np.float32)
    hidden[:, 80:] = 1
    alpha = BeardAlpha(Green()).read(replace(crop, masks=replace(crop.masks, **{hiding: hidden})))
    assert alpha[200, 120] > 0.9
    assert alpha[200, 200] == 0


def test_the_network_that_ships_sees_no_beard_on_bare_skin() -> None:
    crop = crop_of(((130, 140), (190, 140)))
    crop.image[:] = (200, 150, 130)
    alpha = BeardAlpha(load_engine(EMBEDDED / BEARD_NETWORK, precision="f32", threads=1)).read(crop)
    assert alpha.shape == (SIZE, SIZE)
    assert alpha.max() < 0.1
