"""Stubble grows where beards grow, in the colour of the hair, and not twice."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.control import Way
from models.embedded.controls.stubble import _colour
from models.embedded.latent import EmbeddedLatent
from models.embedded.strands import FILTER, Look
from models.embedded.stubble import GROWTH, Stubble, beard_colour, own_beard, told_apart
from models.face.imaging import LOG_OFFSET, LUMINANCE
from models.face.texture_space import FaceSpace

SKIN = np.array([195, 150, 130], np.float32)
FOREHEAD, NOSE, LIPS = np.s_[20:50, 60:132], np.s_[95:110, 90:102], np.s_[134:140, 88:104]


def look(*rgb: float) -> Look:
    colour = np.array(rgb, np.float32)
    light = float(colour @ LUMINANCE)
    return Look(float(np.log(light + FILTER.offset)), 0.2, 0.1, np.asarray(colour / light, np.float32))


DARK, FAIR, WHITE = look(50, 36, 28), look(150, 115, 80), look(225, 222, 220)


@pytest.fixture(scope="module")
def tables() -> Mapping[str, NDArray[Any]]:
    return read_tables(EMBEDDED)


@pytest.fixture(scope="module")
def beard(tables: dict[str, NDArray[Any]]) -> Stubble:
    return Stubble.from_tables(tables)


def drawn(beard: Stubble, hair: Look | None, amount: float) -> Floats:
    change = beard.change(beard_colour(hair, SKIN), SKIN, amount)
    return np.asarray((SKIN + LOG_OFFSET) * np.exp(change) - LOG_OFFSET, np.float32)


def face(chin: Floats, rough: float = 0.0) -> Image:
    noise = np.random.default_rng(3).normal(0, 1, (192, 192, 1))
    texture = SKIN * (1 + 0.01 * noise)
    texture[130:190, 40:152] = (chin * (1 + (0.01 + rough) * noise))[130:190, 40:152]
    return np.clip(texture, 0, 255).astype(np.uint8)


def test_it_grows_around_the_mouth_and_on_both_sides_alike(beard: Stubble) -> None:
    place = beard.place
    assert place.shape == (192, 192)
    assert place[GROWTH.chin].mean() > 0.5
    assert place[FOREHEAD].max() == 0
    assert place[NOSE].max() < 0.05
    assert place[LIPS].mean() < 0.3
    np.testing.assert_allclose(place, place[:, ::-1], atol=0.01)


def test_nothing_changes_at_0_and_more_with_every_step(beard: Stubble) -> None:
    assert not beard.change(beard_colour(DARK, SKIN), SKIN, 0).any()
    means = [
        float(beard.change(beard_colour(DARK, SKIN), SKIN, amount)[GROWTH.chin].mean())
        for amount in (0, 0.1, 0.3, 0.6, 1)
    ]
    assert all(after < before - 0.005 for before, after in pairwise(means))
    assert not beard.change(beard_colour(DARK, SKIN), SKIN, 1)[FOREHEAD].any()


def test_stubble_is_a_shadow_of_single_hairs(beard: Stubble) -> None:
    light = drawn(beard, DARK, 1)[GROWTH.chin] @ LUMINANCE
    assert 0.6 * (SKIN @ LUMINANCE) < np.median(light) < 0.9 * (SKIN @ LUMINANCE)
    assert light.std() > 3


@pytest.mark.parametrize("hair", [DARK, FAIR])
def test_it_has_the_colour_of_the_hair(beard: Stubble, hair: Look) -> None:
    seen = np.median(drawn(beard, hair, 1)[165:180, 86:106].reshape(-1, 3), axis=0)
    share = (SKIN - seen) / (SKIN - beard_colour(hair, SKIN))
    assert np.ptp(share) < 0.02
    assert share.min() > 0.2


def test_a_beard_is_never_as_light_as_skin() -> None:
    for hair in (WHITE, FAIR, DARK, None):
        light = beard_colour(hair, SKIN) @ LUMINANCE / (SKIN @ LUMINANCE)
        assert GROWTH.between[0] - 1e-4 <= light <= GROWTH.between[1] + 1e-4
    assert beard_colour(DARK, SKIN) @ LUMINANCE < beard_colour(FAIR, SKIN) @ LUMINANCE


SEEN = np.zeros((192, 192), np.float32)


def test_a_beard_of_ones_own_is_told_from_a_shaven_chin() -> None:
    assert own_beard(face(SKIN), SEEN) == 0
    assert own_beard(face(np.float32(0.9) * SKIN), SEEN) == 0
    assert own_beard(face(np.array([60, 45, 38], np.float32), 0.1), SEEN) == 1
    assert 0 < own_beard(face(np.float32(0.66) * SKIN, 0.02), SEEN) < 1


def test_a_chin_in_the_shade_is_no_beard_and_a_white_one_is() -> None:
    assert own_beard(face(np.float32(0.5) * SKIN, -0.01), SEEN) < 0.1
    assert own_beard(face(np.array([210, 208, 205], np.float32), 0.1), SEEN) == 1


def test_what_hides_a_chin_is_no_beard() -> None:
    scarf = face(np.array([20, 20, 20], np.float32), 0.3)
    hidden = SEEN.copy()
    hidden[120:] = 1
    assert own_beard(scarf, SEEN) == 1
    assert own_beard(scarf, hidden) == 0


def test_on_a_cheek_that_is_seen_from_its_side_single_hairs_are_not_told_apart(beard: Stubble) -> None:
    """They were drawn out to long lines; the shade that they make stays."""
    y, x = np.mgrid[0:64, 0:64].astype(np.float32)
    turned = np.dstack([np.where(x < 32, 0.9 * x, 0.9 * 32 + 2.7 * (x - 32)), 3.0 * y])
    told = told_apart(turned.astype(np.float32))
    assert told.shape == (192, 192)
    assert told[:, :80].max() < 0.05
    assert told[:, 112:].min() > 0.95
    assert told_apart(np.dstack([3 * x, 3 * y])).min() > 0.99
    dots, shade = (beard.change(beard_colour(DARK, SKIN), SKIN, 1, where) for where in (None, np.zeros_like(told)))
    chin = np.s_[160:182, 80:112]
    fine_shade, fine_dots = (each - cv2.GaussianBlur(each, (0, 0), 2.0) for each in (shade, dots))
    assert fine_shade[chin].std() < 0.1 * fine_dots[chin].std()
    assert shade[chin].mean() == pytest.approx(dots[chin].mean(), rel=0.2)


def test_hair_that_was_seen_at_times_makes_no_black_stubble() -> None:
    """Averaged with nothing, the look of hair goes to 0, which is black."""
    crop = Crop(np.zeros((320, 320, 3), np.uint8), np.zeros((5, 2), np.float32), None, None)
    fit = FaceSpace.from_tables(read_tables(EMBEDDED)).fit(
        FaceSpace.from_tables(read_tables(EMBEDDED)).mean + np.float32(64)
    )
    colours = []
    for share in (1.0, 0.5, 0.1, 0.01, 0.0):
        latent = EmbeddedLatent(
            attributes=np.zeros(8, np.float32),
            light=np.zeros(6, np.float32),
            skin=np.log(SKIN + LOG_OFFSET).astype(np.float32),
            lit=np.zeros(4, np.float32),
            hair=DARK.pack() * np.float32(share),
            details=np.zeros(1, np.float32),
        )
        colours.append(_colour(Way(crop, fit, latent, latent.attributes, None), SKIN))
    np.testing.assert_allclose(colours[0], beard_colour(DARK, SKIN), rtol=1e-3)
    np.testing.assert_allclose(colours[-1], beard_colour(None, SKIN), rtol=1e-3)
    assert all((before <= after + 1e-3).all() for before, after in pairwise(colours))
