"""The floating-point operations of an ONNX graph, counted node by node. Needs the `onnx` package, no backend."""

from __future__ import annotations

from math import prod
from typing import Any

import onnx

from engines.base import FREE_SIDE
from engines.graph.model import read
from engines.onnx_file import Network


def count_flop(network: Network, batch: int = 1) -> int:
    """Floating-point operations of one call: two per multiply-add of every convolution and matrix product.

    Element-wise operations are not counted, as is usual: they are limited by memory, not by arithmetic units.

    Args:
        network: the ONNX file.
        batch: size of a free first dimension; other free ones are set to `engines.base.FREE_SIDE`.

    Raises:
        EngineError: shapes cannot be inferred.
    """
    model = read(network)
    for value in model.graph.input:
        for index, size in enumerate(value.type.tensor_type.shape.dim):
            if not size.HasField("dim_value"):
                size.dim_value = FREE_SIDE if index else batch
    for value in model.graph.output:  # inferred below
        for size in value.type.tensor_type.shape.dim:
            size.Clear()
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise network.broken(f"shapes cannot be inferred: {error}") from error
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        shapes[value.name] = tuple(size.dim_value or batch for size in value.type.tensor_type.shape.dim)
    for node in graph.node:  # weights in Constant nodes
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                shapes[node.output[0]] = tuple(attribute.t.dims)
    return sum(_flop(node, shapes) for node in graph.node)


def _flop(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":  # weight (out, in / groups, *kernel)
        return 2 * prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":  # weight (in, out / groups, *kernel)
        return 2 * prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "MatMul":
        return 2 * prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return 2 * prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]
    return 0
