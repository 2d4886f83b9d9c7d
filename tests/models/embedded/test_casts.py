"""Broad differences in colour within hair."""

from __future__ import annotations

import numpy as np

from models.arrays import Floats
from models.embedded.casts import Cast, casts_of
from models.embedded.strands import Look

BLACK = np.ones(3, np.float32)
CAST = Cast()
BROWN = np.array([1.3, 0.95, 0.7], np.float32)


def warmth(colours: Floats, own: Floats = BLACK, cast: Cast = CAST) -> Floats:
    """Log of red over blue of the casts of hair whose left and right half have these colours, (2,)."""
    picture = np.zeros((64, 64, 3), np.float32)
    picture[:, :32], picture[:, 32:] = 60 * colours[0], 60 * colours[1]
    red, _, blue = casts_of(picture, np.ones((64, 64), np.float32), Look(4.0, 0.1, 0.1, own), cast)
    both = np.log(red / blue)
    return np.array([both[:, :20].mean(), both[:, -20:].mean()], np.float32)


def test_light_of_another_colour_is_kept_in_part() -> None:
    warm, cold = warmth(np.array([[1.1, 1.0, 0.9], [0.9, 1.0, 1.1]], np.float32))
    assert 0.03 < warm < 0.2
    assert -0.2 < cold < -0.03


def test_however_different_it_is_the_rest_is_bounded() -> None:
    warm, cold = warmth(np.array([[2.0, 0.5, 0.1], [0.1, 0.5, 2.0]], np.float32))
    assert max(abs(warm), abs(cold)) <= 2 * CAST.kept * CAST.most


def test_hair_with_less_pigment_is_not_lit_by_bluer_light() -> None:
    pale = BROWN**0.6
    _, less = warmth(np.stack([BROWN, pale]), BROWN, Cast(coloured=100))
    _, cold = warmth(np.stack([BLACK, pale / BROWN]), BLACK, Cast(coloured=100))
    assert cold < -0.05
    assert abs(less) < 0.5 * abs(cold)


def test_coloured_hair_keeps_little() -> None:
    colours = np.array([[1.5, 0.9, 0.5], [1.3, 0.95, 0.9]], np.float32)
    few, all_of_it = (warmth(colours, np.array([1.6, 0.8, 0.4], np.float32), Cast(coloured=at)) for at in (0.4, 100))
    assert np.abs(few).max() < 0.3 * np.abs(all_of_it).max()
