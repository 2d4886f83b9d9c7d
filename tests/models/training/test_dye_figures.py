"""The figures of dye on composites: an exact dye has none of the faults, and each fault moves its own figure."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from models.training.hair.evaluate import dye_figures

SIDE = 96
ALPHA = np.asarray(np.clip((np.arange(SIDE)[None] - 30) / np.float32(30), 0, 1) + np.zeros((SIDE, 1)), np.float32)
EVERYWHERE = np.ones((SIDE, SIDE), bool)


def test_an_exact_dye_has_no_fault() -> None:
    assert dye_figures(100 * ALPHA, ALPHA, EVERYWHERE) == pytest.approx((0, 1, 0), abs=0.01)


def test_each_fault_moves_its_figure() -> None:
    spilled = np.where(ALPHA < 0.02, np.float32(20), 100 * ALPHA)
    missed = np.array(100 * ALPHA)
    missed[:24][ALPHA[:24] > 0.95] = 0
    hard = np.where(ALPHA > 0.5, np.float32(100), np.float32(0))
    beside, reached, soft = (dye_figures(each, ALPHA, EVERYWHERE) for each in (spilled, missed, hard))
    assert beside == pytest.approx((0.2, 1, 0), abs=0.02)
    assert reached == pytest.approx((0, 0.75, 0), abs=0.02)
    assert soft is not None
    assert soft[2] == pytest.approx(0.3, abs=0.02)


def test_too_small_an_area_has_no_figures() -> None:
    assert dye_figures(100 * ALPHA, ALPHA, EVERYWHERE & (ALPHA > 0.5)) is None
