"""In-domain GAN inversion (Zhu et al., ECCV 2020): an encoder into W+ of a StyleGAN of 256 pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.published.stylegan import stylegan1
from models.weights.checkpoints import build, parts_under, shape_of

LEAK = 0.2
GAIN = math.sqrt(2)
STYLE_DIM = 512
MOST_BLOCKS = 10
"""Of an encoder of 1024 pixels; the published one has eight."""
UNUSED_KEYS = ("*.num_batches_tracked",)


class Norm(nn.Module):
    """Batch normalisation by the stored moments."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(x)
        return y


class Bias(nn.Module):
    """What the authors' scaling layer adds; its scale undoes another one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias[:, None, None]


class FirstBlock(nn.Module):
    """Convolution of the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn = Norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.bn(self.conv(x)), LEAK)


class ResidualBlock(nn.Module):
    """Two convolutions beside a short cut, which has a convolution of its own where the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        hidden = min(inputs, outputs)
        self.changes = inputs != outputs
        if self.changes:
            self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.bn = Norm(outputs)
        self.conv1 = nn.Conv2d(inputs, hidden, 3, padding=1, bias=False)
        self.wscale1, self.bn1 = Bias(hidden), Norm(hidden)
        self.conv2 = nn.Conv2d(hidden, outputs, 3, padding=1, bias=False)
        self.wscale2, self.bn2 = Bias(outputs), Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        short: Tensor = F.leaky_relu(self.bn(self.conv(x)), LEAK) if self.changes else x
        y = F.leaky_relu(self.bn1(self.wscale1(self.conv1(x))), LEAK)
        return short + F.leaky_relu(self.bn2(self.wscale2(self.conv2(y))), LEAK)


class LastBlock(nn.Module):
    """All codes at once."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs, bias=False)
        self.scale = 1 / math.sqrt(inputs)
        self.bn = Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x.flatten(1), self.fc.weight * self.scale)
        out: Tensor = self.bn(y[:, :, None, None]).flatten(1)
        return out


class Encoder(nn.Module):
    """RGB (N, 3, S, S) in [-1, 1] -> W+ (N, rows, D), absolute.

    Args:
        widths: channels after each block but the last; there are log2(S) blocks.
        style_dim: D.
    """

    def __init__(self, widths: list[int], style_dim: int = STYLE_DIM) -> None:
        super().__init__()
        self.size = 2 ** (len(widths) + 1)
        self.rows = 2 * len(widths)
        self.style_dim = style_dim
        self.block0 = FirstBlock(widths[0])
        for index in range(1, len(widths)):
            self.add_module(f"block{index}", ResidualBlock(widths[index - 1], widths[index]))
        self.add_module(f"block{len(widths)}", LastBlock(widths[-1] * 16, self.rows * style_dim))

    def forward(self, image: Tensor) -> Tensor:
        x = self.block0(image)
        for index in range(1, self.rows // 2):
            x = self.get_submodule(f"block{index}")(F.avg_pool2d(x, 2))
        codes: Tensor = self.get_submodule(f"block{self.rows // 2}")(x)
        return codes.reshape(-1, self.rows, self.style_dim)


class Picture(nn.Module):
    """The generator with the tanh that its authors trained it with: W+ (N, rows, D) -> RGB in [-1, 1]."""

    def __init__(self, generator: stylegan1.Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, w_plus: Tensor) -> Tensor:
        return torch.tanh(self.generator(w_plus))


def load_encoder(state: Mapping[str, Tensor]) -> Encoder:
    """The encoder of a `styleganinv_*_encoder.pth`, frozen, in eval mode; its sizes follow from its shapes.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    blocks = min(max(parts_under(state, "block"), 3), MOST_BLOCKS)
    widths = [shape_of(state, "block0.conv.weight", (64, 3, 3, 3))[0]]
    for index in range(1, blocks - 1):
        width = min(2 * widths[-1], 1024)
        widths.append(shape_of(state, f"block{index}.conv2.weight", (width, 1, 1, 1))[0])
    outputs, _ = shape_of(state, f"block{blocks - 1}.fc.weight", (2 * (blocks - 1) * STYLE_DIM, 1))
    style_dim = max(outputs // (2 * (blocks - 1)), 1)
    return build(lambda: Encoder(widths, style_dim), state, ignored=UNUSED_KEYS, optional=UNUSED_KEYS)


def load_picture(state: Mapping[str, Tensor]) -> Picture:
    """The generator of a `styleganinv_*_generator.pth`; its mapping network, which gives all rows at once, is left out.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    own = {
        key.replace(".style_mod.dense.fc.", ".style_mod.dense.linear."): value
        for key, value in state.items()
        if not key.startswith("mapping.")
    }
    if "synthesis.layer0.const" in own:
        own["synthesis.layer0.first_layer"] = own.pop("synthesis.layer0.const")
    return Picture(stylegan1.load_generator(own, optional=("mapping.*",)))
