"""Write the embedded editor's files: an ONNX network, checked against torch, and the tables of statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.embedded.attributes import READER, TABLES
from models.training.editor.networks import READER_SIZE, Reader

OPSET = 18
SMALL = 64
"""Numbers below which weights stay float32."""
HALF_TOLERANCE = 2e-2
TOLERANCE = 2e-3
"""Largest error allowed between torch and ONNX Runtime, relative to the largest output."""


def export_reader(network: Reader, folder: Path) -> None:
    """Write `editor_reader.onnx`: head (N, 3, 112, 112) -> attributes (N, 8)."""
    head = torch.rand(1, 3, READER_SIZE, READER_SIZE) * 255
    export_network(network, {"head": head}, ["attributes"], folder / READER)


def write_tables(tables: dict[str, NDArray[Any]], folder: Path) -> None:
    """Write `editor_tables.npz`."""
    with (folder / TABLES).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **tables)


def export_network(
    network: nn.Module,
    example: dict[str, Tensor],
    outputs: list[str],
    path: Path,
    *,
    half: bool = False,
    free_size: bool = False,
) -> None:
    """Write a network as ONNX and compare it with torch.

    Args:
        network: with its weights.
        example: inputs by name; the batch is free, other sizes are fixed.
        outputs: names of what it returns.
        path: the file.
        half: store the weights as float16, half the size; they are cast to float32 when the file is loaded.
        free_size: height and width of those of inputs and outputs that are pictures, (N, C, H, W), are free too.

    Raises:
        RuntimeError: the file computes something else.
    """
    network = network.cpu().float().eval()
    free = {0: "batch", 2: "height", 3: "width"} if free_size else {0: "batch"}
    part = path.with_suffix(".part.onnx")
    with torch.no_grad():
        wanted = network(*example.values())
        returned = [wanted] if isinstance(wanted, Tensor) else list(wanted)
        tensors = example | dict(zip(outputs, returned, strict=True))
        torch.onnx.export(
            network,
            tuple(example.values()),
            part,
            input_names=list(example),
            output_names=outputs,
            dynamic_axes={
                name: {axis: size for axis, size in free.items() if axis < each.ndim} for name, each in tensors.items()
            },
            opset_version=OPSET,
            dynamo=False,
        )
    if half:
        onnx.save(_with_half_weights(onnx.load(part)), part)
    onnx.checker.check_model(onnx.load(part), full_check=True)
    session = ort.InferenceSession(part, providers=["CPUExecutionProvider"])
    given = session.run(outputs, {name: value.numpy() for name, value in example.items()})
    for name, have, want in zip(outputs, given, returned, strict=True):
        error = float(np.abs(have - want.numpy()).max() / max(float(want.abs().max()), 1e-3))
        if error > (HALF_TOLERANCE if half else TOLERANCE):
            part.unlink()
            raise RuntimeError(f"{path.name}: output {name!r} differs from torch by {error:.1e}")
    part.replace(path)


def _with_half_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with float16 weights, each behind a cast."""
    graph = model.graph
    casts = []
    for index, tensor in enumerate(graph.initializer):
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALL:
            continue
        name = tensor.name
        graph.initializer[index].CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model
