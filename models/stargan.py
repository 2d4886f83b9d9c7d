"""StarGAN: one generator for many domains of faces (Choi et al., CVPR 2018), as published and as facestyle-gan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from engines.base import Engine
from models.checkpoints import build
from models.editor import Controls, Crop, CropSpec, Edit, Latent
from models.translation import head_mask, to_delta, to_network

UNUSED_KEYS = ("*.running_mean", "*.running_var", "*.num_batches_tracked")
"""Keys of the checkpoints that inference never reads: the authors test in training mode, so that InstanceNorm uses the
statistics of the picture before it. A network that reads the stored statistics draws a different picture."""


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
    """The generator of a `*-G.ckpt`, ready to run. The number of domains is read from its first layer.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    first = state.get("main.0.weight")
    domains = first.shape[1] - 3 if first is not None and first.ndim == 4 else CELEBA_DOMAINS.size
    return build(lambda: Generator(domains), state, ignored=UNUSED_KEYS)


def load_discriminator(state: Mapping[str, Tensor]) -> Discriminator:
    """The discriminator of a `*-D.ckpt`, ready to read labels. Picture side and domains follow from its shapes.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    first, last = state.get("main.0.weight"), state.get("conv2.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        return build(lambda: Discriminator(128, CELEBA_DOMAINS.size), state)
    layers = sum(key.startswith("main.") and key.endswith(".weight") for key in state)
    return build(lambda: Discriminator(last.shape[-1] << layers, last.shape[0], first.shape[0], layers), state)


class LabelReader(nn.Module):
    """The label of a face, read by the discriminator: (N, 3, S, S) RGB in [-1, 1] to (N, domains) in [0, 1]."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.discriminator(image)[1])


class CelebaControls(Controls):
    """Target of each domain; what is not set keeps the face's own label. Hair colours share the hair among them."""

    black_hair: float = Field(0.0, ge=0, le=1, title="Black hair")
    blond_hair: float = Field(0.0, ge=0, le=1, title="Blond hair")
    brown_hair: float = Field(0.0, ge=0, le=1, title="Brown hair")
    male: float | None = Field(None, ge=0, le=1, title="Female to male")
    young: float | None = Field(None, ge=0, le=1, title="Old to young")


class RafdControls(Controls):
    """Shares of eight expressions; the rest is the face's own."""

    angry: float = Field(0.0, ge=0, le=1, title="Angry")
    contemptuous: float = Field(0.0, ge=0, le=1, title="Contemptuous")
    disgusted: float = Field(0.0, ge=0, le=1, title="Disgusted")
    fearful: float = Field(0.0, ge=0, le=1, title="Fearful")
    happy: float = Field(0.0, ge=0, le=1, title="Happy")
    neutral_face: float = Field(0.0, ge=0, le=1, title="Neutral")
    sad: float = Field(0.0, ge=0, le=1, title="Sad")
    surprised: float = Field(0.0, ge=0, le=1, title="Surprised")


class CelebaAndRafdControls(CelebaControls, RafdControls):
    """Both sets of domains, of the model trained on both."""


class HairControls(Controls):
    """Hair colours share the hair among them; the rest is set one by one or keeps the face's own label."""

    black_hair: float = Field(0.0, ge=0, le=1, title="Black hair")
    blond_hair: float = Field(0.0, ge=0, le=1, title="Blond hair")
    brown_hair: float = Field(0.0, ge=0, le=1, title="Brown hair")
    grey_hair: float = Field(0.0, ge=0, le=1, title="Grey hair")
    bald: float | None = Field(None, ge=0, le=1, title="Bald")
    bangs: float | None = Field(None, ge=0, le=1, title="Bangs")
    receding_hairline: float | None = Field(None, ge=0, le=1, title="Receding hairline")
    straight_hair: float | None = Field(None, ge=0, le=1, title="Straight hair")
    wavy_hair: float | None = Field(None, ge=0, le=1, title="Wavy hair")


@dataclass(frozen=True, slots=True)
class Domains:
    """What the numbers of a label mean to a user.

    Attributes:
        Controls: one field per domain.
        fields: the field of each number of the label, in its order.
        exclusive: groups of numbers of which one holds at a time (hair colours, expressions).
        assumed: the label taken for a face's own where no discriminator reads it.
        parts: how the label is asked for: one translation per part, each (first, end, what follows the label). A model
            trained on two sets of pictures is told which set a label is of by a mask.
        size: length of the network's label.
    """

    Controls: type[Controls]
    fields: tuple[str, ...]
    exclusive: tuple[tuple[int, int], ...]
    assumed: tuple[float, ...]
    parts: tuple[tuple[int, int, tuple[float, ...]], ...]
    size: int


