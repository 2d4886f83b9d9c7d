from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs torch, which only exporting uses")

from torch import nn  # noqa: E402

from engines.accuracy import draw  # noqa: E402
from engines.backends.onnxruntime import OnnxRuntime  # noqa: E402
from engines.base import EngineError  # noqa: E402
from engines.cache import Cache  # noqa: E402
from engines.graph.export import IR_VERSION, OPSET, export  # noqa: E402
from engines.graph.model import io_specs  # noqa: E402
from engines.onnx_file import open_network, recorded_range  # noqa: E402


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style, with a constant to fold and an unused branch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.affine = torch.nn.Linear(5, 3)
        self.weight = torch.nn.Parameter(torch.randn(4, 3, 3, 3))
        self.unused = torch.nn.Linear(100, 100)

    def forward(self, image: Any, style: Any) -> Any:
        scaled = image * self.affine(style)[:, :, None, None]
        weight = self.weight / (self.weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        self.unused(image.new_zeros(1, 100))
        out = torch.nn.functional.conv2d(scaled, weight, padding=1)
        return out, out.mean((2, 3))


def example(batch: int = 1) -> Any:
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.randn(batch, 3, 8, 8, generator=generator),
        "style": torch.randn(batch, 5, generator=generator),
    }


def test_a_module_becomes_a_file_that_computes_the_same(tmp_path: Path) -> None:
    path = tmp_path / "modulated.onnx"
    module = Modulated()
    assert export(module, example(), ["out", "mean"], path) < 1e-5
    assert [file.name for file in tmp_path.iterdir()] == ["modulated.onnx"]
    engine = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache(tmp_path / "cache"))
    assert [spec.shape for spec in engine.inputs] == [(None, 3, 8, 8), (None, 5)]
    assert [spec.name for spec in engine.outputs] == ["out", "mean"]
    inputs = example(4)
    with torch.no_grad():
        want = module(*inputs.values())
    result = engine.run({name: value.numpy() for name, value in inputs.items()})
    torch.testing.assert_close(torch.from_numpy(result["out"]), want[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.from_numpy(result["mean"]), want[1], atol=1e-5, rtol=1e-4)


def test_a_network_without_pictures_asks_for_fp32(tmp_path: Path) -> None:
    latents = {"w": torch.randn(1, 18, 16, generator=torch.Generator().manual_seed(1))}
    export(torch.nn.Linear(16, 16), latents, ["moved"], tmp_path / "mapper.onnx")
    export(Modulated(), example(), ["out", "mean"], tmp_path / "modulated.onnx")
    assert open_network(tmp_path / "mapper.onnx").precise
    assert not open_network(tmp_path / "modulated.onnx").precise


def test_versions_are_pinned_constants_folded_and_the_unused_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "modulated.onnx"
    export(Modulated(), example(), ["out", "mean"], path)
    model = onnx.load(path)
    assert model.ir_version == IR_VERSION
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    assert {node.op_type for node in model.graph.node} <= {"Gemm", "Unsqueeze", "Mul", "Conv", "ReduceMean"}
    assert sum(len(tensor.raw_data) for tensor in model.graph.initializer) < 1000


def test_the_file_tells_the_range_of_its_inputs(tmp_path: Path) -> None:
    path = tmp_path / "modulated.onnx"
    example = {"image": torch.linspace(0, 255, 192).reshape(1, 3, 8, 8), "style": torch.linspace(-2, 1, 5)[None]}
    export(Modulated(), example, ["out", "mean"], path)
    for inputs in (
        OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache(tmp_path / "cache")).inputs,
        io_specs(onnx.load(path))[0],
    ):
        assert [spec.range for spec in inputs] == [(0.0, 255.0), (-2.0, 1.0)]
        drawn = draw(inputs, 1)
        assert 200 < drawn["image"].max() <= 255
        assert 0 <= drawn["image"].min() < 50
    assert recorded_range({"latentcam:range:x": "junk"}, "x") is None
    assert recorded_range({"latentcam:range:x": "2 1"}, "x") is None


def test_the_batch_can_be_fixed(tmp_path: Path) -> None:
    path = tmp_path / "modulated.onnx"
    export(Modulated(), example(2), ["out", "mean"], path, free_batch=False)
    dims = onnx.load(path).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [2, 3, 8, 8]


def test_a_network_that_differs_is_not_written(tmp_path: Path) -> None:
    class Remembers(nn.Module):
        """Traced once, it becomes a constant."""

        def forward(self, image: Any) -> Any:
            return image * float(image.sum())

    path = tmp_path / "wrong.onnx"
    path.write_bytes(b"what was there")
    with (
        pytest.warns(torch.jit.TracerWarning),
        pytest.raises(EngineError, match=r"wrong\.onnx: differs from the torch"),
    ):
        export(Remembers(), {"image": torch.ones(1, 3, 4, 4)}, ["out"], path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("wrong.onnx", b"what was there")]
