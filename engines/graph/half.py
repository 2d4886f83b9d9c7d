"""A network in FP16, decided in the graph: what TensorRT's strongly typed networks need, and what any backend can run.

Inputs and outputs stay as they are. Inside, every tensor of float32 becomes float16 except around nodes that overflow
or lose their meaning there: sums of squares (the demodulation of Karras et al. 2020), instance norm, small epsilons,
and what the caller names (mapping networks) or has measured (`overflowing`).

float16 holds 65504 at most and nothing between 0 and 6e-8; below 6.1e-5 it loses precision (IEEE 754-2019, binary16).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines import accuracy
from engines.base import Array, EngineError, TensorSpec
from engines.cache import Cache, Key
from engines.onnx_file import GRAPHS, Network, told_range

LARGEST = 65504.0
SMALLEST_NORMAL = 2.0**-14
HEADROOM = 8.0  # a measured value may be this much larger on another input

# Sums over many elements, powers, and operators that float16 does not exist for or harms.
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
# Inputs that the standard types as float32 whatever the others are.
FULL_INPUTS = {"Resize": {1, 2}, "Upsample": {1}}


def to_half(model: onnx.ModelProto, keep: Sequence[str] = (), nodes: Collection[str] = ()) -> onnx.ModelProto:
    """The same network computing in FP16.

    Args:
        model: a network in float32 with static shapes or a free batch.
        keep: regular expressions; a node whose name one of them matches anywhere stays in FP32.
        nodes: names of nodes that stay in FP32, as from `overflowing`.

    Returns:
        A new model with the same inputs and outputs.

    Raises:
        EngineError: the model's types cannot be inferred.
    """
    prepared = prepare(model)
    patterns = [re.compile(pattern) for pattern in keep]
    full = {node.name for node in prepared.graph.node if any(pattern.search(node.name) for pattern in patterns)}
    rewriter = _Rewriter(prepared, full | set(nodes) | _kept_by_rule(prepared.graph))
    for node in prepared.graph.node:
        rewriter.add(node)
    return rewriter.finish()


def overflowing(
    network: Network, samples: Iterable[Mapping[str, Array]], limit: float = LARGEST / HEADROOM
) -> set[str]:
    """Names of nodes that take or make values too large for float16, measured by running the network in FP32.

    The names are those that `to_half` knows: an unnamed node gets one from its operator and position.

    Args:
        network: the ONNX file, in float32.
        samples: inputs to measure on.
        limit: magnitudes above this are too large.
    """
    import onnxruntime  # noqa: PLC0415

    model = prepare(onnx.load(str(network.path)))
    types = _types(model.graph)
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


def measured(network: Network, cache: Cache | None = None) -> set[str]:
    """`overflowing` on the inputs that parity checks draw, remembered in the cache."""
    key = Key(
        network=network.sha256,
        shapes=f"{accuracy.RANDOM_SAMPLES} drawn inputs",
        precision="f16-overflow",
        backend="half",
        version=GRAPHS,
        device="any",
        capability=f"limit {LARGEST / HEADROOM:g}",
        driver=f"onnx {onnx.__version__}",
    )
    if cache is not None and (entry := cache.get(key, network.name)) is not None:
        return set(json.loads(entry.payload))
    inputs, _ = sides(onnx.load(str(network.path), load_external_data=False))
    samples = (accuracy.draw(inputs, accuracy.SEED + index) for index in range(accuracy.RANDOM_SAMPLES))
    found = overflowing(network, samples)
    if cache is not None:
        cache.put(key, network.name, json.dumps(sorted(found)).encode())
    return found


@dataclass
class _Rewriter:
    """Copies a graph node by node. A float32 tensor keeps its name; its float16 twin has another."""

    model: onnx.ModelProto
    full: set[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self.types = _types(graph)
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.as_full = {value.name for value in graph.input}
        self.as_half: set[str] = set()

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
                copied.output[index] = _twin(name) if half else name
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
        twin = _twin(name)
        if name in self.weights:
            if twin not in self.constants:
                values = numpy_helper.to_array(self.weights[name]).astype(np.float16)
                self.constants[twin] = numpy_helper.from_array(values, twin)
        elif name not in self.as_half:
            self.nodes.append(_cast(name, twin, TensorProto.FLOAT16))
            self.as_half.add(name)
        return twin

    def _full(self, name: str) -> str:
        if name in self.weights:
            self.constants[name] = self.weights[name]
        elif name not in self.as_full:
            self.nodes.append(_cast(_twin(name), name, TensorProto.FLOAT))
            self.as_full.add(name)
        return name


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model with every type inferred, every node named, and constants as initializers.

    Raises:
        EngineError: its types cannot be inferred.
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


def _types(graph: onnx.GraphProto) -> dict[str, int]:
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def _kept_by_rule(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes that are harmed in float16 whatever the values."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kept = {node.name for node in graph.node if node.op_type in FULL_OPERATORS or _loses_constant(node, weights)}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    types = _types(graph)
    squared = {node.output[0] for node in graph.node if _squares(node)}
    for node in reversed(graph.node):
        # A product of squares and constants is a sum of squares: demodulation in the form that scales activations.
        if node.op_type in ("MatMul", "Gemm") and node.input[0] in squared:
            kept.add(node.name)
        users = consumers.get(node.output[0], [])
        if _squares(node) and users and all(user.name in kept for user in users):
            kept.add(node.name)
        # Numbers that become indices or sizes must be exact; float16 counts to 2048.
        if node.op_type == "Cast" and types.get(node.output[0]) not in (TensorProto.FLOAT, TensorProto.BOOL):
            kept.add(node.name)
    return kept


def _squares(node: onnx.NodeProto) -> bool:
    return node.op_type == "Mul" and len(node.input) == 2 and node.input[0] == node.input[1]


def _loses_constant(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a constant of the node overflows, or is one to divide by, or a scalar (an epsilon), that all but vanishes
    in float16.
    """
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
    """Names that the subgraphs of a node take from outside."""
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


def _twin(name: str) -> str:
    return f"{name}:half"


def sides(model: onnx.ModelProto) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """What a model takes and what it gives, without loading it into a backend."""
    constants = {tensor.name for tensor in model.graph.initializer}
    told = {part.key: part.value for part in model.metadata_props}
    inputs = [_spec(value, told) for value in model.graph.input if value.name not in constants]
    return tuple(inputs), tuple(_spec(value, told) for value in model.graph.output)


def _spec(value: onnx.ValueInfoProto, told: Mapping[str, str]) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return TensorSpec(value.name, shape, dtype, told_range(told, value.name))
