"""An int8 version of a network, put beside it where the error allows.

`python -m engines.graph.quantize NETWORK SAMPLES.npz`

Weights are rounded to int8 per output channel, activations to uint8 per tensor (Jacob et al. 2018, arXiv:1712.05877),
in the ONNX form that runtimes compile to integer kernels: QuantizeLinear and DequantizeLinear around each product.
Layers that hurt most stay in float, until the network is within tolerance on samples that gave no ranges.

On a processor with VNNI but no bf16 it is about twice as fast as f32; with AMX it is no faster than bf16, so
`engines.select` measures before it chooses.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from engines import accuracy
from engines.backends.onnxruntime import OnnxRuntime
from engines.base import Array, EngineError
from engines.cache import Cache, write_whole
from engines.graph.half import prepare
from engines.onnx_file import QUANTIZED_FROM, Network, open_network, quantized_path

log = logging.getLogger(__name__)

CLIPPED = (
    2e-4  # share of an activation's values cut off at either end, so that outliers do not cost all others precision
)
HELD_OUT = 4  # every fourth sample judges instead of giving ranges
FEWEST = 4  # samples
LARGEST_SHARE = 0.5  # of the layers may stay in float; with more, int8 is not worth it
INT8, UINT8 = 127, 255

Sample = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Quantized:
    """What `quantize` made.

    Attributes:
        path: the int8 version's file.
        layers: how many convolutions and matrix products are in int8.
        kept: names of those that stayed in float.
        parity: the error on the samples held out.
    """

    path: Path
    layers: int
    kept: tuple[str, ...]
    parity: accuracy.Parity


def quantize(network: Network, samples: Sequence[Sample], tolerance: accuracy.Tolerance | None = None) -> Quantized:
    """Write the int8 version of a network beside it.

    Args:
        network: the ONNX file, in float32.
        samples: real inputs; more than the ranges of its values is not learned from them.
        tolerance: error allowed on the samples held out; None for the usual of int8.

    Raises:
        EngineError: too few samples, nothing to quantize, or no version with at least half the layers in int8 is
            within tolerance; nothing is written.
    """
    if len(samples) < FEWEST:
        raise EngineError(f"{network.path}: {len(samples)} samples are too few to quantize with, {FEWEST} is the least")
    allowed = tolerance or accuracy.TOLERANCES["int8"]
    judges = list(samples[::HELD_OUT])
    teachers = [sample for index, sample in enumerate(samples) if index % HELD_OUT]
    model = prepare(onnx.load(str(network.path)))
    layers = _layers(model)
    if not layers:
        raise EngineError(f"{network.path}: no convolution or matrix product with constant weights to quantize")
    ranges = _ranges(model, layers, teachers)
    harm = {
        name: _error(network, _rewritten(model, {name}, ranges), judges[:1], allowed).relative_l2 for name in layers
    }
    chosen = sorted(layers, key=lambda name: harm[name])
    while len(chosen) >= max(1, (1 - LARGEST_SHARE) * len(layers)):
        rewritten = _rewritten(model, set(chosen), ranges)
        held = _error(network, rewritten, judges, allowed)
        log.info("%s: %d of %d layers in int8: %s", network.name, len(chosen), len(layers), held)
        if held.holds:
            rewritten.metadata_props.add(key=QUANTIZED_FROM, value=network.sha256)
            path = quantized_path(network.path)
            write_whole(path, [rewritten.SerializeToString()])
            return Quantized(path, len(chosen), tuple(name for name in layers if name not in chosen), held)
        chosen.pop()
    raise EngineError(f"{network.path}: int8 costs too much: {held}")


def _layers(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that can run in int8: products of an activation and constant weights."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in ("Conv", "MatMul", "Gemm")
        and node.input[0] not in weights
        and node.input[1] in weights
        and len(weights[node.input[1]].dims) >= 2
    ]


def _ranges(
    model: onnx.ModelProto, layers: Collection[str], samples: Sequence[Sample]
) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each layer's input over the samples, but for outliers; zero is always inside."""
    import onnxruntime  # noqa: PLC0415

    wanted = sorted({node.input[0] for node in model.graph.node if node.name in layers})
    given = {value.name for value in model.graph.input}
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in given)
    inner = [value.name for value in shown.graph.output]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ranges = dict.fromkeys(wanted, (0.0, 0.0))
    for sample in samples:
        values = dict(zip(inner, session.run(inner, dict(sample)) if inner else [], strict=True)) | dict(sample)
        for name in wanted:
            low, high = np.quantile(values[name], (CLIPPED, 1 - CLIPPED))
            ranges[name] = (min(ranges[name][0], float(low)), max(ranges[name][1], float(high)))
    return ranges


