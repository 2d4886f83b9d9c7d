"""Pictures that a flow presses together."""

from __future__ import annotations

import numpy as np
import pytest

from models.arrays import Floats, Image
from models.face.squeezing import MOST, footprint, shown_by

SIDE = 96


def squeezed(times: float) -> Floats:
    """A flow along x after which a pixel covers so many, right of the middle."""
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    flow[:, SIDE // 2 :, 0] = (times - 1) * np.arange(SIDE // 2, dtype=np.float32)
    return flow


def combs(period: int = 4) -> Image:
    columns = np.arange(SIDE) % period < period // 2
    return np.broadcast_to(np.where(columns, 20, 220)[None, :, None], (SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("times", [1.7, 2.5, 3.3])
def test_a_pixel_covers_as_many_as_the_flow_presses_together(times: float) -> None:
    covers = footprint(squeezed(times))
    assert covers is not None
    inside = covers[10:-10, SIDE // 2 + 5 : -5]
    np.testing.assert_allclose(inside[..., 0], times, rtol=0.02)
    assert np.abs(inside[..., 1]).max() < 0.01
    assert not covers[:, : SIDE // 2 - 4].any()


def test_it_covers_no_more_than_is_averaged() -> None:
    covers = footprint(squeezed(9))
    assert covers is not None
    assert np.hypot(*covers.T).max() <= MOST + 1e-3


@pytest.mark.parametrize("flow", [np.zeros((SIDE, SIDE, 2)), np.full((SIDE, SIDE, 2), 7.3), squeezed(1.1)])
def test_what_only_moves_is_shown_pixel_by_pixel(flow: Floats) -> None:
    assert footprint(np.asarray(flow, np.float32)) is None


def test_strands_that_are_pressed_make_no_combs() -> None:
    """Single pixels of strands four wide, pressed to 3.3 each, made stripes of full contrast as wide as others."""
    shown = shown_by(combs(), squeezed(3.3))[40, SIDE // 2 + 6 : SIDE // 2 + 14, 0].astype(int)
    assert np.ptp(shown) < 80
    assert abs(shown.mean() - 120) < 15
    np.testing.assert_array_equal(shown_by(combs(), squeezed(3.3))[:, : SIDE // 2 - 3], combs()[:, : SIDE // 2 - 3])
    picture = combs()
    assert shown_by(picture, np.zeros((SIDE, SIDE, 2), np.float32)) is picture


def test_the_most_pressure_counts_wherever_the_flow_leads() -> None:
    """A shape that moves sideways by far more than hair is pressed downwards."""
    flow = np.ascontiguousarray(squeezed(3.0).transpose(1, 0, 2)[..., ::-1])
    flow[..., 0] += 60
    covers = footprint(flow)
    assert covers is not None
    inside = np.abs(covers[SIDE // 2 + 6 : -6, 10:-10])
    np.testing.assert_allclose(inside[..., 1], 3, rtol=0.02)
    assert inside[..., 0].max() < 0.05


def test_between_two_sides_that_are_pressed_all_is_as_sharp_as_it_was() -> None:
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    flow[..., 0] = 0.5
    alone = shown_by(combs(), flow)
    flow[:, :20, 0] += 2.3 * np.arange(20, dtype=np.float32)[::-1]
    flow[:, -20:, 0] += 2.3 * np.arange(20, dtype=np.float32)
    both = shown_by(combs(), flow)
    np.testing.assert_array_equal(both[:, 26:-26], alone[:, 26:-26])
    assert (both[:, 4:12] != alone[:, 4:12]).any()
