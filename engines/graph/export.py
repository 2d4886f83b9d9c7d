"""A torch module as an ONNX file: versions pinned, constants folded, compared with torch before it is written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from engines.base import Array, EngineError
from engines.onnx_file import PRECISE, range_property

# The oldest opset with every operator of our networks, so that runtimes of the last years read the files.
OPSET = 18
IR_VERSION = 9
TOLERANCE = 1e-4  # largest error against torch, relative to the largest magnitude of the output


def export(
    module: nn.Module,
    example: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    *,
    free_batch: bool = True,
    tolerance: float = TOLERANCE,
) -> float:
    """Write a module's network and check that it computes what the module does.

    Nodes that lead to no output are dropped and constants are folded. Shapes are those of the example except the batch.
    The file is written atomically. A network without a four-dimensional input or output (latents in, latents out:
    mapping networks, flows) asks for FP32: it is cheap, and rounding its latents would change the edit.

    Args:
        module: called with the example's values in their order; returns one tensor per output, or a single tensor. It
            is moved to the CPU and set to evaluation mode and float32.
        example: inputs by name; the first dimension is the batch. The file records their smallest and largest value.
        outputs: names of the module's outputs.
        path: the file to write.
        free_batch: whether the first dimension of every input and output may have any size. The file is then also
            compared at three times the example's batch.
        tolerance: largest allowed error, relative to the largest magnitude of each output.

    Returns:
        The largest such error.

    Raises:
        EngineError: the network differs from the module by more than that; nothing is written.
    """
    module = module.cpu().float().eval()
    part = path.with_name(f".{path.stem}.part.onnx")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The TorchScript exporter needs no package besides torch; torch warns that it is deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                module,
                tuple(example.values()),
                str(part),
                input_names=list(example),
                output_names=list(outputs),
                dynamic_axes={name: {0: "batch"} for name in (*example, *outputs)} if free_batch else None,
                opset_version=OPSET,
                dynamo=False,
            )
        fold(part, {name: (float(value.min()), float(value.max())) for name, value in example.items()})
        error = difference(module, example, outputs, part)
        if free_batch:
            larger = {name: torch.cat([value, value.flip(-1), value * 0.5]) for name, value in example.items()}
            error = max(error, difference(module, larger, outputs, part))
        if not error <= tolerance:
            raise EngineError(f"{path.name}: differs from the torch module by {error:.1e} (allowed {tolerance:.0e})")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return error


def _has_picture(model: onnx.ModelProto) -> bool:
    """Whether an input or output has rows and columns."""
    return any(len(value.type.tensor_type.shape.dim) >= 4 for value in (*model.graph.input, *model.graph.output))


def fold(path: Path, ranges: Mapping[str, tuple[float, float]] | None = None) -> None:
    """Fold constants, drop nodes that lead to no output, pin the versions and check the result, in place.

    Args:
        path: an ONNX file.
        ranges: smallest and largest value of real inputs by name. The file records them; comparisons draw from them.

    Raises:
        EngineError: the file is no valid network.
    """
    options = onnxruntime.SessionOptions()
    # "Basic" folds and removes nodes, and uses standard operators only.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    model = onnx.load(str(path))
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "latentcam", ""
    del model.metadata_props[:]
    for key, value in (range_property(name, *limits) for name, limits in (ranges or {}).items()):
        model.metadata_props.add(key=key, value=value)
    if not _has_picture(model):
        model.metadata_props.add(key=PRECISE, value="1")
    used = {node.domain for node in model.graph.node}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise EngineError(f"{path.name}: not a valid network: {error}") from error
    onnx.save(model, str(path))


def difference(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path) -> float:
    """The largest error of a file against its module, relative to the largest magnitude of each output."""
    with torch.no_grad():
        wanted = module(*inputs.values())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = session.run(list(outputs), {name: value.numpy() for name, value in inputs.items()})
    wanted = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted)
    return max(_relative(have, want.numpy()) for have, want in zip(given, wanted, strict=True))


def _relative(have: Array, want: Array) -> float:
    if have.shape != want.shape:
        return float("inf")
    largest = float(np.abs(want).max(initial=0.0))
    error = np.abs(have.astype(np.float64) - want).max(initial=0.0)
    return float(error / largest if largest > 0 else error)
