"""The embedded editor's network: `Reader` reads a head's attributes."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.embedded.attributes import ATTRIBUTES

READER_SIZE = 112
"""Side of the reader's picture of the head."""


class Reader(nn.Module):
    """Head picture -> attributes.

    A plain residual network (He et al. 2016), small enough for a millisecond on one core.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.stem = _convolution(3, width, stride=2)
        sizes = [width, width * 2, width * 4, width * 6]
        self.stages = nn.ModuleList(
            nn.Sequential(_convolution(a, b, stride=2), Residual(b), Residual(b)) for a, b in pairwise(sizes)
        )
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(sizes[-1] * 2 + sizes[-2], len(ATTRIBUTES))

    def forward(self, head: Tensor) -> Tensor:
        """Read a head.

        Args:
            head: (B, 3, 112, 112) float32 RGB, 0..255.

        Returns:
            (B, 8) float32, before the squashing of the attributes that are probabilities.
        """
        x = self.stem(head / 64 - 2)
        pooled = []
        for stage in self.stages:
            x = stage(x)
            pooled.append(x.mean((2, 3)))
        features = torch.cat([pooled[-2], pooled[-1], x.amax((2, 3))], 1)
        return self.head(self.drop(features))


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
