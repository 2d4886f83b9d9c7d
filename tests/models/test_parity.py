"""Every supported system gives the numbers of its reference implementation, under weights filled by formula."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.golden import Golden
from models.parity import check
from models.parity_checks import CHECKS


@pytest.mark.parametrize("system", sorted(CHECKS))
def test_parity(shared: Path, system: str) -> None:
    comparisons = list(check(Golden.load(shared / "parity" / f"{system}.npz")))
    assert comparisons
    assert [comparison for comparison in comparisons if not comparison.passed] == []
