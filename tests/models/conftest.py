"""Tests of networks run on one thread: the results do not depend on the machine, and a loaded machine is not slower."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.entry import weights_folder
from tests.models import tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps the weights of the small systems between two modules: converting all of them takes half a minute."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="module")
def small_systems(converted: Path) -> Iterator[None]:
    """Loaders that expect the networks of `tests.models.tiny`, and those that `tiny.ready` has converted before."""
    shutil.copytree(converted, weights_folder(), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        tiny.shrink(patch)
        yield
    shutil.copytree(weights_folder(), converted, dirs_exist_ok=True)
    shutil.rmtree(weights_folder(), ignore_errors=True)
