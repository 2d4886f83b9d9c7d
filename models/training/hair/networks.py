"""The networks of hair removal: a U-Net that draws what hair hid, and a critic of patches."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.embedded.removal import CHANNELS, ERASED, GUESS, HIDDEN, SEEN

FOLD = 2
"""The picture is folded to half its size (space to depth): fewer pixels, more channels."""
OUTPUTS = 4
"""Planes that the U-Net draws: a residual in red, green and blue, and what is taken over of the picture."""
LEAK = 0.2
"""Slope of the rectifiers below 0."""
TAKEN_AT_FIRST = -1.0
"""Logit of the share that an untrained network takes over."""


class Removal(nn.Module):
    """Input of `models.embedded.removal.network_input` -> the head without hair.

    A U-Net (Ronneberger et al. 2015). Where the picture was erased it adds a residual to the first guess, and takes
    over what is seen as far as it says that this is not hair.

    Args:
        widths: channels by level, the finest first.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96, 128, 160)) -> None:
        super().__init__()
        self.enter = _convolution(CHANNELS * FOLD**2, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b, stride=2), _convolution(b, b)) for a, b in pairwise(widths)
        )
        self.middle = nn.Sequential(_convolution(widths[-1], widths[-1]), _convolution(widths[-1], widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(_convolution(a + b, b), _convolution(b, b)) for a, b in pairwise(widths[::-1])
        )
        self.leave = nn.Conv2d(widths[0], OUTPUTS * FOLD**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)
            self.leave.bias.data[3 * FOLD**2 :] = TAKEN_AT_FIRST

    def forward(self, given: Tensor) -> Tensor:
        """Draw.

        Args:
            given: (B, 17, 256, 256) float32.

        Returns:
            (B, 3, 256, 256), colours as value / 64 - 2.
        """
        x = self.enter(functional.pixel_unshuffle(given, FOLD))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        left = functional.pixel_shuffle(self.leave(x), FOLD)
        guess, erased = given[:, GUESS], given[:, ERASED : ERASED + 1]
        taken = torch.sigmoid(left[:, 3:]) * (1 - given[:, HIDDEN : HIDDEN + 1])
        return guess + erased * (left[:, :3] + taken * (given[:, SEEN] - guess))


class Critic(nn.Module):
    """Patches of a picture, with what was erased and what is judged -> real or drawn (Isola et al. 2017).

    It judges patches of 22 pixels, in which skin has its texture, and of 94, in which an ear has its shape.

    Args:
        widths: channels by level; each halves the picture.
        fine: the level whose features the verdict on small patches is made of.
    """

    def __init__(self, widths: tuple[int, ...] = (48, 96, 128, 160, 160), fine: int = 2) -> None:
        super().__init__()
        levels = [nn.Conv2d(before, after, 4, 2, 1) for before, after in pairwise((5, *widths))]
        for level in levels:
            # on portraits, with PyTorch's smaller first weights and spectral norm, critics of this size hardly learned
            nn.init.kaiming_normal_(level.weight, LEAK)
        self.levels = nn.ModuleList(levels)
        self.places = fine, len(widths) - 1
        self.verdicts = nn.ModuleList(nn.Conv2d(widths[place], 1, 1) for place in self.places)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The features of each level, and the verdicts by patch at both sizes: positive is real."""
        features = []
        for level in self.levels:
            x = functional.leaky_relu(level(x), LEAK)
            features.append(x)
        return features, [verdict(features[place]) for place, verdict in zip(self.places, self.verdicts, strict=True)]


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(LEAK))
