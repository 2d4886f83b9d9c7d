"""A membrane over what is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from models.face.imaging import fill, membrane

SIDE = 80


def test_light_that_falls_off_goes_on_over_a_hole() -> None:
    """A plane is a membrane itself. The mean of what is around, which `fill` soon comes to, leaves an arc."""
    rows, columns = np.indices((SIDE, SIDE), np.float32)
    wall = np.dstack([20 + columns, 100 + rows / 2, 50 + columns + rows])
    known = (np.hypot(rows - 40, columns - 40) > 26).astype(np.float32)
    hung = membrane(wall * known[..., None], known)
    np.testing.assert_array_equal(hung[known > 0], wall[known > 0])
    assert np.abs(hung - wall).max() < 1
    assert np.abs(fill(wall * known[..., None], known) - wall).max() > 2


@pytest.mark.parametrize("side", [64, 75, 77, 80, 81])
def test_one_pixel_that_is_known_tells_all(side: int) -> None:
    known = np.zeros((side, side), np.float32)
    known[side // 3, side // 2] = 1
    np.testing.assert_allclose(membrane(np.full((side, side, 3), 100, np.float32), known), 100, rtol=0.01)


def test_nothing_known_is_dark() -> None:
    nothing = np.zeros((SIDE, SIDE), np.float32)
    assert not membrane(np.full((SIDE, SIDE, 3), 90, np.float32), nothing).any()
