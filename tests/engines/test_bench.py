from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import bench, select
from engines.graph import count_flop
from engines.network import open_network
from engines.onnxruntime import OnnxRuntime

from .conftest import IR, OPSET


def test_convolutions_are_counted(network):
    # 16x16 positions, 3x3 taps, 3 -> 4 and 4 -> 4 channels, two operations each
    want = 2 * 16 * 16 * 9 * (3 * 4 + 4 * 4)
    assert count_flop(open_network(network())) == want
    assert count_flop(open_network(network()), batch=3) == 3 * want


def node(operator: str, **attributes) -> onnx.NodeProto:
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
def test_matrix_work_is_counted(tmp_path, node, shapes, want):
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


def test_the_table_and_the_file_agree(network, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(select, "BACKENDS", (OnnxRuntime(),))
    report = tmp_path / "bench.json"
    arguments = ["--seconds", "0.01", "--threads", "1", "--cache", str(tmp_path / "cache"), "--json", str(report)]
    assert bench.main([str(network("a")), str(network("b")), *arguments]) == 0
    figures = json.loads(report.read_text())
    assert [row["network"] for row in figures["rows"]] == ["a.onnx", "b.onnx"]
    row = figures["rows"][0]
    assert row["p50"] <= row["p95"] <= row["p99"]
    assert row["rate"] == pytest.approx(row["gflop"] / row["p50"] * 1e3)
    assert row["share"] == pytest.approx(row["rate"] / figures["peaks"]["f32"])
    assert row["relative_l2"] == 0
    printed = capsys.readouterr().out
    assert f"| a.onnx | onnxruntime | f32 | 1 | {row['p50']:.2f} |" in printed
    assert figures["machine"]["onnxruntime"] in printed


def test_larger_batches_do_more_work(network, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(select, "BACKENDS", (OnnxRuntime(),))
    report = tmp_path / "bench.json"
    arguments = ["--batch", "4", "--seconds", "0.01", "--cache", str(tmp_path / "cache"), "--json", str(report)]
    assert bench.main([str(network("free")), str(network("fixed", batch=1)), *arguments]) == 0
    free, fixed = json.loads(report.read_text())["rows"]
    assert (free["batch"], fixed["batch"]) == (4, 1)
    assert free["gflop"] == pytest.approx(4 * fixed["gflop"])


def test_eager_mode_is_compared_on_request(network, tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch", reason="needs torch, which is what is compared with")
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    monkeypatch.setattr(select, "BACKENDS", (OnnxRuntime(),))
    assert bench.main([str(network("a")), "--eager", "--seconds", "0.01", "--cache", str(tmp_path / "cache")]) == 0
    assert "| a.onnx | torch_eager_cpu | f32 |" in capsys.readouterr().out


def test_a_broken_file_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "PEAK_SIDE", 32)
    (tmp_path / "broken.onnx").write_bytes(b"junk")
    arguments = ["--seconds", "0.01", "--cache", str(tmp_path / "cache")]
    assert bench.main([str(tmp_path / "broken.onnx"), *arguments]) == 1
    assert "broken.onnx" in capsys.readouterr().err
