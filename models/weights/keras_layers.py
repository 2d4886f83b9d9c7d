"""Keras layers as torch modules: those that picture encoders are made of.

Inside, pictures are (N, C, H, W) where Keras has (N, H, W, C); whatever changes their shape goes by Keras's order.
Sequences are (N, steps, features) in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.weights.checkpoints import CheckpointError

Config = Mapping[str, Any]
Arrays = Mapping[str, NDArray[np.float32]]
"""Weight -> values in Keras's layout."""

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "swish": F.silu,
    "silu": F.silu,
}
WEIGHTS = ("kernel", "depthwise_kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
"""Keras's names of what these layers are made of."""

LARGEST_NUMBER = 1 << 20
"""Of sizes, strides and paddings."""


class Activation(nn.Module):
    """x -> f(x)."""

    def __init__(self, name: object) -> None:
        super().__init__()
        if not isinstance(name, str) or name not in ACTIVATIONS:
            raise CheckpointError(f"its activation {name!r} is none of: {', '.join(ACTIVATIONS)}")
        self.function = ACTIVATIONS[name]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Conv2d(nn.Module):
    """Convolution, over all channels or each alone, with TensorFlow's padding."""

    def __init__(self, config: Config, arrays: Arrays, *, depthwise: bool = False) -> None:
        super().__init__()
        kernel = _array(arrays, "depthwise_kernel" if depthwise else "kernel", 4)
        sizes = kernel.shape[:2]
        channels_in, filters = kernel.shape[2:]
        if depthwise:
            # (h, w, C, multiplier): the outputs of one channel lie side by side.
            kernel = kernel.reshape(*sizes, 1, channels_in * filters)
        if _numbers(config, "kernel_size", 2) != sizes or _numbers(config, "dilation_rate", 2, 1) != (1, 1):
            raise CheckpointError(f"its kernel of {sizes} is not the one described")
        self.groups = channels_in if depthwise else 1
        self.strides = _numbers(config, "strides", 2, 1)
        self.same = _padding(config) == "same"
        self.weight = _parameter(kernel.transpose(3, 2, 0, 1))
        self.bias = _parameter(_array(arrays, "bias", 1, kernel.shape[3])) if config.get("use_bias", True) else None
        self.activation = Activation(config.get("activation") or "linear")

    def forward(self, x: Tensor) -> Tensor:
        if self.same:
            x = _pad_same(x, tuple(self.weight.shape[2:]), self.strides, 0.0)
        x = F.conv2d(x, self.weight, self.bias, self.strides, groups=self.groups)
        y: Tensor = self.activation(x)
        return y


class BatchNorm(nn.Module):
    """Batch normalisation by the moving moments, over the channels."""

    def __init__(self, config: Config, arrays: Arrays) -> None:
        super().__init__()
        axis = config.get("axis", -1)
        if axis not in (-1, 3, [3], [-1]):
            raise CheckpointError(f"it normalises along {axis!r}, not along the channels")
        mean = _array(arrays, "moving_mean", 1)
        count = len(mean)
        scale = _array(arrays, "gamma", 1, count) if config.get("scale", True) else np.ones(count, np.float32)
        shift = _array(arrays, "beta", 1, count) if config.get("center", True) else np.zeros(count, np.float32)
        self.mean, self.variance = _parameter(mean), _parameter(_array(arrays, "moving_variance", 1, count))
        self.scale, self.shift = _parameter(scale), _parameter(shift)
        self.epsilon = _number(config, "epsilon", 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.mean, self.variance, self.scale, self.shift, eps=self.epsilon)


class LocallyConnected1d(nn.Module):
    """A dense layer of its own for each step of a sequence (TreeConnect): (N, T, C) -> (N, T, F)."""

    def __init__(self, config: Config, arrays: Arrays) -> None:
        super().__init__()
        if _numbers(config, "kernel_size", 1) != (1,) or _numbers(config, "strides", 1, 1) != (1,):
            raise CheckpointError("it looks at more than one step, which no encoder of this kind does")
        kernel = _array(arrays, "kernel", 3)
        self.kernel = _parameter(kernel)
        bias = _array(arrays, "bias", 2, *kernel.shape[::2]) if config.get("use_bias", True) else None
        self.bias = None if bias is None else _parameter(bias)
        self.activation = Activation(config.get("activation") or "linear")

    def forward(self, x: Tensor) -> Tensor:
        y = (x[:, :, None] @ self.kernel)[:, :, 0]
        out: Tensor = self.activation(y if self.bias is None else y + self.bias)
        return out


class Dense(nn.Module):
    """y = x W + b over the last axis of a vector or sequence."""

    def __init__(self, config: Config, arrays: Arrays) -> None:
        super().__init__()
        kernel = _array(arrays, "kernel", 2)
        self.kernel = _parameter(kernel)
        use_bias = config.get("use_bias", True)
        self.bias = _parameter(_array(arrays, "bias", 1, kernel.shape[1])) if use_bias else None
        self.activation = Activation(config.get("activation") or "linear")

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(x @ self.kernel if self.bias is None else x @ self.kernel + self.bias)
        return y


class MaxPool2d(nn.Module):
    """The largest value of each window."""

    def __init__(self, config: Config, _: Arrays) -> None:
        super().__init__()
        self.size = _numbers(config, "pool_size", 2, 2)
        self.strides = _numbers(config, "strides", 2) if config.get("strides") else self.size
        self.same = _padding(config) == "same"

    def forward(self, x: Tensor) -> Tensor:
        if self.same:
            x = _pad_same(x, self.size, self.strides, -math.inf)
        return F.max_pool2d(x, self.size, self.strides)


class ZeroPad2d(nn.Module):
    """A border of zeros."""

    def __init__(self, config: Config, _: Arrays) -> None:
        super().__init__()
        padding = config.get("padding")
        if not isinstance(padding, list) or len(padding) != 2:
            raise CheckpointError(f"its padding is {padding!r}")
        top, bottom = _integers(padding[0], 2, "padding")
        left, right = _integers(padding[1], 2, "padding")
        self.border = (left, right, top, bottom)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.border)


