from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import backends, bench
from engines.backends.onnxruntime import OnnxRuntime
from engines.base import Array, Engine, EngineError, OutOfMemory, Precision
from engines.cache import Cache
from engines.graph.flops import count_flop
from engines.onnx_file import Network, open_network
from tests.engines.conftest import IR, OPSET, MakeNetwork


def test_convolutions_are_counted(network: MakeNetwork) -> None:
    # 16x16 positions, 3x3 taps, 3 -> 4 and 4 -> 4 channels, two operations each
    want = 2 * 16 * 16 * 9 * (3 * 4 + 4 * 4)
    assert count_flop(open_network(network())) == want
    assert count_flop(open_network(network()), batch=3) == 3 * want


def node(operator: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["x", "w"], ["y"], **attributes)


@pytest.mark.parametrize(
    ("node", "shapes", "want"),
    [
        (node("MatMul"), ((5, 7), (7, 3), (5, 3)), 2 * 5 * 7 * 3),
        (node("MatMul"), ((4, 5, 7), (7, 3), (4, 5, 3)), 2 * 4 * 5 * 7 * 3),
        (node("Gemm"), ((5, 7), (7, 3), (5, 3)), 2 * 5 * 7 * 3),
        (node("Gemm", transA=1, transB=1), ((7, 5), (3, 7), (5, 3)), 2 * 5 * 7 * 3),
        (node("Conv", group=4), ((1, 4, 8, 8), (4, 1, 3, 3), (1, 4, 6, 6)), 2 * 4 * 36 * 9),
        (node("ConvTranspose", strides=[2, 2]), ((1, 4, 8, 8), (4, 6, 2, 2), (1, 6, 16, 16)), 2 * 64 * 4 * 6 * 4),
    ],
    ids=["matmul", "batched matmul", "gemm", "gemm transposed", "depthwise", "transposed"],
)
def test_matrix_work_is_counted(tmp_path: Path, node: Any, shapes: Any, want: Any) -> None:
    source, weight, result = shapes
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, source)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.zeros(weight, np.float32), "w")],
    )
    path = tmp_path / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR), path)
    assert count_flop(open_network(path)) == want


