"""Folds beside nose and mouth are filled where a face grows younger; beards and the rest stay."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.beard import LIPS
from models.embedded.folds import FOLDS, fill_folds, without_folds
from models.face.texture_space import SIZE, YAW_MODE, FaceSpace, Fit

SKIN = np.array([200, 155, 135], np.uint8)


def folded(side: int, depth: float = 0.5) -> Image:
    """A texture of skin with a dark line along one fold."""
    texture = np.zeros((SIZE, SIZE, 3), np.uint8) + SKIN
    rows = np.linspace(FOLDS.rows[0] + 4, FOLDS.rows[-1] - 8, 20)
    points = np.stack([(SIZE - 1) / 2 + side * np.interp(rows, FOLDS.rows, FOLDS.away), rows], -1)
    dark = tuple(float(value) for value in np.float32(depth) * SKIN)
    cv2.polylines(texture, [np.rint(points * 8).astype(np.int32)], False, dark, 2, cv2.LINE_8, 3)
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


def crop_of(image: Image, hidden: Floats | None = None) -> Crop:
    """A crop whose masks say that all of it is skin of the face but for what hides it."""
    none = np.zeros((128, 128), np.float32)
    hidden = none if hidden is None else cv2.resize(hidden, none.shape, interpolation=cv2.INTER_AREA)
    return Crop(
        image, np.zeros((5, 2), np.float32), masks=Masks(none, 1 - none, np.asarray(hidden, np.float32), 1 - none)
    )


@pytest.mark.parametrize("side", [-1, 1])
def test_a_fold_takes_the_light_of_the_skin_beside_it(fit: Fit, side: int) -> None:
    image = picture(fit, folded(side))
    added, support = fill_folds(crop_of(image), fit)
    after = image + added
    assert (image.min((0, 1)) < 0.6 * SKIN).all()
    assert (after.min((0, 1)) > 0.85 * SKIN).all()
    assert not added[support == 0].any()


def test_the_texture_that_younger_skin_is_read_of_has_no_folds() -> None:
    skin = np.ones((SIZE, SIZE), np.float32)
    assert (without_folds(folded(1), skin).min((0, 1)) > 0.85 * SKIN).all()
    assert np.array_equal(without_folds(folded(1), 0 * skin), folded(1))


def test_what_hides_the_face_and_the_corners_of_a_mouth_stay(fit: Fit) -> None:
    image = picture(fit, folded(1))
    everywhere = np.ones(image.shape[:2], np.float32)
    assert not fill_folds(crop_of(image, everywhere), fit)[0].any()
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = FaceSpace.load(EMBEDDED / TABLES).mean + 40
    lips = (
        cv2.polylines(np.zeros(image.shape[:2], np.uint8), [np.rint(mesh[list(LIPS)]).astype(np.int32)], True, 1, 3) > 0
    )
    image[lips] = 60
    known, unknown = (
        np.abs(fill_folds(crop, fit)[0][lips]) for crop in (replace(crop_of(image), mesh=mesh), crop_of(image))
    )
    assert unknown.max() > 30
    assert known.max() < 0.3 * unknown.max()


def test_a_turned_head_keeps_its_outline(fit: Fit) -> None:
    turned = replace(fit, modes=np.where(np.arange(len(fit.modes)) == YAW_MODE, np.float32(5), fit.modes))
    assert not fill_folds(crop_of(picture(fit, folded(1))), turned)[0].any()


def test_a_beard_and_what_lies_elsewhere_stay(fit: Fit) -> None:
    strands = np.random.default_rng(0).normal(0, 60, (SIZE, SIZE, 1))
    beard = np.clip(90 + np.repeat(strands, 3, axis=2), 0, 255).astype(np.uint8)
    assert np.abs(fill_folds(crop_of(picture(fit, beard)), fit)[0]).max() < 5
    elsewhere = np.zeros((SIZE, SIZE, 3), np.uint8) + SKIN
    elsewhere[60, 60:130] = 60
    assert not fill_folds(crop_of(picture(fit, elsewhere)), fit)[0].any()
