"""PyTorch on the GPU: runs an ONNX file in FP16 and channels_last, as a CUDA graph.

It compiles nothing and runs on every NVIDIA GPU that torch supports: the fallback without TensorRT.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.backends.cuda import CudaEngine, Slot
from engines.backends.cuda_device import CudaDevice, Device, load_torch
from engines.base import Array, BackendUnavailable, Engine, Precision
from engines.cache import Cache
from engines.cores import usable_cores
from engines.onnx_file import Network, only_batch_is_free

if TYPE_CHECKING:
    from torch import Tensor

    from engines.graph.onnx_module import LoadedModule

PRECISIONS: tuple[Precision, ...] = ("f16", "f32")
EAGER = "torch_eager_"  # prefix of `TorchEager.backend`

_FLAGS = threading.Lock()


class TorchCuda:
    """The backend."""

    name = "torch_cuda"
    builds_long = False

    def probe(self) -> str:
        device = _device()
        version = load_torch().__version__
        return f"PyTorch {version} on {device.name} ({device.capability}), driver {device.driver}"

    def fingerprint(self) -> str:
        device = _device()
        return f"{load_torch().__version__} {device.name} {device.capability} driver {device.driver}"

    def precisions(self, network: Network) -> tuple[Precision, ...]:
        del network
        return PRECISIONS

    def load(self, network: Network, precision: Precision, *, threads: int | None, cache: Cache) -> Engine:
        del threads  # nothing runs on the processor
        if precision not in PRECISIONS:
            raise BackendUnavailable(f"torch_cuda computes in {PRECISIONS}, not in {precision}")
        return TorchCudaEngine(network, precision, _device(), cache)


class TorchCudaEngine(CudaEngine):
    """An ONNX network run by PyTorch on fixed buffers.

    Args:
        network: the ONNX file, in float32.
        precision: "f16" or "f32".
        device: where it runs.
        cache: stores which nodes overflow in FP16; None to measure them each time.
    """

    backend = TorchCuda.name

    def __init__(self, network: Network, precision: Precision, device: Device, cache: Cache | None = None) -> None:
        super().__init__(device)
        self.precision = precision
        self._module, self.inputs, self.outputs = _load_module(network, precision, cache)
        only_batch_is_free(network, self.inputs)
        self._torch = load_torch()
        self._last = self._torch.channels_last
        with self._errors():
            self._module.to(device=device.buffer((1,), np.dtype(np.float32)).device)
            for buffer in self._module.buffers():
                if buffer.dim() == 4:
                    buffer.data = buffer.contiguous(memory_format=self._last)
            device.follow()  # the weights are copied on this thread's stream

    def _slot(self, batch: int) -> Slot:
        inputs = {spec.name: self._device.buffer(spec.sized(batch), spec.dtype) for spec in self.inputs}
        # Sizes come from a run: an ONNX file may leave those of its outputs free.
        sizes = [tuple(result.shape) for result in self._forward(inputs)]
        outputs = {
            spec.name: self._device.buffer(size, spec.dtype) for spec, size in zip(self.outputs, sizes, strict=True)
        }

        def launch() -> None:
            for tensor, result in zip(outputs.values(), self._forward(inputs), strict=True):
                tensor.copy_(result)

        return Slot(inputs, outputs, launch)

    def _forward(self, inputs: Mapping[str, Any]) -> list[Any]:
        values = [
            value.contiguous(memory_format=self._last) if value.dim() == 4 else value for value in inputs.values()
        ]
        # TF32 would round FP32 to 10 bits of mantissa. Benchmarking picks the fastest kernels for these fixed shapes.
        # The flags are global: without the lock, one engine would restore them while another is captured.
        with _FLAGS, self._torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return self._module(*values)


class TorchEager(Engine):
    """PyTorch in eager FP32, the baseline of `engines.bench`. `engines.select` never chooses it.

    Args:
        network: the ONNX file.
        threads: processor threads, set for the whole process; None for all cores that it may use.
        target: torch's name of the device, "cpu" or "cuda".
    """

    precision: Precision = "f32"

    def __init__(self, network: Network, threads: int | None, target: str = "cpu") -> None:
        self._torch = load_torch()
        self._torch.set_num_threads(min(threads or usable_cores(), usable_cores()))
        self.backend = f"{EAGER}{target}"
        self.device = f"PyTorch {self._torch.__version__} on {target}"
        self._target = target
        self._module, self.inputs, self.outputs = _load_module(network, "f32")
        self._module.to(device=target)

    def to_device(self, inputs: Mapping[str, Array]) -> dict[str, Tensor]:
        """Copies of the inputs on the device, for `run_tensors`."""
        return {name: self._torch.from_numpy(value).to(self._target) for name, value in inputs.items()}

    def run_tensors(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the network on tensors on the device. The results stay there and are completely computed."""
        with self._torch.inference_mode():
            results = self._module(*(inputs[spec.name] for spec in self.inputs))
            if self._target == "cuda":
                self._torch.cuda.synchronize()
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        results = self.run_tensors(self.to_device(inputs))
        return {name: result.cpu().numpy() for name, result in results.items()}


def _load_module(network: Network, precision: Precision, cache: Cache | None = None) -> LoadedModule:
    from engines.graph.onnx_module import load_module  # noqa: PLC0415 (it needs onnx and torch)

    return load_module(network, precision, cache)


def _device() -> CudaDevice:
    """A new device object: each engine has a stream and a graph pool of its own."""
    return CudaDevice()
