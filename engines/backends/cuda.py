"""What the engines on NVIDIA GPUs share: buffers that stay, one captured CUDA graph per batch size, clear errors.

A network is launched as a CUDA graph over buffers with fixed addresses: one launch instead of hundreds, and nothing is
allocated in a call. `run_tensors` takes and gives tensors on the GPU: networks in a row need no copies to the host.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import traceback
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engines.base import (
    Array,
    BackendUnavailable,
    DeviceLost,
    Engine,
    EngineError,
    InputMismatch,
    OutOfMemory,
    TensorSpec,
)
from engines.onnx_file import Network

if TYPE_CHECKING:
    from torch import Tensor

DRIVER_FILE = Path("/proc/driver/nvidia/version")

DRIVER_VERSION_SIZE = 80  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE

Launch = Callable[[], None]

# Codes of cudaError_t (CUDA runtime API, "Data types") that torch passes on.
OUT_OF_MEMORY = 2
CAPTURE_ERRORS = range(900, 910)
# The call was wrong for this device; the device itself goes on: invalid value, invalid device function, no kernel image
# for the device, invalid or unsupported PTX, not supported.
REFUSED = frozenset({1, 98, 209, 218, 222, 801})

STREAMS = 32  # that torch hands out in turn, of each priority
PRIORITIES = (0, -1)

_CAPTURING = threading.Lock()
_CHOOSING = threading.Lock()
_TAKEN: set[int] = set()  # handles of the streams that engines hold


class Device(Protocol):
    """The part of CUDA that the engines use.

    Attributes:
        name: of the GPU.
        capability: its compute capability, such as "8.9".
        driver: version of its driver.
    """

    name: str
    capability: str
    driver: str

    @property
    def stream(self) -> int:
        """Handle of the stream that everything runs on; no other device object has the same."""

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """Memory on the GPU."""

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """Memory on the host that the GPU copies from and to without a detour."""

    def active(self) -> AbstractContextManager[Any]:
        """Work issued inside goes to `stream`."""

    def follow(self) -> None:
        """Let what is issued to `stream` from now on wait for what this thread has issued. Called outside `active`."""

    def capture(self, launch: Launch) -> Launch:
        """Run `launch`, record what it issues, and return what replays it. To be called inside `active`."""

    def synchronize(self) -> None:
        """Wait until `stream` is done."""


class CudaDevice:
    """The first GPU that torch sees."""

    def __init__(self) -> None:
        find_driver()  # before torch, whose import takes seconds
        torch = load_torch()
        if not torch.cuda.is_available():
            raise BackendUnavailable(_why_no_cuda(torch))
        try:
            properties = torch.cuda.get_device_properties(0)
        except RuntimeError as error:  # such as a GPU that another process has for itself
            raise BackendUnavailable(f"the NVIDIA GPU cannot be used: {error}") from error
        self.name = str(properties.name)
        self.capability = f"{properties.major}.{properties.minor}"
        self.driver = _driver()
        self._torch = torch

    @property
    def stream(self) -> int:
        return int(self._stream.cuda_stream)

    @functools.cached_property
    def _stream(self) -> Any:
        """Taken when it is needed: asking what a machine has takes none."""
        stream = _own_stream(self._torch)
        weakref.finalize(self, _TAKEN.discard, int(stream.cuda_stream))
        return stream

    @functools.cached_property
    def _pool(self) -> Any:
        """Graphs share memory: they never run at once, and what one wrote is copied before the next is launched."""
        return self._torch.cuda.graph_pool_handle()

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        return self._torch.zeros(shape, dtype=torch_dtype(dtype), device="cuda")

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        return self._torch.zeros(shape, dtype=torch_dtype(dtype), pin_memory=True)

    @contextmanager
    def active(self) -> Iterator[None]:
        with self._torch.cuda.stream(self._stream), self._torch.inference_mode():
            yield

    def follow(self) -> None:
        self._stream.wait_stream(self._torch.cuda.current_stream())

    def capture(self, launch: Launch) -> Launch:
        launch()  # lazy initialisation may not happen during a capture
        self.synchronize()
        graph = self._torch.cuda.CUDAGraph()
        # One capture at a time in the process; what other threads do with the GPU meanwhile does not break it.
        with (
            _CAPTURING,
            self._torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            launch()
        replay: Launch = graph.replay
        return replay

    def synchronize(self) -> None:
        self._stream.synchronize()


@dataclass(frozen=True, slots=True)
class Slot:
    """A network ready to run at one batch size.

    Attributes:
        inputs: tensors on the GPU that it reads, by name.
        outputs: tensors on the GPU that it writes, by name.
        launch: runs it.
        capturable: whether it may be recorded into a CUDA graph.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    launch: Launch
    capturable: bool = True


