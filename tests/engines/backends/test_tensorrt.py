"""TensorRT's builder and runtime, driven through a stand-in that keeps its API and runs on the host."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="needs torch, which carries the tensors on a GPU")

from engines.backends import cuda_device, tensorrt, tensorrt_build  # noqa: E402
from engines.backends.onnxruntime import OnnxRuntime  # noqa: E402
from engines.backends.tensorrt import TensorRtEngine  # noqa: E402
from engines.base import (  # noqa: E402
    Array,
    BackendUnavailable,
    DeviceLost,
    Engine,
    EngineError,
    InputMismatch,
    OutOfMemory,
    Precision,
)
from engines.cache import Cache  # noqa: E402
from engines.onnx_file import open_network  # noqa: E402
from tests.engines import standins  # noqa: E402
from tests.engines.conftest import MakeNetwork  # noqa: E402


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> standins.TensorRt:
    library = standins.TensorRt()
    monkeypatch.setattr(tensorrt, "load_library", lambda name: library)
    return library


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Any:
    device = standins.HostDevice()
    monkeypatch.setattr(tensorrt, "_device", lambda: device)
    return device


@pytest.fixture
def cache(tmp_path: Path) -> Any:
    return Cache(tmp_path / "cache")


@pytest.fixture
def engine(network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache) -> Any:
    return load(network(), cache)


def load(path: Path, cache: Cache, precision: Precision = "f16") -> Engine:
    return tensorrt.TensorRt("tensorrt").load(open_network(path), precision, threads=None, cache=cache)


def image(batch: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).standard_normal((batch, 3, 16, 16)).astype(np.float32)}


def reference(path: Path, inputs: Mapping[str, Array]) -> Any:
    engine = OnnxRuntime().load(open_network(path), "f32", threads=1, cache=Cache())
    return engine.run(inputs)["out"]


def test_a_network_is_built_loaded_and_run(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    path = network()
    engine = load(path, cache)
    assert (engine.backend, engine.precision) == ("tensorrt", "f16")
    assert "8.9" in engine.device
    assert [spec.shape for spec in engine.inputs] == [(None, 3, 16, 16)]
    for batch in (1, 3, 8, 1, 2):
        have = engine.run(image(batch))["out"]
        np.testing.assert_allclose(have, reference(path, image(batch)), atol=5e-3)
    assert np.abs(have - reference(path, image(2))).max() > 0  # it did compute in half


def test_the_build_is_strongly_typed_with_profiles_for_one_and_for_many(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    load(network(), cache)
    (build,) = library.builds
    assert build.network.flags == 1 << 1
    shapes = [[dims[0] for dims in profile["image"]] for profile in build.config.profiles]
    assert shapes == [[1, 1, 1], [2, 4, 8]]
    kinds = {tensor.data_type for tensor in onnx.load_from_string(build.network.graph).graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert library.BuilderFlag.TF32 not in build.config.flags  # what is in FP32 is there for its mantissa


def test_contexts_share_one_scratch_memory(engine: TensorRtEngine, library: standins.TensorRt) -> None:
    for batch in (1, 2, 4):
        engine.run(image(batch))
    assert len(library.made) == 3
    assert len({context.memory for context in library.made if context is not None}) == 1


def test_no_memory_for_a_context_means_a_smaller_batch(engine: TensorRtEngine, library: standins.TensorRt) -> None:
    library.most_contexts = 1
    assert engine.run(image())["out"].shape == (1, 4, 16, 16)
    with pytest.raises(OutOfMemory, match="no memory for an execution context"):
        engine.run(image(2))
    assert engine.run(image())["out"].shape == (1, 4, 16, 16)


def test_a_refusal_to_start_looks_for_a_lost_device(
    monkeypatch: pytest.MonkeyPatch, engine: TensorRtEngine, library: standins.TensorRt, device: standins.HostDevice
) -> None:
    library.refuses = True
    with pytest.raises(EngineError, match=r"tensorrt on .* could not start"):
        engine.run(image())

    def lost() -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(device, "synchronize", lost)
    with pytest.raises(DeviceLost, match="restart the server"):
        engine.run(image())


def test_sizes_are_captured_once_and_then_replayed(
    engine: TensorRtEngine, library: standins.TensorRt, device: standins.HostDevice
) -> None:
    for _ in range(3):
        for batch in (1, 3, 4):  # three run with the graph for four
            engine.run(image(batch))
    assert (device.captures, device.replays, library.contexts) == (2, 9, 2)


def test_a_batch_beyond_the_profiles_is_refused_in_words(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    engine = load(network(), cache)
    with pytest.raises(EngineError, match="batches of 1 to 8, this one needs room for 16"):
        engine.run(image(9))
    assert engine.run(image(8))["out"].shape[0] == 8


def test_a_fixed_network_has_no_profiles(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    path = network(batch=1)
    engine = load(path, cache)
    assert library.builds[0].config.profiles == []
    np.testing.assert_allclose(engine.run(image())["out"], reference(path, image()), atol=5e-3)
    with pytest.raises(InputMismatch, match="expected"):
        engine.run(image(2))


def test_the_second_start_takes_it_from_the_cache(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    path = network()
    first, second = load(path, cache), load(path, cache)
    assert (first.built, second.built, len(library.builds)) == (True, False, 1)
    np.testing.assert_array_equal(first.run(image())["out"], second.run(image())["out"])


def test_another_driver_or_version_builds_again_with_the_old_timings(
    network: MakeNetwork,
    library: standins.TensorRt,
    device: standins.HostDevice,
    cache: Cache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load(network("a"), cache)
    load(network("b", size=8), cache)
    assert library.builds[1].config.timing.serialize().startswith(b"timed timed ")
    device.driver = "590.1"
    with caplog.at_level("INFO"):
        load(network("a"), cache)
    assert len(library.builds) == 3
    assert "a: built again for tensorrt: driver: was 580.1, is 590.1" in caplog.text


def test_a_plan_that_the_library_refuses_is_built_again(
    network: MakeNetwork,
    library: standins.TensorRt,
    device: standins.HostDevice,
    cache: Cache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = network()
    load(path, cache)
    key = tensorrt._key("tensorrt", library.__version__, open_network(path), "f16", device)
    entry = cache.get(key, "small")
    assert entry is not None
    cache.put(key, "small", entry.payload.replace(b"10.16.0", b"10.15.9"))
    assert load(path, cache).run(image())["out"].shape == (1, 4, 16, 16)
    assert len(library.builds) == 2
    assert "made by another version" in caplog.text


def test_a_failed_build_says_why(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    library.fails = True
    with pytest.raises(EngineError, match=r"small\.onnx: tensorrt 10\.16\.0 cannot build it: no kernel for this layer"):
        load(network(), cache)


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("kind", ["Builder", "Runtime"])
def test_a_library_that_does_not_get_along_with_the_driver_is_said(
    monkeypatch: pytest.MonkeyPatch, network: MakeNetwork, library: standins.TensorRt, cache: Cache, kind: str
) -> None:
    def refuse(logger: Any) -> None:
        logger.log(library.ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("factory function returned nullptr")

    monkeypatch.setattr(library, kind, refuse)
    with pytest.raises(BackendUnavailable, match=r"tensorrt 10\.16\.0 cannot start here: CUDA init.* error: 35"):
        load(network(), cache)


def test_progress_shows_the_outermost_phase_only(
    network: MakeNetwork,
    library: standins.TensorRt,
    device: standins.HostDevice,
    cache: Cache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", "engines.backends.tensorrt_build"):
        load(network(), cache)
    assert [r.getMessage() for r in caplog.records if " of " in r.getMessage()] == ["small: Building engine, 1 of 1"]


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> Any:
    library = standins.TensorRtRtx()
    monkeypatch.setattr(tensorrt, "load_library", lambda name: library)
    return library


def test_rtx_gets_the_kernels_back_that_it_compiled(
    network: MakeNetwork, rtx: standins.TensorRtRtx, device: standins.HostDevice, cache: Cache
) -> None:
    path, backend = open_network(network()), tensorrt.TensorRt("tensorrt_rtx")
    first = backend.load(path, "f16", threads=None, cache=cache)
    assert rtx.kernels == b""
    first.warm_up()
    again = backend.load(path, "f16", threads=None, cache=cache)
    assert len(rtx.builds) == 1
    assert rtx.kernels.startswith(b"kernels of ")
    np.testing.assert_allclose(again.run(image(2))["out"], reference(path.path, image(2)), atol=5e-3)
    assert rtx.builds[0].config.timing is None


@pytest.mark.parametrize("capability", ["7.5", "8.9"])
def test_rtx_builds_for_the_gpu_that_is_here(
    network: MakeNetwork, rtx: standins.TensorRtRtx, device: standins.HostDevice, cache: Cache, capability: str
) -> None:
    device.capability = capability
    tensorrt.TensorRt("tensorrt_rtx").load(open_network(network()), "f16", threads=None, cache=cache)
    config = rtx.builds[0].config
    assert (config.num_compute_capabilities, config.capabilities) == (
        1,
        {0: tensorrt_build.capability_of(rtx, capability)},
    )


def test_rtx_compiles_for_each_shape_at_once_and_records_its_own_graphs(
    network: MakeNetwork, rtx: standins.TensorRtRtx, device: standins.HostDevice, cache: Cache
) -> None:
    path = network()
    engine = tensorrt.TensorRt("tensorrt_rtx").load(open_network(path), "f16", threads=None, cache=cache)
    np.testing.assert_allclose(engine.run(image(2))["out"], reference(path, image(2)), atol=5e-3)
    (config,) = rtx.configs
    assert config.dynamic_shapes_kernel_specialization_strategy.name == "EAGER"
    assert config.cuda_graph_strategy.name == "WHOLE_GRAPH_CAPTURE"
    assert (device.captures, device.replays) == (0, 0)  # a graph in a graph would be refused


def test_an_older_rtx_runs_without_a_graph_while_it_cannot_be_captured(
    network: MakeNetwork, rtx: standins.TensorRtRtx, device: standins.HostDevice, cache: Cache
) -> None:
    rtx.records = rtx.capturable = False
    path = network()
    engine = tensorrt.TensorRt("tensorrt_rtx").load(open_network(path), "f16", threads=None, cache=cache)
    np.testing.assert_allclose(engine.run(image(2))["out"], reference(path, image(2)), atol=5e-3)
    assert (device.captures, device.replays) == (0, 0)


def test_rtx_says_which_gpus_it_is_for(rtx: standins.TensorRtRtx, device: standins.HostDevice) -> None:
    assert "tensorrt_rtx 1.7.1 on a stand-in (8.9)" in tensorrt.TensorRt("tensorrt_rtx").probe()
    device.capability = "9.0"
    with pytest.raises(BackendUnavailable, match="does not build for compute capability 9"):
        tensorrt.TensorRt("tensorrt_rtx").probe()


def test_tensors_stay_on_the_device(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    path = network()
    engine: Any = load(path, cache)
    given = torch.from_numpy(image(2)["image"])
    first = engine.run_tensors({"image": given})["out"]
    kept = first.clone()
    engine.run_tensors({"image": given * 3})
    torch.testing.assert_close(first, kept)  # nobody writes to what was given away
    np.testing.assert_allclose(first.numpy(), reference(path, image(2)), atol=5e-3)
    assert device.followed == 2  # what the caller has issued is done before the network reads it
    assert not first.is_inference()  # the caller may go on with it


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, r"expected inputs \['image'\], got \[\]"),
        ({"image": torch.zeros(2, 1, 16, 16)}, r"float32 \(None, 3, 16, 16\), got torch.float32 \(2, 1, 16, 16\)"),
        ({"image": torch.zeros(1, 3, 16, 16).half()}, "expected float32 .*, got torch.float16"),
    ],
)
def test_wrong_tensors_name_expected_and_given(engine: TensorRtEngine, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputMismatch, match=message):
        engine.run_tensors(inputs)


def test_many_threads_get_their_own_results(
    network: MakeNetwork, library: standins.TensorRt, device: standins.HostDevice, cache: Cache
) -> None:
    path = network()
    engine = load(path, cache)
    wants = [reference(path, image(1 + index % 3, index)) for index in range(6)]
    start = threading.Barrier(6)

    def call(index: int) -> float:
        start.wait()
        results = [engine.run(image(1 + index % 3, index))["out"] for _ in range(20)]
        return max(float(np.abs(result - wants[index]).max()) for result in results)

    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(call, range(6))) < 5e-3


def coded(code: int) -> RuntimeError:
    """CUDA's own error as torch raises it."""
    error = torch.AcceleratorError(f"CUDA error {code}")
    error.error_code = code
    return error


