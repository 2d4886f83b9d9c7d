"""How many processor cores this process may use: affinity, and the quota of its control group."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@cache
def usable_cores() -> int:
    """Cores that pools are made for, at least 1; read once.

    The smaller of the cores that the scheduler may use (`taskset`, cpusets) and the processor quota of the control
    group (`docker run --cpus`, Kubernetes limits, systemd's CPUQuota), rounded up.
    """
    quota = cpu_quota()
    cores = allowed_cores()
    return cores if quota is None else max(1, min(cores, math.ceil(quota - 1e-6)))


def allowed_cores() -> int:
    """Cores that the scheduler may use for this process."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cpu_quota(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float | None:
    """The smallest processor quota of the process's control group and the groups around it, in cores; None for none.

    Args:
        root: where control groups are mounted, version 2 (`cpu.max`) or 1 (`cpu.cfs_quota_us`).
        membership: of the process, as /proc/self/cgroup. In a container it names the group as its root or as the host
            sees it; files of groups that are not there are passed over.
    """
    try:
        lines = membership.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        names = controllers.split(",")
        if not controllers:
            quotas += [_quota_v2(group) for group in _upwards(root, path)]
        elif "cpu" in names:
            mounts = {root / controllers, root / "cpu"}
            quotas += [_quota_v1(group) for mount in mounts for group in _upwards(mount, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(mount: Path, path: str) -> list[Path]:
    """A group's folder and those around it, up to the mount."""
    group = mount / path.strip("/")
    return [group, *(parent for parent in group.parents if parent == mount or mount in parent.parents)]


def _quota_v2(group: Path) -> float | None:
    """`cpu.max`: "max 100000", or microseconds of a period of microseconds."""
    words = _read(group / "cpu.max").split()
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _quota_v1(group: Path) -> float | None:
    return _ratio(_read(group / "cpu.cfs_quota_us").strip(), _read(group / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    if not (quota.isdecimal() and period.isdecimal()) or int(period) == 0 or int(quota) == 0:
        return None  # "max", "-1", or no such file
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
