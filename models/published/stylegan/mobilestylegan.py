"""MobileStyleGAN (Belousov, 2021): StyleGAN2's picture from a generator small enough for a CPU.

It predicts the wavelet coefficients of the picture instead of its pixels, upsamples by inverse wavelet transforms of
the features, convolves depthwise, and divides by a norm that is stored instead of following each style.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.published.stylegan.stylegan2 import LEAK, LR_MULTIPLIER, MappingLayer, PixelNorm
from models.weights.checkpoints import build, parts_under, shape_of

WIDTH = (512, 512, 512, 512, 512, 256, 128, 64)
"""Channels at 4, 8, ... 512 px; the picture has twice the last side."""

STYLE_DIM = 512
ROWS = 23
"""Rows of a full code: one for the first convolution, three a block, one that nothing reads."""

PARTS = ("student.", "mapping_net.", "synthesis_net.", "loss.", "inception.", "style_mean")
"""Beginnings of the keys of a checkpoint: the student, and what trained it."""

IGNORED = ("*idwt.*", "device_info")
"""Keys of the files that hold the Haar wavelet and a placeholder."""


class MappingNetwork(nn.Module):
    """z (N, 512), standard normal -> w (N, 512). StyleGAN2's."""

    def __init__(self, layers: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            PixelNorm(), *(MappingLayer(STYLE_DIM, STYLE_DIM, LR_MULTIPLIER) for _ in range(layers))
        )

    def forward(self, z: Tensor) -> Tensor:
        w: Tensor = self.layers(z)
        return w


