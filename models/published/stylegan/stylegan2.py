"""StyleGAN2's generator (Karras et al., CVPR 2020), with the key names of the rosinality checkpoints.

z is mapped to w; 2 log2(size) - 2 rows of w (W+) steer the convolutions. A convolution is modulated by scaling its
input channels by the style and its output channels by the inverse of the norm that follows from it: the same as scaling
the weights per sample, but the weights stay constant, as a compiled engine wants them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.weights.checkpoints import build, parts_under, shape_of, under

CONSTANTS = ("*.kernel",)
"""Keys that checkpoints carry and the network builds itself: the blur kernels."""

MOST_LEVELS = 10
"""Doublings of a 4-pixel picture that any generator makes: 4096 pixels."""

LEAK = 0.2
LR_MULTIPLIER = 0.01
"""Of the mapping network: its weights are stored divided by it."""


class Generator(nn.Module):
    """G: W+ (N, rows, D) -> RGB (N, 3, size, size), nominally in [-1, 1], unclamped. Noise maps are the stored ones.

    Args:
        size: side of the picture, a power of two.
        style_dim: D of z and w.
        mapping_layers: depth of the mapping network.
        channel_multiplier: 2 is config-f, 1 is config-e.
        max_channels: cap of the low resolutions.
    """

    def __init__(
        self,
        size: int,
        style_dim: int = 512,
        mapping_layers: int = 8,
        channel_multiplier: float = 2,
        max_channels: int = 512,
    ) -> None:
        super().__init__()
        self.size = size
        self.style_dim = style_dim
        sides = [2**power for power in range(2, int(math.log2(size)) + 1)]
        width = [min(max_channels, int(16384 * channel_multiplier / side)) for side in sides]
        self.rows = 2 * len(sides)

        self.style = nn.Sequential(
            PixelNorm(), *(MappingLayer(style_dim, style_dim, LR_MULTIPLIER) for _ in range(mapping_layers))
        )
        self.input = ConstantInput(width[0])
        self.conv1 = StyledConv(width[0], width[0], style_dim)
        self.to_rgb1 = ToRGB(width[0], style_dim, upsample=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for below, here in pairwise(width):
            self.convs.append(StyledConv(below, here, style_dim, upsample=True))
            self.convs.append(StyledConv(here, here, style_dim))
            self.to_rgbs.append(ToRGB(here, style_dim))
        self.noises = NoiseMaps(sides)

    def forward(self, w_plus: Tensor) -> Tensor:
        return self.synthesize(w_plus)

    def synthesize(self, w_plus: Tensor, size: int | None = None) -> Tensor:
        """Draw a picture.

        Args:
            w_plus: (N, rows, D). Row 0 steers conv1, row 1 its RGB and the next convolution, and so on.
            size: stop at this side; the skip architecture has a whole picture at every resolution.

        Returns:
            (N, 3, size, size) RGB, unclamped.
        """
        x = self.input.input.expand(w_plus.shape[0], -1, -1, -1)
        x = self.conv1(x, w_plus[:, 0], self.noises(0))
        rgb: Tensor = self.to_rgb1(x, w_plus[:, 1])
        for level, to_rgb in enumerate(self.to_rgbs):
            if size == 4 << level:
                break
            first, second = 2 * level, 2 * level + 1
            x = self.convs[first](x, w_plus[:, first + 1], self.noises(first + 1))
            x = self.convs[second](x, w_plus[:, second + 1], self.noises(second + 1))
            rgb = to_rgb(x, w_plus[:, second + 2], rgb)
        return rgb

    def mapping(self, z: Tensor) -> Tensor:
        """z (N, D), standard normal -> w (N, D)."""
        w: Tensor = self.style(z)
        return w

    def repeat(self, w: Tensor) -> Tensor:
        """w (N, D) -> W+ (N, rows, D), all rows equal."""
        return w[:, None].expand(-1, self.rows, -1)

    def mean_latent(self, samples: int = 4096, seed: int = 0) -> Tensor:
        """The average w (D,) of random z, for checkpoints that do not store it."""
        z = torch.randn(samples, self.style_dim, generator=torch.Generator().manual_seed(seed))
        return self.mapping(z).mean(0)


class ModulatedConv2d(nn.Module):
    """A convolution whose weights are scaled by s = A(w) per input channel and normalised per output channel."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self.demodulate = demodulate
        self.upsample = upsample
        self.weight = nn.Parameter(torch.randn(1, out_channels, in_channels, kernel_size, kernel_size))
        self.modulation = EqualLinear(style_dim, in_channels, bias=1.0)
        if upsample:
            self.blur = Blur(out_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.modulation(w)
        weight = self.weight[0] * self.scale
        x = x * style[:, :, None, None]
        if self.upsample:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, weight, padding=self.padding)
        if self.demodulate:
            energy = weight.square().sum((2, 3))
            x = x * torch.rsqrt(style.square() @ energy.T + 1e-8)[:, :, None, None]
        return x


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim, upsample=upsample)
        self.noise = NoiseStrength()
        self.activate = BiasedLeakyReLU(out_channels)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        y: Tensor = self.activate(self.noise(self.conv(x, w), noise))
        return y


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to RGB, added to the picture of the resolution below."""

    def __init__(self, in_channels: int, style_dim: int, *, upsample: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if upsample:
            self.upsample = Upsample(3)

    def forward(self, x: Tensor, w: Tensor, below: Tensor | None = None) -> Tensor:
        rgb: Tensor = self.conv(x, w) + self.bias
        return rgb if below is None else rgb + self.upsample(below)


class EqualLinear(nn.Module):
    """Linear layer with equalised learning rate: weight / sqrt(fan_in), both times the learning rate multiplier."""

    def __init__(self, in_features: int, out_features: int, lr_multiplier: float = 1, bias: float = 0) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        self.scale = lr_multiplier / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias)))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.lr_multiplier)


class MappingLayer(EqualLinear):
    """Equalised linear layer with leaky ReLU, which keeps the second moment."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), LEAK) * math.sqrt(2)


