"""The networks of hair looks: a U-Net that draws hair of another look, and a critic that knows how hair looks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.embedded.hair_look import LOOKS, PLANES

FOLD = 2
"""The picture is folded to half its size (space to depth)."""
LEAK = 0.2
"""Slope of the rectifiers below 0."""
WIDER = 5
"""Window by which hair is widened to where the network may draw, pixels."""
SEEN = 9
"""Window by which it is widened to what a critic sees."""


class HairLookNet(nn.Module):
    """Planes and looks of `models.embedded.hair_look` -> what is added to the picture.

    A U-Net (Ronneberger et al. 2015).

    Args:
        widths: channels by level, the finest first.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 56, 96)) -> None:
        super().__init__()
        self.enter = _convolution(PLANES * FOLD**2 + LOOKS, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b, stride=2), _convolution(b, b)) for a, b in pairwise(widths)
        )
        self.middle = _convolution(widths[-1], widths[-1])
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths[::-1]))
        self.up = nn.ModuleList(nn.Sequential(_convolution(b, b), _convolution(b, b)) for b in widths[-2:0:-1])
        # the finest level costs most
        self.up.append(_convolution(widths[0], widths[0]))
        self.leave = nn.Conv2d(widths[0], 3 * FOLD**2, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, LEAK)
                nn.init.zeros_(bias_of(layer))
        nn.init.zeros_(self.leave.weight)

    def forward(self, given: Tensor, looks: Tensor) -> Tensor:
        """Draw.

        Args:
            given: (B, 4, H, W) float32; H and W are multiples of 16.
            looks: (B, 8) float32.

        Returns:
            (B, 3, H, W), what is added to colours as value / 64.
        """
        folded = functional.pixel_unshuffle(given, FOLD)
        known = looks[:, :, None, None].expand(-1, -1, folded.shape[-2], folded.shape[-1])
        x = self.enter(torch.cat([folded, known], 1))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for reduce, up, skip in zip(self.reduce, self.up, reversed(skips), strict=True):
            x = up(skip + functional.interpolate(reduce(x), scale_factor=2.0, mode="nearest"))
        return functional.pixel_shuffle(self.leave(x), FOLD) * widened(given[:, 3:4], WIDER)


class LookCritic(nn.Module):
    """Hair and a look -> is this a photograph of hair that looks so? By patch, at two sizes (Isola et al. 2017).

    Args:
        widths: channels by level; each halves the picture.
        fine: the level whose features the verdict on small patches is made of.
    """

    def __init__(self, widths: tuple[int, ...] = (40, 80, 112, 144, 144), fine: int = 2) -> None:
        super().__init__()
        levels = [nn.Conv2d(before, after, 4, 2, 1) for before, after in pairwise((7, *widths))]
        for level in levels:
            nn.init.kaiming_normal_(level.weight, LEAK)
        self.levels = nn.ModuleList(levels)
        self.places = fine, len(widths) - 1
        self.verdicts = nn.ModuleList(nn.Conv2d(widths[place], 1, 1) for place in self.places)

    def forward(self, picture: Tensor, alpha: Tensor, looks: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Judge.

        Args:
            picture: (B, 3, H, W), colours as value / 64 - 2; what lies beyond hair is not looked at.
            alpha: (B, 1, H, W) in 0..1.
            looks: (B, 8); only how hair shall look counts.

        Returns:
            The features of each level, and the verdicts by patch at both sizes: positive is real.
        """
        seen = widened(alpha, SEEN)
        known = looks[:, 3:6, None, None].expand(-1, -1, *alpha.shape[-2:])
        x, features = torch.cat([picture * seen, alpha, known], 1), []
        for level in self.levels:
            x = functional.leaky_relu(level(x), LEAK)
            features.append(x)
        return features, [verdict(features[place]) for place, verdict in zip(self.places, self.verdicts, strict=True)]


def widened(alpha: Tensor, window: int) -> Tensor:
    """Hair and what is beside it, with a soft edge, (B, 1, H, W) in 0..1."""
    wide = functional.max_pool2d(alpha, window, 1, window // 2)
    return functional.avg_pool2d(wide, 3, 1, 1, count_include_pad=False)


def bias_of(layer: nn.Conv2d) -> Tensor:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(LEAK))
