"""Folds beside nose and mouth are filled where a face grows younger; beards and the rest stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Image
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.folds import FOLDS, fill_folds, without_folds
from models.face.texture_space import SIZE, FaceSpace, Fit

SKIN = np.array([200, 155, 135], np.uint8)


def folded(side: int, depth: float = 0.5) -> Image:
    """A texture of skin with a dark line along one fold."""
    texture = np.zeros((SIZE, SIZE, 3), np.uint8) + SKIN
    rows = np.linspace(FOLDS.rows[0] + 4, FOLDS.rows[-1] - 8, 20)
    points = np.stack([(SIZE - 1) / 2 + side * np.interp(rows, FOLDS.rows, FOLDS.away), rows], -1)
    dark = tuple(float(value) for value in np.float32(depth) * SKIN)
    cv2.polylines(texture, [np.rint(points * 8).astype(np.int32)], False, dark, 3, cv2.LINE_8, 3)
    return texture


@pytest.fixture(scope="module")
def fit() -> Fit:
    space = FaceSpace.load(EMBEDDED / TABLES)
    return space.fit(np.vstack([space.mean + 40, np.zeros((10, 2))]).astype(np.float32))


def picture(fit: Fit, texture: Image) -> Image:
    """A frontal face, which shows its texture moved by a shift alone, before skin."""
    image = np.zeros((280, 280, 3), np.uint8) + SKIN
    x, y = (round(float(value)) for value in fit.affine[:, 2])
    image[y : y + SIZE, x : x + SIZE] = texture
    return image


@pytest.mark.parametrize("side", [-1, 1])
def test_a_fold_takes_the_light_of_the_skin_beside_it(fit: Fit, side: int) -> None:
    image = picture(fit, folded(side))
    added, support = fill_folds(image, fit)
    after = image + added
    assert (image.min((0, 1)) < 0.6 * SKIN).all()
    assert (after.min((0, 1)) > 0.85 * SKIN).all()
    assert not added[support == 0].any()


def test_the_texture_that_younger_skin_is_read_of_has_no_folds() -> None:
    after = without_folds(folded(1))
    assert (after.min((0, 1)) > 0.85 * SKIN).all()


def test_a_beard_and_what_lies_elsewhere_stay(fit: Fit) -> None:
    strands = np.random.default_rng(0).normal(0, 60, (SIZE, SIZE, 1))
    beard = np.clip(90 + np.repeat(strands, 3, axis=2), 0, 255).astype(np.uint8)
    assert np.abs(fill_folds(picture(fit, beard), fit)[0]).max() < 5
    elsewhere = np.zeros((SIZE, SIZE, 3), np.uint8) + SKIN
    elsewhere[60, 60:130] = 60
    assert not fill_folds(picture(fit, elsewhere), fit)[0].any()
