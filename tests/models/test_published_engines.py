"""The networks of every published system, in small, on the engines for GPUs: built for ones that are not here, and
found to be free of what a CUDA graph cannot capture. `test_published_live` compares what they compute.
"""

from __future__ import annotations

from collections.abc import Hashable

import onnx
import pytest

from engines.backends.tensorrt_build import build
from engines.graph import half
from engines.onnx_file import Network, open_network
from models import catalog
from tests.engines.captured import assert_nothing_leaves_the_device
from tests.models import tiny

PUBLISHED = [name for name, row in catalog.ENTRIES.items() if row.convert is not None]


@pytest.fixture(scope="module")
def seen() -> set[Hashable]:
    """The structures of networks that were there before: rows share many, and differ in weights and sizes alone."""
    return set()


@pytest.fixture(scope="module", params=PUBLISHED)
def models(small_systems: None, request: pytest.FixtureRequest, seen: set[Hashable]) -> dict[Network, onnx.ModelProto]:
    """The networks of a row of the catalog of a structure that no row before it has."""
    models = {}
    for path in tiny.ready(request.param).networks:
        if path.suffix == ".onnx":
            model = onnx.load(path)
            structure = tuple(node.op_type for node in model.graph.node)
            if structure not in seen:
                models[open_network(path)] = model
            seen.add(structure)
    return models


def test_they_can_be_captured(models: dict[Network, onnx.ModelProto]) -> None:
    for model in models.values():
        for batch in (1, 2):
            assert_nothing_leaves_the_device(half.to_half(model), batch)


def test_they_are_built_in_half_for_gpus_that_are_not_here(models: dict[Network, onnx.ModelProto]) -> None:
    rtx = pytest.importorskip("tensorrt_rtx", reason="needs the optional package tensorrt-rtx-cu13")
    for network in models:
        assert build(rtx, network, "f16", capabilities=["8.6", "12.0"]).plan
