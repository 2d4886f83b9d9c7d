"""StarGAN: one generator for many domains of faces (Choi et al., CVPR 2018), as published and as facestyle-gan."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.published.stargan.editor import CELEBA_DOMAINS
from models.weights.checkpoints import build, parts_under, shape_of

UNUSED_KEYS = ("*.running_mean", "*.running_var", "*.num_batches_tracked")
"""Keys of the checkpoints that inference never reads: the authors test in training mode, so that InstanceNorm uses the
statistics of the picture before it. A network that reads the stored statistics draws a different picture."""


MOST_LAYERS = 10
"""Halvings that any discriminator makes."""


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), 3x3, zero padding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.main(x)
        return out


class Generator(nn.Module):
    """The translator G(x, c): two downsamplings, six residual blocks, two upsamplings (table 4 of the paper).

    Args:
        domains: length of the target label.
        width: channels of the first layer; 64 in every published checkpoint.
        blocks: residual blocks in the bottleneck.
    """

    def __init__(self, domains: int, width: int = 64, blocks: int = 6) -> None:
        super().__init__()
        self.domains = domains
        layers: list[nn.Module] = [
            nn.Conv2d(3 + domains, width, 7, padding=3, bias=False),
            nn.InstanceNorm2d(width, affine=True),
            nn.ReLU(),
        ]
        for _ in range(2):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
                nn.InstanceNorm2d(2 * width, affine=True),
                nn.ReLU(),
            ]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(blocks)]
        for _ in range(2):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False),
                nn.InstanceNorm2d(width // 2, affine=True),
                nn.ReLU(),
            ]
            width //= 2
        layers += [nn.Conv2d(width, 3, 7, padding=3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Translate a face into the domains of a label.

        Args:
            image: (N, 3, S, S) RGB in [-1, 1], S a multiple of 4; 128 or 256 in the published checkpoints.
            label: (N, domains) the whole target label, 0 or 1 in training; values in between interpolate.

        Returns:
            (N, 3, S, S) RGB in [-1, 1].
        """
        planes = label[:, :, None, None].expand(-1, -1, image.shape[2], image.shape[3])
        out: Tensor = self.main(torch.cat([image, planes], dim=1))
        return out


class Discriminator(nn.Module):
    """The discriminator D(x): real or translated per patch, and the domain label, which reads a face before its edit.

    Args:
        size: side of the pictures.
        domains: length of the label.
        width: channels of the first layer.
        layers: downsamplings.
    """

    def __init__(self, size: int, domains: int, width: int = 64, layers: int = 6) -> None:
        super().__init__()
        self.size = size
        main: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
        for _ in range(1, layers):
            main += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.01)]
            width *= 2
        self.main = nn.Sequential(*main)
        self.conv1 = nn.Conv2d(width, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, domains, size // 2**layers, bias=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Judge a picture.

        Args:
            image: (N, 3, S, S) RGB in [-1, 1].

        Returns:
            (N, 1, S/64, S/64) real (high) or translated (low); (N, domains) label logits.
        """
        features = self.main(image)
        return self.conv1(features), self.conv2(features).flatten(1)


def load_generator(state: Mapping[str, Tensor]) -> Generator:
    """The generator of a `*-G.ckpt`, ready to run. Domains, width and depth follow from its shapes.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    width, inputs, *_ = shape_of(state, "main.0.weight", (64, 3 + CELEBA_DOMAINS.size, 7, 7))
    blocks = len({key.split(".")[1] for key in state if re.match(r"main\.\d+\.main\.", key)})
    return build(lambda: Generator(max(inputs - 3, 0), width, blocks), state, ignored=UNUSED_KEYS)


def load_discriminator(state: Mapping[str, Tensor]) -> Discriminator:
    """The discriminator of a `*-D.ckpt`, ready to read labels. Picture side and domains follow from its shapes.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    width, *_ = shape_of(state, "main.0.weight", (64, 3, 4, 4))
    domains, *_, side = shape_of(state, "conv2.weight", (CELEBA_DOMAINS.size, 2048, 2, 2))
    layers = min((parts_under(state, "main.") + 1) // 2, MOST_LAYERS)  # a convolution, an activation, ...
    return build(lambda: Discriminator(side << layers, domains, width, layers), state)


class LabelReader(nn.Module):
    """The label of a face, read by the discriminator: (N, 3, S, S) RGB in [-1, 1] to (N, domains) in [0, 1]."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.discriminator(image)[1])
