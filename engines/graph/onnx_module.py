"""An ONNX graph as a torch module that computes the same.

Shapes, and what is computed from them, stay on the host, so that the module never waits for the GPU. From the second
call with one shape on, nothing is copied between host and GPU, as a CUDA graph requires.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from engines.base import EngineError, Precision, TensorSpec
from engines.cache import Cache
from engines.graph import half
from engines.graph.model import io_specs, read
from engines.graph.onnx_operators import HOST_INPUTS, OPERATORS, Node
from engines.onnx_file import Network, only_batch_is_free


class LoadedModule(NamedTuple):
    """A network as a torch module.

    Attributes:
        module: in evaluation mode, on the host.
        inputs: what it takes, in this order.
        outputs: what it returns, in this order.
    """

    module: OnnxModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def load_module(network: Network, precision: Precision, cache: Cache | None = None) -> LoadedModule:
    """Read an ONNX file into a torch module.

    Args:
        network: the ONNX file, in float32.
        precision: "f16", with the nodes that overflow in FP32, or "f32".
        cache: stores which nodes overflow in FP16; None to measure them.

    Raises:
        EngineError: the file cannot be read, has an operator that is not in `OPERATORS`, or, for "f16", inputs of any
            size.
    """
    model = read(network)
    inputs, outputs = io_specs(model)
    if precision == "f16":
        only_batch_is_free(network, inputs)
    try:
        if precision == "f16":
            model = half.to_half(model, half.measure_overflow(network, cache))
        module = OnnxModule(model)
    except EngineError as error:
        raise EngineError(f"{network.path}: {error}") from error
    return LoadedModule(module.eval(), inputs, outputs)


class OnnxModule(nn.Module):
    """The network of an ONNX model. It takes one tensor per input, in the graph's order, and returns a list of outputs.

    Args:
        model: the ONNX model.

    Raises:
        EngineError: it has an operator that is not in `OPERATORS`.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        nodes = [_node(node, index) for index, node in enumerate(model.graph.node)]
        if missing := sorted({node.operator for node in nodes} - OPERATORS.keys() - {"Constant"}):
            raise EngineError(f"operators that the PyTorch engine does not have: {missing}")
        constants = {
            tensor.name: torch.from_numpy(np.array(numpy_helper.to_array(tensor))) for tensor in model.graph.initializer
        }
        self.names = [value.name for value in model.graph.input if value.name not in constants]
        self.results = [value.name for value in model.graph.output]
        constants |= {node.outputs[0]: _constant(node) for node in nodes if node.operator == "Constant"}
        nodes = [node for node in nodes if node.operator != "Constant"]
        self.nodes = _mark_last_reads(nodes, keep={*self.results, *constants})
        read = {node.inputs[place] for node in nodes for place in _host_places(node)}
        # Shapes, axes and factors stay on the host. Other floats are buffers, which move to the device with the module.
        self._numbers = {name: tensor for name, tensor in constants.items() if name in read}
        self._host: dict[str, Tensor] = {}
        self._buffer: dict[str, str] = {}
        for index, (name, tensor) in enumerate(constants.items()):
            if tensor.is_floating_point():
                self.register_buffer(f"constant{index}", tensor)
                self._buffer[name] = f"constant{index}"
            else:
                self._host[name] = tensor
        self._copies: dict[Hashable, Tensor] = {}

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        values: dict[str, Tensor] = dict(self._host)
        values.update((name, getattr(self, buffer)) for name, buffer in self._buffer.items())
        values.update(zip(self.names, inputs, strict=True))
        for node in self.nodes:
            result = OPERATORS[node.operator](node, *self._arguments(node, values))
            outputs = result if isinstance(result, (tuple, list)) else [result]
            values.update(zip(node.outputs, outputs, strict=False))
            for name in node.dead:
                values.pop(name, None)  # an absent optional output was never stored
        return [self._on(value.device, values[name]) for value in inputs[:1] for name in self.results]

    def _arguments(self, node: Node, values: Mapping[str, Tensor]) -> list[Tensor | None]:
        """The inputs of a node: shapes, axes and factors on the host, all others on one device."""
        read = _host_places(node)
        given = [
            (self._numbers.get(name, values[name]) if place in read else values[name]) if name else None
            for place, name in enumerate(node.inputs)
        ]
        computed = [value for place, value in enumerate(given) if value is not None and place not in read]
        device = next((value.device for value in computed if value.device.type != "cpu"), None)
        if device is None:
            return given
        return [
            value if value is None or place in read else self._on(device, value) for place, value in enumerate(given)
        ]

    def _on(self, device: torch.device, value: Tensor) -> Tensor:
        """A tensor on a device.

        Values from the host are copied once per content and stay at their address: a CUDA graph cannot capture copies
        from the host.
        """
        if value.device == device:
            return value
        key = (device, value.dtype, value.shape, value.numpy().tobytes())
        if key not in self._copies:
            self._copies[key] = value.to(device)
        return self._copies[key]


def _node(node: onnx.NodeProto, index: int) -> Node:
    attributes = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
    decoded = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    name = node.name or f"{node.op_type}_{index}"
    return Node(name, node.op_type, tuple(node.input), tuple(name for name in node.output if name), decoded)


def _host_places(node: Node) -> set[int]:
    """Positions of the inputs that stay on the host: shapes, axes, factors."""
    return {place for place in HOST_INPUTS.get(node.operator, ()) if place < len(node.inputs) and node.inputs[place]}


def _mark_last_reads(nodes: Sequence[Node], keep: set[str]) -> list[Node]:
    seen, marked = set(keep), []
    for node in reversed(nodes):
        dead = tuple(name for name in {*node.inputs, *node.outputs} if name and name not in seen)
        seen.update((*node.inputs, *node.outputs))
        marked.append(Node(node.name, node.operator, node.inputs, node.outputs, node.attributes, dead))
    return marked[::-1]


def _constant(node: Node) -> Tensor:
    for name, kind in (("value_float", torch.float32), ("value_int", torch.int64)):
        if name in node.attributes:
            return torch.tensor(node.attributes[name], dtype=kind)
    for name, kind in (("value_floats", torch.float32), ("value_ints", torch.int64)):
        if name in node.attributes:
            return torch.tensor(list(node.attributes[name]), dtype=kind)
    return torch.from_numpy(np.array(numpy_helper.to_array(node.attributes["value"])))
