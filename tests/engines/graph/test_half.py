from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import accuracy
from engines.backends.onnxruntime import OnnxRuntime
from engines.base import Array
from engines.cache import Cache
from engines.graph import half as halves
from engines.graph.half import measure_overflow, overflowing_nodes, to_half
from engines.onnx_file import open_network
from tests.engines.conftest import IR, OPSET, MakeNetwork, convolutions


def build(nodes: Any, inputs: Any, outputs: Any, weights: Any = (), size: Any = (1, 8)) -> onnx.ModelProto:
    """A model from nodes; `inputs` and `outputs` are names or (name, type, shape)."""

    def value(entry: Any) -> Any:
        name, kind, shape = entry if isinstance(entry, tuple) else (entry, TensorProto.FLOAT, size)
        return helper.make_tensor_value_info(name, kind, shape)

    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(weights).items()]
    graph = helper.make_graph(nodes, "test", [value(v) for v in inputs], [value(v) for v in outputs], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return model


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every node's first output."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output, *inferred.input)}
    return {node.name: types[node.output[0]] for node in model.graph.node}


def run(model: onnx.ModelProto, tmp_path: Path, inputs: Mapping[str, Array]) -> Any:
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    engine = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache(tmp_path / "cache"))
    return engine.run(inputs)


HALF, FULL = TensorProto.FLOAT16, TensorProto.FLOAT


def test_a_network_becomes_half_inside_and_keeps_its_io(tmp_path: Path) -> None:
    model = convolutions(layers=3, channels=8)
    half = to_half(model)
    assert (half.graph.input, half.graph.output) == (model.graph.input, model.graph.output)
    types = kinds(half)
    assert {types[f"conv{index}"] for index in range(3)} == {HALF}
    assert [node.op_type for node in half.graph.node].count("Cast") == 2  # one in, one out
    assert all(tensor.data_type == HALF for tensor in half.graph.initializer)

    inputs = {"image": np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)}
    want, have = run(model, tmp_path, inputs)["out"], run(half, tmp_path, inputs)["out"]
    error = np.linalg.norm(have - want) / np.linalg.norm(want)
    assert 0 < error < accuracy.TOLERANCES["f16"].relative_l2


def test_named_nodes_stay_full(tmp_path: Path) -> None:
    half = to_half(convolutions(layers=3), keep={"conv1", "relu0"})
    types = kinds(half)
    assert [types[name] for name in ("conv0", "relu0", "conv1", "relu1", "conv2")] == [HALF, FULL, FULL, HALF, HALF]


def demodulation() -> onnx.ModelProto:
    """StyleGAN2's demodulation, 1 / sqrt(sum((weight * style)^2) + 1e-8), then used on activations."""
    generator = np.random.default_rng(1)
    nodes = [
        helper.make_node("Mul", ["style", "weight"], ["scaled"], "scale"),
        helper.make_node("Mul", ["scaled", "scaled"], ["squares"], "square"),
        helper.make_node("ReduceSum", ["squares", "axes"], ["sum"], "sum", keepdims=1),
        helper.make_node("Add", ["sum", "epsilon"], ["safe"], "epsilon"),
        helper.make_node("Sqrt", ["safe"], ["norm"], "norm"),
        helper.make_node("Div", ["scaled", "norm"], ["out"], "divide"),
    ]
    weights = {
        "weight": generator.standard_normal((4, 8)).astype(np.float32),
        "axes": np.array([1], np.int64),
        "epsilon": np.float32(1e-8),
    }
    return build(nodes, [("style", FULL, (1, 8))], [("out", FULL, (4, 8))], weights)


def test_sums_of_squares_and_epsilons_stay_full(tmp_path: Path) -> None:
    types = kinds(to_half(demodulation()))
    assert {name: types[name] for name in ("scale", "square", "sum", "epsilon", "norm", "divide")} == {
        "scale": HALF,
        "square": FULL,
        "sum": FULL,
        "epsilon": FULL,
        "norm": FULL,
        "divide": HALF,
    }


