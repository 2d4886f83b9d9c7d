"""What age does to lips and to the rims of the eyes."""

from __future__ import annotations

import numpy as np
import pytest

from models.arrays import Floats, Image
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.eyes_and_lips import LENGTH, EyesAndLips

SKIN, RED, DARK = (190, 150, 130), (185, 105, 100), (40, 35, 35)


@pytest.fixture(scope="module")
def features() -> EyesAndLips:
    return EyesAndLips.of(read_tables(EMBEDDED)["mean"].astype(np.float32))


def face(features: EyesAndLips, lips: tuple[int, int, int] = RED, rims: tuple[int, int, int] = DARK) -> Image:
    texture = np.zeros((192, 192, 3), np.uint8) + np.array(SKIN, np.uint8)
    texture[features.lips > 0.05] = lips
    texture[features.rims > 0.05] = rims
    return texture


def redness(change: Floats, where: Floats) -> float:
    return float((change[..., 0] - change[..., 1])[where > 0.9].mean())


def test_lips_and_rims_lie_where_a_face_has_them(features: EyesAndLips) -> None:
    rows, columns = np.nonzero(features.lips > 0.5)
    assert 115 < rows.min() < rows.max() < 155
    assert abs(columns.mean() - 96) < 3
    assert features.lips[133:137, 92:100].max() < 0.05, "what is between the lips keeps its colour: teeth"
    rows, columns = np.nonzero(features.rims > 0.5)
    assert 55 < rows.min() < rows.max() < 95
    assert (columns < 90).any()
    assert (columns > 102).any()


def test_lips_go_half_of_the_way_to_the_colour_of_skin(features: EyesAndLips) -> None:
    own = features.read(face(features), 0.0)
    assert own.shape == (LENGTH,)
    change = features.change(own, 0.0, 1.0)
    away = float(np.log((185 + 16) / (105 + 16)) - np.log((190 + 16) / (150 + 16)))
    assert redness(change, features.lips) == pytest.approx(-0.55 * away, rel=0.25)
    pale = features.change(features.read(face(features, lips=SKIN), 0.0), 0.0, 1.0)
    assert abs(redness(pale, features.lips)) < 0.03


def test_the_reddest_lips_pale_most(features: EyesAndLips) -> None:
    vivid = features.change(features.read(face(features, lips=(200, 20, 40)), 0.0), 0.0, 1.0)
    usual = features.change(features.read(face(features), 0.0), 0.0, 1.0)
    assert redness(vivid, features.lips) < 1.2 * redness(usual, features.lips) < -0.1


def test_lips_of_women_get_lighter_too_and_lids_of_men_redden_less(features: EyesAndLips) -> None:
    woman, man = (features.change(features.read(face(features), male), male, 1.0) for male in (0.0, 1.0))
    assert woman[features.lips > 0.9].mean() > man[features.lips > 0.9].mean() + 0.03
    assert redness(woman, features.rims) > redness(man, features.rims) + 0.03


def test_lips_of_the_young_are_redder(features: EyesAndLips) -> None:
    own = features.read(face(features), 0.0)
    assert redness(features.change(own, 0.0, -1.0), features.lips) > 0.05


@pytest.mark.parametrize("male", [0.0, 1.0])
def test_dark_lashes_get_lighter_and_lids_redder(features: EyesAndLips, male: float) -> None:
    dark, bare = (
        features.change(features.read(face(features, rims=rims), male), male, 1.0)[features.rims > 0.9]
        for rims in (DARK, SKIN)
    )
    assert 0.08 < dark.mean() < 0.3
    assert abs(bare.mean()) < 0.02
    assert (bare[:, 0] > bare[:, 2] + 0.02).all()


def test_cheeks_stay(features: EyesAndLips) -> None:
    change = features.change(features.read(face(features), 0.0), 0.0, 1.0)
    assert not change[100:110, 40:60].any()
