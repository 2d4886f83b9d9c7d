"""What every processor backend keeps: right values, own buffers, clear refusals, from many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.accuracy import draw
from engines.backends import openvino
from engines.backends.onnxruntime import OnnxRuntime
from engines.backends.openvino import OpenVino
from engines.base import Array, Backend, BackendUnavailable, Engine, EngineError, InputMismatch, Precision
from engines.cache import Cache
from engines.networks import shipped_networks
from engines.onnx_file import open_network
from tests.engines.conftest import IR, OPSET, MakeNetwork

BACKENDS = [OpenVino(), OnnxRuntime()]


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param


@pytest.fixture
def load(backend: Backend, tmp_path: Path) -> Callable[..., Engine]:
    def make(path: Path, precision: Precision = "f32") -> Engine:
        return backend.load(open_network(path), precision, threads=1, cache=Cache(tmp_path / "cache"))

    return make


def reference(path: Path, image: np.ndarray) -> np.ndarray:
    """The network by hand, in float64."""
    kernels = [onnx.numpy_helper.to_array(tensor).astype(np.float64) for tensor in onnx.load(path).graph.initializer]
    x = image.astype(np.float64)
    for index, kernel in enumerate(kernels):
        x = np.maximum(x, 0) if index else x
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        x = np.einsum("nchwij,ocij->nohw", windows, kernel)
    return x


def images(count: int, batch: int = 1, size: int = 16) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [generator.standard_normal((batch, 3, size, size)).astype(np.float32) for _ in range(count)]


def test_probe_names_the_device(backend: Backend) -> None:
    assert len(backend.probe()) > len(backend.name)


def test_it_computes_the_network(load: Any, network: MakeNetwork) -> None:
    path = network()
    (image,) = images(1, batch=2)
    with load(path) as engine:
        result = engine.run({"image": image})
    assert list(result) == ["out"]
    assert result["out"].dtype == np.float32
    np.testing.assert_allclose(result["out"], reference(path, image), atol=1e-5)


def test_every_precision_is_the_one_asked_for(backend: Backend, load: Any, network: MakeNetwork) -> None:
    precisions = backend.precisions(open_network(network()))
    assert "f32" in precisions
    for precision in precisions:
        assert load(network(), precision).precision == precision
    with pytest.raises(BackendUnavailable, match="int3"):
        load(network(), "int3")


def test_specs_tell_free_and_fixed_sizes(load: Any, network: MakeNetwork) -> None:
    free, fixed = load(network("free")), load(network("fixed", batch=1))
    assert [spec.shape for spec in free.inputs] == [(None, 3, 16, 16)]
    assert [spec.shape for spec in fixed.inputs] == [(1, 3, 16, 16)]
    assert [(spec.name, spec.shape) for spec in fixed.outputs] == [("out", (1, 4, 16, 16))]
    fixed.warm_up()
    free.warm_up()


def test_the_batch_may_change_between_calls(load: Any, network: MakeNetwork) -> None:
    path = network()
    engine = load(path)
    for batch in (1, 3, 2, 8, 1):
        (image,) = images(1, batch)
        np.testing.assert_allclose(engine.run({"image": image})["out"], reference(path, image), atol=1e-5)


def test_results_belong_to_the_caller(load: Any, network: MakeNetwork) -> None:
    path = network()
    engine = load(path)
    first, second, third = images(3)
    kept = engine.run({"image": first})["out"]
    copy = kept.copy()
    engine.run({"image": second})
    engine.run({"image": third})
    np.testing.assert_array_equal(kept, copy)
    kept[:] = 0  # and it may write to them
    np.testing.assert_allclose(engine.run({"image": second})["out"], reference(path, second), atol=1e-5)


@pytest.mark.parametrize("path", shipped_networks(), ids=lambda path: path.stem)
def test_rows_of_a_batch_of_an_embedded_network_are_independent(path: Path) -> None:
    engine = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache())
    inputs = draw(engine.inputs, seed=11, batch=3)
    together = engine.run(inputs)
    for row in range(3):
        alone = engine.run({name: value[row : row + 1] for name, value in inputs.items()})
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][row : row + 1], value, atol=1e-4 * np.abs(value).max())


def test_inputs_may_change_after_the_call_and_need_not_be_contiguous(load: Any, network: MakeNetwork) -> None:
    path = network()
    engine = load(path)
    (image,) = images(1)
    want = reference(path, image)
    strided = np.ascontiguousarray(image.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not strided.flags.c_contiguous
    result = engine.run({"image": strided})["out"]
    strided[:] = 0
    np.testing.assert_allclose(result, want, atol=1e-5)


def test_several_inputs_need_not_be_contiguous(load: Any, tmp_path: Path) -> None:
    """Each is copied for the call, and all copies must live until its end: large ones reuse each other's memory."""
    tensor, shape = helper.make_tensor_value_info, [1, 3, 256, 256]
    names = ["a", "b", "c"]
    graph = helper.make_graph(
        [helper.make_node("Sub", ["a", "b"], ["d"]), helper.make_node("Mul", ["d", "c"], ["y"])],
        "three",
        [tensor(name, TensorProto.FLOAT, shape) for name in names],
        [tensor("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.save(model, tmp_path / "three.onnx")
    generator = np.random.default_rng(4)
    images = {name: generator.random((1, 256, 256, 3), np.float32).transpose(0, 3, 1, 2) for name in names}
    result = load(tmp_path / "three.onnx").run(images)["y"]
    np.testing.assert_allclose(result, (images["a"] - images["b"]) * images["c"], atol=1e-6)


def test_many_threads_get_their_own_results(load: Any, network: MakeNetwork) -> None:
    path = network()
    engine = load(path)
    threads, calls = 8, 25
    inputs = images(threads)
    wants = [reference(path, image) for image in inputs]
    start = threading.Barrier(threads)

    def call(index: int) -> float:
        start.wait()
        results = [engine.run({"image": inputs[index]})["out"] for _ in range(calls)]
        return max(float(np.abs(result - wants[index]).max()) for result in results)

    with ThreadPoolExecutor(threads) as pool:
        assert max(pool.map(call, range(threads))) < 1e-5


def test_outputs_keep_their_names_in_the_file(load: Any, tmp_path: Path) -> None:
    """Compilers fold the identities and reshapes that name an output into what comes before."""
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Sigmoid", ["in.1"], ["1"]),
            helper.make_node("Identity", ["1"], ["score"]),
            helper.make_node("Flatten", ["1"], ["2"]),
            helper.make_node("Identity", ["2"], ["box"]),
        ],
        "named",
        [tensor("in.1", TensorProto.FLOAT, [1, 4])],
        [tensor("score", TensorProto.FLOAT, [1, 4]), tensor("box", TensorProto.FLOAT, [1, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.save(model, tmp_path / "named.onnx")
    for _ in range(2):  # compiled, then from the cache
        engine = load(tmp_path / "named.onnx")
        assert [spec.name for spec in engine.inputs] == ["in.1"]
        assert set(engine.run({"in.1": np.zeros((1, 4), np.float32)})) == {"score", "box"}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"expected inputs \['image'\], got \[\]"),
        ({"picture": np.zeros((1, 3, 16, 16), np.float32)}, r"expected inputs \['image'\], got \['picture'\]"),
        ({"image": np.zeros((1, 3, 16, 17), np.float32)}, r"float32 \(None, 3, 16, 16\), got float32 \(1, 3, 16, 17\)"),
        ({"image": np.zeros((3, 16, 16), np.float32)}, r"got float32 \(3, 16, 16\)"),
        ({"image": np.zeros((1, 3, 16, 16), np.float64)}, "expected float32 .*, got float64"),
    ],
)
def test_wrong_inputs_name_expected_and_given(
    load: Any, network: MakeNetwork, inputs: Mapping[str, Array], message: str
) -> None:
    engine = load(network())
    with pytest.raises(InputMismatch, match=message):
        engine.run(inputs)
    engine.warm_up()  # and it still works


def test_a_network_that_does_not_compile_is_named(load: Any, tmp_path: Path) -> None:
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Frobnicate", ["x"], ["y"], domain="nowhere")],
        "wrong",
        [tensor("x", TensorProto.FLOAT, [1, 4])],
        [tensor("y", TensorProto.FLOAT, [1, 4])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("nowhere", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR), tmp_path / "wrong.onnx")
    with pytest.raises(EngineError, match=r"wrong\.onnx: .*Frobnicate.*mend it with: "):
        load(tmp_path / "wrong.onnx")


@pytest.mark.parametrize(
    ("machine", "capabilities", "want"),
    [
        ("x86_64", ["FP32", "INT8"], ("f32",)),
        ("x86_64", ["FP32", "FP16", "INT8"], ("f32",)),
        ("AMD64", ["FP32", "BF16", "FP16", "INT8"], ("bf16", "f32")),
        ("arm64", ["FP32", "FP16"], ("f16", "f32")),
    ],
)
def test_openvino_computes_in_what_the_processor_has_units_for(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, machine: Any, capabilities: Any, want: Any
) -> None:
    monkeypatch.setattr(openvino, "_capabilities", lambda: capabilities)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert OpenVino().precisions(open_network(network())) == want


def test_openvino_sets_every_precision_itself() -> None:
    hints = {name: str(openvino._settings(name, None)["INFERENCE_PRECISION_HINT"]) for name in ("f32", "f16", "bf16")}
    assert {name: hint.split("'")[1] for name, hint in hints.items()} == {
        "f32": "float32",
        "f16": "float16",
        "bf16": "bfloat16",
    }


def test_openvino_takes_its_network_from_the_cache(
    network: MakeNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = network(), Cache(tmp_path / "cache")
    (image,) = images(1)
    built = OpenVino().load(open_network(path), "f32", threads=1, cache=cache).run({"image": image})["out"]
    assert len(list(cache.folder.iterdir())) == 1
    stored = OpenVino().load(open_network(path), "f32", threads=1, cache=cache)
    np.testing.assert_array_equal(stored.run({"image": image})["out"], built)
    assert [spec.name for spec in (*stored.inputs, *stored.outputs)] == ["image", "out"]

    payload = b"no network"
    key = OpenVino()._key(open_network(path), "f32", 1)
    cache.put(key, "small", payload)
    again = OpenVino().load(open_network(path), "f32", threads=1, cache=cache)
    assert "cannot read its entry in the cache" in caplog.text
    np.testing.assert_array_equal(again.run({"image": image})["out"], built)
    entry = cache.get(key, "small")
    assert entry is not None
    assert len(entry.payload) > len(payload)