def test_sums_of_squares_by_matrix_product_stay_full(tmp_path: Path) -> None:
    """Demodulation in the form that scales activations: squares of styles times constant energies of weights."""
    generator = np.random.default_rng(3)
    nodes = [
        helper.make_node("Mul", ["style", "style"], ["squares"], "square"),
        helper.make_node("MatMul", ["squares", "energies"], ["sum"], "sum"),
        helper.make_node("Add", ["sum", "epsilon"], ["safe"], "epsilon"),
        helper.make_node("Sqrt", ["safe"], ["norm"], "norm"),
        helper.make_node("MatMul", ["style", "weight"], ["product"], "product"),
        helper.make_node("Div", ["product", "norm"], ["out"], "divide"),
    ]
    weight = generator.standard_normal((8, 4)).astype(np.float32) * np.float32(1e-4)  # squares vanish in float16
    weights = {"weight": weight, "energies": np.square(weight), "epsilon": np.float32(1e-12)}
    model = build(nodes, [("style", FULL, (1, 8))], [("out", FULL, (1, 4))], weights)
    types = kinds(to_half(model))
    assert {name: types[name] for name in ("square", "sum", "product")} == {
        "square": FULL,
        "sum": FULL,
        "product": HALF,
    }
    style = generator.standard_normal((1, 8)).astype(np.float32)
    have, want = (run(one, tmp_path, {"style": style})["out"] for one in (to_half(model), model))
    np.testing.assert_allclose(have, want, atol=1e-2)


@pytest.mark.parametrize(("variance", "kind"), [(1e-6, FULL), (1e-2, HALF)])
def test_a_normalisation_by_vanishing_variances_stays_full(variance: float, kind: int) -> None:
    weights = {name: np.ones(4, np.float32) for name in ("scale", "bias", "mean")}
    weights["variance"] = np.full(4, variance, np.float32)
    node = helper.make_node("BatchNormalization", ["x", "scale", "bias", "mean", "variance"], ["y"], "norm")
    model = build([node], [("x", FULL, (1, 4, 2, 2))], [("y", FULL, (1, 4, 2, 2))], weights)
    assert kinds(to_half(model))["norm"] == kind


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_demodulation_survives_small_and_large_styles(tmp_path: Path, scale: Any) -> None:
    style = np.random.default_rng(2).standard_normal((1, 8)).astype(np.float32) * np.float32(scale)
    model = demodulation()
    want = run(model, tmp_path, {"style": style})["out"]
    have = run(to_half(model), tmp_path, {"style": style})["out"]
    assert np.isfinite(have).all()
    np.testing.assert_allclose(have, want, atol=3e-3)


def test_constants_that_do_not_fit_stay_full() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "large"], ["scaled"], "large"),
        helper.make_node("Mul", ["scaled", "fine"], ["y"], "fine"),
    ]
    model = build(nodes, ["x"], ["y"], {"large": np.float32(1e6), "fine": np.float32(0.5)})
    types = kinds(to_half(model))
    assert (types["large"], types["fine"]) == (FULL, HALF)


def test_what_overflows_is_found_by_measuring(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["big"], "big"),
        helper.make_node("Tanh", ["big"], ["small"], "squash"),
        helper.make_node("Mul", ["small", "half"], ["y"], "after"),
    ]
    weights = {"w": np.full((8, 8), 200.0, np.float32), "half": np.float32(0.5)}
    onnx.save(build(nodes, ["x"], ["y"], weights), tmp_path / "net.onnx")
    network = open_network(tmp_path / "net.onnx")
    assert overflowing_nodes(network, [{"x": np.ones((1, 8), np.float32)}]) == set()
    found = overflowing_nodes(network, [{"x": np.full((1, 8), 100.0, np.float32)}])
    assert found == {"big", "squash"}
    types = kinds(to_half(onnx.load(network.path), found))
    assert (types["big"], types["squash"], types["after"]) == (FULL, FULL, HALF)


def test_what_was_measured_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: MakeNetwork) -> None:
    cache, path = Cache(tmp_path / "cache"), open_network(network())
    found = [{"conv0"}]
    monkeypatch.setattr(halves, "overflowing_nodes", lambda network, samples: found.pop())
    assert measure_overflow(path, cache) == {"conv0"}
    assert measure_overflow(path, cache) == {"conv0"}  # it would fail to measure again


