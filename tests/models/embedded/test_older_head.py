from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.arrays import Floats
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.older_head import GROWTH, SIDES, grown
from models.face.texture_space import YAW_MODE, FaceSpace, Fit

SIZE, SHIFT = 320, np.array([64, 88], np.float32)
"""Side of the crop, and where the texture square lies in it, at its own scale."""
SPACE = FaceSpace.from_tables(read_tables(EMBEDDED))
FIT = SPACE.fit(SPACE.mean + SHIFT)


def crop(head: float = 1) -> Crop:
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = SPACE.mean + SHIFT
    nothing = np.zeros((160, 160), np.float32)
    masks = Masks(hair=nothing, face=nothing, occluder=nothing, person=nothing + np.float32(head))
    return Crop(np.zeros((SIZE, SIZE, 3), np.uint8), mesh[[33, 263, 1, 61, 291]], mesh, masks)


def flow(strength: float, fit: Fit = FIT) -> Floats:
    warped = grown(crop(), fit, strength)
    assert warped is not None
    return warped


def at(warped: Floats, x: float, y: float) -> Floats:
    """At a place of the texture square."""
    return warped[round(y + SHIFT[1]), round(x + SHIFT[0])]


def test_a_hairline_goes_up_in_the_middle_more_than_at_the_temples() -> None:
    warped = flow(1.0)
    middle, temple = at(warped, 96, 52 - 66), at(warped, 96 + 55, 52 - 66)
    np.testing.assert_allclose(middle, [0, GROWTH.forehead], atol=0.5)
    assert 0.2 < temple[1] / middle[1] < 0.6
    for still in (52 - 10, 52 - 110):
        assert np.abs(at(warped, 96, still)).max() < 0.2


def test_half_of_the_years_move_it_half_as_far_and_the_move_is_bounded() -> None:
    half, whole, most = (at(flow(strength), 96, 52 - 66)[1] for strength in (0.5, 1.0, 5.0))
    assert half / whole == pytest.approx(0.5, abs=0.02)
    assert most == pytest.approx(GROWTH.most, abs=0.5)


@pytest.mark.parametrize("strength", [0.5, 1.7])
def test_nothing_is_folded_over(strength: float) -> None:
    warped = flow(strength)
    for axis in (0, 1):
        assert np.diff(warped[..., axis], axis=1 - axis).min() > -0.6


@pytest.mark.parametrize("side", SIDES)
def test_ears_grow_outwards_and_downwards(side: int) -> None:
    """What is shown further out and further down was nearer before."""
    outwards = np.sign(SPACE.mean[side, 0] - 96)
    x, y = SPACE.mean[side]
    lobe, edge = at(flow(1.0), x + 4 * outwards, y + 30), at(flow(1.0), x + 12 * outwards, y + 7)
    assert lobe[1] < -2
    assert edge[0] * outwards < -0.8
    assert np.abs(at(flow(1.0), x - 12 * outwards, y + 7)).max() < 0.1


def test_what_is_beside_the_head_stays() -> None:
    beside = grown(crop(head=0), FIT, 1.0)
    assert beside is not None
    assert np.abs(beside).max() == 0


def test_a_head_that_turns_stays_as_it_is() -> None:
    modes = FIT.modes.copy()
    modes[YAW_MODE] = -3.5
    assert grown(crop(), replace(FIT, modes=modes), 1.0) is None
    assert grown(replace(crop(), masks=None), FIT, 1.0) is None
    assert grown(crop(), FIT, 0.0) is None
