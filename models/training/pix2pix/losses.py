"""The two published recipes of pix2pix: Isola et al. 2017, and CoupleGenerator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.perceptual.vgg16 import Vgg16, mean_difference, total_variation
from models.published.pix2pix.network import UNet, couple_generator

VGG_LAYERS = ("conv3_1", "conv3_2", "conv3_3")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a translation is trained.

    Attributes:
        size: side of the pictures in pixels.
        pixels: weight of the mean absolute difference.
        adversary: "patches" is binary cross-entropy per patch, "wasserstein" a critic with clipped weights.
        variation: weight of the total variation.
        features: weight of VGG16's `VGG_LAYERS`, where its weights are given.
        rate: of the optimiser.
        jitter: side from which a random part of `size` is cut; equal to it for none.
        mirror: whether half of the pairs are mirrored.
        input_right: of pictures with both halves, whether the right one is what is read.
    """

    size: int
    pixels: float
    adversary: Literal["patches", "wasserstein"]
    variation: float
    features: float
    rate: float
    jitter: int
    mirror: bool
    input_right: bool

    def generator(self, width: int) -> UNet:
        """The network that this recipe trains: norms by the moments of each picture, as it is run afterwards."""
        if self.adversary == "wasserstein":
            network = couple_generator(width)
            bias = network.up[0].bias
            assert isinstance(bias, nn.Parameter)
            bias.requires_grad_(False).zero_()  # CoupleGenerator's last layer has none
            return network
        return UNet(width=width, norm="batch moments")

    def optimiser(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        """Adam for patches, RMSProp for the critic."""
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if self.adversary == "wasserstein":
            return torch.optim.RMSprop(trained, rate)
        return torch.optim.Adam(trained, rate, betas=(0.5, 0.999))


PIX2PIX = Recipe(
    size=256,
    pixels=100.0,
    adversary="patches",
    variation=0.0,
    features=0.0,
    rate=2e-4,
    jitter=286,
    mirror=True,
    input_right=False,
)
"""Isola et al. 2017: L1 and patches of 70 pixels, Adam."""

COUPLE = Recipe(
    size=512,
    pixels=10.0,
    adversary="wasserstein",
    variation=1e-5,
    features=1e-4,
    rate=2e-4,
    jitter=512,
    mirror=False,
    input_right=True,
)
"""CoupleGenerator: 10 L1 + WGAN + 1e-5 total variation + 1e-4 VGG16. Its rate is not on record: that of pix2pix."""

RECIPES = {"pix2pix": PIX2PIX, "couple": COUPLE}
CLIP = 0.02
"""Bound of the critic's weights (CoupleGenerator)."""


class Patches(nn.Module):
    """The discriminator of patches (70 pixels at three halvings): a pair -> real (high) or not, per patch."""

    def __init__(self, width: int = 64, halvings: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        channels = width
        for level in range(1, halvings + 1):
            after = width * min(2**level, 8)
            stride = 2 if level < halvings else 1
            layers += [
                nn.Conv2d(channels, after, 4, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
            channels = after
        self.main = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, padding=1))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(N, 3, S, S) both, in [-1, 1] -> (N, 1, S', S')."""
        judged: Tensor = self.main(torch.cat([source, target], 1))
        return judged


def adversary_loss(recipe: Recipe, real: Tensor, drawn: Tensor) -> Tensor:
    """What the discriminator descends."""
    if recipe.adversary == "wasserstein":
        return drawn.float().mean() - real.float().mean()
    on = F.binary_cross_entropy_with_logits
    return (on(real.float(), torch.ones_like(real).float()) + on(drawn.float(), torch.zeros_like(drawn).float())) / 2


def generator_loss(
    recipe: Recipe, judged: Tensor, drawn: Tensor, target: Tensor, vgg: Vgg16 | None = None
) -> tuple[Tensor, Tensor]:
    """What the generator descends, and the mean absolute difference in it.

    Args:
        recipe: which weights.
        judged: the discriminator's word on `drawn`.
        drawn: (N, 3, S, S) in [-1, 1].
        target: the same.
        vgg: None leaves the feature loss out.
    """
    drawn = drawn.float()
    pixels = (drawn - target).abs().mean()
    fooled = _fooled(recipe)(judged.float())
    loss = fooled + recipe.pixels * pixels
    if recipe.variation:
        loss = loss + recipe.variation * total_variation(drawn)
    if recipe.features and vgg is not None:
        with torch.no_grad():
            wanted = vgg(target, VGG_LAYERS)
        loss = loss + recipe.features * mean_difference(vgg(drawn, VGG_LAYERS), wanted)
    return loss, pixels.detach()


def clip_weights(critic: nn.Module) -> None:
    """Hold the critic's weights within `CLIP` (Arjovsky et al. 2017)."""
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.clamp_(-CLIP, CLIP)


def _fooled(recipe: Recipe) -> Callable[[Tensor], Tensor]:
    if recipe.adversary == "wasserstein":
        return lambda judged: -judged.mean()
    return lambda judged: F.binary_cross_entropy_with_logits(judged, torch.ones_like(judged))
