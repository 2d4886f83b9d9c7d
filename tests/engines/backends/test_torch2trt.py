"""torch2trt as a builder, through a stand-in that has its signature."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch, which torch2trt converts from")

from engines.backends import tensorrt, torch2trt
from engines.backends.onnxruntime import OnnxRuntime
from engines.base import (
    BackendUnavailable,
    EngineError,
    Precision,
)
from engines.cache import Cache
from engines.onnx_file import open_network
from tests.engines import standins
from tests.engines.conftest import MakeNetwork


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> Any:
    converter: Any = standins.Torch2Trt()
    converter.library = library = standins.TensorRt()
    monkeypatch.setitem(sys.modules, "torch2trt", converter)
    monkeypatch.setattr(tensorrt, "load_library", lambda name: library)
    monkeypatch.setattr(tensorrt, "_device", standins.HostDevice)
    monkeypatch.setattr(torch2trt, "target", lambda: "cpu")
    return converter


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_it_builds_behind_the_same_call(
    network: MakeNetwork, converter: Any, tmp_path: Path, precision: Precision
) -> None:
    path, cache = network(), Cache(tmp_path / "cache")
    backend = torch2trt.Torch2Trt()
    for _ in range(2):  # built, then from the cache
        engine = backend.load(open_network(path), precision, threads=None, cache=cache)
    assert converter.calls == [{"fp16_mode": precision == "f16", "max_workspace_size": torch2trt.WORKSPACE}]
    assert (engine.backend, engine.precision) == ("torch2trt", precision)
    image = np.random.default_rng(0).standard_normal((5, 3, 16, 16)).astype(np.float32)
    want = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=cache).run({"image": image})["out"]
    np.testing.assert_allclose(engine.run({"image": image})["out"], want, atol=1e-5)


def test_its_engines_are_not_taken_for_the_parsers(network: MakeNetwork, converter: Any, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    file = open_network(network())
    torch2trt.Torch2Trt().load(file, "f32", threads=None, cache=cache)
    tensorrt.TensorRt("tensorrt").load(file, "f32", threads=None, cache=cache)
    names = sorted(path.name.split(".")[1] for path in cache.folder.iterdir() if path.name.startswith("small"))
    assert names == ["tensorrt", "torch2trt"]


def test_its_absence_is_said(monkeypatch: pytest.MonkeyPatch, converter: Any) -> None:
    assert "torch2trt 0.5.0 with tensorrt 10.16.0 on a stand-in" in torch2trt.Torch2Trt().probe()
    monkeypatch.setitem(sys.modules, "torch2trt", None)
    with pytest.raises(BackendUnavailable, match="torch2trt does not load"):
        torch2trt.Torch2Trt().probe()


def test_a_tensorrt_that_it_cannot_work_with_is_said(converter: Any) -> None:
    converter.library.__version__ = "11.4.1"
    with pytest.raises(BackendUnavailable, match=r"tensorrt 11\.4\.1 has no more"):
        torch2trt.Torch2Trt().probe()


def test_what_it_cannot_convert_is_said(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, converter: Any, tmp_path: Path
) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise AttributeError("'Tensor' object has no attribute '_trt'")

    monkeypatch.setattr(converter, "torch2trt", stumble)
    with pytest.raises(EngineError, match=r"small\.onnx: torch2trt cannot convert it: AttributeError.*_trt"):
        torch2trt.Torch2Trt().load(open_network(network()), "f16", threads=None, cache=Cache(tmp_path / "cache"))
