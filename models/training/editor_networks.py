"""The embedded editor's networks: `Reader` reads a head's attributes, `Ager` draws how a face's texture ages."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

ATTRIBUTES = ("age", "male", "bald", "grey", "glasses", "hat", "smile", "skin")
"""What the reader tells, in this order: age in centuries, the rest 0..1 (skin is the lightness L / 100)."""
READER_SIZE = 112
"""Side of the reader's picture of the head."""
EMPHASIS_BLOCK = 12
"""Texture pixels: what is finer counts as a fold."""
OLDER_FOLDS, OLDER_ALL = 1.45, 1.0
YOUNGER_FOLDS, YOUNGER_ALL = 1.35, 1.05
"""How much the trained change is deepened, its folds and then all of it."""


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
    """Face texture -> how its skin changes over half a lifetime, older and younger, in log colour.

    A small U-Net (Ronneberger et al. 2015) on the texture square. Learned maps of it, which start as the measured
    change of women's and men's skin, are its prior: they are blended by sex, added to what the U-Net says, and shown to
    it. Everything sits at the same place in every face, so little depth is needed.

    Args:
        size: side of the texture square in pixels.
        width: channels at full resolution.
        maps: learned maps beside the two priors.
    """

    def __init__(self, size: int, width: int = 16, maps: int = 6) -> None:
        super().__init__()
        self.older = nn.Parameter(torch.zeros(2, 3, size, size))
        self.younger = nn.Parameter(torch.zeros(2, 3, size, size))
        self.maps = nn.Parameter(0.1 * torch.randn(maps, size // 2, size // 2))
        widths = [width, width * 2, width * 4, width * 6]
        self.enter = _plain(3 + 1 + 3, width)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a + (maps if i == 0 else 0), b, 3, 2, 1), nn.LeakyReLU(0.2), _plain(b, b))
            for i, (a, b) in enumerate(pairwise(widths))
        )
        self.middle = nn.Sequential(_plain(widths[-1], widths[-1]), _plain(widths[-1], widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(_plain(a + b, b), _plain(b, b)) for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.leave = nn.Conv2d(width, 6, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        if self.leave.bias is not None:
            nn.init.zeros_(self.leave.bias)

    def forward(self, texture: Tensor, covered: Tensor, male: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the change.

        Args:
            texture: (B, 3, 192, 192) RGB, 0..255.
            covered: (B, 1, 192, 192), 1 where hair or something else hides the skin.
            male: (B, 1), 0 for a woman, 1 for a man.

        Returns:
            Older and younger, (B, 3, 192, 192) each, to be added to the log colour at strength 1.
        """
        sex = male[:, :, None, None]
        older = self.older[0] * (1 - sex) + self.older[1] * sex
        younger = self.younger[0] * (1 - sex) + self.younger[1] * sex
        x = self.enter(torch.cat([texture / 64 - 2, covered, 4 * older], 1))
        skips = []
        for index, down in enumerate(self.down):
            skips.append(x)
            if index == 0:
                maps = functional.interpolate(self.maps[None], scale_factor=2.0, mode="bilinear")
                x = torch.cat([x, maps.expand(x.shape[0], -1, -1, -1)], 1)
            x = down(x)
        x = self.middle(x)
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        change = self.leave(x)
        return older + 0.25 * change[:, :3], younger + 0.25 * change[:, 3:]


class Emphasised(nn.Module):
    """An ager with its folds restored to the depth they have in one face.

    Trained on many donors, the ager draws the folds that it can foresee, which are shallower than anyone's. What is
    finer than `EMPHASIS_BLOCK` is multiplied by a constant, chosen on `val` by age and identity.
    """

    def __init__(self, ager: Ager) -> None:
        super().__init__()
        self.ager = ager

    def forward(self, texture: Tensor, covered: Tensor, male: Tensor) -> tuple[Tensor, Tensor]:
        """As `Ager.forward`."""
        older, younger = self.ager(texture, covered, male)
        return _emphasise(older, OLDER_FOLDS, OLDER_ALL), _emphasise(younger, YOUNGER_FOLDS, YOUNGER_ALL)


class Critic(nn.Module):
    """Does this patch of skin look like the example's?

    A conditional PatchGAN (Isola et al. 2017) with spectral normalisation (Miyato et al. 2018).

    Args:
        width: channels of the first layer.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = (8, width, width * 2, width * 3)
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in pairwise(sizes)
        )
        self.verdict = nn.utils.parametrizations.spectral_norm(nn.Conv2d(sizes[-1], 1, 3, 1, 1))

    def forward(self, texture: Tensor, change: Tensor, context: Tensor) -> list[Tensor]:
        """Judge.

        Args:
            texture: (B, 3, H, W) RGB before the edit, 0..255.
            change: (B, 3, H, W), what is added to its log colour.
            context: (B, 2, H, W), what hides the skin, and whether the change is towards age.

        Returns:
            The features of each layer, and last the verdict, (B, 1, H / 8, W / 8), above 0 for an example.
        """
        x = torch.cat([texture / 64 - 2, 40 * change, context], 1)
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


def _emphasise(change: Tensor, folds: float, whole: float) -> Tensor:
    coarse = functional.avg_pool2d(change, EMPHASIS_BLOCK)
    broad = functional.interpolate(coarse, scale_factor=float(EMPHASIS_BLOCK), mode="bilinear", align_corners=False)
    return whole * (broad + folds * (change - broad))
