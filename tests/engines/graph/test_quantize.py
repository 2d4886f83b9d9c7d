from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest

from engines import select
from engines.accuracy import Tolerance
from engines.backends.onnxruntime import OnnxRuntime
from engines.backends.openvino import OpenVino, OpenVinoEngine
from engines.base import EngineError
from engines.graph import quantize as tool
from engines.graph.quantize import quantize
from engines.onnx_file import embedded, open_network, quantized_path


def samples(count: int = 8, size: int = 16) -> list[dict[str, np.ndarray]]:
    """Smooth pictures, as real ones are."""
    generator = np.random.default_rng(4)
    axis = np.linspace(0, 3, size, dtype=np.float32)
    phases = generator.random((count, 3, 1, 1)).astype(np.float32) * 6
    return [{"image": np.sin(phase + axis[None, :, None] + axis[None, None, :])[None]} for phase in phases]


def out(path, values, precision="f32"):
    engine = OnnxRuntime().load(open_network(path), precision, threads=1, cache=None)
    return engine.run(values)["out"]


@pytest.fixture
def path(network):
    return network(channels=8, layers=4)


def test_a_network_gets_an_int8_version_beside_it(path):
    made = quantize(open_network(path), samples())
    assert made.path == quantized_path(path) == path.with_name("small.int8.onnx")
    assert (made.layers, made.kept) == (4, ())
    assert made.parity.holds
    assert made.parity.real == made.parity.samples == 2
    assert sorted(file.name for file in path.parent.iterdir()) == ["small.int8.onnx", "small.onnx"]
    model = onnx.load(made.path)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 4
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["kernel0:integer0"] == onnx.TensorProto.INT8
    assert "kernel0" not in kinds
    values = samples()[0]
    error = np.linalg.norm(out(made.path, values) - out(path, values)) / np.linalg.norm(out(path, values))
    assert 0 < error < 0.05


def test_layers_that_hurt_stay_in_float(path):
    strict = quantize(open_network(path), samples(), Tolerance(1, 1)).parity.relative_l2 * 0.9
    made = quantize(open_network(path), samples(), Tolerance(strict, 1))
    assert made.layers in (2, 3)
    assert len(made.kept) == 4 - made.layers
    assert made.parity.relative_l2 <= strict


def test_nothing_is_written_when_int8_costs_too_much(path):
    with pytest.raises(EngineError, match=r"small\.onnx: int8 costs too much: .*outside tolerance"):
        quantize(open_network(path), samples(), Tolerance(1e-9, 1e-9))
    assert [file.name for file in path.parent.iterdir()] == ["small.onnx"]


def test_too_few_samples_are_refused(path):
    with pytest.raises(EngineError, match="3 samples are too few"):
        quantize(open_network(path), samples(3))


def test_a_network_without_products_is_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Relu", ["image"], ["out"])
    shape = [1, 3, 16, 16]
    graph = onnx.helper.make_graph([node], "n", [value("image", 1, shape)], [value("out", 1, shape)])
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "relu.onnx")
    with pytest.raises(EngineError, match="no convolution or matrix product"):
        quantize(open_network(tmp_path / "relu.onnx"), samples())


@pytest.mark.parametrize(("operator", "attributes"), [("MatMul", {}), ("Gemm", {}), ("Gemm", {"transB": 1})])
def test_matrix_products_are_rounded_per_output(tmp_path, operator, attributes):
    """Outputs of very different size: with one scale for all, the small ones would be lost."""
    weights = np.random.default_rng(0).standard_normal((16, 6)) * 10.0 ** np.arange(-5, 1)
    weights = weights.astype(np.float32)
    stored = weights.T.copy() if attributes else weights
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["image", "w"], ["out"], "product", **attributes)],
        "n",
        [value("image", 1, [1, 16])],
        [value("out", 1, [1, 6])],
        [onnx.numpy_helper.from_array(stored, "w")],
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    path = tmp_path / "product.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    inputs = [{"image": np.random.default_rng(i).standard_normal((1, 16)).astype(np.float32)} for i in range(8)]
    made = quantize(open_network(path), inputs)
    have, want = out(made.path, inputs[1]), out(path, inputs[1])
    np.testing.assert_allclose(have / np.abs(weights).max(0), want / np.abs(weights).max(0), atol=0.15)


def test_openvino_offers_int8_only_where_there_is_one(path, tmp_path, monkeypatch):
    backend = OpenVino()
    assert "int8" not in backend.precisions(open_network(path))
    quantize(open_network(path), samples())
    if "int8" not in backend.precisions(open_network(path)):
        pytest.skip("this processor has no int8")
    monkeypatch.setattr(select.accuracy, "best_ms", lambda engine, inputs: {"int8": 1.0}.get(engine.precision, 2.0))
    for given in ((), samples(2)):
        engine = select.load(path, backend="openvino", threads=1, cache_dir=tmp_path / "cache", samples=given)
        assert engine.precision == "int8"
    values = samples()[0]
    error = np.abs(engine.run(values)["out"] - out(path, values)).max()
    assert 0 < error < 0.1 * np.abs(out(path, values)).max()


def test_int8_that_a_processor_computes_wrongly_is_not_used(path, tmp_path, monkeypatch, caplog):
    quantize(open_network(path), samples())
    if "int8" not in OpenVino().precisions(open_network(path)):
        pytest.skip("this processor has no int8")
    right = OpenVinoEngine._run

    def wrong(engine, inputs):
        """Sums of products that overflow 16 bits, as on processors without VNNI."""
        results = right(engine, inputs)
        return {name: value * (0.8 if engine.precision == "int8" else 1) for name, value in results.items()}

    monkeypatch.setattr(OpenVinoEngine, "_run", wrong)
    engine = select.load(path, backend="openvino", threads=1, cache_dir=tmp_path / "cache")
    assert engine.precision != "int8"
    assert "openvino in int8: relative L2 2" in caplog.text


@pytest.mark.parametrize("path", embedded(), ids=lambda path: path.stem)
def test_int8_versions_that_ship_belong_to_their_networks(path):
    assert (open_network(path).quantized is not None) is quantized_path(path).is_file()


def test_a_version_of_other_weights_is_not_used(path, network, caplog):
    quantize(open_network(path), samples())
    assert open_network(path).quantized is not None
    network(channels=8, layers=4, size=8)  # the same file, another network
    with caplog.at_level(logging.WARNING):
        assert open_network(path).quantized is None
    assert "made from another version of small.onnx and is not used" in caplog.text


def test_a_damaged_version_is_named(path):
    made = quantize(open_network(path), samples())
    made.path.write_bytes(made.path.read_bytes()[:-5])
    with pytest.raises(EngineError, match=r"small\.int8\.onnx: the file is cut"):
        open_network(path)


def test_int8_versions_are_no_networks_of_their_own():
    assert not [path for path in embedded() if ".int8" in path.name]


def test_the_command(path, tmp_path, capsys):
    stacked = {"image": np.stack([sample["image"] for sample in samples()])}
    np.savez(tmp_path / "samples.npz", **stacked)
    assert tool.main([str(path), str(tmp_path / "samples.npz")]) == 0
    assert "small.int8.onnx: 4 layers in int8, in float: none; relative L2" in capsys.readouterr().out
    assert tool.main([str(path), str(tmp_path / "absent.npz")]) == 1
    assert "absent.npz" in capsys.readouterr().err
