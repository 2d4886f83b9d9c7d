"""ONNX operators (https://onnx.ai/onnx/operators) as torch functions.

A function takes the node and one tensor per input, None for an optional input that is absent, and returns one tensor
per output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor

from engines.base import EngineError


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph.

    Attributes:
        name: its name, for messages.
        operator: its operator.
        inputs: names of its input tensors; "" for an optional one that is absent.
        outputs: names of its output tensors.
        attributes: its attributes by name, as Python values.
        dead: names of tensors that no later node reads.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    dead: tuple[str, ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)


def _ints(value: Tensor | Sequence[int] | None) -> list[int]:
    return [] if value is None else [int(item) for item in value]


def _pads(node: Node, rank: int) -> tuple[list[int], list[int]]:
    """Padding before and after each spatial axis."""
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise EngineError(f"{node.name}: auto_pad {node.get('auto_pad')} is not supported by the PyTorch engine")
    pads = node.get("pads", [0] * 2 * rank)
    return list(pads[:rank]), list(pads[rank:])


def _padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    flat = [size for pair in zip(reversed(before), reversed(after), strict=True) for size in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    rank = x.dim() - 2
    before, after = _pads(node, rank)
    if before != after:
        x, before = _padded(x, before, after), [0] * rank
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    result: Tensor = function(x, weight, bias, strides, before, dilations, node.get("group", 1))
    return result


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    rank = x.dim() - 2
    before, after = _pads(node, rank)
    if before != after or "output_shape" in node.attributes:
        raise EngineError(f"{node.name}: uneven padding of ConvTranspose is not supported by the PyTorch engine")
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    extra = node.get("output_padding", [0] * rank)
    result: Tensor = function(x, weight, bias, strides, before, extra, node.get("group", 1), dilations)
    return result


def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if node.get("transA", 0) else a
    b = b.T if node.get("transB", 0) else b
    product = a @ b * node.get("alpha", 1.0) if node.get("alpha", 1.0) != 1 else a @ b
    return product if c is None else product + (c * node.get("beta", 1.0) if node.get("beta", 1.0) != 1 else c)


def _pool(node: Node, x: Tensor) -> Tensor:
    rank = x.dim() - 2
    before, after = _pads(node, rank)
    kernel, strides = node.attributes["kernel_shape"], node.get("strides", [1] * rank)
    rounded = bool(node.get("ceil_mode", 0))
    if node.operator == "MaxPool":
        maximum: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
        x = _padded(x, before, after, float("-inf"))
        result: Tensor = maximum(x, kernel, strides, 0, node.get("dilations", [1] * rank), rounded)
        return result
    if before != after:
        raise EngineError(f"{node.name}: uneven padding of AveragePool is not supported by the PyTorch engine")
    average: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
    mean: Tensor = average(x, kernel, strides, before, rounded, bool(node.get("count_include_pad", 0)))
    return mean


def _global_pool(node: Node, x: Tensor) -> Tensor:
    axes = tuple(range(2, x.dim()))
    return x.mean(axes, keepdim=True) if node.operator == "GlobalAveragePool" else x.amax(axes, keepdim=True)


def _batch_norm(node: Node, x: Tensor, *parameters: Tensor) -> Tensor:
    scale, bias, mean, variance = parameters
    return F.batch_norm(x, mean, variance, scale, bias, eps=node.get("epsilon", 1e-5))


def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.layer_norm(x, x.shape[node.get("axis", -1) :], scale, bias, node.get("epsilon", 1e-5))


def _reduce(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    dims = tuple(node.get("axes") or _ints(axes)) or tuple(range(x.dim()))
    keep = bool(node.get("keepdims", 1))
    match node.operator:
        case "ReduceMean":
            return x.mean(dims, keepdim=keep)
        case "ReduceSum":
            return x.sum(dims, keepdim=keep)
        case "ReduceSumSquare":
            return x.square().sum(dims, keepdim=keep)
        case "ReduceL2":
            return x.square().sum(dims, keepdim=keep).sqrt()
        case "ReduceMax":
            return x.amax(dims, keepdim=keep)
        case _:
            return x.amin(dims, keepdim=keep)


def _resize(
    node: Node, x: Tensor, roi: Any = None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    del roi
    mode, corners = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    target = _ints(sizes)[2:] if sizes is not None and len(sizes) else None
    factors = None if target else [float(scale) for scale in _host(scales)[2:]]
    if mode == "nearest":
        if corners == "half_pixel" and node.get("nearest_mode", "round_prefer_floor") == "round_prefer_floor":
            return F.interpolate(x, target, factors, mode="nearest-exact")
        if corners == "asymmetric" and node.get("nearest_mode") == "floor":
            return F.interpolate(x, target, factors, mode="nearest")
    smooth = {"linear": "bilinear", "cubic": "bicubic"}.get(mode)
    if smooth and x.dim() == 4 and corners in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        if smooth == "bicubic" and node.get("cubic_coeff_a", -0.75) != -0.75:
            raise EngineError(f"{node.name}: bicubic resizing with another coefficient is not supported")
        return F.interpolate(x, target, factors, mode=smooth, align_corners=corners == "align_corners")
    raise EngineError(f"{node.name}: resizing {mode} with {corners} is not supported by the PyTorch engine")


def _host(scales: Tensor | None) -> Tensor:
    if scales is None:
        raise EngineError("a Resize has neither scales nor sizes")
    return scales


def _pad(node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
    sizes, rank = _ints(pads), x.dim()
    chosen = [axis % rank for axis in _ints(axes)] or list(range(rank))
    before, after = [0] * rank, [0] * rank
    for index, axis in enumerate(chosen):
        before[axis], after[axis] = sizes[index], sizes[index + len(chosen)]
    mode = node.get("mode", "constant")
    if mode == "constant":
        return _padded(x, before, after, 0.0 if value is None else float(value))
    spatial = [size for pair in zip(before[:1:-1], after[:1:-1], strict=True) for size in pair]
    return F.pad(x, spatial, mode={"reflect": "reflect", "edge": "replicate"}[mode])


def _slice(node: Node, x: Tensor, starts: Tensor, ends: Tensor, *where: Tensor | None) -> Tensor:
    begin, end = _ints(starts), _ints(ends)
    axes, steps = (*where, None, None)[:2]
    over = _ints(axes) or list(range(len(begin)))
    for start, stop, axis, step in zip(begin, end, over, _ints(steps) or [1] * len(begin), strict=True):
        size = x.shape[axis]
        if step > 0:
            x = x[(*[slice(None)] * (axis % x.dim()), slice(start, stop, step))]
        else:
            chosen = range(size)[slice(start, stop if stop >= -size else None, step)]
            kept = slice(chosen[-1], chosen[0] + 1, -step) if chosen else slice(0)
            x = x[(*[slice(None)] * (axis % x.dim()), kept)].flip(axis)
    return x


def _gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.get("axis", 0) % x.dim()
    positive = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked = x.index_select(axis, positive.reshape(-1))
    return picked.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _reshape(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    sizes = _ints(shape)
    if not node.get("allowzero", 0):
        sizes = [x.shape[index] if size == 0 else size for index, size in enumerate(sizes)]
    return x.reshape(sizes)


def _split(node: Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = node.get("axis", 0)
    chosen = _ints(sizes) or node.get("split")
    return torch.split_with_sizes(x, chosen, axis) if chosen else tuple(x.tensor_split(len(node.outputs), axis))


def _squeeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = node.get("axes") or _ints(axes)
    return x.squeeze(tuple(chosen)) if chosen else x.squeeze()


def _unsqueeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen = node.get("axes") or _ints(axes)
    rank = x.dim() + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    b = node.attributes["blocksize"]
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, b)
    return x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)


def _cast(node: Node, x: Tensor) -> Tensor:
    numpy_type = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"]))
    target = getattr(torch, "bool" if numpy_type == np.bool_ else numpy_type.name)
    return x.to(target)


def _constant_of_shape(node: Node, shape: Tensor) -> Tensor:
    value = node.get("value")
    fill = numpy_helper.to_array(value).reshape(-1)[0] if value is not None else np.float32(0)
    return torch.full(_ints(shape), fill.item(), dtype=getattr(torch, fill.dtype.name))


def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    # Bounds are attributes before opset 11 and tensors from then on.
    if low is None and high is None:
        return x.clamp(node.get("min"), node.get("max")) if node.attributes else x
    return x.clamp(low, high)


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x >= 0, x, x * slope)


def _pair(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A torch function of two tensors as an operator of two or more."""
    return lambda node, *values: reduce(function, values)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