@pytest.mark.parametrize(
    ("error", "ours", "message"),
    [
        (torch.OutOfMemoryError("tried to allocate 2 GiB"), OutOfMemory, "tried to allocate 2 GiB"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), DeviceLost, "the device failed, restart"),
        (coded(700), DeviceLost, "the device failed, restart"),  # illegal address
        (coded(2), OutOfMemory, "CUDA error 2"),  # of a graph, or of pinned memory
        (coded(900), EngineError, "cannot be captured into a CUDA graph"),
        (coded(209), EngineError, "failed: CUDA error 209"),  # no kernels for this GPU
        (RuntimeError("expected scalar type Half"), EngineError, "a stand-in .* failed: expected scalar type Half"),
        (EngineError("ours already"), EngineError, "^ours already$"),
    ],
)
def test_errors_of_cuda_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, engine: TensorRtEngine, error: Exception, ours: Any, message: str
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(standins.HostDevice, "capture", fail)
    with pytest.raises(ours, match=message) as raised:
        engine.run(image())
    assert type(raised.value) is ours


def test_what_ran_out_of_memory_holds_none(monkeypatch: pytest.MonkeyPatch, engine: TensorRtEngine) -> None:
    kept = []

    def fail(*_: Any) -> None:
        large = torch.zeros(1000)
        kept.append(weakref.ref(large))
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(standins.HostDevice, "capture", fail)
    with pytest.raises(OutOfMemory) as raised:
        engine.run(image())
    assert raised.value.__cause__ is not None
    assert kept[0]() is None


