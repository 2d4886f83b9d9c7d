"""Building TensorRT engines: with TensorRT 10 and 11, and with TensorRT for RTX, three libraries with nearly one API.

All networks are strongly typed: the ONNX graph decides what is computed in FP16 (`engines.graph.half`), the only way
that TensorRT 11 has. Building with TensorRT needs the GPU; TensorRT for RTX builds for any GPU on any machine and
compiles the kernels on the user's.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engines.base import BackendUnavailable, EngineError, Precision
from engines.onnx_file import Network, only_batch_is_free

log = logging.getLogger(__name__)

PROFILES = ((1, 1, 1), (2, 4, 8))
"""(smallest, usual, largest) batch of each optimization profile. A batch of one has its own, tuned for one alone."""


@dataclass(frozen=True, slots=True)
class Built:
    """The result of a build.

    Attributes:
        plan: the serialized engine.
        timing: the timing cache, which makes the next build faster; empty if the library has none.
    """

    plan: bytes
    timing: bytes


def build(
    library: Any,
    network: Network,
    precision: Precision,
    *,
    capabilities: Sequence[str] = (),
    timing: bytes = b"",
) -> Built:
    """Build a serialized engine for batches of 1 to 8.

    Args:
        library: the module `tensorrt` or `tensorrt_rtx`.
        network: the ONNX file, in float32.
        precision: "f16" or "f32".
        capabilities: compute capabilities to build one engine for, such as "8.9"; none for this machine's GPU.
            TensorRT for RTX only.
        timing: a timing cache of an earlier build.

    Raises:
        EngineError: the library cannot parse or build the network; the message names the node.
    """
    logger = logger_of(library)
    builder = create(library, "Builder")
    definition = builder.create_network(_strongly_typed(library))
    parse(library, definition, network, graph_of(network, precision))
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
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(capability_of(library, capability), index)
    # TF32 is on by default and has 10 bits of mantissa like FP16: layers kept in FP32 would gain range only.
    if (tf32 := getattr(library.BuilderFlag, "TF32", None)) is not None:
        config.clear_flag(tf32)
    if has_timing_cache(library):
        config.set_timing_cache(config.create_timing_cache(timing), False)
    config.progress_monitor = _monitor(library, network.name)
    log.info("%s: building for %s in %s", network.name, library.__name__, precision)
    plan = builder.build_serialized_network(definition, config)
    if plan is None:
        raise EngineError(f"{network.path}: {library.__name__} {library.__version__} cannot build it: {logger.last}")
    cache = config.get_timing_cache() if has_timing_cache(library) else None
    return Built(bytes(plan), bytes(cache.serialize()) if cache is not None else b"")


def graph_of(network: Network, precision: Precision) -> bytes:
    """The serialized ONNX graph computing in `precision`; nodes that overflow on random inputs stay in FP32."""
    from engines.graph import half, model  # noqa: PLC0415 (they need onnx)

    graph = model.read(network)
    only_batch_is_free(network, model.io_specs(graph)[0])
    if precision == "f16":
        graph = half.to_half(graph, half.measure_overflow(network))
    return bytes(graph.SerializeToString())


def parse(library: Any, definition: Any, network: Network, graph: bytes) -> None:
    """Read an ONNX graph into a network definition.

    Raises:
        EngineError: the parser refuses nodes; the message names each.
    """
    parser = library.OnnxParser(definition, logger_of(library))
    if not parser.parse(graph):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        reasons = "; ".join(f"{error.node_operator()} {error.node_name()!r}: {error.desc()}" for error in errors)
        raise EngineError(f"{network.path}: {library.__name__} {library.__version__} cannot parse it: {reasons}")


def load_library(name: str) -> Any:
    """Import `tensorrt` or `tensorrt_rtx`.

    Raises:
        BackendUnavailable: it is not installed, is too old, or a library that it links to does not load.
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
        BackendUnavailable: the library does not build for such GPUs.
    """
    known = getattr(library, "ComputeCapability", None)
    value = getattr(known, f"SM{capability.replace('.', '')}", None)
    if value is None:
        names = sorted(name.removeprefix("SM") for name in dir(known) if name.startswith("SM"))
        raise BackendUnavailable(
            f"{library.__name__} does not build for compute capability {capability} (it knows {names})"
        )
    return value


@functools.cache
def logger_of(library: Any) -> Any:
    """A logger that passes the library's messages to ours and keeps the last error in `last`. One per library."""

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
    """A progress monitor that logs the outermost phases."""

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
            return True  # False cancels the build

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()


def deserialize(library: Any, plan: bytes) -> Any:
    """The engine, or None if the library refuses it because it was built for another GPU or version."""
    logger = logger_of(library)
    engine = create(library, "Runtime").deserialize_cuda_engine(plan)
    if engine is None:
        log.warning("%s refuses a compiled network: %s", library.__name__, logger.last)
    return engine


def create(library: Any, kind: str) -> Any:
    """A new object of the library.

    Args:
        library: the module `tensorrt` or `tensorrt_rtx`.
        kind: "Builder" or "Runtime".

    Raises:
        BackendUnavailable: the library cannot start, for example because the GPU's driver is too old for it.
    """
    logger = logger_of(library)
    try:
        return getattr(library, kind)(logger)
    except (TypeError, RuntimeError) as error:  # pybind raises TypeError when the C++ constructor returned null
        reason = f"{library.__name__} {library.__version__} cannot start here: {logger.last}"
        raise BackendUnavailable(reason) from error


def _strongly_typed(library: Any) -> int:
    """The flag for strongly typed networks. TensorRT 11 and TensorRT for RTX have no other kind and no flag."""
    flag = getattr(library.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _profiles(definition: Any) -> tuple[tuple[int, int, int], ...]:
    inputs = [definition.get_input(index) for index in range(definition.num_inputs)]
    return PROFILES if any(size < 0 for tensor in inputs for size in tensor.shape) else ()


def has_timing_cache(library: Any) -> bool:
    """Whether building times kernels. TensorRT for RTX does not: it chooses them on the user's GPU."""
    return bool(library.__name__ == "tensorrt")
