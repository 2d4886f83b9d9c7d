"""Pieces of a backdrop that fill the hole that hair leaves in it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded.backdrop_texture import PIECES, SeenBackdrop, _few, backdrop_texture, plain_backdrop

SIZE = 320


def hole() -> NDArray[np.bool_]:
    rows, columns = np.indices((SIZE, SIZE))
    return np.hypot(rows - 110, columns - 160) < 70


def shelves(shade: float = 0.0) -> Floats:
    """Books: upright stripes that repeat, between boards; with light that falls off."""
    rows, columns = np.indices((SIZE, SIZE), np.float32)
    books = 120 + 60 * np.sign(np.sin(columns * np.float32(np.pi / 8))) * (rows % 64 > 8)
    colours = np.dstack([books, 0.8 * books, 0.6 * books])
    return np.asarray(colours * (1 + shade * (columns / SIZE - 0.5))[..., None], np.float32)


def leaves(seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed).standard_normal((SIZE, SIZE)).astype(np.float32)
    light = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.asarray(90 + (25 / light.std() * light)[..., None] * np.array([0.7, 1.0, 0.5]), np.float32)


def filled(picture: Floats, wanted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """What is made of a picture whose hole shows something else."""
    spoiled = picture.copy()
    spoiled[wanted] = (200, 20, 200)
    return backdrop_texture(spoiled, ~cv2.dilate(wanted.astype(np.uint8), np.ones((9, 9))).astype(bool), wanted)


def test_what_repeats_is_found_again() -> None:
    books, wanted = shelves(), hole()
    texture, fits = filled(books, wanted)
    within = wanted & (np.indices((SIZE, SIZE))[0] > 50)
    assert fits[within].mean() > 0.95
    assert np.abs(texture - books)[within].mean() < 12


def test_light_goes_on_over_the_hole() -> None:
    """Pieces from one side are as light as what is seen on the other, where they meet it."""
    books, wanted = shelves(shade=0.6), hole()
    texture, _ = filled(books, wanted)
    for side in (np.s_[90:130, 92:112], np.s_[90:130, 208:228]):
        assert texture[side].mean() == pytest.approx(books[side].mean(), rel=0.08)


def test_leaves_are_as_rich_as_those_that_are_seen() -> None:
    picture, wanted = leaves(), hole()
    texture, fits = filled(picture, wanted)
    assert fits[wanted].mean() > 0.9
    fine = texture - cv2.GaussianBlur(texture, (0, 0), 6)
    seen = picture - cv2.GaussianBlur(picture, (0, 0), 6)
    assert fine[wanted].std() == pytest.approx(seen[~wanted].std(), rel=0.15)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("row", [40, 110, 300])
def test_a_fill_has_no_dark_seams(seed: int, row: int) -> None:
    """At the edge of the crop pieces reach beyond it, where there is nothing."""
    rows, columns = np.indices((SIZE, SIZE))
    wanted = np.hypot(rows - row, columns - 160) < 70
    picture = leaves(seed) + 60
    texture, fits = filled(picture, wanted)
    shown = wanted & (fits > 0.5)
    assert shown.any()
    assert texture[shown].min() > picture.min() - 5


def test_few_pieces_are_used() -> None:
    costs = np.random.default_rng(0).random((60, 40, 40)).astype(np.float32) * 40
    costs[:, :20] = np.inf
    number, cost = _few(costs)
    assert len(np.unique(number[20:])) <= PIECES.several
    assert np.isfinite(cost[20:]).all()
    assert np.isinf(cost[:20]).all()


def test_a_corner_of_a_backdrop_does_not_tell_all_of_it() -> None:
    known = np.zeros((SIZE, SIZE), bool)
    known[:20, :20] = True
    wall = np.full((SIZE, SIZE, 3), 90, np.float32)
    assert not plain_backdrop(wall, known)[1].any()
    known[:80, :80] = True
    assert plain_backdrop(wall, known)[1].min() > 0.9


def test_nothing_is_taken_of_the_hole() -> None:
    texture, fits = filled(leaves(), hole())
    shown = fits > 0
    assert np.abs(texture[shown] - (200, 20, 200)).sum(1).min() > 60


def test_a_plain_backdrop_is_left_to_the_network() -> None:
    noise = np.random.default_rng(0).standard_normal((SIZE, SIZE, 3)).astype(np.float32)
    _, fits = filled(np.asarray(128 + 0.8 * noise, np.float32), hole())
    assert not fits.any()


def test_a_sign_on_a_wall_is_no_texture_of_it() -> None:
    """Letters that are repeated over a wall are worse than a wall without them."""
    sign = np.full((SIZE, SIZE, 3), 170, np.uint8)
    cv2.putText(sign, "EXIT", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (30, 30, 30), 2)
    wanted = hole()
    texture, fits = filled(sign.astype(np.float32), wanted)
    away = fits * np.abs(texture - 170).max(2)
    assert away[wanted & (np.indices((SIZE, SIZE))[1] > 100)].max() < 40
    assert (away[wanted] > 40).mean() < 0.02
    assert fits[wanted].mean() < 0.1


def test_a_plain_wall_goes_on_behind_the_hair() -> None:
    """With its light, whatever was drawn there: a network left a ghost of the hair before dark curtains."""
    rows, columns = np.indices((SIZE, SIZE), np.float32)
    wall = np.dstack([20 + 30 * columns / SIZE, 15 + 20 * rows / SIZE, 40 + 0 * rows])
    wanted = hole()
    spoiled, known = wall.copy(), ~cv2.dilate(wanted.astype(np.uint8), np.ones((9, 9))).astype(bool)
    spoiled[wanted] = (200, 20, 200)
    seen = SeenBackdrop.of(spoiled, known, wanted)
    assert seen.calmness[wanted].min() > 0.95
    shown = seen.instead_of(np.full_like(wall, 70))
    assert np.abs(shown - wall)[wanted].max() < 5
    grain = np.ones((SIZE, SIZE), np.float32)
    np.testing.assert_allclose(seen.instead_of(wall, grain) - seen.instead_of(wall), 1, atol=1e-3)


def test_strands_beside_the_hair_are_none_of_a_plain_wall() -> None:
    """What the matte misses is wanted too: it is drawn, to tell the strands that are left over it."""
    wall, wanted = np.full((SIZE, SIZE, 3), 150, np.float32), hole()
    known = np.hypot(np.indices((SIZE, SIZE))[0] - 110, np.indices((SIZE, SIZE))[1] - 160) > 55
    spoiled = wall.copy()
    spoiled[~known] = (200, 20, 200)
    spoiled[100:120:6, 220:229] = 20
    seen = SeenBackdrop.of(spoiled, known, wanted)
    assert np.abs(seen.instead_of(spoiled) - wall)[wanted].max() < 6


def test_leaves_are_not_plain() -> None:
    picture, wanted = leaves(), hole()
    _, calmness = plain_backdrop(picture, ~wanted)
    assert calmness[wanted].max() < 0.1
    assert not plain_backdrop(picture, np.zeros_like(wanted))[1].any()


def test_without_a_backdrop_or_a_hole_there_is_nothing() -> None:
    everywhere = np.ones((SIZE, SIZE), bool)
    for known, wanted in ((~everywhere, hole()), (everywhere, ~everywhere), (~everywhere, everywhere)):
        texture, fits = backdrop_texture(leaves(), known, wanted)
        assert texture.shape == (SIZE, SIZE, 3)
        assert not fits.any()
        assert np.isfinite(texture).all()


def test_a_hole_in_one_thing_is_not_filled_with_another() -> None:
    dark = leaves() - 60
    dark[:, 280:] = shelves()[:, 280:] + 75
    wanted = hole()
    texture, fits = filled(np.asarray(np.clip(dark, 0, 255), np.float32), wanted)
    bright = texture.mean(2) > 120
    assert (fits * bright)[wanted].mean() < 0.02
    assert fits[wanted].mean() > 0.9


@pytest.mark.parametrize("size", [32, 64, 96])
def test_small_crops(size: int) -> None:
    wanted = np.zeros((size, size), bool)
    wanted[: size // 2, size // 4 : size // 2] = True
    texture, fits = backdrop_texture(leaves()[:size, :size], ~wanted, wanted)
    assert texture.shape == (size, size, 3)
    assert 0 <= fits.min() <= fits.max() <= 1 + 1e-5


def test_noise_of_the_camera_hardly_changes_the_choice() -> None:
    wanted, rng = hole(), np.random.default_rng(4)
    first, _ = filled(shelves(), wanted)
    again, _ = filled(np.asarray(shelves() + rng.normal(0, 2, (SIZE, SIZE, 3)), np.float32), wanted)
    assert np.abs(first - again)[wanted].mean() < 6
