"""The mask network: a small U-Net (Ronneberger et al. 2015), and its ONNX file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.graph.export import export as write_onnx

INPUT = 160
"""Side of the network's input and of its masks in pixels."""
CHANNELS = ("hair", "face", "occluder", "person")


class ConvBlock(nn.Sequential):
    """Convolution 3x3, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip (He et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class SegmenterNet(nn.Module):
    """U-Net on space-to-depth pixels: half the resolution inside, full resolution at both ends.

    `forward`: (N, 3, 160, 160) float RGB in 0..1 -> (N, 4, 160, 160) logits in the order of `CHANNELS`; 0.4 GFLOP.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.encode2 = nn.Sequential(ConvBlock(12, a), ConvBlock(a, a))
        self.encode4 = nn.Sequential(ConvBlock(a, b, 2), ResidualBlock(b))
        self.encode8 = nn.Sequential(ConvBlock(b, c, 2), ResidualBlock(c))
        self.encode16 = nn.Sequential(ConvBlock(c, d, 2), ResidualBlock(d), ResidualBlock(d))
        self.up8, self.decode8 = nn.Conv2d(d, c, 1), ConvBlock(c, c)
        self.up4, self.decode4 = nn.Conv2d(c, b, 1), ConvBlock(b, b)
        self.up2, self.decode2 = nn.Conv2d(b, a, 1), ConvBlock(a, a)
        self.head = nn.Conv2d(a, 4 * len(CHANNELS), 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x2 = self.encode2(functional.pixel_unshuffle(image * 2 - 1, 2))
        x4 = self.encode4(x2)
        x8 = self.encode8(x4)
        x16 = self.encode16(x8)
        y = self.decode8(x8 + _double(self.up8(x16)))
        y = self.decode4(x4 + _double(self.up4(y)))
        y = self.decode2(x2 + _double(self.up2(y)))
        return functional.pixel_shuffle(self.head(y), 2)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Deployed(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.network(image))


def export(network: nn.Module, path: Path) -> float:
    """Write the network as ONNX and compare the file with torch.

    Input `image` (N, 3, 160, 160) float32 RGB 0..1, output `masks` (N, 4, 160, 160) float32 in [0, 1].

    Returns:
        The largest difference, relative to the largest output.

    Raises:
        EngineError: the file computes something else; nothing is written.
    """
    example = torch.rand(2, 3, INPUT, INPUT, generator=torch.Generator().manual_seed(0))
    return write_onnx(_Deployed(network), {"image": example}, ["masks"], path)
