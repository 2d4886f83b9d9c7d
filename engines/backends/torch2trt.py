"""torch2trt with TensorRT 10: builds TensorRT engines by tracing a torch module.

torch2trt is not on the package index; https://github.com/NVIDIA-AI-IOT/torch2trt says how to install it.
"""

from __future__ import annotations

from typing import Any

from engines.backends.cuda_device import CudaDevice, Device, load_torch
from engines.backends.tensorrt import Blob, TensorRt
from engines.backends.tensorrt_build import PROFILES
from engines.base import BackendUnavailable, EngineError, Precision
from engines.onnx_file import Network

NEWEST = 10  # newest major version of TensorRT that torch2trt works with
WORKSPACE = 1 << 30  # bytes; torch2trt's default of 32 MiB excludes the fast kernels


class Torch2Trt(TensorRt):
    """The backend."""

    def __init__(self) -> None:
        super().__init__("tensorrt")
        self.name = "torch2trt"

    def probe(self) -> str:
        device = super().probe()
        _library()
        return device

    def _version(self, library: Any) -> str:
        if int(library.__version__.split(".")[0]) > NEWEST:
            raise BackendUnavailable(
                f"torch2trt asks for FP16 by a flag that tensorrt {library.__version__} has no more"
            )
        return f"{getattr(_library(), '__version__', 'unversioned')} with tensorrt {library.__version__}"

    def _build(self, library: Any, network: Network, precision: Precision, timings: Blob, device: Device) -> bytes:
        del timings, device  # torch2trt has no timing cache and builds for the GPU of this machine
        return build(network, precision)


def build(network: Network, precision: Precision) -> bytes:
    """A serialized engine for batches of 1 to 8.

    torch2trt traces a torch module with example inputs on the GPU; the module is made from the ONNX file.

    Args:
        network: the ONNX file, in float32.
        precision: "f16", which TensorRT may then use for any layer, or "f32".

    Raises:
        EngineError: an operator has no counterpart in torch.
    """
    from engines.graph.onnx_module import load_module  # noqa: PLC0415 (it needs onnx and torch)

    module, inputs, outputs = load_module(network, "f32")
    module.to(device=target())

    def shapes(batch: int) -> list[tuple[int, ...]]:
        return [tuple(batch if size is None else size for size in spec.shape) for spec in inputs]

    usual = PROFILES[-1][1]
    torch = load_torch()
    kinds = [getattr(torch, spec.dtype.name) for spec in inputs]
    examples = [
        torch.zeros(shape, dtype=kind, device=target()) for shape, kind in zip(shapes(usual), kinds, strict=True)
    ]
    try:
        with torch.inference_mode():
            converted = _library().torch2trt(
                module,
                examples,
                input_names=[spec.name for spec in inputs],
                output_names=[spec.name for spec in outputs],
                fp16_mode=precision == "f16",
                max_workspace_size=WORKSPACE,
                min_shapes=shapes(PROFILES[0][0]),
                opt_shapes=shapes(usual),
                max_shapes=shapes(PROFILES[-1][-1]),
            )
        return bytes(converted.engine.serialize())
    except Exception as error:  # torch2trt raises arbitrary exceptions for unsupported operators
        raise EngineError(f"{network.path}: torch2trt cannot convert it: {error!r}") from error


def target() -> str:
    """The torch device that torch2trt traces on."""
    CudaDevice()
    return "cuda"


def _library() -> Any:
    try:
        import torch2trt  # noqa: PLC0415
    except ImportError as error:
        raise BackendUnavailable(f"torch2trt does not load ({error})") from error
    return torch2trt
