"""StyleGAN's generator (Karras et al., CVPR 2019), with the key names of InterFaceGAN's converted checkpoints.

Every convolution is followed by noise, bias, leaky ReLU, instance normalisation and a style: a scale and a shift per
channel, read from one row of W+. Two rows per resolution, 18 at 1024. From 128 pixels on, upsampling and convolution
are one transposed convolution, as in the released networks; its weights keep TensorFlow's layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.published.stylegan.stylegan2 import MOST_LEVELS
from models.weights.checkpoints import build, parts_under, shape_of, under

CONSTANTS = ("truncation.truncation", "synthesis.lod", "*.blur.kernel")
"""Keys that checkpoints carry and the network builds itself."""

FUSED_FROM = 128
TRUNCATION_PSI = 0.7
TRUNCATED_ROWS = 8
LEAK = 0.2
GAIN = math.sqrt(2)
"""Of layers that a leaky ReLU follows."""

SPREAD = ((1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (0.0, 1.0, 1.0), (0.0, 0.0, 1.0))
"""Along one axis, how a kernel of three becomes one of four that also repeats each pixel."""

LR_MULTIPLIER = 0.01
"""Of the mapping network: its weights are stored divided by it."""


class Generator(nn.Module):
    """G: W+ (N, rows, D) -> RGB (N, 3, size, size), nominally in [-1, 1], unclamped. Noise maps are the stored ones.

    Args:
        size: side of the picture, a power of two.
        style_dim: D of z and w.
        max_channels: cap of the low resolutions.
        base_channels: channels times side of the resolutions above the cap.
    """

    def __init__(self, size: int, style_dim: int = 512, max_channels: int = 512, base_channels: int = 16384) -> None:
        super().__init__()
        self.size = size
        self.style_dim = style_dim
        sides = [2**power for power in range(2, int(math.log2(size)) + 1)]
        self.rows = 2 * len(sides)
        self.mapping = MappingNetwork(style_dim)
        self.truncation = Truncation(style_dim, self.rows)
        self.synthesis = Synthesis(sides, [min(max_channels, base_channels // side) for side in sides], style_dim)

    def forward(self, w_plus: Tensor) -> Tensor:
        picture: Tensor = self.synthesis(w_plus)
        return picture

    def truncate(self, w_plus: Tensor, psi: float = TRUNCATION_PSI, rows: int = TRUNCATED_ROWS) -> Tensor:
        """Pull the first rows towards the average w.

        Args:
            w_plus: (N, rows, D), or (N, D) for equal rows.
            psi: 1 leaves the code, 0 gives the average.
            rows: how many rows, from the coarse end.

        Returns:
            (N, rows, D).
        """
        if w_plus.ndim == 2:
            w_plus = w_plus[:, None].expand(-1, self.rows, -1)
        average = self.truncation.w_avg
        near = average + psi * (w_plus[:, :rows] - average)
        return torch.cat([near, w_plus[:, rows:]], 1)


class MappingNetwork(nn.Module):
    """z (N, D), standard normal -> w (N, D): normalised z through eight dense layers."""

    def __init__(self, style_dim: int) -> None:
        super().__init__()
        for index in range(8):
            self.add_module(f"dense{index}", Dense(style_dim, style_dim, GAIN, LR_MULTIPLIER))

    def forward(self, z: Tensor) -> Tensor:
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.children():
            x = F.leaky_relu(layer(x), LEAK)
        return x


class Truncation(nn.Module):
    """Where the average w lies; the coefficients per row that files carry are given by the caller here."""

    w_avg: Tensor

    def __init__(self, style_dim: int, rows: int) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(style_dim))
        psi = torch.ones(1, rows, 1, device="cpu")
        psi[:, :TRUNCATED_ROWS] = TRUNCATION_PSI
        self.register_buffer("truncation", psi)


class Synthesis(nn.Module):
    """W+ -> picture. Only the last resolution's RGB layer is read; the others served progressive growing."""

    def __init__(self, sides: list[int], width: list[int], style_dim: int) -> None:
        super().__init__()
        self.register_buffer("lod", torch.zeros((), device="cpu"))
        self.layers: list[str] = []
        self._add(ConstantLayer(width[0], style_dim))
        self._add(ConvLayer(width[0], width[0], style_dim, sides[0]))
        self.output0 = ToRGB(width[0])
        for level, (side, (below, here)) in enumerate(zip(sides[1:], pairwise(width), strict=True), start=1):
            grow = FusedUpsamplingLayer if side >= FUSED_FROM else UpsamplingLayer
            self._add(grow(below, here, style_dim, side))
            self._add(ConvLayer(here, here, style_dim, side))
            self.add_module(f"output{level}", ToRGB(here))

    def forward(self, w_plus: Tensor) -> Tensor:
        x = w_plus
        for row, name in enumerate(self.layers):
            x = self.get_submodule(name)(x, w_plus[:, row])
        picture: Tensor = self.get_submodule(f"output{len(self.layers) // 2 - 1}")(x)
        return picture

    def _add(self, layer: nn.Module) -> None:
        name = f"layer{len(self.layers)}"
        self.layers.append(name)
        self.add_module(name, layer)


