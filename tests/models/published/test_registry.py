"""Published systems are found by their folders: one that is removed is gone, and nothing else breaks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models import published

ROOT = Path(__file__).resolve().parents[3]
REPORT = """
import sys
from models import catalog, convert, full_size, parity, published
assert "{system}" not in published.systems()
assert not [name for name in sys.modules if name.startswith("models.published.{system}")]
print(len(catalog.ENTRIES), len(convert.CONVERTERS), len(full_size.NETWORKS), len(parity.CHECKS))
"""


@pytest.mark.parametrize("system", ["lats", "fran"])
def test_a_removed_folder_takes_its_system_along_and_nothing_else(tmp_path: Path, system: str) -> None:
    for folder in ("engines", "models"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "training"))
    whole = _counts(tmp_path, "nothing")
    shutil.rmtree(tmp_path / "models" / "published" / system)
    assert _counts(tmp_path, system) == [count - 1 for count in whole]


def _counts(tree: Path, system: str) -> list[int]:
    code = REPORT.format(system=system)
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return [int(count) for count in run.stdout.split()]


def test_every_system_has_rows() -> None:
    assert len(published.parts("rows")) == len(published.systems())
