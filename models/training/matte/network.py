"""The network of the hair matte: a small U-Net (Ronneberger et al. 2015), and its ONNX file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.embedded.matte import CHANNELS, COARSE, MATTE
from models.training.editor.export import export_network
from models.training.segmenter.network import ConvBlock, ResidualBlock

FOLD = 2
"""The picture is folded to half its size (space to depth): fewer pixels, more channels."""
AT_FIRST = 8.0
"""Slope of the logit by the coarse reading that an untrained network gives."""
EXAMPLE = 256
"""Side of the picture that the export is tried with."""


class MatteNet(nn.Module):
    """Picture and coarse hair probability -> alpha of the hair.

    Args:
        widths: channels by level, the finest first.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 24, 48, 64, 96)) -> None:
        super().__init__()
        self.enter = ConvBlock(CHANNELS * FOLD**2, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(ConvBlock(a, b, 2), ResidualBlock(b) if level else ConvBlock(b, b))
            for level, (a, b) in enumerate(pairwise(widths))
        )
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths[::-1]))
        self.up = nn.ModuleList(ConvBlock(b, b) for b in widths[-2::-1])
        self.leave = nn.Conv2d(widths[0], FOLD**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, given: Tensor) -> Tensor:
        """Logits of alpha.

        Args:
            given: (B, 4, H, W) float32 in 0..1, as `models.embedded.matte.network_input` makes it; H and W are
                multiples of 32.

        Returns:
            (B, 1, H, W).
        """
        return self.refine(self.enter(functional.pixel_unshuffle(centred(given), FOLD)), given)

    def refine(self, x: Tensor, given: Tensor) -> Tensor:
        """Logits from the features of the first convolution, (B, 16, H / 2, W / 2), and the input."""
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for reduce, up, skip in zip(self.reduce, self.up, reversed(skips), strict=True):
            x = up(skip + functional.interpolate(reduce(x), scale_factor=2.0, mode="nearest"))
        drawn = functional.pixel_shuffle(self.leave(x), FOLD)
        return drawn + AT_FIRST * (given[:, COARSE : COARSE + 1] - 0.5)


class Deployed(nn.Module):
    """`MatteNet` as it is exported: `given` -> alpha in 0..1.

    The first convolution reads pixels rather than folded ones. The sums are the same, and OpenVINO takes a third of the
    time for them.

    Args:
        network: trained.
    """

    def __init__(self, network: MatteNet) -> None:
        super().__init__()
        self.network = network
        folded, *rest = network.enter
        assert isinstance(folded, nn.Conv2d)
        outputs, side = folded.out_channels, folded.kernel_size[0]
        wide = nn.Conv2d(CHANNELS, outputs, FOLD * side, FOLD, FOLD * (side // 2), bias=False)
        weight = folded.weight.data.reshape(outputs, CHANNELS, FOLD, FOLD, side, side)
        wide.weight.data = weight.permute(0, 1, 4, 2, 5, 3).reshape(wide.weight.shape)
        self.enter = nn.Sequential(wide, *rest)

    def forward(self, given: Tensor) -> Tensor:
        return torch.sigmoid(self.network.refine(self.enter(centred(given)), given))


def centred(given: Tensor) -> Tensor:
    """The input from 0..1 to -1..1."""
    return given * 2 - 1


def export(network: MatteNet, folder: Path) -> None:
    """Write `hair_matte.onnx`: `given` (N, 4, H, W) -> `alpha` (N, 1, H, W) in 0..1, weights as float16.

    Raises:
        RuntimeError: the file computes something else.
    """
    example = torch.rand(1, CHANNELS, EXAMPLE, EXAMPLE, generator=torch.Generator().manual_seed(0))
    export_network(Deployed(network), {"given": example}, ["alpha"], folder / MATTE, half=True, free_size=True)
