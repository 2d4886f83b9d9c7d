"""Writes latentcam_tint/tint.onnx: a network that multiplies the colours of a picture. Needs `onnx`."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def main() -> None:
    """Write the file."""
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 256, 256])
    colour = helper.make_tensor_value_info("colour", TensorProto.FLOAT, ["N", 3, 1, 1])
    tinted = helper.make_tensor_value_info("tinted", TensorProto.FLOAT, ["N", 3, 256, 256])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["image", "colour"], ["tinted"])],
        "tint",
        [picture, colour],
        [tinted],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, Path(__file__).parent / "latentcam_tint" / "tint.onnx")


if __name__ == "__main__":
    main()
