"""What a control of the embedded editor is: its field, what it reads of a face, how it steers, what it draws.

A module of `models.embedded.controls` with one subclass of `Control` is a control; nothing else names it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from models.arrays import Floats, Image
from models.editor import NO_HAIR, Crop, Inpainting
from models.embedded.attributes import HAT
from models.embedded.latent import EmbeddedLatent
from models.face.imaging import smoothstep
from models.face.texture_space import Fit

MOST_READ = 0.95
"""A reading above this counts as this, so that the way to 1 never vanishes."""
HAT_PROBABILITIES = (0.1, 0.2)
"""Probabilities of a hat over which hair is left as it is: it may be cloth. Of 180 portraits with hats, 72 in 100 are
left by half or more; of 902 without one, 6 in 1,000 are.
"""
HAIR_ON_TOP = (0.15, 0.4)
"""Shares of `hair_on_top` over which no hat is believed: one hat in ten shows as much."""


@dataclass(frozen=True, slots=True)
class Pack:
    """What a control may load.

    Attributes:
        tables: the arrays of the embedded pack.
        network: makes an engine of a file of the pack, by its name.
    """

    tables: dict[str, NDArray[Any]]
    network: Callable[[str], Engine]


@dataclass(frozen=True, slots=True)
class Reading:
    """A face as every control may read it.

    Attributes:
        attributes: (8,) float32, in the order of `models.embedded.attributes.ATTRIBUTES`.
        texture: (192, 192, 3) uint8 RGB, the face in its texture square.
        covered: (192, 192) float32 in 0..1, where hair or an occluder hides the skin.
        skin: (3,) float32, median log colour of the face.
        fit: where the face is in the crop.
        crop: the picture that was read.
    """

    attributes: Floats
    texture: Image
    covered: Floats
    skin: Floats
    fit: Fit
    crop: Crop


@dataclass(frozen=True, slots=True)
class Way:
    """A face between what it is and what the controls ask for.

    Attributes:
        crop: the face.
        fit: where it is in the crop.
        own: the latent that was read, smoothed or not.
        wanted: (8,) float32, the steered attributes.
        controls: where the controls are.
    """

    crop: Crop
    fit: Fit
    own: EmbeddedLatent
    wanted: Floats
    controls: Any

    def rise(self, attribute: int) -> float:
        """Share of the way to 1 that an attribute rises; 0 where it stays or falls."""
        before, after = self.own.attributes[attribute], self.wanted[attribute]
        if after == before:
            return 0.0
        own = min(float(before), MOST_READ)
        return float(np.clip((after - own) / (1 - own), 0, 1))


@dataclass(frozen=True, slots=True)
class SkinChange:
    """What a control changes in the texture square, as `models.face.canvas.Canvas.draw` takes it.

    Attributes:
        colour: (192, 192, 3) float32, change of log colour of the skin.
        features: the same of eyes and lips, where `colour` does not hold; None for none.
        moves: (64 + `NECK_NODES`, 64, 2) float32, displacement of the lattice, texture pixels; None for none.
    """

    colour: Floats
    moves: Floats | None = None
    features: Floats | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """What a control draws on the crop, as the parts of `models.editor.Edit`.

    Attributes:
        mask: (S, S) float32 in 0..1.
        delta: (S, S, 3) float32 RGB, or None for no residual.
        image, opacity: (S, S, 3) uint8 RGB and (S, S) float32 in 0..1, or both None where nothing is replaced.
        flow: (S, S, 2) float32 (dx, dy), or None for no warp.
    """

    mask: Floats
    delta: Floats | None = None
    image: Image | None = None
    opacity: Floats | None = None
    flow: Floats | None = None


class Control(ABC):
    """One control of the embedded editor. All calls are thread-safe.

    Attributes:
        fields: name of each field -> its type and `pydantic.Field`, as `models.editor.Controls` describes them.
        length: numbers of the latent that are this control's own.
        lasting: which of these hardly change, and their time constants; see `models.editor.Editor.lasting`.
    """

    fields: ClassVar[Mapping[str, tuple[Any, Any]]]
    length: ClassVar[int] = 0
    lasting: ClassVar[Mapping[int, float]] = MappingProxyType({})

    @classmethod
    @abstractmethod
    def load(cls, pack: Pack) -> Self:
        """Load the control.

        Raises:
            FileNotFoundError: a file of the pack is missing.
            KeyError: one of its tables is missing.
        """

    def reach(self) -> tuple[Floats, ...]:
        """All displacements that `skin` may ask for, (..., 64 + `NECK_NODES`, 64, 2) float32 each, texture pixels."""
        return ()

    def read(self, reading: Reading) -> Floats:
        """What the control remembers of a face, (`length`,) float32. The stream averages it over time."""
        return np.zeros(self.length, np.float32)

    @abstractmethod
    def steer(self, now: Floats, wanted: Floats, controls: Any) -> None:
        """Move the attributes towards the controls.

        Args:
            now: (8,) float32, the attributes that were read.
            wanted: (8,) float32, those that are wanted; written to.
            controls: where the controls are. Those at rest leave `wanted` as it is.
        """

    def wants_steady_light(self, controls: Any) -> bool:
        """Whether `draw` brightens what is dark; see `models.editor.Editor.wants_steady_light`."""
        return False

    def wants_backdrop(self, controls: Any) -> bool:
        """Whether `inpaint` shows what lies behind the person; see `models.editor.Editor.wants_backdrop`."""
        return False

    def obstacles(self, crop: Crop, own: EmbeddedLatent, controls: Any) -> Mapping[str, str]:
        """What keeps a field from changing this face; see `models.editor.Editor.obstacles`."""
        return {}

    def skin(self, way: Way, own: Floats) -> SkinChange | None:
        """What changes in the texture square; None for nothing.

        Args:
            way: the face.
            own: what `read` remembered of it.
        """
        return None

    def inpaint(self, way: Way) -> Inpainting | None:
        """What is too slow to be drawn on every frame; None for nothing. See `models.editor.Editor.inpaint`."""
        return None

    def draw(self, way: Way, own: Floats) -> Layer | None:
        """What changes on the crop beside that; None for nothing. Arguments as of `skin`."""
        return None


def towards_one(value: np.float32, amount: float) -> np.float32:
    """Move an attribute by a share of its way to 1."""
    own = min(float(value), MOST_READ)
    return np.float32(value if amount == 0 else own + amount * (1 - own))


def bareness(attributes: Floats) -> float:
    """How sure it is that the face wears no hat, 0..1."""
    return 1 - float(smoothstep(attributes[HAT], *HAT_PROBABILITIES))


def keeps_hair(controls: Any) -> bool:
    """Whether the controls leave any hair."""
    return bool(controls.bald < 1 or controls.bald_sides > 0)


def hair_on_top(crop: Crop) -> float:
    """Share of the place above the forehead that is hair: none under a hat.

    Args:
        crop: with `masks`.
    """
    if crop.masks is None:
        return 0.0
    hair = crop.masks.hair
    eyes = crop.points5[:2] * np.float32(len(hair) / len(crop.image))
    apart = float(np.linalg.norm(eyes[1] - eyes[0]))
    x, y = (float(value) for value in eyes.mean(0))
    rows, columns = (
        slice(max(round(at + low * apart), 0), max(round(at + high * apart), 0))
        for at, low, high in ((y, -1.7, -0.7), (x, -1.0, 1.0))
    )
    place = hair[rows, columns]
    return float(place.mean()) if place.size else 0.0


def hair_obstacle(crop: Crop, own: EmbeddedLatent) -> str:
    """Why hair cannot be changed, in words for a user; empty where it can."""
    if crop.masks is None:
        return "hair cannot be told from the rest here"
    if bareness(own.attributes) < 0.5:
        return "a hat seems to be worn: hair stays as it is"
    return "" if crop.masks.shows_hair else NO_HAIR
