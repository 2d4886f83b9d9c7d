"""How many cores pools are made for: affinity and quotas of control groups, which tests make as files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines import cores


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/pod/box", {"pod/cpu.max": "100000 100000", "pod/box/cpu.max": "max 100000"}, 1.0),
        ("0::/pod/box", {"pod/cpu.max": "300000 100000", "pod/box/cpu.max": "200000 100000"}, 2.0),
        ("0::/../elsewhere", {"cpu.max": "50000 100000"}, 0.5),
        ("3:cpu,acct:/a\n0::/", {"cpu,acct/a/cpu.cfs_quota_us": "50", "cpu,acct/a/cpu.cfs_period_us": "100"}, 0.5),
        ("3:cpu:/a", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
        ("3:cpu:/gone", {"cpu/cpu.cfs_quota_us": "400", "cpu/cpu.cfs_period_us": "100"}, 4.0),
        ("0::/", {"cpu.max": "nonsense"}, None),
        ("0::/", {"cpu.max": "1 0"}, None),
        ("garbage", {}, None),
    ],
)  # fmt: skip
def test_the_smallest_quota_counts(tmp_path: Path, membership: str, files: dict[str, str], quota: float | None) -> None:
    write(tmp_path / "membership", membership)
    for name, text in files.items():
        write(tmp_path / "groups" / name, text)
    assert cores.cpu_quota(tmp_path / "groups", tmp_path / "membership") == quota


def test_where_there_are_no_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cores.cpu_quota(tmp_path, tmp_path / "none") is None


@pytest.mark.parametrize(
    ("quota", "allowed", "usable"), [(None, 4, 4), (0.5, 4, 1), (1.0, 4, 1), (1.5, 4, 2), (8.0, 4, 4)]
)
def test_a_part_of_a_core_counts_as_one(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, allowed: int, usable: int
) -> None:
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    monkeypatch.setattr(cores, "allowed_cores", lambda: allowed)
    assert cores.usable_cores.__wrapped__() == usable


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processor affinity")
def test_affinity_counts() -> None:
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{one}]); from engines import cores; print(cores.usable_cores())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
