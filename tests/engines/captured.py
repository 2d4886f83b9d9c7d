"""Whether a CUDA graph could capture a network, tried without a GPU."""

from __future__ import annotations

from typing import Any

import onnx
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engines.graph.onnx_module import OnnxModule


class OneDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails where tensors of the host meet others, or are copied: what a CUDA graph cannot capture."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, result)) if isinstance(value, torch.Tensor)]
        assert len({tensor.device.type for tensor in tensors}) <= 1, f"{function} copies or mixes"
        return result


def assert_nothing_leaves_the_device(model: onnx.ModelProto, batch: int = 1) -> None:
    """Run a network on torch's device "meta", which computes shapes only but is not the host, as a GPU is."""
    module = OnnxModule(model).to("meta")
    shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    inputs = [
        torch.empty(
            [dim.dim_value or (320 if place else batch) for place, dim in enumerate(shapes[name])], device="meta"
        )
        for name in module.names
    ]
    first = module(*inputs)
    with OneDevice():  # type: ignore[no-untyped-call]
        second = module(*inputs)
    assert [value.shape for value in second] == [value.shape for value in first]
    assert {value.device.type for value in second} == {"meta"}
