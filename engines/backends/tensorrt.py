"""TensorRT 10 and 11, and TensorRT for RTX, as backends; `engines.backends.tensorrt_build` builds the engines."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engines.backends.cuda import CudaEngine, Slot
from engines.backends.cuda_device import CudaDevice, Device
from engines.backends.tensorrt_build import (
    PROFILES,
    build,
    capability_of,
    deserialize,
    has_timing_cache,
    load_library,
    logger_of,
)
from engines.base import BackendUnavailable, Engine, EngineError, OutOfMemory, Precision, TensorSpec
from engines.cache import Cache, Key
from engines.graph import VERSION
from engines.onnx_file import Network

log = logging.getLogger(__name__)

PRECISIONS: tuple[Precision, ...] = ("f16", "f32")


class TensorRt:
    """The backend of one library.

    Args:
        module: "tensorrt" or "tensorrt_rtx".
    """

    builds_long = True

    def __init__(self, module: str) -> None:
        self.name = self.module = module

    def probe(self) -> str:
        device = _device()
        library = load_library(self.module)
        if self.module == "tensorrt_rtx":
            capability_of(library, device.capability)
        return f"{self.name} {self._version(library)} on {device.name} ({device.capability}), driver {device.driver}"

    def fingerprint(self) -> str:
        device, library = _device(), load_library(self.module)
        return f"{self._version(library)} {device.name} {device.capability} driver {device.driver}"

    def precisions(self, network: Network) -> tuple[Precision, ...]:
        del network
        return PRECISIONS

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        del threads
        if precision not in PRECISIONS:
            raise BackendUnavailable(f"{self.name} computes in {PRECISIONS} here, not in {precision}")
        library, device = load_library(self.module), _device()
        key = _key(self.name, self._version(library), network, precision, device)
        kernels = Blob(cache, replace(key, precision=f"{precision}-kernels"), network.name)
        entry = cache.get(key, network.name)
        plan = deserialize(library, entry.payload) if entry is not None else None
        built = plan is None
        if built:
            # The timing cache holds for every network on the same device and version.
            timings = Blob(cache, replace(key, network="any", precision="timing"), self.name)
            payload = self._build(library, network, precision, timings, device)
            cache.put(key, network.name, payload)
            plan = deserialize(library, payload)
        if plan is None:
            raise EngineError(f"{network.path}: {self.name} does not load what it built; its log has the reason")
        engine = TensorRtEngine(self.name, library, plan, precision, device, kernels=kernels)
        engine.built = built
        return engine

    def _version(self, library: Any) -> str:
        return str(library.__version__)

    def _build(self, library: Any, network: Network, precision: Precision, timings: Blob, device: Device) -> bytes:
        timing = timings.read() if has_timing_cache(library) else b""
        # By default, TensorRT for RTX builds for Ampere and newer GPUs; a Turing GPU refuses the result.
        capabilities = [device.capability] if self.module == "tensorrt_rtx" else []
        built = build(library, network, precision, capabilities=capabilities, timing=timing)
        timings.write(built.timing)
        return built.plan


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that a library reuses at the next start: its timing cache, or compiled kernels.

    Attributes:
        cache: where they are stored.
        key: what they depend on.
        name: start of the file's name.
    """

    cache: Cache
    key: Key
    name: str

    def read(self) -> bytes:
        entry = self.cache.get(self.key, self.name)
        return entry.payload if entry else b""

    def write(self, payload: bytes) -> None:
        if payload:
            self.cache.put(self.key, self.name, payload)


