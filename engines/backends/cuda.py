"""The base of the engines on NVIDIA GPUs: fixed buffers, one captured CUDA graph per batch size, clear errors.

A network is launched as a CUDA graph over buffers with fixed addresses: one launch instead of hundreds, and no
allocation in a call. `run_tensors` takes and returns tensors on the GPU, so that one network's outputs can be the next
one's inputs without a copy to the host.
"""

from __future__ import annotations

import threading
import traceback
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.backends.cuda_device import Device, Launch, load_torch, torch_dtype
from engines.base import Array, DeviceLost, Engine, EngineError, InputMismatch, OutOfMemory

if TYPE_CHECKING:
    from torch import Tensor

# Values of cudaError_t (CUDA runtime API, "Data types") in `error_code` of torch's exceptions.
OUT_OF_MEMORY = 2
CAPTURE_ERRORS = range(900, 910)
# Errors of one call, after which the device still works: invalid value, invalid device function, no kernel image for
# the device, invalid or unsupported PTX, not supported.
REFUSED = frozenset({1, 98, 209, 218, 222, 801})


@dataclass(frozen=True, slots=True)
class Slot:
    """A network ready to run at one batch size.

    Attributes:
        inputs: tensors on the GPU that it reads, by name.
        outputs: tensors on the GPU that it writes, by name.
        launch: runs it.
        capturable: whether a CUDA graph may capture it.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    launch: Launch
    capturable: bool = True


@dataclass(frozen=True, slots=True)
class _Staging:
    """Page-locked memory on the host for the inputs and outputs of one slot."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class CudaEngine(Engine):
    """An engine over slots, which subclasses make.

    Slots have batch sizes of 1, 2, 4, 8, ...; any other batch runs in the next larger slot. Calls take turns on the
    GPU; `engines.batching` joins concurrent calls into one.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.device = f"{device.name} (compute capability {device.capability}, driver {device.driver})"
        self._turn = threading.Lock()
        self._slots: dict[int, Slot] = {}
        self._staging: dict[int, _Staging] = {}

    @abstractmethod
    def _slot(self, batch: int) -> Slot:
        """Make the slot of one batch size, not yet captured. Called inside `device.active()`."""

    def to_device(self, inputs: Mapping[str, Array]) -> dict[str, Tensor]:
        """Copies of the inputs on the GPU, for `run_tensors`."""
        torch = load_torch()
        with self._errors():
            tensors = {name: self._device.buffer(value.shape, value.dtype) for name, value in inputs.items()}
            for name, tensor in tensors.items():
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(inputs[name])))
        return tensors

    def run_tensors(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the network on tensors on the GPU.

        Args:
            inputs: one tensor per name in `self.inputs`, of the shape and dtype given there.

        Returns:
            New tensors on the GPU, completely computed.

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
            # Allocated on the caller's stream: torch reuses freed memory in the order of the stream it was allocated
            # on.
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
        """The smallest slot that holds a batch. Its other rows hold old inputs; their outputs are ignored."""
        size = 1 << (batch - 1).bit_length()
        if size not in self._slots:
            slot = self._slot(size)
            launch = self._device.capture(slot.launch) if slot.capturable else slot.launch
            self._slots[size] = Slot(slot.inputs, slot.outputs, launch)
            self._staging[size] = _Staging(self._pinned(slot.inputs), self._pinned(slot.outputs))
        return self._slots[size], self._staging[size]

    def _part(self, name: str, batch: int) -> Any:
        """Index of the batch's rows in a tensor of its slot; all rows if the first dimension is fixed."""
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
        """As `_check`. Copying a tensor of a wrong shape would broadcast it."""
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
        """Turn torch's exceptions into ours."""
        torch = load_torch()
        try:
            yield
        except EngineError:
            raise
        except RuntimeError as error:
            raise _engine_error(torch, error, f"{self.backend} on {self.device}") from error


def _engine_error(torch: Any, error: RuntimeError, where: str) -> EngineError:
    """The `EngineError` of a torch exception. Most CUDA errors destroy the context: no later call can succeed."""
    code = getattr(error, "error_code", None)
    if isinstance(error, torch.OutOfMemoryError) or code == OUT_OF_MEMORY:
        # The failed frames still hold tensors, and a smaller batch needs their memory.
        traceback.clear_frames(error.__traceback__)
        return OutOfMemory(f"{where}: {error}")
    if code in CAPTURE_ERRORS:
        return EngineError(f"{where}: this network cannot be captured into a CUDA graph ({error})")
    if isinstance(error, getattr(torch, "AcceleratorError", ())) and code not in REFUSED:
        return DeviceLost(f"{where}: the device failed, restart the server ({error})")
    return EngineError(f"{where} failed: {error}")
