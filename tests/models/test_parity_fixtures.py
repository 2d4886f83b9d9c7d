"""The golden files that the repository carries: references that the larger set has none of."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.parity import check
from models.weights.golden import Golden

FILES = sorted((Path(__file__).parents[1] / "fixtures" / "parity").glob("*.npz"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_parity(file: Path) -> None:
    comparisons = list(check(Golden.load(file)))
    assert comparisons
    assert [comparison for comparison in comparisons if not comparison.passed] == []
