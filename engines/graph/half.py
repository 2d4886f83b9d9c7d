"""A network rewritten to compute in FP16: the form of TensorRT's strongly typed networks, which any backend can run.

Inputs and outputs keep their types. Inside, every float32 tensor becomes float16, except around nodes that need the
range or precision of float32: sums of squares (the demodulation of Karras et al. 2020), instance norm, small epsilons,
and nodes whose values were measured to overflow (`measure_overflow`).

The largest float16 is 65504, the smallest above zero 6e-8; below 6.1e-5 it loses precision (IEEE 754-2019, binary16).
docs/decisions says why the rewriting is our own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from engines import accuracy
from engines.base import Array
from engines.cache import Cache, Key
from engines.graph import VERSION
from engines.graph.model import io_specs, prepare, read, tensor_types
from engines.onnx_file import Network

LARGEST = 65504.0  # finite float16
SMALLEST_NORMAL = 2.0**-14  # float16
HEADROOM = 8.0  # factor by which a value may be larger on other inputs than on the measured ones

# Sums over many elements, powers, and operators that have no float16 version.
FULL_OPERATORS = frozenset(
    {
        *("Pow", "Sqrt", "Reciprocal", "Exp", "Log", "CumSum", "Softmax", "LogSoftmax"),
        *("ReduceSum", "ReduceSumSquare", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceProd"),
        *("ReduceLogSum", "ReduceLogSumExp", "LpNormalization", "MeanVarianceNormalization"),
        *("InstanceNormalization", "LayerNormalization", "GroupNormalization"),
        *("Range", "ConstantOfShape", "EyeLike", "NonMaxSuppression", "If", "Loop", "Scan"),
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    }
)
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min", "Clip"})
# Positions of inputs that are float32 by the standard, whatever the type of the others.
FULL_INPUTS = {"Resize": {1, 2}, "Upsample": {1}}


def to_half(model: onnx.ModelProto, keep: Collection[str] = ()) -> onnx.ModelProto:
    """The same network computing in FP16.

    Args:
        model: a network in float32 with static shapes or a free batch.
        keep: names of nodes that stay in FP32, as from `measure_overflow`.

    Returns:
        A new model with the same inputs and outputs.

    Raises:
        EngineError: the model's types cannot be inferred.
    """
    prepared = prepare(model)
    rewriter = _Rewriter(prepared, set(keep) | _kept_by_rule(prepared.graph))
    for node in prepared.graph.node:
        rewriter.add(node)
    return rewriter.finish()


def overflowing_nodes(
    network: Network, samples: Iterable[Mapping[str, Array]], limit: float = LARGEST / HEADROOM
) -> set[str]:
    """Names of nodes with an input or output too large for float16, measured by running the network in FP32.

    Args:
        network: the ONNX file, in float32.
        samples: inputs to measure on.
        limit: the largest magnitude that is not too large.
    """
    model = prepare(read(network))
    types = tensor_types(model.graph)
    outputs = {value.name for value in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if types.get(name) == TensorProto.FLOAT]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    large: set[str] = set()
    for sample in samples:
        values = zip(inner, session.run(inner, dict(sample)), strict=True)
        large |= {name for name, value in values if value.size and not np.abs(value).max() <= limit}
        large |= {name for name, value in sample.items() if value.size and not np.abs(value).max() <= limit}
    return {node.name for node in model.graph.node if large.intersection((*node.input, *node.output))}


def measure_overflow(network: Network, cache: Cache | None = None) -> set[str]:
    """`overflowing_nodes` on the random inputs of `engines.accuracy.compare`; the result is stored in the cache."""
    key = Key(
        network=network.sha256,
        shapes=f"{accuracy.RANDOM_SAMPLES} drawn inputs",
        precision="f16-overflow",
        backend="half",
        version=VERSION,
        device="any",
        capability=f"limit {LARGEST / HEADROOM:g}",
        driver=f"onnx {onnx.__version__}",
    )
    if cache is not None and (entry := cache.get(key, network.name)) is not None:
        return set(json.loads(entry.payload))
    inputs, _ = io_specs(read(network))
    samples = (accuracy.draw(inputs, accuracy.SEED + index) for index in range(accuracy.RANDOM_SAMPLES))
    found = overflowing_nodes(network, samples)
    if cache is not None:
        cache.put(key, network.name, json.dumps(sorted(found)).encode())
    return found


@dataclass
class _Rewriter:
    """Copies a graph node by node. A float32 tensor keeps its name; its float16 copy has the name of `_half_name`.

    Attributes:
        model: a prepared model.
        full: names of the nodes that compute in FP32.
        nodes: nodes of the copy so far.
        constants: initializers of the copy so far, by name.
    """

    model: onnx.ModelProto
    full: set[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.types = tensor_types(graph)
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.as_full = {value.name for value in graph.input}  # tensors that exist in float32 so far
        self.as_half: set[str] = set()  # and in float16

    def add(self, node: onnx.NodeProto) -> None:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        half = node.name not in self.full and any(self._float(name) for name in (*node.input, *node.output))
        exempt = FULL_INPUTS.get(node.op_type, set())
        for index, name in enumerate(node.input):
            if self._float(name):
                copied.input[index] = self._half(name) if half and index not in exempt else self._full(name)
            elif name in self.weights:
                self.constants[name] = self.weights[name]
        for captured in _captured(node):
            if self._float(captured):
                self._full(captured)
        for index, name in enumerate(node.output):
            if self._float(name):
                (self.as_half if half else self.as_full).add(name)
                copied.output[index] = _half_name(name) if half else name
        if half and node.op_type == "Cast":
            del copied.attribute[:]
            copied.attribute.append(helper.make_attribute("to", TensorProto.FLOAT16))
        self.nodes.append(copied)

    def finish(self) -> onnx.ModelProto:
        graph = self.model.graph
        for value in graph.output:
            if self._float(value.name):
                self._full(value.name)
            elif value.name in self.weights:
                self.constants[value.name] = self.weights[value.name]
        rewritten = helper.make_graph(
            self.nodes, graph.name, graph.input, graph.output, list(self.constants.values()), graph.doc_string
        )
        model = helper.make_model(rewritten, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        model.producer_name = self.model.producer_name
        onnx.checker.check_model(model, full_check=True)
        return model

    def _float(self, name: str) -> bool:
        return self.types.get(name) == TensorProto.FLOAT

    def _half(self, name: str) -> str:
        half_name = _half_name(name)
        if name in self.weights:
            if half_name not in self.constants:
                values = numpy_helper.to_array(self.weights[name]).astype(np.float16)
                self.constants[half_name] = numpy_helper.from_array(values, half_name)
        elif name not in self.as_half:
            self.nodes.append(_cast(name, half_name, TensorProto.FLOAT16))
            self.as_half.add(name)
        return half_name

    def _full(self, name: str) -> str:
        if name in self.weights:
            self.constants[name] = self.weights[name]
        elif name not in self.as_full:
            self.nodes.append(_cast(_half_name(name), name, TensorProto.FLOAT))
            self.as_full.add(name)
        return name


def _kept_by_rule(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes that need float32 whatever their inputs are."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kept = {node.name for node in graph.node if node.op_type in FULL_OPERATORS or _loses_constant(node, weights)}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    types = tensor_types(graph)
    squared = {node.output[0] for node in graph.node if _squares(node)}
    for node in reversed(graph.node):
        # A matrix product of squares is a sum of squares: demodulation in the form that scales activations.
        if node.op_type in ("MatMul", "Gemm") and node.input[0] in squared:
            kept.add(node.name)
        users = consumers.get(node.output[0], [])
        if _squares(node) and users and all(user.name in kept for user in users):
            kept.add(node.name)
        # Values that become indices or sizes must be exact; float16 holds integers up to 2048.
        if node.op_type == "Cast" and types.get(node.output[0]) not in (TensorProto.FLOAT, TensorProto.BOOL):
            kept.add(node.name)
    return kept


def _squares(node: onnx.NodeProto) -> bool:
    return node.op_type == "Mul" and len(node.input) == 2 and node.input[0] == node.input[1]


def _loses_constant(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a constant overflows in float16, or is a variance or scalar (an epsilon) below its normal range."""
    for index, name in enumerate(node.input):
        if name not in weights or weights[name].data_type != TensorProto.FLOAT:
            continue
        values = np.abs(numpy_helper.to_array(weights[name]))
        finite = values[np.isfinite(values)]
        if finite.size and finite.max() > LARGEST:
            return True
        variance = node.op_type == "BatchNormalization" and index == 4
        if variance and finite.size and finite.min() < SMALLEST_NORMAL:
            return True
        if node.op_type in ELEMENTWISE and values.size == 1 and 0 < values.reshape(-1)[0] < SMALLEST_NORMAL:
            return True
    return False


def _captured(node: onnx.NodeProto) -> set[str]:
    """Names of outer tensors that the subgraphs of a node read."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names.update(inner.input)
                names.update(_captured(inner))
            names.update(value.name for value in graph.output)
    return names


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast:{target}", to=kind)


def _half_name(name: str) -> str:
    return f"{name}:half"