class GlobalAverage(nn.Module):
    """The mean over a picture: (N, C), or (N, C, 1, 1) where the dimensions are kept."""

    def __init__(self, config: Config, _: Arrays) -> None:
        super().__init__()
        self.keep = bool(config.get("keepdims", False))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=self.keep)


class Reshape(nn.Module):
    """Another shape, in Keras's order: a picture's channels come last."""

    def __init__(self, config: Config, _: Arrays) -> None:
        super().__init__()
        target = config.get("target_shape")
        self.target = _integers(target, len(target) if isinstance(target, list) else 1, "target_shape", -1)
        if not 1 <= len(self.target) <= 3:
            raise CheckpointError(f"its shape {self.target} is of no picture, sequence or vector")

    def forward(self, x: Tensor) -> Tensor:
        y = channels_last(x).reshape(-1, *self.target)
        return y.permute(0, 3, 1, 2) if y.ndim == 4 else y


class Permute(nn.Module):
    """A sequence with its axes in another order."""

    def __init__(self, config: Config, _: Arrays) -> None:
        super().__init__()
        self.dims = _integers(config.get("dims"), 2, "dims")
        if sorted(self.dims) != [1, 2]:
            raise CheckpointError(f"it permutes {self.dims}, not the axes of a sequence")

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, *self.dims)


class Concatenate(nn.Module):
    """Inputs side by side along an axis."""

    def __init__(self, config: Config, _: Arrays) -> None:
        super().__init__()
        (self.axis,) = _integers([config.get("axis", -1)], 1, "axis", -1)

    def forward(self, *inputs: Tensor) -> Tensor:
        rank = inputs[0].ndim
        axis = self.axis % rank
        if rank == 4:
            axis = (0, 2, 3, 1)[axis]
        return torch.cat(inputs, axis)


class Add(nn.Module):
    """The sum of the inputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        total = inputs[0]
        for each in inputs[1:]:
            total = total + each
        return total


class Multiply(nn.Module):
    """The product of the inputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        product = inputs[0]
        for each in inputs[1:]:
            product = product * each
        return product


class Identity(nn.Module):
    """What only acts in training."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def channels_last(x: Tensor) -> Tensor:
    """A tensor in Keras's order: a picture's channels last."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


LAYERS: Mapping[str, Callable[[Config, Arrays], nn.Module]] = {
    "Conv2D": Conv2d,
    "DepthwiseConv2D": lambda config, arrays: Conv2d(config, arrays, depthwise=True),
    "BatchNormalization": BatchNorm,
    "LocallyConnected1D": LocallyConnected1d,
    "Dense": Dense,
    "MaxPooling2D": MaxPool2d,
    "ZeroPadding2D": ZeroPad2d,
    "GlobalAveragePooling2D": GlobalAverage,
    "Reshape": Reshape,
    "Permute": Permute,
    "Concatenate": Concatenate,
    "Add": lambda config, arrays: Add(),
    "Multiply": lambda config, arrays: Multiply(),
    "Activation": lambda config, arrays: Activation(config.get("activation")),
    "ReLU": lambda config, arrays: Activation("relu"),
    "Swish": lambda config, arrays: Activation("swish"),
    "Dropout": lambda config, arrays: Identity(),
    "DropConnect": lambda config, arrays: Identity(),
    "FixedDropout": lambda config, arrays: Identity(),
}
"""Keras's class of a layer -> what makes it of its description and its weights."""


def _pad_same(x: Tensor, kernel: tuple[int, ...], strides: tuple[int, ...], value: float) -> Tensor:
    """TensorFlow's "same": what is odd goes to the bottom and to the right."""
    border: list[int] = []
    for extent, size, stride in zip(x.shape[2:], kernel, strides, strict=True):
        whole = max((-(-int(extent) // stride) - 1) * stride + size - int(extent), 0)
        border = [whole // 2, whole - whole // 2, *border]
    return F.pad(x, border, value=value) if any(border) else x


def _parameter(values: NDArray[np.float32]) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(values)), requires_grad=False)


def _array(arrays: Arrays, name: str, axes: int, *shape: int) -> NDArray[np.float32]:
    if name not in arrays:
        raise CheckpointError(f"it has no {name}")
    values = arrays[name]
    if values.ndim != axes or not values.size or (shape and values.shape != shape):
        raise CheckpointError(f"its {name} has the shape {values.shape}")
    return values


def _padding(config: Config) -> str:
    padding = config.get("padding", "valid")
    if padding not in ("valid", "same"):
        raise CheckpointError(f"its padding is {padding!r}")
    return str(padding)


def _numbers(config: Config, name: str, count: int, usual: int | None = None) -> tuple[int, ...]:
    given = config.get(name, usual)
    return _integers([given] * count if isinstance(given, int) else given, count, name)


def _integers(given: object, count: int, name: str, least: int = 0) -> tuple[int, ...]:
    if (
        not isinstance(given, Sequence)
        or len(given) != count
        or not all(type(number) is int and least <= number <= LARGEST_NUMBER for number in given)
    ):
        raise CheckpointError(f"its {name} is {given!r}")
    return tuple(given)


def _number(config: Config, name: str, usual: float) -> float:
    given = config.get(name, usual)
    if not isinstance(given, int | float) or not 0 <= given < 1:
        raise CheckpointError(f"its {name} is {given!r}")
    return float(given)
