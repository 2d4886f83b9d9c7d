"""Real builds with TensorRT for RTX, which need no GPU: for GPUs of Turing, Ada and Blackwell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from engines.backends.tensorrt_build import build, capability_of, graph_of, load_library, logger_of, parse
from engines.base import FREE_SIDE, BackendUnavailable, EngineError, Precision
from engines.networks import shipped_networks
from engines.onnx_file import Network, open_network
from tests.engines.conftest import MakeNetwork

rtx = pytest.importorskip("tensorrt_rtx", reason="needs the optional package tensorrt-rtx-cu13")

EMBEDDED = shipped_networks()
CAPABILITIES = ["7.5", "8.9", "12.0"]
MATRIX_LAYERS = {rtx.LayerType.CONVOLUTION, rtx.LayerType.DECONVOLUTION, rtx.LayerType.MATRIX_MULTIPLY}


def parsed(network: Network, precision: Precision = "f16") -> Any:
    """The network definition, which lives no longer than its builder."""
    builder = rtx.Builder(logger_of(rtx))
    definition = builder.create_network(1 << int(rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parse(rtx, definition, network, graph_of(network, precision))
    return builder, definition


def check_definition(network: Network) -> None:
    """Inputs and outputs as in the file, and every convolution and matrix product in FP16."""
    model = onnx.load(network.path)
    builder, definition = parsed(network)
    sides = [
        (definition.num_inputs, definition.get_input, model.graph.input),
        (definition.num_outputs, definition.get_output, model.graph.output),
    ]
    for count, get, values in sides:
        assert [get(index).name for index in range(count)] == [value.name for value in values]
        for index, value in enumerate(values):
            dims = value.type.tensor_type.shape.dim
            shape = tuple(get(index).shape)
            assert len(shape) == len(dims)
            assert all(
                size == dim.dim_value for size, dim in zip(shape, dims, strict=True) if dim.HasField("dim_value")
            )
            want = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            assert rtx.nptype(get(index).dtype) == want
    layers = [definition.get_layer(index) for index in range(definition.num_layers)]
    matrices = [layer for layer in layers if layer.type in MATRIX_LAYERS]
    assert matrices
    assert [layer.name for layer in matrices if layer.get_output(0).dtype != rtx.DataType.HALF] == []
    del definition, builder


def fixed(model: onnx.ModelProto, path: Path) -> Path:
    """The same network for pictures of one size."""
    for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]:
        dim.dim_value = dim.dim_value or FREE_SIDE
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim[1:]:
            dim.Clear()
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def test_a_network_is_parsed_in_half(network: MakeNetwork) -> None:
    check_definition(open_network(network()))


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_network_is_built_for_a_gpu_that_is_not_here(network: MakeNetwork, capability: str, batch: int) -> None:
    built = build(rtx, open_network(network(batch=batch)), "f16", capabilities=[capability])
    assert len(built.plan) > 1000
    assert built.timing == b""


def test_precision_and_capability_make_different_engines(network: MakeNetwork) -> None:
    path = open_network(network(channels=32, layers=3))
    plans = {
        (precision, capability): build(rtx, path, precision, capabilities=[capability]).plan
        for precision in ("f16", "f32")
        for capability in ("8.6", "12.0")
    }
    assert len(set(plans.values())) == 4
    assert len(plans["f16", "8.6"]) < len(plans["f32", "8.6"])


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_every_embedded_network_is_built(path: Path, tmp_path: Path) -> None:
    model = onnx.load(path)
    if any(not dim.HasField("dim_value") for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]):
        with pytest.raises(EngineError, match="leaves more than its batch open"):
            build(rtx, open_network(path), "f16", capabilities=["8.6"])
        path = fixed(model, tmp_path / path.name)
    network = open_network(path)
    check_definition(network)
    assert build(rtx, network, "f16", capabilities=["8.6", "12.0"]).plan


def test_progress_is_logged(network: MakeNetwork, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "engines.backends.tensorrt_build"):
        build(rtx, open_network(network()), "f16", capabilities=["8.9"])
    steps = [record.getMessage() for record in caplog.records if " of " in record.getMessage()]
    assert len(steps) > 1
    assert steps[-1].startswith("small: ")


def test_what_the_parser_refuses_is_named(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Unique", ["x"], ["y"], "odd_one")],
        "odd",
        [value("x", onnx.TensorProto.FLOAT, [8])],
        [value("y", onnx.TensorProto.FLOAT, [None])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(EngineError, match=r"odd\.onnx: tensorrt_rtx .* cannot parse it: Unique 'odd_one': "):
        build(rtx, open_network(tmp_path / "odd.onnx"), "f32", capabilities=["8.9"])


def test_a_capability_it_does_not_build_for_is_said() -> None:
    with pytest.raises(BackendUnavailable, match=r"does not build for compute capability 9\.0 \(it knows \['120', "):
        capability_of(load_library("tensorrt_rtx"), "9.0")
