"""PGGAN's generator (Karras et al., ICLR 2018), from checkpoints of InterFaceGAN and of GenForce."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.weights.checkpoints import build, parts_under, shape_of

LEAK = 0.2
EPSILON = 1e-8
GAIN = math.sqrt(2)
"""Of layers that a leaky ReLU follows."""
MOST_LEVELS = 9
"""Of the published one, of 1024 pixels."""

CONSTANTS = ("lod",)
"""Keys of training's progress."""


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate of features that are normalised per pixel first."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int, gain: float) -> None:
        super().__init__()
        self.scale = gain / math.sqrt(inputs * kernel * kernel)
        self.padding = padding
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(normalized(x), self.weight * self.scale, self.bias, padding=self.padding)


class Generator(nn.Module):
    """G: z (N, 1, D) -> RGB (N, 3, size, size), nominally in [-1, 1], unclamped.

    A code is a W+ of one row, as the live editors have it. Its length does not count: z is normalised.

    Args:
        widths: channels per resolution, from 4 pixels up.
        z_dim: D.
    """

    def __init__(self, widths: list[int], z_dim: int = 512) -> None:
        super().__init__()
        self.size = 2 ** (len(widths) + 1)
        self.z_dim = z_dim
        before = z_dim
        for level, width in enumerate(widths):
            kernel, padding = (3, 1) if level else (4, 3)
            self.add_module(f"layer{2 * level}", EqualConv2d(before, width, kernel, padding, GAIN))
            self.add_module(f"layer{2 * level + 1}", EqualConv2d(width, width, 3, 1, GAIN))
            self.add_module(f"output{level}", EqualConv2d(width, 3, 1, 0, 1))
            before = width
        self.levels = len(widths)

    def forward(self, z: Tensor) -> Tensor:
        x = normalized(z.reshape(-1, self.z_dim, 1, 1))
        for index in range(2 * self.levels):
            layer = self.get_submodule(f"layer{index}")
            if index and index % 2 == 0:
                # Normalisation is per pixel: it makes no difference on which side of the enlargement it stands.
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.leaky_relu(layer(x), LEAK)
        picture: Tensor = self.get_submodule(f"output{self.levels - 1}")(x)
        return picture


def normalized(x: Tensor) -> Tensor:
    """Features of mean square 1 at each pixel."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


def load_generator(state: Mapping[str, Tensor]) -> Generator:
    """A generator of whatever size and widths the weights have.

    Args:
        state: a state dict with InterFaceGAN's keys or GenForce's.

    Returns:
        The network, frozen, in eval mode.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    own = {re.sub(r"\.(conv|wscale)\.(weight|bias)$", r".\2", key): value for key, value in state.items()}
    levels = min(parts_under(own, "output"), MOST_LEVELS) or MOST_LEVELS
    usual = [min(512, 2**14 // 2 ** (level + 2)) for level in range(levels)]
    widths = [shape_of(own, f"layer{2 * level}.bias", (width,))[0] for level, width in enumerate(usual)]
    _, z_dim, *_ = shape_of(own, "layer0.weight", (512, 512, 4, 4))
    return build(lambda: Generator(widths, z_dim), own, ignored=CONSTANTS)
