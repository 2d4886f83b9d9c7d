"""`pytest -p tests.lanes --dist loadscope`: which tests share a process where several run."""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

LIVE = ("e2e", "signaling", "soak", "web")
"""Folders whose tests move media in real time or drive a browser: one after the other, in one of the processes."""

TOGETHER = ("tests/models/test_published_",)
"""What the files of these beginnings share takes long to make: one process has them one after the other."""

NICENESS = 5
"""Of a process with other tests: live ones that wait for the processor keep cameras and browsers running meanwhile."""


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """Deals tests to processes: all that are live to one, the others by their files."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        if is_live(nodeid):
            return "live"
        return next((beginning for beginning in TOGETHER if file.startswith(beginning)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """The scheduler that pytest-xdist asks for."""
    return Lanes(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let live tests in the other process go first."""
    if "PYTEST_XDIST_WORKER" in os.environ and hasattr(os, "nice") and not is_live(item.nodeid):
        os.nice(max(0, NICENESS - os.nice(0)))


def is_live(nodeid: str) -> bool:
    """Whether a test moves media in real time or drives a browser."""
    return nodeid.split("/")[1] in LIVE
