"""Every supported system gives the numbers of its reference implementation, under weights filled by formula."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from models.golden import Golden
from models.parity import check
from models.parity_checks import CHECKS


@pytest.mark.parametrize("system", sorted(CHECKS))
def test_parity(shared: Path, system: str) -> None:
    if find_spec(f"models.parity_checks.{CHECKS[system].split(':')[0]}") is None:
        pytest.skip(f"{system} has no check yet")
    comparisons = list(check(Golden.load(shared / "parity" / f"{system}.npz")))
    assert comparisons
    assert [comparison for comparison in comparisons if not comparison.passed] == []