def _rewritten(
    model: onnx.ModelProto, layers: Collection[str], ranges: Mapping[str, tuple[float, float]]
) -> onnx.ModelProto:
    """The model with the named layers taking rounded inputs and rounded weights."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, onnx.TensorProto] = {}
    rounded: set[str] = set()
    for node in model.graph.node:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        if node.name in layers:
            source, weight = node.input[0], node.input[1]
            if source not in rounded:
                rounded.add(source)
                nodes += _activation(source, *ranges[source], constants)
            nodes.append(_weight(weights[weight], node, constants))
            copied.input[0], copied.input[1] = f"{source}:rounded", nodes[-1].output[0]
        nodes.append(copied)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    graph = helper.make_graph(
        nodes, model.graph.name, model.graph.input, model.graph.output, [*kept, *constants.values()]
    )
    rewritten = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    rewritten.metadata_props.extend(model.metadata_props)
    return rewritten


def _activation(name: str, low: float, high: float, constants: dict[str, onnx.TensorProto]) -> list[onnx.NodeProto]:
    scale = np.float32((high - low) / UINT8 or 1.0)
    zero = np.uint8(np.clip(np.round(-low / scale), 0, UINT8))
    parameters = [f"{name}:scale", f"{name}:zero"]
    for parameter, value in zip(parameters, (scale, zero), strict=True):
        constants[parameter] = numpy_helper.from_array(np.array(value), parameter)
    return [
        helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}:integer"]),
        helper.make_node("DequantizeLinear", [f"{name}:integer", *parameters], [f"{name}:rounded"]),
    ]


def _weight(tensor: onnx.TensorProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> onnx.NodeProto:
    values = numpy_helper.to_array(tensor)
    transposed = any(part.name == "transB" and part.i for part in node.attribute)
    axis = 0 if node.op_type == "Conv" or transposed else values.ndim - 1  # the output channels
    others = tuple(index for index in range(values.ndim) if index != axis)
    largest = np.abs(values).max(others)
    scale = np.where(largest > 0, largest / INT8, 1.0).astype(np.float32)
    shape = [-1 if index == axis else 1 for index in range(values.ndim)]
    integers = np.clip(np.round(values / scale.reshape(shape)), -INT8, INT8).astype(np.int8)
    names = [f"{tensor.name}:integer{axis}", f"{tensor.name}:scale{axis}", f"{tensor.name}:zero{axis}"]
    for name, value in zip(names, (integers, scale, np.zeros(len(scale), np.int8)), strict=True):
        constants[name] = numpy_helper.from_array(value, name)
    # One per use: two layers may share a weight, and a graph gives each name once.
    return helper.make_node("DequantizeLinear", names, [f"{node.name}:weight"], axis=axis)


def _error(
    network: Network, model: onnx.ModelProto, samples: Sequence[Sample], allowed: accuracy.Tolerance
) -> accuracy.Parity:
    """The error of a rewritten model against its network."""
    part = network.path.with_name(f".{network.path.stem}.trial.onnx")
    cache, runtime = Cache(), OnnxRuntime()
    try:
        onnx.save(model, str(part))
        engine = runtime.load(open_network(part), "f32", threads=None, cache=cache)
        reference = runtime.load(network, "f32", threads=None, cache=cache)
        return accuracy.compare(engine, reference, samples, allowed, drawn=0)
    finally:
        part.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engines.graph.quantize",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("network", type=Path, help="ONNX file in float32")
    parser.add_argument("samples", type=Path, help="npz with one array per input: real inputs, stacked on a first axis")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        with np.load(options.samples, allow_pickle=False) as stacked:
            arrays: dict[str, Any] = {name: stacked[name] for name in stacked.files}
        samples = [dict(zip(arrays, values, strict=True)) for values in zip(*arrays.values(), strict=True)]
        made = quantize(open_network(options.network), samples)
    except (EngineError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{made.path}: {made.layers} layers in int8, in float: {', '.join(made.kept) or 'none'}; {made.parity}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