def test_the_table_and_the_file_agree(
    network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(backends, "known_backends", lambda: (OnnxRuntime(),))
    report = tmp_path / "bench.json"
    arguments = ["--seconds", "0.01", "--threads", "1", "--cache", str(tmp_path / "cache"), "--json", str(report)]
    assert bench.main([str(network("a")), str(network("b")), *arguments]) == 0
    figures = json.loads(report.read_text())
    assert [row["network"] for row in figures["rows"]] == ["a.onnx", "b.onnx"]
    row = figures["rows"][0]
    assert row["p50"] <= row["p95"] <= row["p99"]
    assert row["processor"] > 0
    assert row["rate"] == pytest.approx(row["gflop"] / row["p50"] * 1e3)
    assert row["share"] == pytest.approx(row["rate"] / figures["peaks"]["f32"])
    assert row["relative_l2"] == 0
    printed = capsys.readouterr().out
    assert f"| a.onnx | onnxruntime | f32 | 1 | {row['p50']:.2f} |" in printed
    assert figures["machine"]["onnxruntime"] in printed


def test_time_that_others_take_is_no_processor_time() -> None:
    def waiting() -> None:
        time.sleep(0.05)

    wall, processor = bench._seconds(waiting)
    assert wall >= 0.05
    assert processor < 0.04


def test_larger_batches_do_more_work(network: MakeNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(backends, "known_backends", lambda: (OnnxRuntime(),))
    report = tmp_path / "bench.json"
    arguments = ["--batch", "4", "--seconds", "0.01", "--cache", str(tmp_path / "cache"), "--json", str(report)]
    assert bench.main([str(network("free")), str(network("fixed", batch=1)), *arguments]) == 0
    free, fixed = json.loads(report.read_text())["rows"]
    assert (free["batch"], fixed["batch"]) == (4, 1)
    assert free["gflop"] == pytest.approx(4 * fixed["gflop"])


def test_eager_mode_is_compared_on_request(
    network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs torch, which is what is compared with")
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(backends, "known_backends", lambda: (OnnxRuntime(),))
    networks = [str(network("a")), str(network("any", size="side"))]
    assert bench.main([*networks, "--eager", "--seconds", "0.01", "--cache", str(tmp_path / "cache")]) == 0
    printed = capsys.readouterr().out
    assert "| a.onnx | torch_eager_cpu | f32 |" in printed
    assert "| any.onnx | torch_eager_cpu | f32 |" in printed


@pytest.fixture
def published(network: MakeNetwork, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for what the models provide: gives the names and flags that it was called with."""
    calls = []

    def write(folder: Any, names: Any, *, light: Any) -> Any:
        calls.append((*names, light))
        return [network(name) for name in names or ("encoder", "generator")]

    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(bench, "write_published_networks", write)
    monkeypatch.setattr(backends, "known_backends", lambda: (OnnxRuntime(),))
    return calls


def test_all_is_what_ships_and_what_is_published(
    published: Any, network: MakeNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "shipped_networks", lambda: [network("own")])
    report = tmp_path / "bench.json"
    assert bench.main(["--all", "--light", "--seconds", "0.01", "--json", str(report)]) == 0
    assert [row["network"] for row in json.loads(report.read_text())["rows"]] == [
        "own.onnx",
        "encoder.onnx",
        "generator.onnx",
    ]
    assert published == [(True,)]


def test_published_networks_that_cannot_be_written_are_left_out_unless_named(
    network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(folder: Any, names: Any, *, light: Any) -> None:
        raise EngineError("torch is not installed")

    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(bench, "write_published_networks", missing)
    monkeypatch.setattr(bench, "shipped_networks", lambda: [network("own")])
    monkeypatch.setattr(backends, "known_backends", lambda: (OnnxRuntime(),))
    assert bench.main(["--all", "--seconds", "0.01", "--cache", str(tmp_path / "cache")]) == 0
    assert "left out: torch is not installed" in capsys.readouterr().err
    assert bench.main(["--published", "e4e", "--seconds", "0.01", "--cache", str(tmp_path / "cache")]) == 1
    assert capsys.readouterr().err == "torch is not installed\n"


def test_published_networks_are_added_up_and_compared_with_eager_mode_on_a_gpu(
    published: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_cuda = pytest.importorskip("engines.backends.torch_cuda")
    monkeypatch.setattr(backends, "known_backends", lambda: (torch_cuda.TorchCuda(),))
    monkeypatch.setattr(torch_cuda, "_device", pytest.importorskip("tests.engines.standins").HostDevice)
    names = ["encoder", "generator"]
    report = tmp_path / "bench.json"
    arguments = ["--backend", "torch_cuda", "--eager", "--on-gpu", "--seconds", "0.01", "--json", str(report)]
    assert bench.main(["--published", *names, *arguments]) == 0
    assert published == [("encoder", "generator", False)]
    rows = json.loads(report.read_text())["rows"]
    half = [row["p50"] for row in rows if (row["backend"], row["precision"]) == ("torch_cuda", "f16")]
    eager = [row["p50"] for row in rows if row["backend"] == "torch_eager_cpu"]
    printed = capsys.readouterr().out
    assert "together, encoder + generator:" in printed
    assert f"torch_eager_cpu f32: {sum(eager):.2f} ms\n" in printed
    faster = sum(eager) / sum(half)
    assert f"torch_cuda f16: {sum(half):.2f} ms, {faster:.1f} x torch_eager_cpu" in printed


def test_an_engine_that_fails_does_not_end_the_others(
    network: MakeNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(OnnxRuntime):
        name = "full"

        def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
            engine = super().load(network, precision, threads=threads, cache=cache)
            engine.backend = self.name

            def fail(inputs: Mapping[str, Array]) -> dict[str, Array]:
                raise OutOfMemory("no memory for 4 rows")

            if network.name == "a":
                engine._run = fail  # type: ignore[method-assign]
            return engine

    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(backends, "known_backends", lambda: (Full(), OnnxRuntime()))
    assert bench.main([str(network("a")), "--seconds", "0.01", "--cache", str(tmp_path / "cache")]) == 0
    printed = capsys.readouterr()
    assert "a: not measured with full in f32: no memory for 4 rows" in printed.err
    assert "| a.onnx | onnxruntime | f32 |" in printed.out
    assert "| a.onnx | full |" not in printed.out


def test_a_broken_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    (tmp_path / "broken.onnx").write_bytes(b"junk")
    arguments = ["--seconds", "0.01", "--cache", str(tmp_path / "cache")]
    assert bench.main([str(tmp_path / "broken.onnx"), *arguments]) == 1
    assert "broken.onnx" in capsys.readouterr().err