class TorchOfStreams:
    """The part of torch that hands out streams: the same few in turn."""

    def __init__(self) -> None:
        self.turn = itertools.count()
        self.cuda = SimpleNamespace(
            is_available=lambda: True,
            get_device_properties=lambda index: SimpleNamespace(name="a GPU", major=9, minor=0),
            Stream=lambda priority: SimpleNamespace(
                cuda_stream=1000 * -priority + next(self.turn) % cuda_device.STREAMS
            ),
        )


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Any:
    torch_of_streams = TorchOfStreams()
    monkeypatch.setattr(cuda_device, "find_driver", lambda: None)
    monkeypatch.setattr(cuda_device, "load_torch", lambda: torch_of_streams)
    monkeypatch.setattr(cuda_device, "_driver", lambda: "580.1")
    monkeypatch.setattr(cuda_device, "_TAKEN", set())
    return torch_of_streams


def test_no_two_engines_share_a_stream(streams: TorchOfStreams) -> None:
    devices = [cuda_device.CudaDevice() for _ in range(2 * cuda_device.STREAMS)]
    assert next(streams.turn) == 0  # a device that only tells its name takes none
    assert len({device.stream for device in devices}) == 2 * cuda_device.STREAMS
    with pytest.raises(EngineError, match="64 networks are on the GPU"):
        _ = cuda_device.CudaDevice().stream
    free = devices.pop().stream
    assert cuda_device.CudaDevice().stream == free