class ConstantLayer(nn.Module):
    """The learned 4x4 input. Its first argument is ignored, so that all layers are called alike."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.first_layer = nn.Parameter(torch.ones(1, channels, 4, 4))
        self.epilogue = Epilogue(channels, style_dim, 4)

    def forward(self, _: Tensor, w: Tensor) -> Tensor:
        y: Tensor = self.epilogue(self.first_layer.expand(w.shape[0], -1, -1, -1), w)
        return y


class ConvLayer(nn.Module):
    """3x3 convolution at one resolution."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, side: int) -> None:
        super().__init__()
        self.conv = EqualConv2d(in_channels, out_channels, 3, GAIN)
        self.epilogue = Epilogue(out_channels, style_dim, side)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y: Tensor = self.epilogue(self.conv(x), w)
        return y


class UpsamplingLayer(ConvLayer):
    """Nearest neighbour x2, 3x3 convolution, blur."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, side: int) -> None:
        super().__init__(in_channels, out_channels, style_dim, side)
        self.blur = Blur(out_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        y: Tensor = self.epilogue(self.blur(self.conv(x)), w)
        return y


class FusedUpsamplingLayer(nn.Module):
    """Transposed convolution whose 4x4 kernel is the 3x3 one spread over the four neighbours, then blur."""

    spread: Tensor

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, side: int) -> None:
        super().__init__()
        self.scale = GAIN / math.sqrt(in_channels * 9)
        self.weight = nn.Parameter(torch.randn(3, 3, in_channels, out_channels))
        self.register_buffer("spread", torch.tensor(SPREAD, device="cpu"), persistent=False)
        self.blur = Blur(out_channels)
        self.epilogue = Epilogue(out_channels, style_dim, side)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        kernel = self.spread @ (self.weight * self.scale).permute(2, 3, 0, 1) @ self.spread.T
        x = F.conv_transpose2d(x, kernel, stride=2, padding=1)
        y: Tensor = self.epilogue(self.blur(x), w)
        return y


class Epilogue(nn.Module):
    """Noise, bias, leaky ReLU, instance normalisation, style."""

    def __init__(self, channels: int, style_dim: int, side: int) -> None:
        super().__init__()
        self.apply_noise = Noise(channels, side)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.style_mod = Style(channels, style_dim)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = F.leaky_relu(self.apply_noise(x) + self.bias[:, None, None], LEAK)
        x = x - x.mean((2, 3), keepdim=True)
        x = x * torch.rsqrt(x.square().mean((2, 3), keepdim=True) + 1e-8)
        y: Tensor = self.style_mod(x, w)
        return y


class Noise(nn.Module):
    """One stored map, scaled per channel."""

    noise: Tensor

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, x: Tensor) -> Tensor:
        # not a product of constants, which an exporter would store at full size per channel
        noise = self.noise.expand(x.shape[0], -1, -1, -1)
        return x + noise * self.weight[:, None, None]


class Style(nn.Module):
    """Scale (around 1) and shift per channel, read from w."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.dense = Dense(style_dim, 2 * channels, gain=1)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.dense(w)[:, :, None, None].chunk(2, 1)
        return x * (scale + 1) + shift


class ToRGB(nn.Module):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = EqualConv2d(in_channels, 3, 1, gain=1)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        rgb: Tensor = self.conv(x) + self.bias[:, None, None]
        return rgb


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate, without bias."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, gain: float) -> None:
        super().__init__()
        self.scale = gain / math.sqrt(in_channels * kernel_size**2)
        self.padding = kernel_size // 2
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, padding=self.padding)


class Dense(nn.Module):
    """Linear layer with equalised learning rate; the files keep weight and bias under different names."""

    def __init__(self, in_features: int, out_features: int, gain: float, lr_multiplier: float = 1) -> None:
        super().__init__()
        self.scale = gain / math.sqrt(in_features) * lr_multiplier
        self.lr_multiplier = lr_multiplier
        self.linear = nn.Linear(in_features, out_features, bias=False)
        self.wscale = Bias(out_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.linear.weight * self.scale, self.wscale.bias * self.lr_multiplier)


class Bias(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))


class Blur(nn.Module):
    """[1, 2, 1] low-pass."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0], device="cpu")
        kernel = torch.outer(taps, taps) / 16
        self.channels = channels
        self.register_buffer("kernel", kernel.repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.get_buffer("kernel"), padding=1, groups=self.channels)


def load_generator(state: Mapping[str, Tensor], prefix: str = "", optional: Iterable[str] = ()) -> Generator:
    """A generator of whatever size and width the weights have.

    Args:
        state: a state dict with InterFaceGAN's keys.
        prefix: of the generator's keys.
        optional: patterns of further keys that may be missing.

    Returns:
        The network, frozen, in eval mode.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    own = under(state, prefix)
    levels = min(parts_under(own, "synthesis.output"), MOST_LEVELS + 1) or 9  # of the published one, of 1024 pixels
    size = 2 ** (levels + 1)
    (first,) = shape_of(own, "synthesis.layer0.epilogue.bias", (512,))
    (last,) = shape_of(own, f"synthesis.layer{2 * levels - 1}.epilogue.bias", (16,))
    (style,) = shape_of(own, "truncation.w_avg", (512,))
    return build(
        lambda: Generator(
            size,
            style_dim=style,
            max_channels=first,
            base_channels=last * size,
        ),
        own,
        optional=(*CONSTANTS, *optional),
    )
