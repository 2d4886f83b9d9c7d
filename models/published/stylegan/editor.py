"""StyleGAN, live: a face moves along directions of the latent space its generator was found to have.

An encoder reads W+ (e4e, pSp, ReStyle), directions move it (InterFaceGAN, GANSpace, SeFa), the generator draws both
codes, and their difference goes onto the camera's picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from pydantic import Field, create_model

from engines.base import Engine
from models.arrays import Floats
from models.editor import Controls, title_of
from models.latents import Components, Direction, LatentError, Space, conditioned, move
from models.published.controls import Detail, SliderControls, slider
from models.published.stylegan.wplus import WPlusEditor

BANDS: Mapping[str, tuple[int, int]] = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, 18)}
"""Rows by what they draw: head and hair shape, features, colours and texture (Karras et al. 2019)."""

INTERFACEGAN_REACH = 3.0
"""Distance from the face's own place at the ends of a hyperplane's slider, as its authors go, and idinvert's."""

Rows = Literal["published", "all", "coarse", "middle", "fine"]


@dataclass(frozen=True, slots=True)
class Slider:
    """One direction as a control.

    Attributes:
        direction: where it goes; it must belong to the editor's generator.
        reach: lengths of the direction at the slider's ends, in the customary range of its authors.
        title: what the page calls it; by default the direction's name.
    """

    direction: Direction
    reach: float
    title: str = ""

    def apply(self, code: Floats, amount: float, held: Sequence[Direction], rows: tuple[int, int] | None) -> Floats:
        """Move a code (rows, D) by `amount` of the reach, without moving along what is held."""
        way = self.direction
        if held:
            way = conditioned(way, *held)
            way = Direction(way.name, way.vector * np.float32(self.direction.norm), way.generator, way.space)
        return move(code, way, amount * self.reach, rows or self.direction.rows)


@dataclass(frozen=True, slots=True)
class CoordinateSlider:
    """One GANSpace edit as a control: at 1 the component's coordinate is `value`, whatever it was.

    Attributes:
        components: of the editor's generator.
        component: which one.
        rows: [start, end) of the rows it moves.
        value: the coordinate in standard deviations.
        title: what the page calls it.
    """

    components: Components
    component: int
    rows: tuple[int, int]
    value: float
    title: str

    def apply(self, code: Floats, amount: float, held: Sequence[Direction], rows: tuple[int, int] | None) -> Floats:
        """Move a code (rows, D) `amount` of the way; what is held cannot be taken out of a set coordinate."""
        there = self.components.set_coordinate(code, self.component, rows or self.rows, self.value)
        return code + np.float32(amount) * (there - code)


def latent_controls(
    sliders: Mapping[str, tuple[str, bool]],
    held: Sequence[str],
    *,
    space: Space = "W",
    drawn: type[Controls] | None = None,
    sets: Mapping[str, Any] | None = None,
) -> type[Controls]:
    """The model of an editor's controls: a slider per direction, a switch per attribute that can be held fixed.

    Args:
        sliders: by name, its title ("" for one made of the name) and whether it goes both ways.
        held: names of the attributes that can be held fixed.
        space: of the codes that move; a z has no rows to choose.
        drawn: base of the controls where a drawn face is shown in place of the caller's, so without its detail.
        sets: what moving a slider means along with it, see `models.editor.Controls`.
    """
    extras = {"sets": dict(sets)} if sets else {}
    fields: dict[str, Any] = {
        name: slider(title or title_of(name), -1.0 if both_ways else 0.0, **extras)
        for name, (title, both_ways) in sliders.items()
    }
    for name in held:
        fields[f"hold_{name}"] = (bool, Field(False, title=f"Keep {title_of(name).lower()}"))
    if space != "Z":
        fields["rows"] = (Rows, Field("published", title="Layers"))
    if drawn is None:
        fields["detail"] = (Detail, "delta")
    return cast(type[Controls], create_model("LatentControls", __base__=drawn or SliderControls, **fields))


class Steering:
    """Directions of one generator and space, as sliders, some of which can be held fixed.

    Args:
        generator: whose directions are allowed, see `models.published.stylegan.directions.Generator`.
        sliders: by the names of their controls.
        held: attributes that the others can be kept from moving along, by name.
        space: of the codes that move.

    Raises:
        LatentError: a direction belongs to another generator or space.
    """

    def __init__(
        self,
        generator: str,
        sliders: Mapping[str, Slider | CoordinateSlider],
        held: Mapping[str, Direction],
        space: Space = "W",
    ) -> None:
        for each in sliders.values():
            if isinstance(each, Slider):
                each.direction.require(generator, space)
            elif each.components.generator != generator:
                raise LatentError(f"components of {each.components.generator} are of no use in {generator}")
        self._held = {name: direction.require(generator, space) for name, direction in held.items()}
        self._sliders = dict(sliders)

    @property
    def sliders(self) -> dict[str, tuple[str, bool]]:
        """Title of each slider and whether it goes both ways, as `latent_controls` takes them."""
        return {name: (each.title, isinstance(each, Slider)) for name, each in self._sliders.items()}

    def __call__(self, code: Floats, controls: Any, rows: tuple[int, int] | None = None) -> Floats:
        """Move a code along every slider that is off its middle, in their order.

        Args:
            code: (rows, D), or (D,) of Z.
            controls: of the model that `latent_controls` makes.
            rows: [start, end) in place of the directions' own.
        """
        held = {name: way for name, way in self._held.items() if getattr(controls, f"hold_{name}")}
        for name, each in self._sliders.items():
            if amount := getattr(controls, name):
                others = [way for key, way in held.items() if key != name]
                code = each.apply(code, amount, others, rows)
        return code


class LatentEditor(WPlusEditor[Controls]):
    """Directions of one StyleGAN as a live editor.

    Args:
        encoder: engine, input "image" (N, 3, 256, 256) in [-1, 1], output "w_plus" (N, rows, D).
        generator: engine, input "w_plus" of any batch, output "image" (N, 3, S, S).
        generator_name: whose directions are allowed, see `models.published.stylegan.directions.Generator`.
        sliders: by the names of their controls.
        held: attributes that the others can be kept from moving along, by name.
        name: its name in the catalog.
        size: side of the crop; by default that of the generator, at most `LARGEST_CROP`.

    Raises:
        LatentError: a direction belongs to another generator.
    """

    def __init__(
        self,
        encoder: Engine,
        generator: Engine,
        generator_name: str,
        sliders: Mapping[str, Slider | CoordinateSlider],
        held: Mapping[str, Direction] | None = None,
        *,
        name: str = "stylegan2",
        size: int | None = None,
    ) -> None:
        super().__init__(encoder, generator, size=size)
        self._steering = Steering(generator_name, sliders, held or {})
        self.name = name
        self.Controls = latent_controls(self._steering.sliders, list(held or {}))

    def steer_code(self, code: Floats, controls: Any) -> Floats:
        """Move the code along every slider that is off its middle, in their order."""
        rows = {"published": None, "all": (0, len(code))}.get(controls.rows, BANDS.get(controls.rows))
        return self._steering(code, controls, rows)
