from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from engines import backends, build
from engines.backends.onnxruntime import OnnxRuntime
from engines.backends.tensorrt_build import Built
from tests.engines.conftest import MakeNetwork


@pytest.fixture(autouse=True)
def _only_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "known_backends", lambda: (OnnxRuntime(),))


def test_each_network_is_told(network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main([str(network("a")), str(network("b")), "--cache", str(tmp_path / "cache")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ready")[0] for line in lines] == ["a.onnx: onnxruntime in f32", "b.onnx: onnxruntime in f32"]


def test_one_that_fails_does_not_end_the_others(
    network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = network("good"), network("bad")
    bad.write_bytes(bad.read_bytes()[:50])
    assert build.main([str(bad), str(good), "--cache", str(tmp_path / "cache")]) == 1
    captured = capsys.readouterr()
    assert "bad.onnx: the file is cut" in captured.err
    assert "good.onnx: onnxruntime" in captured.out


def test_backends_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--list"]) == 0
    assert capsys.readouterr().out.startswith("onnxruntime: ONNX Runtime ")


def test_nothing_to_do_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "shipped_networks", list)
    assert build.main(["--all"]) == 2
    assert "no network given" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_engine(
    network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for TensorRT for RTX: what is tested is the writing."""
    monkeypatch.setattr(build, "load_library", lambda name: SimpleNamespace(__version__="1.0"))
    monkeypatch.setattr(build, "build", lambda *_, **__: Built(b"new plan", b""))
    old = tmp_path / "small.sm86.f16.plan"
    old.write_bytes(b"old plan")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        assert build.main([str(network()), "--for", "8.6", "--out", str(tmp_path)]) == 1
    assert "small.sm86.f16.plan: not written: No space left on device" in capsys.readouterr().err
    assert old.read_bytes() == b"old plan"
    assert not list(tmp_path.glob(".*"))
    assert build.main([str(network()), "--for", "8.6", "--out", str(tmp_path)]) == 0
    assert old.read_bytes() == b"new plan"


def test_engines_are_built_for_gpus_that_are_not_here(
    network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs the optional package tensorrt-rtx-cu13")
    out = tmp_path / "plans"
    assert build.main([str(network()), "--for", "8.6", "12.0", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["small.sm120.f16.plan", "small.sm86.f16.plan"]
    assert "small.sm86.f16.plan: " in capsys.readouterr().out
    assert build.main([str(network()), "--for", "9.0", "--out", str(out)]) == 1
    assert "does not build for compute capability 9.0" in capsys.readouterr().err
