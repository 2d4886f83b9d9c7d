from __future__ import annotations

import numpy as np
import pytest

from models.arrays import Floats
from models.embedded.hair_reach import side_of_hair

SIDE, SIZE = 160, 320


def box(top: int, bottom: int, left: int, right: int) -> Floats:
    hair = np.zeros((SIDE, SIDE), np.float32)
    hair[top:bottom, left:right] = 1
    return hair


def test_no_hair_takes_no_room() -> None:
    assert side_of_hair(np.zeros((SIDE, SIDE), np.float32), SIZE) == 0


@pytest.mark.parametrize("size", [320, 384])
def test_hair_takes_the_square_that_holds_it(size: int) -> None:
    assert side_of_hair(box(30, 80, 50, 110), size) == pytest.approx(size * 93 / SIDE, abs=8)


def test_hair_that_ends_at_the_edge_goes_on_beyond() -> None:
    assert side_of_hair(box(40, SIDE, 40, 90), SIZE) == SIZE + 1


def test_tips_tell_nothing() -> None:
    hair = box(30, 80, 50, 110)
    hair[80:, 70:78] = 1
    assert side_of_hair(hair, SIZE) < SIZE
    hair[80:, 60:100] = 1
    assert side_of_hair(hair, SIZE) == SIZE + 1


def test_a_neighbours_hair_is_not_this_heads() -> None:
    hair = np.maximum(box(50, 80, 60, 100), box(20, 150, 140, SIDE))
    assert side_of_hair(hair, SIZE) == pytest.approx(100, abs=8)


def test_what_is_beyond_the_frame_is_no_hair() -> None:
    beyond = np.zeros((SIZE, SIZE), np.float32)
    beyond[260:] = 1
    assert side_of_hair(box(40, SIDE, 40, 90), SIZE, beyond) == pytest.approx(186, abs=10)
    assert side_of_hair(box(40, SIDE, 40, 90), SIZE, np.zeros_like(beyond)) == SIZE + 1
