"""The encoder of `stylegan-encoder` at full size, to measure it: ResNet50V2 (He et al. 2016), then layers in a tree.

These are the sizes that its training program takes if nothing is said (`size` 1, one tree layer, 256 pixels). Files are
read by `keras_encoder`, whatever their sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STACKS = ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1))
"""The trunk: (channels of the inner convolutions, units, stride of the last unit)."""
EXPANSION = 4
NARROW = 576
"""Channels of the trunk's 8x8 maps before the tree."""
STEPS, LEAVES = 192, 96
ROWS, STYLE_DIM = 18, 512


class TreeEncoder(nn.Module):
    """RGB (N, 3, 256, 256) in [-1, 1] -> W+ (N, 18, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 7, 2, 3)
        units: list[nn.Module] = []
        before = 64
        for width, count, stride in STACKS:
            for index in range(count):
                units.append(Unit(before, width, stride if index == count - 1 else 1, projects=index == 0))
                before = EXPANSION * width
        self.trunk = nn.Sequential(*units, nn.BatchNorm2d(before), nn.ReLU())
        self.narrow = nn.Conv2d(before, NARROW, 1)
        self.down = Tree(STEPS, STEPS, LEAVES)
        self.across = Tree(LEAVES, STEPS, LEAVES)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.pad(self.first(image), (1, 1, 1, 1)), 3, 2)
        x = F.elu(self.narrow(self.trunk(x))).permute(0, 2, 3, 1).reshape(-1, STEPS, STEPS)
        x = F.elu(self.down(x)).transpose(1, 2)
        return F.elu(self.across(x)).transpose(1, 2).reshape(-1, ROWS, STYLE_DIM)


class Unit(nn.Module):
    """Three convolutions, each behind its normalisation, beside a short cut."""

    def __init__(self, inputs: int, width: int, stride: int, *, projects: bool) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.projects = projects
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if projects else nn.MaxPool2d(1, stride)
        self.inner = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        out: Tensor = self.short(y if self.projects else x) + self.inner(y)
        return out


class Tree(nn.Module):
    """A dense layer of its own for each step of a sequence (TreeConnect): (N, T, C) -> (N, T, F)."""

    def __init__(self, steps: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(steps, inputs, outputs) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(steps, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, :, None] @ self.kernel)[:, :, 0] + self.bias