Operator = Callable[..., Any]

# Positions of inputs that are shapes, axes or factors, which torch functions take as Python numbers.
HOST_INPUTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare"), (1,)),
    **dict.fromkeys(("Expand", "Reshape", "Split", "Squeeze", "Tile", "Unsqueeze"), (1,)),
    "ConstantOfShape": (0,),
    "Pad": (1, 2, 3),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
}

OPERATORS: dict[str, Operator] = {
    "Abs": lambda node, x: x.abs(),
    "Add": _pair(torch.add),
    "ArgMax": lambda node, x: x.argmax(node.get("axis", 0), bool(node.get("keepdims", 1))),
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Ceil": lambda node, x: x.ceil(),
    "Clip": _clip,
    "Concat": lambda node, *values: torch.cat(values, node.attributes["axis"]),
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Cos": lambda node, x: x.cos(),
    "DepthToSpace": _depth_to_space,
    "Div": _pair(_divide),
    "Dropout": lambda node, x, *_: x,
    "Elu": lambda node, x: F.elu(x, node.get("alpha", 1.0)),
    "Einsum": lambda node, *values: torch.einsum(node.attributes["equation"], *values),
    "Equal": _pair(torch.eq),
    "Erf": lambda node, x: x.erf(),
    "Exp": lambda node, x: x.exp(),
    "Expand": lambda node, x, shape: x.expand(np.broadcast_shapes(x.shape, tuple(_ints(shape)))),
    "Flatten": lambda node, x: x.reshape(int(np.prod(x.shape[: node.get("axis", 1)])), -1),
    "Floor": lambda node, x: x.floor(),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Greater": _pair(torch.gt),
    "GreaterOrEqual": _pair(torch.ge),
    "HardSigmoid": lambda node, x: (x * node.get("alpha", 0.2) + node.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda node, x: F.hardswish(x),
    "Identity": lambda node, x: x,
    "InstanceNormalization": lambda node, x, scale, bias: F.instance_norm(
        x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5)
    ),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01)),
    "Less": _pair(torch.lt),
    "LessOrEqual": _pair(torch.le),
    "Log": lambda node, x: x.log(),
    "MatMul": lambda node, a, b: a @ b,
    "Max": _pair(torch.maximum),
    "MaxPool": _pool,
    "Min": _pair(torch.minimum),
    "Mod": lambda node, a, b: torch.fmod(a, b) if node.get("fmod", 0) else torch.remainder(a, b),
    "Mul": _pair(torch.mul),
    "Neg": lambda node, x: -x,
    "Not": lambda node, x: ~x,
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _pair(torch.pow),
    "Range": lambda node, start, stop, step: torch.arange(start.item(), stop.item(), step.item(), dtype=start.dtype),
    "Reciprocal": lambda node, x: x.reciprocal(),
    "ReduceL2": _reduce,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceMin": _reduce,
    "ReduceSum": _reduce,
    "ReduceSumSquare": _reduce,
    "Relu": lambda node, x: x.relu(),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda node, x: torch.tensor(x.shape[slice(node.get("start"), node.get("end"))], dtype=torch.int64),
    "Sigmoid": lambda node, x: x.sigmoid(),
    "Sin": lambda node, x: x.sin(),
    "Slice": _slice,
    "Softmax": lambda node, x: x.softmax(node.get("axis", -1)),
    "Softplus": lambda node, x: F.softplus(x),
    "Split": _split,
    "Sqrt": lambda node, x: x.sqrt(),
    "Squeeze": _squeeze,
    "Sub": _pair(torch.sub),
    "Sum": _pair(torch.add),
    "Tanh": lambda node, x: x.tanh(),
    "Tile": lambda node, x, repeats: x.tile(_ints(repeats)),
    "Transpose": lambda node, x: x.permute(node.get("perm") or tuple(range(x.dim()))[::-1]),
    "Unsqueeze": _unsqueeze,
    "Where": lambda node, condition, a, b: torch.where(condition, a, b),
}