@dataclass(frozen=True, slots=True)
class _Staging:
    """Pinned memory on the host for the inputs and outputs of one slot."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class CudaEngine(Engine):
    """An engine over slots; subclasses make the slots.

    Slots are made for batches of 1, 2, 4, 8, ...; a batch between runs in the next larger one. Calls take turns: there
    is one GPU, and `engines.batching` puts more work into one call rather than several at once.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.device = f"{device.name} (compute capability {device.capability}, driver {device.driver})"
        self._turn = threading.Lock()
        self._slots: dict[int, Slot] = {}
        self._staging: dict[int, _Staging] = {}

    @abstractmethod
    def _slot(self, batch: int) -> Slot:
        """Make the network ready for one batch size, not yet captured. Called inside `device.active()`."""

    def to_device(self, inputs: Mapping[str, Array]) -> dict[str, Tensor]:
        """Copies of the inputs on the GPU, for `run_tensors`."""
        torch = load_torch()
        with self._errors():
            tensors = {name: self._device.buffer(value.shape, value.dtype) for name, value in inputs.items()}
            for name, tensor in tensors.items():
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(inputs[name])))
        return tensors

    def run_tensors(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the network on tensors that are on the GPU.

        Args:
            inputs: one tensor per name in `self.inputs`, of the shape and type given there.

        Returns:
            New tensors on the GPU. The work is done when the function returns.

        Raises:
            InputMismatch: names, shapes or types differ from `self.inputs`.
            EngineError: the device failed.
        """
        self._check_tensors(inputs)
        batch = self._batch({name: tuple(value.shape) for name, value in inputs.items()})
        torch = load_torch()
        with self._turn, self._errors():
            with self._device.active():
                slot, _ = self._ready(batch)
            # Made on the caller's stream, where the memory is used again once the caller lets go of it.
            outputs = {name: torch.empty_like(tensor[self._part(name, batch)]) for name, tensor in slot.outputs.items()}
            self._device.follow()
            with self._device.active():
                for name, tensor in slot.inputs.items():
                    tensor[self._part(name, batch)].copy_(inputs[name])
                slot.launch()
                for name, tensor in slot.outputs.items():
                    outputs[name].copy_(tensor[self._part(name, batch)])
                self._device.synchronize()
        return outputs

    def close(self) -> None:
        with self._turn:
            self._slots.clear()
            self._staging.clear()

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        batch = self._batch({name: value.shape for name, value in inputs.items()})
        with self._turn, self._errors(), self._device.active():
            slot, staging = self._ready(batch)
            for name, tensor in slot.inputs.items():
                part = self._part(name, batch)
                np.copyto(staging.inputs[name][part].numpy(), inputs[name])
                tensor[part].copy_(staging.inputs[name][part], non_blocking=True)
            slot.launch()
            for name, tensor in slot.outputs.items():
                staging.outputs[name].copy_(tensor, non_blocking=True)
            self._device.synchronize()
            return {name: value[self._part(name, batch)].numpy().copy() for name, value in staging.outputs.items()}

    def _ready(self, batch: int) -> tuple[Slot, _Staging]:
        """The smallest slot that holds a batch. What an earlier call left in its other rows is computed, not given."""
        size = 1 << (batch - 1).bit_length()
        if size not in self._slots:
            made = self._slot(size)
            launch = self._device.capture(made.launch) if made.capturable else made.launch
            self._slots[size] = Slot(made.inputs, made.outputs, launch)
            self._staging[size] = _Staging(self._pinned(made.inputs), self._pinned(made.outputs))
        return self._slots[size], self._staging[size]

    def _part(self, name: str, batch: int) -> Any:
        """Index of the batch's rows in a tensor of its slot: everything where the first dimension is fixed."""
        spec = next(spec for spec in (*self.inputs, *self.outputs) if spec.name == name)
        return slice(batch) if spec.shape[:1] == (None,) else ...

    def _pinned(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        dtypes = {spec.name: spec.dtype for spec in (*self.inputs, *self.outputs)}
        return {name: self._device.pinned(tuple(value.shape), dtypes[name]) for name, value in tensors.items()}

    def _batch(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """The one batch size of a call."""
        sizes = {shapes[spec.name][0] for spec in self.inputs if spec.shape[:1] == (None,)}
        if len(sizes) > 1:
            raise InputMismatch(f"inputs of one call must have one batch size, got {sorted(sizes)}")
        return sizes.pop() if sizes else 1

    def _check_tensors(self, inputs: Mapping[str, Tensor]) -> None:
        """As `_check`; a wrong shape would else be broadcast."""
        names = {spec.name for spec in self.inputs}
        if inputs.keys() != names:
            raise InputMismatch(f"expected inputs {sorted(names)}, got {sorted(inputs)}")
        for spec in self.inputs:
            tensor = inputs[spec.name]
            fits = len(tensor.shape) == len(spec.shape) and all(
                want is None or want == have for want, have in zip(spec.shape, tensor.shape, strict=True)
            )
            if not fits or tensor.dtype != torch_dtype(spec.dtype):
                raise InputMismatch(
                    f"input {spec.name!r}: expected {spec.dtype} {spec.shape}, got {tensor.dtype} {tuple(tensor.shape)}"
                )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Torch's errors as ours."""
        torch = load_torch()
        try:
            yield
        except EngineError:
            raise
        except RuntimeError as error:
            raise _as_ours(torch, error, f"{self.backend} on {self.device}") from error


def _as_ours(torch: Any, error: RuntimeError, where: str) -> EngineError:
    """What an error of torch means. After most of CUDA's own the context is gone: no later call can succeed."""
    code = getattr(error, "error_code", None)
    if isinstance(error, torch.OutOfMemoryError) or code == OUT_OF_MEMORY:
        # The frames that failed hold what they had made so far, and a smaller batch needs the room.
        traceback.clear_frames(error.__traceback__)
        return OutOfMemory(f"{where}: {error}")
    if code in CAPTURE_ERRORS:
        return EngineError(f"{where}: this network cannot be captured into a CUDA graph ({error})")
    if isinstance(error, getattr(torch, "AcceleratorError", ())) and code not in REFUSED:
        return DeviceLost(f"{where}: the device failed, restart the server ({error})")
    return EngineError(f"{where} failed: {error}")


def _own_stream(torch: Any) -> Any:
    """A stream that no other engine has.

    Torch hands out the same few in turn. What another engine put on a stream while it is captured would become part of
    the graph.

    Raises:
        EngineError: there are too many engines.
    """
    with _CHOOSING:
        for priority in PRIORITIES:
            for _ in range(STREAMS):
                stream = torch.cuda.Stream(priority=priority)
                if int(stream.cuda_stream) not in _TAKEN:
                    _TAKEN.add(int(stream.cuda_stream))
                    return stream
    raise EngineError(f"{len(_TAKEN)} networks are on the GPU, and torch has no stream for another: close some")


def find_driver() -> None:
    """Check for an NVIDIA driver without importing anything heavy.

    Raises:
        BackendUnavailable: there is none.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        raise BackendUnavailable(f"there is no NVIDIA driver ({name} is not found)") from None


def only_batch_is_free(network: Network, inputs: Sequence[TensorSpec]) -> None:
    """Refuse a network whose pictures may have any size: buffers and graphs are made for one.

    Raises:
        EngineError: naming the input.
    """
    for spec in inputs:
        if None in spec.shape[1:]:
            raise EngineError(f"{network.path}: input {spec.name!r} {spec.shape} leaves more than its batch open")


def load_torch() -> Any:
    try:
        import torch  # noqa: PLC0415
    except ImportError as error:
        raise BackendUnavailable(f"torch is not installed ({error}); it carries the tensors on the GPU") from error
    return torch


def torch_dtype(dtype: np.dtype[Any]) -> Any:
    return getattr(load_torch(), "bool" if dtype == np.bool_ else dtype.name)


def _why_no_cuda(torch: Any) -> str:
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA"
    return "torch finds no usable NVIDIA GPU"


def _driver() -> str:
    """Version of the kernel's NVIDIA driver, or what is known instead."""
    try:
        first = DRIVER_FILE.read_text().splitlines()[0]
    except OSError:  # Windows and WSL have none
        return _managed_driver() or f"for CUDA {load_torch().version.cuda}"
    return next((word for word in first.split() if word[:1].isdigit()), first)


def _managed_driver() -> str:
    """The driver's version from the management library that comes with it (NVML API reference); empty without one."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return ""
    version = ctypes.create_string_buffer(DRIVER_VERSION_SIZE)
    if library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(version, DRIVER_VERSION_SIZE):
        return ""
    return version.value.decode()
