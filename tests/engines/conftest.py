"""Tiny networks, written to files, for the engine tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 18, 9

MakeNetwork = Callable[..., Path]


def convolutions(
    *, batch: int | str = "batch", channels: int = 4, size: int | str = 16, layers: int = 2
) -> onnx.ModelProto:
    """A stack of 3x3 convolutions with ReLU between: "image" (N, 3, S, S) float32 -> "out" (N, channels, S, S)."""
    generator = np.random.default_rng(7)
    nodes, weights, tensor, width = [], [], "image", 3
    for index in range(layers):
        kernel = generator.standard_normal((channels, width, 3, 3)).astype(np.float32) / np.sqrt(9 * width)
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"kernel{index}"))
        last = index == layers - 1
        result = "out" if last else f"sum{index}"
        nodes.append(helper.make_node("Conv", [tensor, f"kernel{index}"], [result], f"conv{index}", pads=[1] * 4))
        if not last:
            nodes.append(helper.make_node("Relu", [result], [f"relu{index}"], f"relu{index}"))
        tensor, width = f"relu{index}", channels
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, channels, size, size])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def network(tmp_path: Path) -> MakeNetwork:
    """Makes a small network's file: `network(name="a", batch=1, ...)`, arguments as for `convolutions`."""

    def make(name: str = "small", **arguments: int | str) -> Path:
        path = tmp_path / f"{name}.onnx"
        onnx.save(convolutions(**arguments), path)  # type: ignore[arg-type]
        return path

    return make
