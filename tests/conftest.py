"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Training faces, clips, teachers and golden outputs; tests that use them skip where they are missing."""
    folder = Path(os.environ.get("LATENTCAM_SHARED", ROOT.parent / "shared"))
    if not (folder / "README.md").is_file():
        pytest.skip("needs the shared material (LATENTCAM_SHARED or ../shared)")
    return folder