def test_resize_keeps_its_scales_in_float32(tmp_path: Path) -> None:
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"], "up", mode="linear")]
    scales = np.array([1, 1, 2, 2], np.float32)
    model = build(nodes, [("x", FULL, (1, 2, 4, 4))], [("y", FULL, (1, 2, 8, 8))], {"scales": scales})
    half = to_half(model)
    assert kinds(half)["up"] == HALF
    inputs = {"x": np.random.default_rng(0).random((1, 2, 4, 4), np.float32)}
    np.testing.assert_allclose(run(half, tmp_path, inputs)["y"], run(model, tmp_path, inputs)["y"], atol=2e-3)


def test_pictures_of_bytes_become_half_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], "widen", to=FULL),
        helper.make_node("Div", ["wide", "white"], ["unit"], "scale"),
        helper.make_node("Mul", ["unit", "white"], ["scaled"], "back"),
        helper.make_node("Cast", ["scaled"], ["y"], "narrow", to=TensorProto.UINT8),
    ]
    byte = TensorProto.UINT8
    model = build(nodes, [("x", byte, (1, 256))], [("y", byte, (1, 256))], {"white": np.float32(255)})
    half = to_half(model)
    types = kinds(half)
    assert (types["widen"], types["scale"]) == (HALF, HALF)
    values = np.arange(256, dtype=np.uint8)[None]
    assert np.abs(run(half, tmp_path, {"x": values})["y"].astype(int) - values).max() <= 1


def test_indices_are_counted_in_full(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "thousand"], ["many"], "many"),
        helper.make_node("Cast", ["many"], ["y"], "count", to=TensorProto.INT64),
    ]
    model = build(nodes, ["x"], [("y", TensorProto.INT64, (1, 8))], {"thousand": np.float32(1000)})
    half = to_half(model, {"many"})
    x = np.linspace(0, 60, 8, dtype=np.float32)[None]
    np.testing.assert_array_equal(run(half, tmp_path, {"x": x})["y"], run(model, tmp_path, {"x": x})["y"])


def test_constants_in_nodes_and_unnamed_nodes_are_handled(tmp_path: Path) -> None:
    constant = numpy_helper.from_array(np.full((1, 8), 0.5, np.float32), "")
    nodes = [
        helper.make_node("Constant", [], ["c"], value=constant),
        helper.make_node("Add", ["x", "c"], ["s"]),
        helper.make_node("Mul", ["s", "c"], ["y"]),
    ]
    half = to_half(build(nodes, ["x"], ["y"]))
    assert [tensor.data_type for tensor in half.graph.initializer] == [HALF]
    x = np.ones((1, 8), np.float32)
    np.testing.assert_array_equal(run(half, tmp_path, {"x": x})["y"], np.full((1, 8), 0.75))


def test_an_inner_tensor_that_is_also_an_output_is_given_in_full(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"], "a"), helper.make_node("Tanh", ["a"], ["b"], "b")]
    half = to_half(build(nodes, ["x"], ["a", "b"]))
    assert kinds(half)["b"] == HALF
    result = run(half, tmp_path, {"x": np.ones((1, 8), np.float32)})
    assert {name: value.dtype for name, value in result.items()} == {"a": np.float32, "b": np.float32}


def test_an_input_that_is_also_an_output_passes(tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["same"], "same"), helper.make_node("Relu", ["x"], ["y"], "y")]
    x = np.linspace(-1, 1, 8, dtype=np.float32)[None]
    result = run(to_half(build(nodes, ["x"], ["same", "y"])), tmp_path, {"x": x})
    np.testing.assert_allclose(result["same"], x, atol=1e-3)


def test_subgraphs_stay_full_and_find_what_they_capture(tmp_path: Path) -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["s"], ["chosen"])],
        "then",
        [],
        [helper.make_tensor_value_info("chosen", FULL, (1, 8))],
    )
    other = helper.make_graph(
        [helper.make_node("Neg", ["s"], ["chosen"])],
        "else",
        [],
        [helper.make_tensor_value_info("chosen", FULL, (1, 8))],
    )
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["s"], "inner"),
        helper.make_node("If", ["flag"], ["y"], "if", then_branch=branch, else_branch=other),
    ]
    model = build(nodes, ["x", ("flag", TensorProto.BOOL, ())], ["y"])
    half = to_half(model)
    assert kinds(half)["inner"] == HALF
    inputs = {"x": np.full((1, 8), 2, np.float32), "flag": np.array(False)}
    np.testing.assert_array_equal(run(half, tmp_path, inputs)["y"], np.full((1, 8), -4))
