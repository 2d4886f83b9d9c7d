"""OpenVINO on the processor: bf16 or f16 where the processor computes in them, else f32.

The precision is always set by us: OpenVINO's own default is bf16 wherever the processor has it.
"""

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

from engines.base import Array, BackendUnavailable, Engine, EngineError, Precision, TensorSpec
from engines.cache import Cache, Key
from engines.cores import usable_cores
from engines.onnx_file import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

DEVICE = "CPU"
ARM = ("arm64", "aarch64")
# Infer requests per network. One call uses all its threads; a second one can set its inputs while the first computes.
REQUESTS = 2


class OpenVino:
    """The backend for x86 and Arm processors."""

    name = "openvino"
    builds_long = False

    def probe(self) -> str:
        return f"OpenVINO {_library().__version__} on {_core().get_property(DEVICE, 'FULL_DEVICE_NAME')}"

    def fingerprint(self) -> str:
        device = _core().get_property(DEVICE, "FULL_DEVICE_NAME")
        return f"{_library().__version__} {device} {' '.join(sorted(_capabilities()))}"

    def precisions(self, network: Network) -> tuple[Precision, ...]:
        del network
        capabilities = _capabilities()
        if "BF16" in capabilities:
            return ("bf16", "f32")
        if "FP16" in capabilities and platform.machine().lower() in ARM:  # on x86, f16 is slower than f32
            return ("f16", "f32")
        return ("f32",)

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        if precision not in (known := self.precisions(network)):
            raise BackendUnavailable(f"openvino computes {network.path.name} in {known} here, not in {precision}")
        key = self._key(network, precision, threads)
        if (entry := cache.get(key, network.name)) is not None:
            try:
                compiled = _core().import_model(io.BytesIO(entry.payload), DEVICE, _settings(precision, threads))
                return OpenVinoEngine(compiled, precision)
            except RuntimeError as error:
                log.warning(
                    "%s: OpenVINO cannot read its entry in the cache, compiling again (%s)",
                    network.name,
                    _last_line(error),
                )
        try:
            compiled = _core().compile_model(str(network.path), DEVICE, _settings(precision, threads))
        except RuntimeError as error:
            raise network.broken(f"OpenVINO does not compile it: {_last_line(error)}") from error
        engine = OpenVinoEngine(compiled, precision)
        cache.put(key, network.name, _exported(compiled))
        return engine

    def _key(self, network: Network, precision: Precision, threads: int | None) -> Key:
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
    """A compiled network and its infer requests, each used by one caller at a time."""

    backend = OpenVino.name

    def __init__(self, compiled: Any, precision: Precision) -> None:
        self.precision = precision
        self.device = _core().get_property(DEVICE, "FULL_DEVICE_NAME")
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)
        self._tensor = _library().Tensor
        self._idle = [compiled.create_infer_request() for _ in range(REQUESTS)]
        self._free = threading.Semaphore(REQUESTS)

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            # Tensors use the arrays' memory without owning it: `arrays` must live until the call is done.
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
            raise EngineError(f"openvino ({self.device}) failed: {_last_line(error)}") from error

    @contextmanager
    def _request(self) -> Iterator[Any]:
        with self._free:
            request = self._idle.pop()  # atomic; the semaphore counts the idle requests, so one is left
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
    """The process's `openvino.Core`: it owns the plugin, and a second one takes tens of milliseconds to make."""
    core = _library().Core()
    if DEVICE not in core.available_devices:
        raise BackendUnavailable(f"openvino has no {DEVICE} plugin here (devices: {core.available_devices})")
    return core


def _capabilities() -> list[str]:
    return list(_core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"))


def _settings(precision: Precision, threads: int | None) -> dict[str, Any]:
    types = _library().Type
    settings = {
        "INFERENCE_PRECISION_HINT": {"bf16": types.bf16, "f16": types.f16, "f32": types.f32}[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # With pinning, the threads of several engines would share some cores and leave others idle.
        "ENABLE_CPU_PINNING": False,
    }
    return settings | {"INFERENCE_NUM_THREADS": min(threads or usable_cores(), usable_cores())}


def _exported(compiled: Any) -> bytes:
    blob = compiled.export_model()
    return bytes(blob.getvalue() if isinstance(blob, io.BytesIO) else blob)


def _spec(port: Any) -> TensorSpec:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return TensorSpec(_name(port), shape, np.dtype(port.element_type.to_dtype()))


def _name(port: Any) -> str:
    """The port's name in the ONNX file. Compiling adds the names of folded nodes to `port.names`, in no order."""
    name = port.node.friendly_name.removesuffix("/sink_port_0")
    return str(name if name in port.names else port.any_name)


def _last_line(error: RuntimeError) -> str:
    """The last line of OpenVINO's message. The lines before it name its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
