"""ONNX Runtime: runs everywhere, and in FP32 it is the reference that every other engine is compared with."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from engines.base import Array, BackendUnavailable, Engine, EngineError, Precision, TensorSpec
from engines.cache import Cache
from engines.cores import usable_cores
from engines.onnx_file import Network, recorded_range

# Execution providers of the operating system's own accelerator: what they compute in, and their options.
ACCELERATORS: dict[str, tuple[Precision, dict[str, str]]] = {
    "CoreMLExecutionProvider": ("f16", {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}),
    "DmlExecutionProvider": ("f16", {}),
}
DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxRuntime:
    """The backend: CPU in f32 everywhere; CoreML (macOS) or DirectML (Windows) in f16 where the package has them."""

    name = "onnxruntime"
    builds_long = False

    def probe(self) -> str:
        runtime = _library()
        return f"ONNX Runtime {runtime.__version__} on {self._accelerator() or 'CPUExecutionProvider'}"

    def fingerprint(self) -> str:
        return f"{_library().__version__} {self._accelerator() or 'CPUExecutionProvider'}"

    def precisions(self, network: Network) -> tuple[Precision, ...]:
        del network
        accelerator = self._accelerator()
        return (ACCELERATORS[accelerator][0], "f32") if accelerator else ("f32",)

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        del cache  # sessions are made in milliseconds
        if precision not in (known := self.precisions(network)):
            raise BackendUnavailable(f"onnxruntime computes in {known} here, not in {precision}")
        accelerator = self._accelerator() if precision != "f32" else None
        return OnnxRuntimeEngine(network, precision, accelerator, threads)

    @staticmethod
    def _accelerator() -> str | None:
        present = _library().get_available_providers()
        return next((name for name in ACCELERATORS if name in present), None)


class OnnxRuntimeEngine(Engine):
    """A network in an ONNX Runtime session."""

    backend = OnnxRuntime.name

    def __init__(self, network: Network, precision: Precision, accelerator: str | None, threads: int | None) -> None:
        runtime = _library()
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # errors reach the caller as exceptions; stderr needs no copy
        options.intra_op_num_threads = min(threads or usable_cores(), usable_cores())
        # Idle threads must not spin: other work of the process needs the same cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers: list[Any] = ["CPUExecutionProvider"]
        if accelerator:
            providers.insert(0, (accelerator, ACCELERATORS[accelerator][1]))
        if accelerator == "DmlExecutionProvider":  # its documentation requires both
            options.enable_mem_pattern = False
            options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        try:
            self._session = runtime.InferenceSession(str(network.path), options, providers=providers)
        except _library_errors() as error:
            raise network.broken(error) from error
        # A DirectML session may run in one thread at a time, any other in several.
        self._turn = threading.Lock() if accelerator == "DmlExecutionProvider" else nullcontext()
        self.precision = precision
        self.device = self._session.get_providers()[0]
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.inputs = tuple(_spec(network, value, metadata) for value in self._session.get_inputs())
        self.outputs = tuple(_spec(network, value, metadata) for value in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]
        self._errors = _library_errors()

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            with self._turn:
                results = self._session.run(self._names, dict(inputs))
        except self._errors as error:
            raise EngineError(f"onnxruntime ({self.device}) failed: {error}") from error
        return dict(zip(self._names, results, strict=True))


def _library() -> Any:
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise BackendUnavailable(f"onnxruntime is not installed ({error}); pip install onnxruntime") from error
    return onnxruntime


def _library_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions, which have no common base class of their own."""
    state = _library().capi.onnxruntime_pybind11_state
    return (
        state.Fail,
        state.InvalidArgument,
        state.NoSuchFile,
        state.NoModel,
        state.EngineError,
        state.RuntimeException,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.InvalidGraph,
        state.EPFail,
    )


def _spec(network: Network, value: Any, metadata: Mapping[str, str]) -> TensorSpec:
    if value.type not in DTYPES:
        raise EngineError(f"{network.path}: {value.name!r} has type {value.type}, which engines do not carry")
    shape = tuple(size if isinstance(size, int) and size >= 0 else None for size in value.shape)
    return TensorSpec(value.name, shape, np.dtype(DTYPES[value.type]), recorded_range(metadata, value.name))