def test_a_gpu_that_cannot_be_used_is_said(streams: TorchOfStreams) -> None:
    def busy(index: Any) -> None:
        raise RuntimeError("CUDA-capable device(s) is/are busy or unavailable")

    streams.cuda.get_device_properties = busy
    with pytest.raises(BackendUnavailable, match=r"cannot be used: .* busy"):
        cuda_device.CudaDevice()


def test_a_missing_driver_is_said_before_anything_heavy_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", missing)
    monkeypatch.setattr(cuda_device, "load_torch", lambda: pytest.fail("torch was imported"))
    with pytest.raises(BackendUnavailable, match=r"there is no NVIDIA driver \(.* is not found\)"):
        tensorrt.TensorRt("tensorrt").probe()


def test_the_driver_tells_its_version_where_there_is_no_file_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def version(buffer: Any, size: Any) -> Any:
        buffer.value = b"581.29"
        return 0

    nvml = SimpleNamespace(nvmlInit_v2=lambda: 0, nvmlSystemGetDriverVersion=version)
    monkeypatch.setattr(cuda_device, "DRIVER_FILE", tmp_path / "version")
    monkeypatch.setattr("ctypes.CDLL", lambda name: nvml)
    assert cuda_device._driver() == "581.29"
    nvml.nvmlInit_v2 = lambda: 9  # the driver is not loaded
    assert cuda_device._driver() == f"for CUDA {torch.version.cuda}"
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release\n")
    assert cuda_device._driver() == "580.82.07"


def test_a_torch_without_cuda_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.version.cuda is not None:
        pytest.skip("this torch has CUDA")
    monkeypatch.setattr(cuda_device, "find_driver", lambda: None)
    with pytest.raises(BackendUnavailable, match="built without CUDA"):
        cuda_device.CudaDevice()


def test_a_library_that_is_not_installed_is_said() -> None:
    with pytest.raises(BackendUnavailable, match="no_such_tensorrt does not load"):
        tensorrt_build.load_library("no_such_tensorrt")


def test_an_old_tensorrt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: standins.TensorRt("8.6.1"))
    with pytest.raises(BackendUnavailable, match=r"8\.6\.1 is too old"):
        tensorrt_build.load_library("tensorrt")