class PixelNorm(nn.Module):
    """Normalise each vector to unit mean square."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


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


class BiasedLeakyReLU(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.bias[:, None, None], LEAK) * math.sqrt(2)


class NoiseMaps(nn.Module):
    """The stored noise: one map for 4x4, two for each side above. Fixed, so that a video does not flicker."""

    def __init__(self, sides: list[int]) -> None:
        super().__init__()
        for index in range(2 * len(sides) - 1):
            side = sides[(index + 1) // 2]
            self.register_buffer(f"noise_{index}", torch.randn(1, 1, side, side))

    def forward(self, index: int) -> Tensor:
        return self.get_buffer(f"noise_{index}")


class Blur(nn.Module):
    """Separable [1, 3, 3, 1] low-pass after an upsampling by 2, one pixel smaller than its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("kernel", _upsampling_kernel())

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.get_buffer("kernel").expand(self.channels, 1, -1, -1)
        return F.conv2d(x, kernel, padding=1, groups=self.channels)


class Upsample(nn.Module):
    """Twice the side by zero insertion and the [1, 3, 3, 1] low-pass."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("kernel", _upsampling_kernel())

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.get_buffer("kernel").expand(self.channels, 1, -1, -1)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=self.channels)


def truncate(w: Tensor, average: Tensor, psi: float) -> Tensor:
    """Pull w (..., D) towards the average w by the truncation psi: 1 leaves it, 0 gives the average."""
    return average + psi * (w - average)


def load_generator(state: Mapping[str, Tensor], prefix: str = "") -> Generator:
    """A generator of whatever size and width the weights have.

    Args:
        state: a state dict with rosinality's keys ("g_ema" of a checkpoint, or "decoder." of an encoder's).
        prefix: of the generator's keys.

    Returns:
        The network, frozen, in eval mode.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    own = under(state, prefix)
    levels = min(parts_under(own, "to_rgbs."), MOST_LEVELS)
    depth = max(parts_under(own, "style.") - 1, 0)  # after the normalisation, which has no weights
    first = shape_of(own, "conv1.conv.weight", (1, 512, 512, 3, 3))
    last = shape_of(own, f"to_rgbs.{levels - 1}.conv.weight", (1, 3, 32, 1, 1))
    style = shape_of(own, "style.1.weight", (512, 512))
    size = 2 ** (levels + 2)
    return build(
        lambda: Generator(
            size,
            style_dim=style[1],
            mapping_layers=depth,
            channel_multiplier=last[2] * size / 16384,
            max_channels=first[1],
        ),
        own,
        optional=CONSTANTS,
    )


def _upsampling_kernel() -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu")
    kernel = torch.outer(taps, taps)
    return kernel * (4 / kernel.sum())
