"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


# Tests see no weights, key or state of their user. The folder is read when the catalog is imported, by some conftest.py
# below this one already: so it is set here, and not in pytest_configure.
_folder = os.environ["LATENTCAM_WEIGHTS"] = tempfile.mkdtemp(prefix="latentcam-weights-")
os.environ["LATENTCAM_KEY"] = str(Path(_folder) / "mark-key.pem")
os.environ["LATENTCAM_STATE"] = str(Path(_folder) / "state")


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["LATENTCAM_WEIGHTS"], ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Training faces, clips, teachers and golden outputs; tests that use them skip where they are missing."""
    folder = Path(os.environ.get("LATENTCAM_SHARED", ROOT.parent / "shared"))
    if not (folder / "README.md").is_file():
        pytest.skip("needs the shared material (LATENTCAM_SHARED or ../shared)")
    return folder