_CELEBA_FIELDS = ("black_hair", "blond_hair", "brown_hair", "male", "young")
_CELEBA_ASSUMED = (0.3, 0.3, 0.4, 0.5, 0.5)
_RAFD_FIELDS = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral_face", "sad", "surprised")
_RAFD_ASSUMED = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)

CELEBA_DOMAINS = Domains(CelebaControls, _CELEBA_FIELDS, ((0, 3),), _CELEBA_ASSUMED, ((0, 5, ()),), 5)
RAFD_DOMAINS = Domains(RafdControls, _RAFD_FIELDS, ((0, 8),), _RAFD_ASSUMED, ((0, 8, ()),), 8)
CELEBA_AND_RAFD_DOMAINS = Domains(
    CelebaAndRafdControls,
    _CELEBA_FIELDS + _RAFD_FIELDS,
    ((0, 3), (5, 13)),
    _CELEBA_ASSUMED + _RAFD_ASSUMED,
    ((0, 5, (1.0, 0.0)), (5, 13, (0.0, 1.0))),
    15,
)
FACESTYLE_HAIR_DOMAINS = Domains(
    HairControls,
    (
        "black_hair",
        "blond_hair",
        "brown_hair",
        "grey_hair",
        "bald",
        "bangs",
        "receding_hairline",
        "straight_hair",
        "wavy_hair",
    ),
    ((0, 4),),
    (0.3, 0.2, 0.4, 0.1, 0.0, 0.0, 0.0, 0.5, 0.5),
    ((0, 9, ()),),
    9,
)


class StarGan:
    """StarGAN as a live editor: the latent is the label, the edit what changes from the own label to the wanted one.

    Args:
        generator: engine of `Generator`, inputs "image" and "label" with a batch of any size, output "translated".
        domains: what its label means.
        reader: engine of `LabelReader`, input "image", output "label"; None takes every face for the average one.
        size: side of the pictures it was trained on.
        name: its name in the catalog.
    """

    needs_masks = True
    latent_seconds = 1.0

    def __init__(
        self,
        generator: Engine,
        domains: Domains,
        reader: Engine | None = None,
        *,
        size: int = 128,
        name: str = "stargan",
    ) -> None:
        self.name = name
        self.crop = CropSpec("celeba", size)
        self.Controls = domains.Controls
        self.domains = domains
        self._generator = generator
        self._reader = reader

    def encode(self, crop: Crop) -> Latent:
        """Read the face's own label: (domains,) float32 in [0, 1]."""
        if self._reader is None:
            return np.array(self.domains.assumed, np.float32)
        label = self._reader.run({"image": to_network(crop.image)})["label"][0]
        return label[: len(self.domains.fields)].astype(np.float32)

    def steer(self, latent: Latent, controls: Controls) -> Latent:
        """The wanted label. A group of exclusive domains gives the user's shares first, the face's own the rest."""
        values = [getattr(controls, field) for field in self.domains.fields]
        steered = latent.copy()
        for first, end in self.domains.exclusive:
            shares = np.array(values[first:end], np.float32)
            total = float(shares.sum())
            if total > 0:
                steered[first:end] = max(0.0, 1 - total) * latent[first:end] + shares / max(1.0, total)
        grouped = {i for first, end in self.domains.exclusive for i in range(first, end)}
        for i, value in enumerate(values):
            if i not in grouped and value is not None:
                steered[i] = value
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """The difference between the face translated to the wanted label and to its own, added to the camera."""
        image = to_network(crop.image)
        delta = np.zeros((3, *image.shape[2:]), np.float32)
        for first, end, mask in self.domains.parts:
            if np.array_equal(latent[first:end], steered[first:end]):
                continue
            labels = np.zeros((2, self.domains.size), np.float32)
            labels[:, first:end] = latent[first:end], steered[first:end]
            labels[:, self.domains.size - len(mask) :] = mask
            own, wanted = self._generator.run({"image": np.repeat(image, 2, 0), "label": labels})["translated"]
            delta += wanted - own
        return Edit(mask=head_mask(crop), delta=to_delta(delta))
