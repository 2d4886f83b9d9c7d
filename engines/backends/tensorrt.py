"""TensorRT 10 and 11, and TensorRT for RTX: three libraries with nearly one API, used by one set of functions.

All networks are strongly typed: FP16 is decided in the graph (`engines.graph.half`): TensorRT 11 has no other way.
Building with TensorRT needs the GPU; TensorRT for RTX builds for any GPU on any machine and finishes on the user's.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engines.backends.cuda import CudaDevice, CudaEngine, Device, Slot, only_batch_is_free
from engines.base import BackendUnavailable, Engine, EngineError, OutOfMemory, TensorSpec
from engines.cache import Cache, Key
from engines.onnx_file import GRAPHS, Network

log = logging.getLogger(__name__)

# (smallest, usual, largest) batch of each optimization profile: a single face is never slowed by room for eight.
PROFILES = ((1, 1, 1), (2, 4, 8))
PRECISIONS = ("f16", "f32")


class TensorRt:
    """The backend, once per library.

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

    def precisions(self, network: Network) -> tuple[str, ...]:
        del network
        return PRECISIONS

    def load(self, network: Network, precision: str, *, threads: int | None, cache: Cache) -> Engine:
        del threads
        if precision not in PRECISIONS:
            raise BackendUnavailable(f"{self.name} computes in {PRECISIONS} here, not in {precision}")
        library, device = load_library(self.module), _device()
        key = _key(self.name, self._version(library), network, precision, device)
        kernels = Blob(cache, replace(key, precision=f"{precision}-kernels"), network.name)
        entry = cache.get(key, network.name)
        plan = deserialized(library, entry.payload) if entry is not None else None
        built = plan is None
        if built:
            # Timings of layers serve every network on the same device and version.
            timings = Blob(cache, replace(key, network="any", precision="timing"), self.name)
            payload = self._build(library, network, precision, timings, device)
            cache.put(key, network.name, payload)
            plan = deserialized(library, payload)
        if plan is None:
            raise EngineError(f"{network.path}: {self.name} does not load what it built; its log has the reason")
        engine = TensorRtEngine(self.name, library, plan, precision, device, kernels=kernels)
        engine.built = built
        return engine

    def _version(self, library: Any) -> str:
        return str(library.__version__)

    def _build(self, library: Any, network: Network, precision: str, timings: Blob, device: Device) -> bytes:
        timing = timings.read() if _has_timing_cache(library) else b""
        # TensorRT for RTX builds for GPUs from Ampere on unless told; a Turing GPU would refuse what it gets.
        capability = device.capability if self.module == "tensorrt_rtx" else None
        built = build(library, network, precision, capability=capability, timing=timing)
        timings.write(built.timing)
        return built.plan


