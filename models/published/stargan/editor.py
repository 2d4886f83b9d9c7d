"""StarGAN, live: hair colour, gender, age, expression or hairstyle by label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.published.drawing import head_mask, to_delta, to_network

SIDE = 128
"""Side of the crop in pixels for a network that leaves it open."""


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


class StarGan(Editor[Controls]):
    """StarGAN as a live editor: the latent is the label, the edit what changes from the own label to the wanted one.

    Args:
        generator: engine of `Generator`, inputs "image" and "label" with a batch of any size, output "translated".
        domains: what its label means.
        reader: engine of `LabelReader`, input "image", output "label"; None takes every face for the average one.
        name: its name in the catalog.
    """

    latent_seconds = 1.0
    encode_seconds = 0.25

    def __init__(
        self,
        generator: Engine,
        domains: Domains,
        reader: Engine | None = None,
        *,
        name: str = "stargan",
    ) -> None:
        self.name = name
        sides = {spec.name: spec.shape[-1] for spec in generator.inputs}
        self.crop = CropSpec("celeba", sides["image"] or SIDE)
        self.Controls = domains.Controls
        self.domains = domains
        self._generator = generator
        self._reader = reader

    def encode(self, crop: Crop, controls: Controls) -> Latent:
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

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Controls) -> Edit:
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
