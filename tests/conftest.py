"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Tests see no weights and no key of their user: the folder is read when the catalog is imported, after this."""
    folder = os.environ["LATENTCAM_WEIGHTS"] = tempfile.mkdtemp(prefix="latentcam-weights-")
    os.environ["LATENTCAM_KEY"] = str(Path(folder) / "mark-key.pem")


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["LATENTCAM_WEIGHTS"], ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Training faces, clips, teachers and golden outputs; tests that use them skip where they are missing."""
    folder = Path(os.environ.get("LATENTCAM_SHARED", ROOT.parent / "shared"))
    if not (folder / "README.md").is_file():
        pytest.skip("needs the shared material (LATENTCAM_SHARED or ../shared)")
    return folder
