"""The PyTorch engine: operators against ONNX Runtime, buffers and graphs on a stand-in for the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch", reason="needs torch, which this engine is made of")

from engines.accuracy import draw  # noqa: E402
from engines.backends.cuda_device import CudaDevice  # noqa: E402
from engines.backends.onnxruntime import OnnxRuntime  # noqa: E402
from engines.backends.torch_cuda import TorchCuda, TorchCudaEngine, TorchEager  # noqa: E402
from engines.base import BackendUnavailable, EngineError, OutOfMemory, Precision  # noqa: E402
from engines.cache import Cache  # noqa: E402
from engines.graph.half import to_half  # noqa: E402
from engines.graph.onnx_module import OnnxModule  # noqa: E402
from engines.networks import shipped_networks  # noqa: E402
from engines.onnx_file import open_network, range_property  # noqa: E402
from tests.engines.captured import assert_nothing_leaves_the_device  # noqa: E402
from tests.engines.conftest import (  # noqa: E402
    IR,
    OPSET,
    MakeNetwork,
)
from tests.engines.standins import HostDevice  # noqa: E402

EMBEDDED = shipped_networks()
X = (2, 4, 6, 8)  # shape of the input of every operator below
RNG = np.random.default_rng(5)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def case(operator: str, *constants: Any, opset: int = OPSET, outputs: int = 1, **attributes: Any) -> Any:
    """One operator on x and constants; `None` leaves an optional input out."""
    name = f"{operator} {opset} {attributes}"
    return pytest.param(operator, constants, (opset, outputs), attributes, id=name)


CASES = [
    *(case(name) for name in ("Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Exp", "Erf", "Floor", "Ceil", "Sin", "Cos")),
    *(case(name) for name in ("HardSwish", "HardSigmoid", "Elu", "Softplus", "Identity", "Dropout", "LeakyRelu")),
    *(case(name, floats(4, 1, 1)) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "PRelu")),
    case("LeakyRelu", alpha=0.2),
    case("Pow", np.float32(2)),
    case("Clip", np.float32(-0.5), np.float32(0.5)),
    case("Clip", None, np.float32(0.5)),
    case("Clip", opset=6, min=0.0, max=6.0),
    case("Conv", floats(8, 4, 3, 3), floats(8), pads=[1, 1, 1, 1], strides=[2, 2]),
    case("Conv", floats(8, 4, 3, 3), pads=[0, 1, 2, 1], dilations=[2, 1]),
    case("Conv", floats(4, 1, 3, 3), group=4),
    case("ConvTranspose", floats(4, 3, 4, 4), floats(3), strides=[2, 2], pads=[1, 1, 1, 1]),
    case("ConvTranspose", floats(4, 2, 3, 3), strides=[2, 2], output_padding=[1, 1], group=2),
    case("MatMul", floats(8, 5)),
    case("BatchNormalization", floats(4), floats(4), floats(4), np.abs(floats(4)) + 0.1, epsilon=1e-3),
    case("InstanceNormalization", floats(4), floats(4)),
    case("LayerNormalization", floats(8), floats(8), axis=-1),
    case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]),
    case("AveragePool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
    case("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    case("GlobalAveragePool"),
    case("GlobalMaxPool"),
    case("ReduceMean", ints(2, 3), keepdims=0),
    case("ReduceMean", opset=17, axes=[1]),
    case("ReduceSum", ints(1)),
    case("ReduceSum"),
    *(case(name, ints(-1)) for name in ("ReduceMax", "ReduceMin", "ReduceL2", "ReduceSumSquare")),
    case("ArgMax", axis=1, keepdims=0),
    case("Softmax", axis=1),
    case("Resize", None, np.array([1, 1, 2, 2], np.float32), mode="linear"),
    case(
        "Resize",
        None,
        np.array([1, 1, 2, 2], np.float32),
        mode="linear",
        coordinate_transformation_mode="align_corners",
    ),
    case("Resize", None, None, ints(2, 4, 9, 12), mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
    case("Resize", None, np.array([1, 1, 2, 2], np.float32), mode="cubic"),
    case("Resize", None, np.array([1, 1, 2, 3], np.float32), mode="nearest"),
    case(
        "Resize",
        None,
        np.array([1, 1, 2, 2], np.float32),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    case("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)),
    case("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), mode="reflect"),
    case("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), mode="edge"),
    case("Pad", ints(1, 2), None, ints(3)),
    case("Slice", ints(1, 2), ints(2, 99), ints(1, 3)),
    case("Slice", ints(-1), ints(-99), ints(3), ints(-2)),
    case("Slice", ints(5), ints(1), ints(2), ints(-3)),
    case("Gather", ints(0, -1), axis=1),
    case("Gather", np.int64(2), axis=3),
    case("Reshape", ints(0, -1, 8)),
    case("Flatten"),
    case("Transpose", perm=[0, 2, 3, 1]),
    case("Transpose"),
    case("Unsqueeze", ints(0, -1)),
    case("Expand", ints(3, 1, 1, 1, 1)),
    case("Tile", ints(1, 2, 1, 3)),
    case("Concat", floats(2, 3, 6, 8), axis=1),
    case("DepthToSpace", blocksize=2),
    case("DepthToSpace", blocksize=2, mode="CRD"),
    case("Split", ints(1, 3), outputs=2, axis=1),
    case("Split", outputs=2, axis=1, num_outputs=2),
    case("Cast", to=TensorProto.INT64),
    case("Cast", to=TensorProto.FLOAT16),
    case("Greater", np.float32(0)),
    case("Less", np.float32(0)),
    case("Equal", np.float32(0)),
    case("GreaterOrEqual", np.float32(0)),
    case("LessOrEqual", np.float32(0)),
    case("Mod", np.float32(0.7), fmod=1),
    case("Einsum", floats(8, 3), equation="abcd,de->abce"),
    case("Shape"),
    case("Shape", start=1, end=-1),
]


def one(operator: Any, constants: Any, version: Any, attributes: Any) -> tuple[onnx.ModelProto, list[str]]:
    """A network of one operator, and the names of its outputs."""
    opset, outputs = version
    names = ["" if value is None else f"c{index}" for index, value in enumerate(constants)]
    results = [f"y{index}" for index in range(outputs)]
    tensors = [numpy_helper.from_array(value, f"c{i}") for i, value in enumerate(constants) if value is not None]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *names], results, **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X)],
        [onnx.ValueInfoProto(name=name) for name in results],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR), results


@pytest.mark.parametrize(("operator", "constants", "version", "attributes"), CASES)
def test_an_operator_computes_what_onnx_runtime_does(
    operator: Any, constants: Any, version: Any, attributes: Any
) -> None:
    model, results = one(operator, constants, version, attributes)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(6).standard_normal(X).astype(np.float32)
    wanted = session.run(results, {"x": x})
    for have, want in zip(OnnxModule(model)(torch.from_numpy(x)), wanted, strict=True):
        assert have.numpy().dtype == want.dtype
        np.testing.assert_allclose(have.numpy(), want, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(("operator", "constants", "version", "attributes"), CASES)
def test_an_operator_can_be_captured(operator: Any, constants: Any, version: Any, attributes: Any) -> None:
    model, _ = one(operator, constants, version, attributes)
    assert_nothing_leaves_the_device(model)


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
@pytest.mark.parametrize("batch", [1, 2])
def test_every_embedded_network_can_be_captured(path: Path, batch: int) -> None:
    model = onnx.load(path)
    for precise in (model, to_half(model)):
        assert_nothing_leaves_the_device(precise, batch)


def test_integers_are_counted_on_the_host() -> None:
    """Range, Mod and Not, as exporters leave them in the arithmetic of grids."""
    value = helper.make_tensor_value_info
    numbers = {"start": 0, "stop": 9, "step": 2, "three": 3}
    graph = helper.make_graph(
        [
            helper.make_node("Range", ["start", "stop", "step"], ["numbers"]),
            helper.make_node("Mod", ["numbers", "three"], ["rest"]),
            helper.make_node("Equal", ["rest", "start"], ["hit"]),
            helper.make_node("Not", ["hit"], ["miss"]),
        ],
        "grid",
        [value("x", TensorProto.FLOAT, [1])],
        [value("rest", TensorProto.INT64, [None]), value("miss", TensorProto.BOOL, [None])],
        [numpy_helper.from_array(np.array(number, np.int64), name) for name, number in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    rest, miss = OnnxModule(model)(torch.zeros(1))
    assert (rest.dtype, rest.tolist()) == (torch.int64, [0, 2, 1, 0, 2])
    assert miss.tolist() == [False, True, True, False, True]


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.stem)
def test_every_embedded_network_computes_the_same(path: Path) -> None:
    reference = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache())
    inputs = draw(reference.inputs, 7)
    wanted = reference.run(inputs)
    module = OnnxModule(onnx.load(path))
    with torch.inference_mode():
        results = module(*(torch.from_numpy(inputs[name]) for name in module.names))
    for name, value in zip(module.results, results, strict=True):
        assert np.linalg.norm(value.numpy() - wanted[name]) <= 1e-4 * np.linalg.norm(wanted[name])


def image(batch: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).standard_normal((batch, 3, 16, 16)).astype(np.float32)}


def test_the_engine_computes_the_network_in_both_precisions(network: MakeNetwork) -> None:
    path = network()
    reference = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache())
    tolerances: dict[Precision, float] = {"f32": 1e-5, "f16": 5e-3}
    for precision, atol in tolerances.items():
        device = HostDevice()
        engine = TorchCudaEngine(open_network(path), precision, device)
        assert [spec.shape for spec in engine.inputs] == [(None, 3, 16, 16)]
        for batch in (1, 2, 1, 5, 2):
            have = engine.run(image(batch, batch))["out"]
            np.testing.assert_allclose(have, reference.run(image(batch, batch))["out"], atol=atol)
        assert (device.captures, device.replays) == (3, 5)  # for batches of one, two and eight
    assert np.abs(have - reference.run(image(2, 2))["out"]).max() > 0


def test_weights_and_work_are_half(network: MakeNetwork) -> None:
    engine = TorchCudaEngine(open_network(network()), "f16", HostDevice())
    assert {buffer.dtype for buffer in engine._module.buffers()} == {torch.float16}
    assert all(
        buffer.is_contiguous(memory_format=torch.channels_last)
        for buffer in engine._module.buffers()
        if buffer.dim() == 4
    )


def test_what_overflows_stays_full(tmp_path: Path) -> None:
    """A network whose sums leave the range of float16, for the inputs that its file tells of."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["big"]), helper.make_node("Mul", ["big", "small"], ["y"])],
        "large",
        [value("x", TensorProto.FLOAT, ["batch", 8])],
        [value("y", TensorProto.FLOAT, ["batch", 8])],
        [
            numpy_helper.from_array(np.full((8, 8), 200, np.float32), "w"),
            numpy_helper.from_array(np.float32(1e-4), "small"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    key, text = range_property("x", 0, 500)
    model.metadata_props.add(key=key, value=text)
    onnx.save(model, tmp_path / "large.onnx")
    engine = TorchCudaEngine(open_network(tmp_path / "large.onnx"), "f16", HostDevice(), Cache(tmp_path / "cache"))
    result = engine.run({"x": np.full((1, 8), 500, np.float32)})["y"]
    np.testing.assert_allclose(result, 80, rtol=1e-2)


def test_a_gpu_without_room_for_the_weights_is_said(monkeypatch: pytest.MonkeyPatch, network: MakeNetwork) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(HostDevice, "buffer", full)
    with pytest.raises(OutOfMemory, match=r"torch_cuda on a stand-in .* 2 GiB"):
        TorchCudaEngine(open_network(network()), "f32", HostDevice())


def test_results_belong_to_the_caller(network: MakeNetwork) -> None:
    engine = TorchCudaEngine(open_network(network()), "f32", HostDevice())
    first = engine.run(image(1, 1))["out"]
    kept = first.copy()
    engine.run(image(1, 2))
    np.testing.assert_array_equal(first, kept)


def test_an_operator_that_is_missing_is_named(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Unique", ["x"], ["y"])],
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.save(model, tmp_path / "odd.onnx")
    with pytest.raises(EngineError, match=r"odd\.onnx: operators .* not have: \['Unique'\]"):
        TorchCudaEngine(open_network(tmp_path / "odd.onnx"), "f32", HostDevice())


def test_pictures_of_any_size_are_refused(tmp_path: Path, network: MakeNetwork) -> None:
    model = onnx.load(network())
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[3].dim_param = "width"
    onnx.save(model, tmp_path / "any.onnx")
    with pytest.raises(EngineError, match=r"any\.onnx: input 'image' .* leaves more than its batch open"):
        TorchCudaEngine(open_network(tmp_path / "any.onnx"), "f32", HostDevice())


def test_eager_is_the_same_network(network: MakeNetwork) -> None:
    path = network()
    reference = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache())
    engine = TorchEager(open_network(path), None)
    np.testing.assert_allclose(engine.run(image(2))["out"], reference.run(image(2))["out"], atol=1e-5)


def test_what_is_missing_is_said() -> None:
    try:
        CudaDevice()
    except BackendUnavailable:
        with pytest.raises(BackendUnavailable, match=r"driver|built without CUDA|no usable"):
            TorchCuda().probe()
    else:
        assert "PyTorch" in TorchCuda().probe()