class TensorRtEngine(CudaEngine):
    """A deserialized engine with an execution context per optimization profile.

    Args:
        backend: name of the library's module.
        library: the module.
        plan: the deserialized engine.
        precision: what its graph computes in.
        device: where it runs.
        kernels: where TensorRT for RTX stores the kernels that it compiles on the user's GPU; None to not store them.
    """

    def __init__(
        self,
        backend: str,
        library: Any,
        plan: Any,
        precision: Precision,
        device: Device,
        *,
        kernels: Blob | None = None,
    ) -> None:
        super().__init__(device)
        self.backend, self.precision = backend, precision
        self._plan = plan
        specs = list(_specs(library, plan))
        self.inputs = tuple(spec for spec, mode in specs if mode == library.TensorIOMode.INPUT)
        self.outputs = tuple(spec for spec, mode in specs if mode == library.TensorIOMode.OUTPUT)
        self._contexts: dict[int, Any] = {}
        self._kernels = kernels
        self._library = library
        self._config, self._compiled = _runtime_config(library, plan, kernels)
        self._scratch: Any = None

    def warm_up(self) -> None:
        super().warm_up()
        if self._kernels is not None and self._compiled is not None:
            self._kernels.write(bytes(self._compiled.serialize()))

    def close(self) -> None:
        super().close()
        self._contexts.clear()
        self._scratch = None

    def _slot(self, batch: int) -> Slot:
        # Each slot has its own context: a captured graph depends on the addresses and shapes of its context.
        context = self._context(batch)
        inputs = {spec.name: self._device.buffer(spec.sized(batch), spec.dtype) for spec in self.inputs}
        for name, tensor in inputs.items():
            if not context.set_input_shape(name, tuple(tensor.shape)):
                raise EngineError(f"{self.backend} refuses shape {tuple(tensor.shape)} for input {name!r}")
        outputs = {spec.name: self._device.buffer(self._size(context, spec.name), spec.dtype) for spec in self.outputs}
        for name, tensor in (inputs | outputs).items():
            if not context.set_tensor_address(name, tensor.data_ptr()):
                raise EngineError(f"{self.backend} refuses the address of {name!r}")

        def launch() -> None:
            if not context.execute_async_v3(self._device.stream):
                self._device.synchronize()  # raises if the device is lost
                raise EngineError(f"{self.backend} on {self.device} could not start: {logger_of(self._library).last}")

        return Slot(inputs, outputs, launch, self._capturable(context))

    def _size(self, context: Any, name: str) -> tuple[int, ...]:
        """The shape of an output, which the library infers from the input shapes of the context."""
        shape = tuple(context.get_tensor_shape(name))
        if any(size < 0 for size in shape):
            raise EngineError(f"{self.backend}: the shape of output {name!r} depends on the values of the inputs")
        return shape

    def _capturable(self, context: Any) -> bool:
        """Whether we capture its launches. TensorRT for RTX captures a graph of its own."""
        if hasattr(self._config, "cuda_graph_strategy"):
            return False
        ask = getattr(context, "is_stream_capturable", lambda stream: True)
        return bool(ask(self._device.stream))

    def _context(self, batch: int) -> Any:
        index = self._profile(batch)
        context = self._new_context()
        if context is None:
            raise OutOfMemory(f"{self.backend} on {self.device} has no memory for an execution context")
        if not context.set_optimization_profile_async(index, self._device.stream):
            raise EngineError(f"{self.backend} refuses optimization profile {index}")
        self._contexts[batch] = context
        return context

    def _new_context(self) -> Any:
        """An execution context. All contexts share one scratch memory, since calls take turns."""
        if self._config is not None:
            return self._plan.create_execution_context(self._config)
        if not hasattr(self._plan, "device_memory_size_v2"):  # TensorRT 10.0
            return self._plan.create_execution_context()
        size = max(1, self._plan.device_memory_size_v2)
        if self._scratch is None:
            self._scratch = self._device.buffer((size,), np.dtype(np.uint8))
        context = self._plan.create_execution_context(self._library.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is not None:
            context.set_device_memory(self._scratch.data_ptr(), size)
        return context

    def _profile(self, batch: int) -> int:
        """Index of the first optimization profile that includes a batch size."""
        free = [(spec.name, spec.shape.index(None)) for spec in self.inputs if None in spec.shape]
        for index in range(self._plan.num_optimization_profiles):
            if all(
                shapes[0][axis] <= batch <= shapes[2][axis]
                for name, axis in free
                for shapes in [self._plan.get_tensor_profile_shape(name, index)]
            ):
                return index
        raise EngineError(
            f"{self.backend}: built for batches of 1 to {PROFILES[-1][-1]}, this one needs room for {batch}"
        )


def _device() -> CudaDevice:
    """A new device object: each engine has a stream and a graph pool of its own."""
    return CudaDevice()


def _runtime_config(library: Any, plan: Any, kernels: Blob | None) -> tuple[Any, Any]:
    """The runtime configuration and its cache of compiled kernels; both None if the library compiles no kernels.

    Kernels for a new shape are compiled in the first call ("eager"), which is made during warm-up. With the default,
    generic kernels would be compared and timed and others used later. The library captures its own CUDA graph per
    shape.
    """
    if kernels is None or not hasattr(plan, "create_runtime_config"):
        return None, None
    config: Any = plan.create_runtime_config()
    if not hasattr(config, "create_runtime_cache"):
        return None, None
    compiled = config.create_runtime_cache()
    if (stored := kernels.read()) and not compiled.deserialize(stored):
        log.info("%s: the stored kernels do not fit this driver or GPU any more", kernels.name)
    config.set_runtime_cache(compiled)
    if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
        config.dynamic_shapes_kernel_specialization_strategy = library.DynamicShapesKernelSpecializationStrategy.EAGER
    if hasattr(config, "cuda_graph_strategy"):
        config.cuda_graph_strategy = library.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    return config, compiled


def _specs(library: Any, plan: Any) -> Iterator[tuple[TensorSpec, Any]]:
    for index in range(plan.num_io_tensors):
        name = plan.get_tensor_name(index)
        shape = tuple(size if size >= 0 else None for size in plan.get_tensor_shape(name))
        dtype = np.dtype(library.nptype(plan.get_tensor_dtype(name)))
        yield TensorSpec(name, shape, dtype), plan.get_tensor_mode(name)


def _key(backend: str, version: str, network: Network, precision: Precision, device: Device) -> Key:
    return Key(
        network=network.sha256,
        shapes=f"batches {PROFILES}",
        precision=precision,
        backend=backend,
        version=f"{version}, graphs as of {VERSION}",
        device=device.name,
        capability=device.capability,
        driver=device.driver,
    )