@dataclass(frozen=True, slots=True)
class Blob:
    """Something that a library gives out and wants back at the next start: timings, or compiled kernels.

    Attributes:
        cache: where it is kept.
        key: what it depends on.
        name: whose it is, for the file's name.
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


@dataclass(frozen=True, slots=True)
class Built:
    """The result of a build.

    Attributes:
        plan: the serialized engine.
        timing: the timing cache, to make the next build faster; empty where the library has none.
    """

    plan: bytes
    timing: bytes


def build(
    library: Any,
    network: Network,
    precision: str,
    *,
    capability: str | None = None,
    timing: bytes = b"",
    refittable: bool = False,
    keep: Sequence[str] = (),
) -> Built:
    """Build a serialized engine for batches of 1 to 8.

    Args:
        library: the module `tensorrt` or `tensorrt_rtx`.
        network: the ONNX file, in float32.
        precision: "f16" or "f32".
        capability: compute capability to build for, such as "8.9"; None for this machine's GPU. TensorRT for RTX only.
        timing: a timing cache of an earlier build.
        refittable: whether `refit` may later replace the weights, for a little speed.
        keep: regular expressions of nodes that stay in FP32, see `engines.graph.half.to_half`.

    Raises:
        EngineError: the library cannot parse or build the network; the message names the node.
    """
    logger = logger_of(library)
    builder = _started(library, "Builder")
    definition = builder.create_network(_strongly_typed(library))
    parse(library, definition, network, graph_of(network, precision, keep))
    config = builder.create_builder_config()
    for smallest, usual, largest in _profiles(definition):
        profile = builder.create_optimization_profile()
        for index in range(definition.num_inputs):
            tensor = definition.get_input(index)
            shapes = [
                tuple(size if size >= 0 else batch for size in tensor.shape) for batch in (smallest, usual, largest)
            ]
            profile.set_shape(tensor.name, *shapes)
        config.add_optimization_profile(profile)
    if capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(capability_of(library, capability), 0)
    if refittable:
        config.set_flag(library.BuilderFlag.REFIT)
    # On by default, it rounds FP32 to 10 bits of mantissa: layers kept in FP32 would be hardly better than in FP16.
    if (tf32 := getattr(library.BuilderFlag, "TF32", None)) is not None:
        config.clear_flag(tf32)
    if _has_timing_cache(library):
        config.set_timing_cache(config.create_timing_cache(timing), False)
    config.progress_monitor = _monitor(library, network.name)
    log.info("%s: building for %s in %s", network.name, library.__name__, precision)
    plan = builder.build_serialized_network(definition, config)
    if plan is None:
        raise EngineError(f"{network.path}: {library.__name__} {library.__version__} cannot build it: {logger.last}")
    cache = config.get_timing_cache() if _has_timing_cache(library) else None
    return Built(bytes(plan), bytes(cache.serialize()) if cache is not None else b"")


def graph_of(network: Network, precision: str, keep: Sequence[str] = ()) -> bytes:
    """The serialized ONNX graph in the precision asked for; what overflows on random inputs stays in FP32."""
    import onnx  # noqa: PLC0415

    from engines.graph import half  # noqa: PLC0415

    model = onnx.load(str(network.path))
    inputs, _ = half.sides(model)
    only_batch_is_free(network, inputs)
    if precision == "f16":
        model = half.to_half(model, keep, half.measured(network))
    return bytes(model.SerializeToString())


def parse(library: Any, definition: Any, network: Network, graph: bytes) -> None:
    """Read an ONNX graph into a network definition.

    Raises:
        EngineError: naming each node that the parser refuses.
    """
    parser = library.OnnxParser(definition, logger_of(library))
    if not parser.parse(graph):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        reasons = "; ".join(f"{error.node_operator()} {error.node_name()!r}: {error.desc()}" for error in errors)
        raise EngineError(f"{network.path}: {library.__name__} {library.__version__} cannot parse it: {reasons}")


def refit(library: Any, plan: Any, network: Network, precision: str, keep: Sequence[str] = ()) -> None:
    """Give a refittable engine the weights of another network of the same graph, in place and without a build.

    Args:
        library: the module `tensorrt` or `tensorrt_rtx`.
        plan: the deserialized engine.
        network: the ONNX file with the new weights.
        precision: that of the engine.
        keep: what it was built with.

    Raises:
        EngineError: the graphs differ.
    """
    logger = logger_of(library)
    refitter = library.Refitter(plan, logger)
    parser = library.OnnxParserRefitter(refitter, logger)
    if not parser.refit_from_bytes(graph_of(network, precision, keep)):
        errors = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise EngineError(f"{network.path}: its weights do not fit the engine: {errors or logger.last}")
    if not refitter.refit_cuda_engine():
        raise EngineError(f"{network.path}: its weights could not be put into the engine: {logger.last}")


class TensorRtEngine(CudaEngine):
    """A deserialized engine with an execution context per optimization profile.

    Args:
        backend: name of the library's module.
        library: the module.
        plan: the deserialized engine.
        precision: what its graph computes in.
        device: where it runs.
        kernels: where TensorRT for RTX, which compiles kernels on the user's GPU, keeps them for the next start.
    """

    def __init__(
        self, backend: str, library: Any, plan: Any, precision: str, device: Device, *, kernels: Blob | None = None
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
        # Its own context: a captured graph keeps the addresses and shapes that its context had.
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
                self._device.synchronize()  # a device that is lost says so here
                raise EngineError(f"{self.backend} on {self.device} could not start: {logger_of(self._library).last}")

        return Slot(inputs, outputs, launch, self._capturable(context))

    def _size(self, context: Any, name: str) -> tuple[int, ...]:
        """The shape of an output, which the library knows once it has those of the inputs."""
        shape = tuple(context.get_tensor_shape(name))
        if any(size < 0 for size in shape):
            raise EngineError(f"{self.backend}: the shape of output {name!r} depends on the values of the inputs")
        return shape

    def _capturable(self, context: Any) -> bool:
        """Whether to record what it launches. TensorRT for RTX does so by itself, once its kernels are compiled."""
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
        """An execution context. All share one scratch memory, since calls take turns."""
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
        """The profile that holds a batch size."""
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


def load_library(name: str) -> Any:
    """Import `tensorrt` or `tensorrt_rtx`.

    Raises:
        BackendUnavailable: it is not installed, is too old, or its libraries do not load.
    """
    try:
        library = importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise BackendUnavailable(f"{name} does not load ({error})") from error
    if name == "tensorrt" and int(library.__version__.split(".")[0]) < 10:
        raise BackendUnavailable(f"tensorrt {library.__version__} is too old: 10 or newer is needed")
    return library


def capability_of(library: Any, capability: str) -> Any:
    """The library's value for a compute capability such as "8.9".

    Raises:
        BackendUnavailable: it does not build for such GPUs.
    """
    known = getattr(library, "ComputeCapability", None)
    value = getattr(known, f"SM{capability.replace('.', '')}", None)
    if value is None:
        has = sorted(name.removeprefix("SM") for name in dir(known) if name.startswith("SM"))
        raise BackendUnavailable(f"{library.__name__} does not build for compute capability {capability} (knows {has})")
    return value


@functools.cache
def logger_of(library: Any) -> Any:
    """The library's log as ours, with the last complaint kept for error messages. A process has one per library."""

    class Logger(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self.last = "no reason was given"

        def log(self, severity: Any, message: str) -> None:
            if severity in (library.ILogger.Severity.INTERNAL_ERROR, library.ILogger.Severity.ERROR):
                self.last = message
                log.error("%s: %s", library.__name__, message)
            elif severity == library.ILogger.Severity.WARNING:
                log.warning("%s: %s", library.__name__, message)
            else:
                log.debug("%s: %s", library.__name__, message)

    return Logger()


def _monitor(library: Any, name: str) -> Any:
    """Progress of the outermost phases in the log."""

    class Monitor(library.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            library.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self._steps[phase] = steps

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self._steps:
                log.info("%s: %s, %d of %d", name, phase, step + 1, self._steps[phase])
            return True  # False would cancel the build

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()


def _device() -> CudaDevice:
    """A device of its own for each engine: streams and graphs must not meet."""
    return CudaDevice()


def _runtime_config(library: Any, plan: Any, kernels: Blob | None) -> tuple[Any, Any]:
    """How to run, and the cache of kernels compiled earlier; both None where the library compiles none.

    Kernels for a new shape are compiled in its first call, which warming up makes: otherwise generic ones would be
    checked and timed, and others run later. The library then records its own CUDA graph per shape.
    """
    if kernels is None or not hasattr(plan, "create_runtime_config"):
        return None, None
    config: Any = plan.create_runtime_config()
    if not hasattr(config, "create_runtime_cache"):
        return None, None
    compiled = config.create_runtime_cache()
    if (stored := kernels.read()) and not compiled.deserialize(stored):
        log.info("%s: kernels compiled earlier do not fit this driver or GPU any more", kernels.name)
    config.set_runtime_cache(compiled)
    if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
        config.dynamic_shapes_kernel_specialization_strategy = library.DynamicShapesKernelSpecializationStrategy.EAGER
    if hasattr(config, "cuda_graph_strategy"):
        config.cuda_graph_strategy = library.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    return config, compiled


def deserialized(library: Any, plan: bytes) -> Any:
    """The engine, or None where the library refuses it (made for another GPU or version)."""
    logger = logger_of(library)
    engine = _started(library, "Runtime").deserialize_cuda_engine(plan)
    if engine is None:
        log.warning("%s refuses a compiled network: %s", library.__name__, logger.last)
    return engine


def _started(library: Any, kind: str) -> Any:
    """The library's builder or runtime.

    Raises:
        BackendUnavailable: the library does not get along with the GPU's driver.
    """
    logger = logger_of(library)
    try:
        return getattr(library, kind)(logger)
    except (TypeError, RuntimeError) as error:  # its bindings say the first of an object that was not made
        reason = f"{library.__name__} {library.__version__} cannot start here: {logger.last}"
        raise BackendUnavailable(reason) from error


def _strongly_typed(library: Any) -> int:
    """The flag for strongly typed networks: the only kind of TensorRT 11 and for RTX, a choice in TensorRT 10."""
    flag = getattr(library.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _profiles(definition: Any) -> tuple[tuple[int, int, int], ...]:
    inputs = [definition.get_input(index) for index in range(definition.num_inputs)]
    return PROFILES if any(size < 0 for tensor in inputs for size in tensor.shape) else ()


def _has_timing_cache(library: Any) -> bool:
    return bool(library.__name__ == "tensorrt")  # TensorRT for RTX times nothing when it builds


def _specs(library: Any, plan: Any) -> Iterator[tuple[TensorSpec, Any]]:
    for index in range(plan.num_io_tensors):
        name = plan.get_tensor_name(index)
        shape = tuple(size if size >= 0 else None for size in plan.get_tensor_shape(name))
        dtype = np.dtype(library.nptype(plan.get_tensor_dtype(name)))
        yield TensorSpec(name, shape, dtype), plan.get_tensor_mode(name)


def _key(backend: str, version: str, network: Network, precision: str, device: Device) -> Key:
    return Key(
        network=network.sha256,
        shapes=f"batches {PROFILES}",
        precision=precision,
        backend=backend,
        version=f"{version}, graphs as of {GRAPHS}",
        device=device.name,
        capability=device.capability,
        driver=device.driver,
    )
