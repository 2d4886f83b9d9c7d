"""OpenVINO on the processor: bf16 or f16 where it has units for them, else f32; never what we did not set."""

from __future__ import annotations

import functools
import io
import logging
import platform
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.base import Array, BackendUnavailable, Engine, EngineError, TensorSpec
from engines.cache import Cache, Key
from engines.onnx_file import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

DEVICE = "CPU"
ARM = ("arm64", "aarch64")
# Requests a network keeps. One call uses all threads it may; the second copies its input while the first computes.
REQUESTS = 2


class OpenVino:
    """The backend for x86 and Arm processors."""

    name = "openvino"
    builds_long = False

    def probe(self) -> str:
        return f"OpenVINO {_library().__version__} on {_core().get_property(DEVICE, 'FULL_DEVICE_NAME')}"

    def precisions(self, network: Network) -> tuple[str, ...]:
        capabilities = _capabilities()
        floats: tuple[str, ...] = ("f32",)
        if "BF16" in capabilities:
            floats = ("bf16", "f32")
        elif "FP16" in capabilities and platform.machine().lower() in ARM:  # x86 has it too, slower than f32
            floats = ("f16", "f32")
        return ("int8", *floats) if network.quantized is not None and "INT8" in capabilities else floats

    def load(self, network: Network, precision: str, *, threads: int | None, cache: Cache) -> Engine:
        if precision not in (known := self.precisions(network)):
            raise BackendUnavailable(f"openvino computes {network.path.name} in {known} here, not in {precision}")
        if precision == "int8" and network.quantized is not None:
            network = network.quantized
        key = self._key(network, precision, threads)
        if (entry := cache.get(key, network.name)) is not None:
            try:
                compiled = _core().import_model(io.BytesIO(entry.payload), DEVICE, _settings(precision, threads))
                return OpenVinoEngine(compiled, precision)
            except RuntimeError as error:
                log.warning(
                    "%s: OpenVINO refuses what it compiled before, building again (%s)", network.name, _last(error)
                )
        try:
            compiled = _core().compile_model(str(network.path), DEVICE, _settings(precision, threads))
        except RuntimeError as error:
            raise network.broken(f"OpenVINO does not compile it: {_last(error)}") from error
        engine = OpenVinoEngine(compiled, precision)
        cache.put(key, network.name, _exported(compiled))
        return engine

    def _key(self, network: Network, precision: str, threads: int | None) -> Key:
        return Key(
            network=network.sha256,
            shapes="as in the network",
            precision=precision,
            backend=self.name,
            version=_library().__version__,
            device=_core().get_property(DEVICE, "FULL_DEVICE_NAME"),
            capability=" ".join(sorted(_capabilities())),
            driver=f"{platform.system()} {platform.machine()}, {threads or 'all'} threads",
        )


class OpenVinoEngine(Engine):
    """A compiled network and a few infer requests, each used by one caller at a time."""

    backend = OpenVino.name

    def __init__(self, compiled: Any, precision: str) -> None:
        self.precision = precision
        self.device = _core().get_property(DEVICE, "FULL_DEVICE_NAME")
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)
        self._tensor = _library().Tensor
        self._idle = [compiled.create_infer_request() for _ in range(REQUESTS)]
        self._free = threading.Semaphore(REQUESTS)

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            # Tensors share the arrays' memory and do not keep it: all must live until the call is done.
            arrays = [np.ascontiguousarray(inputs[spec.name]) for spec in self.inputs]
            with self._request() as request:
                for index, array in enumerate(arrays):
                    request.set_input_tensor(index, self._tensor(array, shared_memory=True))
                request.start_async()
                request.wait()
                return {
                    spec.name: request.get_output_tensor(index).data.copy() for index, spec in enumerate(self.outputs)
                }
        except RuntimeError as error:
            raise EngineError(f"openvino ({self.device}) failed: {_last(error)}") from error

    @contextmanager
    def _request(self) -> Iterator[Any]:
        with self._free:
            request = self._idle.pop()  # atomic, and never empty: the semaphore counts the idle ones
            try:
                yield request
            finally:
                self._idle.append(request)


def _library() -> Any:
    try:
        import openvino  # noqa: PLC0415
    except ImportError as error:
        raise BackendUnavailable(f"openvino is not installed ({error}); pip install openvino") from error
    return openvino


@functools.cache
def _core() -> Any:
    """The one `openvino.Core`: it owns the plugin, and making another costs tens of milliseconds."""
    core = _library().Core()
    if DEVICE not in core.available_devices:
        raise BackendUnavailable(f"openvino has no {DEVICE} plugin here (devices: {core.available_devices})")
    return core


def _capabilities() -> list[str]:
    return list(_core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"))


def _settings(precision: str, threads: int | None) -> dict[str, Any]:
    types = _library().Type
    # int8 is in the graph already; what of it is not in int8 runs in bf16 where it can.
    floats = ("bf16" if "BF16" in _capabilities() else "f32") if precision == "int8" else precision
    settings = {
        "INFERENCE_PRECISION_HINT": {"bf16": types.bf16, "f16": types.f16, "f32": types.f32}[floats],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # Pinned threads of several engines would sit on the same cores while others idle.
        "ENABLE_CPU_PINNING": False,
    }
    return settings | ({"INFERENCE_NUM_THREADS": threads} if threads else {})


def _exported(compiled: Any) -> bytes:
    blob = compiled.export_model()
    return bytes(blob.getvalue() if isinstance(blob, io.BytesIO) else blob)


def _spec(port: Any) -> TensorSpec:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return TensorSpec(_name(port), shape, np.dtype(port.element_type.to_dtype()))


def _name(port: Any) -> str:
    """The port's name in the ONNX file: compiling gives it those of folded nodes besides, in no order."""
    name = port.node.friendly_name.removesuffix("/sink_port_0")
    return str(name if name in port.names else port.any_name)


def _last(error: RuntimeError) -> str:
    """The last line of OpenVINO's message: the first ones name its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
