"""Creases that machine-made portraits lend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import Floats
from models.editor import Crop
from models.embedded import EMBEDDED
from models.embedded.attributes import ATTRIBUTES, MALE, SKIN_LIGHTNESS, SMILE, read_tables
from models.embedded.control import Reading
from models.embedded.creases import (
    DARK,
    DARK_DEPTH,
    DEPTH,
    MOST_CREASED,
    MOST_RELIEF,
    NEAR,
    RIDGE,
    Creases,
    contrast_of,
    relief_of,
    without_stains,
)
from models.face.texture_space import FaceSpace


@pytest.fixture(scope="module")
def tables() -> dict[str, NDArray[Any]]:
    return read_tables(EMBEDDED)


@pytest.fixture(scope="module")
def creases(tables: dict[str, NDArray[Any]]) -> Creases:
    return Creases.from_tables(tables)


def test_the_deepest_creases_stay_dark_without_stains(tables: dict[str, NDArray[Any]], creases: Creases) -> None:
    """Beyond -128 an int8 wraps, and a dark crease had a bright dot."""
    before, after = tables["creases_relief"].astype(int), creases.relief.astype(int)
    assert after[before < -100].max() < 20
    assert after[before > 100].min() > -20


def test_a_lent_frown_is_faint(tables: dict[str, NDArray[Any]], creases: Creases) -> None:
    """Who lends may frown while the face smiles."""
    frown = (slice(None), slice(42, 54), slice(88, 104))
    before, after = (np.abs(each[frown].astype(float)).mean() for each in (tables["creases_relief"], creases.relief))
    assert after < 0.5 * before


def reading(tables: dict[str, NDArray[Any]], detail: float = 6.0, male: float = 1.0, covered: float = 0.0) -> Reading:
    space = FaceSpace.from_tables(tables)
    fit = space.fit(np.vstack([space.mean + 100, np.zeros((10, 2))]).astype(np.float32))
    skin = np.random.default_rng(0).normal(150, detail, (192, 192, 1))
    texture = np.clip(np.repeat(cv2.GaussianBlur(skin, (0, 0), 1.0)[..., None], 3, axis=2), 0, 255).astype(np.uint8)
    attributes = np.zeros(len(ATTRIBUTES), np.float32)
    attributes[[MALE, SMILE, SKIN_LIGHTNESS]] = male, 0.4, 0.6
    crop = Crop(np.zeros((320, 320, 3), np.uint8), np.zeros((5, 2), np.float32))
    hidden, skin_colour = np.full((192, 192), covered, np.float32), np.full(3, 5.0, np.float32)
    return Reading(attributes, texture, hidden, skin_colour, fit, crop)


def lent_by(creases: Creases, face: Reading) -> Floats:
    return creases.lend(face, creases.contrast_for(face))


def test_creases_lie_on_skin_that_is_seen(creases: Creases, tables: dict[str, NDArray[Any]]) -> None:
    lent = lent_by(creases, reading(tables))
    assert lent.shape == (192, 192)
    assert lent.dtype == np.float32
    assert np.abs(lent[creases.skin < 0.02]).max() < 0.03
    assert np.abs(lent).max() > 0.05
    assert not lent_by(creases, reading(tables, covered=1.0)).any()


def test_a_blurred_face_gets_fainter_creases_than_a_sharp_one(
    creases: Creases, tables: dict[str, NDArray[Any]]
) -> None:
    soft, sharp = (contrast_of(lent_by(creases, reading(tables, detail)), creases.skin) for detail in (1.0, 60.0))
    assert soft < 0.8 * sharp
    assert sharp < 1.5 * DEPTH * MOST_CREASED[1]


def test_who_lends_depends_on_the_face_but_never_changes_in_a_leap(
    creases: Creases, tables: dict[str, NDArray[Any]]
) -> None:
    man, woman = (lent_by(creases, reading(tables, male=male)) for male in (1.0, 0.0))
    assert np.corrcoef(man.ravel(), woman.ravel())[0, 1] < 0.8
    last = None
    for lightness in np.arange(0.4, 0.8, 0.005 * NEAR):
        face = reading(tables)
        attributes = face.attributes.copy()
        attributes[SKIN_LIGHTNESS] = lightness
        lent = lent_by(creases, replace(face, attributes=attributes))
        assert last is None or np.sqrt(((lent - last) ** 2).mean()) < 0.15 * np.sqrt((lent**2).mean())
        last = lent


def test_creases_are_deeper_on_dark_skin(creases: Creases, tables: dict[str, NDArray[Any]]) -> None:
    dark, light = reading(tables), reading(tables)
    for face, lightness in ((dark, DARK[0]), (light, DARK[1])):
        face.attributes[SKIN_LIGHTNESS] = lightness
    alike = replace(creases, likeness=np.zeros_like(creases.likeness))
    depths = [np.minimum(lent_by(alike, face), 0) for face in (dark, light)]
    where = depths[1] < -0.02
    assert float(np.median(depths[0][where] / depths[1][where])) == pytest.approx(DARK_DEPTH, rel=0.05)


def test_relief_is_what_is_fine_and_seen() -> None:
    light = np.tile(np.linspace(4, 5, 192, dtype=np.float32), (192, 1))
    light[90:92] += 0.3
    seen = np.ones((192, 192), np.float32)
    seen[:, :40] = 0
    relief = relief_of(light, seen)
    assert relief[91, 100] > 0.2
    assert np.abs(relief[20:70, 60:150]).max() < 0.02
    assert not relief[:, :40].any()


def test_the_bright_side_of_a_crease_does_not_glow(creases: Creases, tables: dict[str, NDArray[Any]]) -> None:
    lent = lent_by(creases, reading(tables, 60.0))
    assert lent.max() <= RIDGE
    assert lent.min() < -RIDGE


def test_stains_go_from_a_relief_and_lines_stay() -> None:
    down, across = np.mgrid[:192, :192]
    stain = 80 * np.exp(-((down - 60) ** 2 + (across - 60) ** 2) / (2 * 4.0**2))
    line = 80 * np.exp(-((np.abs(across - 95.5) - 44.5) ** 2) / (2 * 2.5**2))
    alone = (across == 170) * 60
    relief = np.rint(-stain - line - alone).astype(np.int8)
    kept = without_stains(relief)
    assert MOST_RELIEF / 127 * relief[60, 60] < -0.3
    assert kept[60, 60] > 0.5 * relief[60, 60]
    assert kept[150, 140] < 0.8 * relief[150, 140]
    assert kept[150, 170] > 0.6 * relief[150, 170]


def test_no_broad_fold_lies_on_a_cheek() -> None:
    """There it looks like a bruise; a fold beside the mouth stays, and so do fine lines."""
    side = 192
    relief = np.zeros((side, side), np.int8)
    for left in (40, 66):  # cheek, beside the mouth
        for columns in (slice(left, left + 6), slice(side - left - 6, side - left)):
            relief[90:130, columns] = -80
    kept = without_stains(relief).astype(float)
    cheek, mouth = kept[95:110, 42:44].mean(), kept[95:110, 68:70].mean()
    assert cheek > 0.5 * mouth
    assert mouth < -20
