"""BabyGAN's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from models.latents import Direction
from models.published.babygan.formulas import Resemblance, age_strength, child, grow

FATHER, MOTHER = (np.random.default_rng(i).normal(size=(18, 8)).astype(np.float32) for i in (0, 1))


def test_genes_run_from_father_to_mother() -> None:
    assert_array_equal(child(FATHER, MOTHER, 0), FATHER)
    assert_array_equal(child(FATHER, MOTHER, 1), MOTHER)
    assert_allclose(child(FATHER, MOTHER, 0.25), 0.75 * FATHER + 0.25 * MOTHER, rtol=1e-6)


@pytest.mark.parametrize(
    ("resemblance", "parent", "other", "power"), [("father", FATHER, MOTHER, 0.3), ("mother", MOTHER, FATHER, 0.7)]
)
def test_fine_rows_come_from_the_photo(
    resemblance: Resemblance, parent: np.ndarray, other: np.ndarray, power: float
) -> None:
    got = child(FATHER, MOTHER, 0.3, resemblance)
    for row in (0, 8, 17):
        share = ((row + 1) / 18) ** power
        assert_allclose(got[row], share * parent[row] + (1 - share) * other[row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("years", "strength"), [(10, 4), (30, 0), (50, -4)])
def test_age(years: float, strength: float) -> None:
    assert age_strength(years) == strength
    way = Direction("age", np.ones(8, np.float32), "toy", "W+")
    grown = grow(FATHER, way, years)
    assert_allclose(grown[:8], FATHER[:8] + strength, rtol=1e-6)
    assert_array_equal(grown[8:], FATHER[8:])
