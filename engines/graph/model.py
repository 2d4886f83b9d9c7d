"""Reading ONNX graphs. Needs the `onnx` package."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from engines.base import EngineError, TensorSpec
from engines.onnx_file import Network, recorded_range


def read(network: Network) -> onnx.ModelProto:
    """The model of a file.

    Raises:
        EngineError: it is no ONNX model.
    """
    try:
        return onnx.load(str(network.path))
    except Exception as error:  # protobuf's own exceptions differ from version to version
        raise network.broken(f"it is no ONNX model: {error}") from error


def io_specs(model: onnx.ModelProto) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The inputs and the outputs of a model."""
    constants = {tensor.name for tensor in model.graph.initializer}
    metadata = {part.key: part.value for part in model.metadata_props}
    inputs = [_spec(value, metadata) for value in model.graph.input if value.name not in constants]
    return tuple(inputs), tuple(_spec(value, metadata) for value in model.graph.output)


def _spec(value: onnx.ValueInfoProto, metadata: Mapping[str, str]) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return TensorSpec(value.name, shape, dtype, recorded_range(metadata, value.name))


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model in which every type is inferred, every node has a name, and constants are initializers.

    An unnamed node is named by its operator and position.

    Raises:
        EngineError: types cannot be inferred.
    """
    try:
        prepared = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise EngineError(f"the network's types cannot be inferred: {error}") from error
    nodes = []
    for index, node in enumerate(prepared.graph.node):
        value = next((part for part in node.attribute if node.op_type == "Constant" and part.name == "value"), None)
        if value is not None:
            tensor = prepared.graph.initializer.add()
            tensor.CopyFrom(value.t)
            tensor.name = node.output[0]
            continue
        node.name = node.name or f"{node.op_type}_{index}"
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del prepared.graph.node[:]
    prepared.graph.node.extend(copies)
    return prepared


def tensor_types(graph: onnx.GraphProto) -> dict[str, int]:
    """Element type (onnx.TensorProto.DataType) of every tensor with a known type, by name."""
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    return types
