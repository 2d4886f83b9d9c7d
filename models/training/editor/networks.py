"""The embedded editor's networks: `Reader` reads a head's attributes, `Ager` draws the folds that a face will have."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.embedded.attributes import ATTRIBUTES

READER_SIZE = 112
"""Side of the reader's picture of the head."""
DEPTH = 1.5


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


class Ager(nn.Module):
    """Face texture -> the folds that half a lifetime adds to it, in log light.

    A small U-Net (Ronneberger et al. 2015) on the texture square, folded to half its size (space to depth). A learned
    map of women's and men's folds, which starts as those that the old share, is its prior: shown to it and added to
    what it says. Everything sits at the same place in every face, so little depth is needed.

    Args:
        size: side of the texture square in pixels.
        widths: channels at half the size, a quarter, and so on.
        maps: further learned maps.
    """

    def __init__(self, size: int, widths: tuple[int, ...] = (32, 64, 96, 128), maps: int = 6) -> None:
        super().__init__()
        self.prior = nn.Parameter(torch.zeros(2, 1, size, size))
        self.maps = nn.Parameter(0.1 * torch.randn(maps, size // 2, size // 2))
        self.enter = _plain(4 * (3 + 1 + 1) + maps, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.LeakyReLU(0.2), _plain(b, b)) for a, b in pairwise(widths)
        )
        self.middle = nn.Sequential(_plain(widths[-1], widths[-1]), _plain(widths[-1], widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(_plain(a + b, b), _plain(b, b)) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.leave = nn.Conv2d(widths[0], 4, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, texture: Tensor, covered: Tensor, male: Tensor) -> Tensor:
        """Draw the folds.

        Args:
            texture: (B, 3, 192, 192) RGB, 0..255.
            covered: (B, 1, 192, 192), 1 where hair or something else hides the skin.
            male: (B, 1), 0 for a woman, 1 for a man.

        Returns:
            (B, 1, 192, 192), to be added to the log light at strength 1.
        """
        sex = male[:, :, None, None]
        prior = self.prior[0] * (1 - sex) + self.prior[1] * sex
        seen = functional.pixel_unshuffle(torch.cat([texture / 64 - 2, covered, 8 * prior], 1), 2)
        x = self.enter(torch.cat([seen, self.maps[None].expand(texture.shape[0], -1, -1, -1)], 1))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.middle(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        return prior + 0.25 * functional.pixel_shuffle(self.leave(x), 2)


class Deepened(nn.Module):
    """An ager with its folds restored to the depth they have in one face.

    Trained on many donors, the ager draws the folds that it can foresee, which are shallower than anyone's; `DEPTH`
    was chosen on `val` by age and identity.
    """

    def __init__(self, ager: Ager) -> None:
        super().__init__()
        self.ager = ager

    def forward(self, texture: Tensor, covered: Tensor, male: Tensor) -> Tensor:
        """As `Ager.forward`."""
        return DEPTH * self.ager(texture, covered, male)


class Critic(nn.Module):
    """Does this patch of skin look like the example's?

    A conditional PatchGAN (Isola et al. 2017) with spectral normalisation (Miyato et al. 2018).

    Args:
        width: channels of the first layer.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = (5, width, width * 2, width * 3)
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(sizes)
        )
        self.verdict = nn.utils.parametrizations.spectral_norm(nn.Conv2d(sizes[-1], 1, 3, 1, 1))

    def forward(self, texture: Tensor, folds: Tensor, covered: Tensor) -> list[Tensor]:
        """Judge.

        Args:
            texture: (B, 3, H, W) RGB before the edit, 0..255.
            folds: (B, 1, H, W), what is added to its log light.
            covered: (B, 1, H, W), what hides the skin.

        Returns:
            The features of each layer, and last the verdict, (B, 1, H / 8, W / 8), above 0 for an example.
        """
        x = torch.cat([texture / 64 - 2, 60 * folds, covered], 1)
        found = []
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), 0.2)
            found.append(x)
        return [*found, self.verdict(x)]


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


def _plain(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.LeakyReLU(0.2))