class Student(nn.Module):
    """Code (N, 23, 512) -> RGB (N, 3, 1024, 1024), nominally in [-1, 1], unclamped.

    Args:
        width: channels per resolution from 4 px on.
    """

    def __init__(self, width: Sequence[int] = WIDTH) -> None:
        super().__init__()
        self.input = ConstantInput(width[0])
        self.conv1 = StyledConv(ModulatedConv2d(width[0], width[0], 3))
        self.to_img1 = ToCoefficients(width[0])
        self.layers = nn.ModuleList(Block(below, here) for below, here in pairwise(width))
        self.rows = 3 * len(self.layers) + 2

    def forward(self, codes: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Draw.

        Args:
            codes: (N, 23, 512).
            noise: one (1, 1, 4, 4), then per block (2, 1, side, side): a map for each of its convolutions.
        """
        return inverse_haar(self.coefficients(codes, noise)[-1])

    def coefficients(self, codes: Tensor, noise: Sequence[Tensor], blocks: int | None = None) -> list[Tensor]:
        """What each block says the picture is: (N, 12, side, side) wavelet coefficients for side 8, 16, ... 512.

        Each was distilled to be the whole picture at twice its side; `blocks` stops after that many.
        """
        x = self.input.input.expand(codes.shape[0], -1, -1, -1)
        x = self.conv1(x, codes[:, 0], noise[0])
        predicted = []
        for index, block in enumerate(self.layers[:blocks]):
            x, coefficients = block(x, codes[:, 3 * index + 1 : 3 * index + 4], noise[index + 1])
            predicted.append(coefficients)
        return predicted


class FixedNoise(nn.Module):
    """`Student` for an engine: W+ of StyleGAN2 (N, 18, 512) in, noise of one seed inside, so that nothing flickers.

    Args:
        student: what draws.
        size: side of the picture at which it stops, 16, 32, ...; by default that of its last block.
        seed: of the noise.
    """

    def __init__(self, student: Student, size: int | None = None, seed: int = 0) -> None:
        super().__init__()
        self.student = student
        self.blocks = len(student.layers) if size is None else min(int(math.log2(size)) - 3, len(student.layers))
        random = torch.Generator().manual_seed(seed)
        self.register_buffer("noise_0", torch.randn(1, 1, 4, 4, generator=random))
        for index in range(1, self.blocks + 1):
            side = 4 << index
            self.register_buffer(f"noise_{index}", torch.randn(2, 1, side, side, generator=random))

    def forward(self, w_plus: Tensor) -> Tensor:
        noise = [self.get_buffer(f"noise_{index}") for index in range(self.blocks + 1)]
        return inverse_haar(self.student.coefficients(from_w_plus(w_plus), noise, self.blocks)[-1])


def from_w_plus(w_plus: Tensor) -> Tensor:
    """StyleGAN2's 18 rows (N, 18, 512) as the student's 23 (N, 23, 512): the row that steers the same layer.

    The student was distilled with equal rows; the further apart these are, the less it knows them.
    """
    blocks = [row for index in range(7) for row in (2 * index + 1, 2 * index + 2, 2 * index + 3)]
    return w_plus[:, [0, *blocks, 17]]


class Block(nn.Module):
    """One resolution: upsample, two depthwise-separable convolutions, wavelet coefficients of the picture."""

    def __init__(self, below: int, here: int) -> None:
        super().__init__()
        self.up = WaveletUpsampling(below)
        self.conv1 = StyledConv(ModulatedDepthwiseConv2d(below // 4, here))
        self.conv2 = StyledConv(ModulatedDepthwiseConv2d(here, here))
        self.to_img = ToCoefficients(here)

    def forward(self, x: Tensor, rows: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        x = self.up(x, rows[:, 0])
        x = self.conv1(x, rows[:, 0], noise[0])
        x = self.conv2(x, rows[:, 1], noise[1])
        return x, self.to_img(x, rows[:, 2])


class WaveletUpsampling(nn.Module):
    """Modulated features as the coefficients of a quarter as many channels at twice the side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(STYLE_DIM, channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return inverse_haar(x * self.modulation(w)[:, :, None, None])


class StyledConv(nn.Module):
    """A modulated convolution, noise, bias, leaky ReLU."""

    def __init__(self, conv: ModulatedConv2d | ModulatedDepthwiseConv2d) -> None:
        super().__init__()
        self.conv = conv
        self.noise = NoiseStrength()
        self.bias = nn.Parameter(torch.zeros(1, conv.out_channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        return F.leaky_relu(self.noise(self.conv(x, w), noise) + self.bias, LEAK)


class ModulatedConv2d(nn.Module):
    """Convolution of modulated features, divided by the norm its weights have under the stored style."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.padding = kernel_size // 2
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.modulation = nn.Linear(STYLE_DIM, in_channels)
        if demodulate:
            self.register_buffer("style_inv", torch.ones(1, 1, in_channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        weight = self.weight * self.scale
        if hasattr(self, "style_inv"):
            weight = _demodulated(weight, weight, self.get_buffer("style_inv"))
        return F.conv2d(x * self.modulation(w)[:, :, None, None], weight, padding=self.padding)


class ModulatedDepthwiseConv2d(nn.Module):
    """The same with a 3x3 kernel per channel and a 1x1 mix of channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.scale = 1 / math.sqrt(in_channels * 9)
        self.weight_dw = nn.Parameter(torch.randn(in_channels, 1, 3, 3))
        self.weight_permute = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.modulation = nn.Linear(STYLE_DIM, in_channels)
        self.register_buffer("style_inv", torch.ones(1, 1, in_channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        mix = self.weight_permute * self.scale
        mix = _demodulated(mix, mix * self.weight_dw.transpose(0, 1), self.get_buffer("style_inv"))
        x = F.conv2d(x * self.modulation(w)[:, :, None, None], self.weight_dw, padding=1, groups=self.in_channels)
        return F.conv2d(x, mix)


class ToCoefficients(nn.Module):
    """Features to the picture's 12 wavelet coefficients: RGB low pass, then three details of each colour."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, 12, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 12, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        coefficients: Tensor = self.conv(x, w) + self.bias
        return coefficients


class ConstantInput(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class NoiseStrength(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x + self.weight * noise


def inverse_haar(x: Tensor) -> Tensor:
    """Inverse Haar transform: (N, 4C, H, W) -> (N, C, 2H, 2W).

    The first C channels are the low pass; then come three details per channel: along y, along x, along both.
    """
    channels = x.shape[1] // 4
    low, details = x[:, :channels], x[:, channels:]
    along_y, along_x, both = details.reshape(-1, channels, 3, *x.shape[2:]).unbind(2)
    top, bottom = low + along_y, low - along_y
    slope_top, slope_bottom = along_x + both, along_x - both
    quads = torch.stack([top + slope_top, top - slope_top, bottom + slope_bottom, bottom - slope_bottom], 2)
    return F.pixel_shuffle(quads.flatten(1, 2) / 2, 2)


def load_student(state: Mapping[str, Tensor], prefix: str = "student.") -> Student:
    """The generator from a checkpoint's `state_dict`, as deep and wide as its weights, frozen, in eval mode.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    blocks = min(parts_under(state, f"{prefix}layers."), len(WIDTH) - 1)
    keys = (f"{prefix}conv1.bias", *(f"{prefix}layers.{index}.conv1.bias" for index in range(blocks)))
    shapes = [shape_of(state, key, (1, usual, 1, 1)) for key, usual in zip(keys, WIDTH, strict=False)]
    return build(
        lambda: Student([shape[1] for shape in shapes] if blocks else WIDTH), state, prefix=prefix, ignored=IGNORED
    )


def load_mapping(state: Mapping[str, Tensor], prefix: str = "mapping_net.") -> MappingNetwork:
    """The mapping network from a checkpoint's `state_dict`. Errors as in `load_student`."""
    return build(MappingNetwork, state, prefix=prefix)


def _demodulated(weight: Tensor, whole: Tensor, style: Tensor) -> Tensor:
    norm = torch.rsqrt((whole * style[0]).square().sum((1, 2, 3)) + 1e-8)
    return weight * norm[:, None, None, None]
