"""ONNX files: what the check lets pass, it has read whole; it never takes long."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines import onnx_check

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-onnx-"))
WORDS = (b"location", b"offset", b"length", b"w.bin", b"../w.bin", b"/etc/passwd", b"*/_ORT_MEM_ADDR_/*", b"Loop")


def loop_model(trips: int | None, levels: int = 1) -> onnx.ModelProto:
    """A network that adds 1 in a loop, or in loops in each other; None leaves the trip count to a condition."""
    body = [helper.make_node("Add", ["x0", "one"], ["y"], "add")]
    for level in range(levels):
        inner = f"x{level}"
        graph = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["on"]), *body],
            f"body{level}",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info(inner, TensorProto.FLOAT, [1]),
            ],
            [
                helper.make_tensor_value_info("on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("y", TensorProto.FLOAT, [1]),
            ],
        )
        outer = "x" if level == levels - 1 else f"x{level + 1}"
        body = [helper.make_node("Loop", ["" if trips is None else "trips", "yes", outer], ["y"], body=graph)]
    weights = [
        numpy_helper.from_array(np.array(trips or 0, np.int64), "trips"),
        numpy_helper.from_array(np.array(True), "yes"),
        numpy_helper.from_array(np.ones(1, np.float32), "one"),
    ]
    graph = helper.make_graph(
        body,
        "loops",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def external_model(location: str, **entries: str) -> onnx.ModelProto:
    """A network that adds four float32 values of a file of external data."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        weights.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "external",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def seeds() -> list[bytes]:
    """Networks with external data, with a loop, and with loops in each other."""
    (FOLDER / "w.bin").write_bytes(bytes(16))
    models = (external_model("w.bin", offset="0", length="16"), loop_model(5), loop_model(5, levels=3))
    return [model.SerializeToString() for model in models]


def target(data: bytes) -> None:
    """Check a file, then compare with protobuf's own parser.

    Raises:
        AssertionError: external data outside of the folder, or a long loop, passed.
        Exception: anything but a refusal.
    """
    try:
        onnx_check.check(data, FOLDER)
    except ValueError:
        return
    model = onnx.ModelProto()
    with contextlib.suppress(Exception):  # protobuf refuses more than the check
        model.ParseFromString(data)
        _compare(model.graph)


def _compare(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and entry.value != "w.bin":
                raise SystemExit(f"external data at {entry.value!r} passed")
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _compare(attribute.g)
