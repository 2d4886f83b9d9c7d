"""The GPU as PyTorch sees it: memory, one stream per engine, captured CUDA graphs, the driver's version."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engines.base import BackendUnavailable, EngineError

if TYPE_CHECKING:
    from torch import Tensor

Launch = Callable[[], None]
"""Issues work to a device's stream."""

DRIVER_FILE = Path("/proc/driver/nvidia/version")
DRIVER_VERSION_SIZE = 80  # bytes, NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE

STREAMS = 32  # streams of one priority in torch's pool
PRIORITIES = (0, -1)

_CAPTURING = threading.Lock()
_CHOOSING = threading.Lock()
_TAKEN: set[int] = set()  # handles of the streams that engines hold


class Device(Protocol):
    """The part of CUDA that the engines use.

    Attributes:
        name: name of the GPU.
        capability: its compute capability, such as "8.9".
        driver: version of its driver.
    """

    name: str
    capability: str
    driver: str

    @property
    def stream(self) -> int:
        """Handle of the stream that the engine runs on. No other engine uses this stream."""

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """Zeros on the GPU."""

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """Zeros in page-locked memory on the host, which the GPU copies from and to directly."""

    def active(self) -> AbstractContextManager[Any]:
        """Work issued inside this context goes to `stream`."""

    def follow(self) -> None:
        """Make `stream` wait for the caller's current stream. Called outside `active`."""

    def capture(self, launch: Launch) -> Launch:
        """Run `launch`, capture it into a CUDA graph and return a function that replays it. Called inside `active`."""

    def synchronize(self) -> None:
        """Wait until all work on `stream` is done."""


class CudaDevice:
    """The first GPU that torch sees."""

    def __init__(self) -> None:
        find_driver()  # first: importing torch takes seconds
        torch = load_torch()
        if not torch.cuda.is_available():
            raise BackendUnavailable(_why_no_cuda(torch))
        try:
            properties = torch.cuda.get_device_properties(0)
        except RuntimeError as error:  # for example a GPU in exclusive mode that another process uses
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
        """The stream, reserved at first use: `probe` needs none."""
        stream = _own_stream(self._torch)
        weakref.finalize(self, _TAKEN.discard, int(stream.cuda_stream))
        return stream

    @functools.cached_property
    def _pool(self) -> Any:
        """The graphs' memory pool. They share it: calls take turns and copy their outputs before the next launch."""
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
        launch()  # does all lazy initialisation, which a capture does not allow
        self.synchronize()
        graph = self._torch.cuda.CUDAGraph()
        # One capture at a time in the process. "thread_local" lets other threads use the GPU meanwhile.
        with (
            _CAPTURING,
            self._torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            launch()
        replay: Launch = graph.replay
        return replay

    def synchronize(self) -> None:
        self._stream.synchronize()


def _own_stream(torch: Any) -> Any:
    """A stream that no other engine uses.

    Torch returns the streams of a small pool in turn. If two engines shared one, work of the second would be captured
    into the graph of the first.

    Raises:
        EngineError: all streams of the pool are in use.
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
    """Version of the NVIDIA driver; the CUDA version that torch was built for if the driver's is unknown."""
    try:
        first = DRIVER_FILE.read_text().splitlines()[0]
    except OSError:  # Windows and WSL have no such file
        return _nvml_driver() or f"for CUDA {load_torch().version.cuda}"
    return next((word for word in first.split() if word[:1].isdigit()), first)


def _nvml_driver() -> str:
    """The driver's version from the NVIDIA Management Library (NVML API reference); empty without it."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return ""
    version = ctypes.create_string_buffer(DRIVER_VERSION_SIZE)
    if library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(version, DRIVER_VERSION_SIZE):
        return ""
    return version.value.decode()
