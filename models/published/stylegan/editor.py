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
from models.editor import Controls
from models.latents import Components, Direction, LatentError, conditioned, move
from models.published.stylegan.wplus import WPlusEditor

BANDS: Mapping[str, tuple[int, int]] = {"coarse": (0, 4), "middle": (4, 8), "fine": (8, 18)}
"""Rows by what they draw: head and hair shape, features, colours and texture (Karras et al. 2019)."""

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


def latent_controls(sliders: Mapping[str, tuple[str, bool]], held: Sequence[str]) -> type[Controls]:
    """The model of an editor's controls: a slider per direction, a switch per attribute that can be held fixed.

    Args:
        sliders: by name, its title ("" for one made of the name) and whether it goes both ways.
        held: names of the attributes that can be held fixed.
    """
    fields: dict[str, Any] = {}
    for name, (title, both_ways) in sliders.items():
        shown = title or name.replace("_", " ").capitalize()
        low = -1.0 if both_ways else 0.0
        fields[name] = (float, Field(0.0, ge=low, le=1, title=shown, json_schema_extra={"step": 0.05}))
    for name in held:
        fields[f"hold_{name}"] = (bool, Field(False, title=f"Keep {name.replace('_', ' ')}"))
    fields["rows"] = (Rows, Field("published", title="Layers"))
    fields["detail"] = (Literal["delta", "full"], Field("delta", title="Detail"))
    return cast(type[Controls], create_model("LatentControls", __base__=_LatentControls, **fields))


class _LatentControls(Controls):
    def neutral(self) -> bool:
        """No slider is off its middle: the switches alone change nothing."""
        return not any(isinstance(value, float) and value for _, value in self)


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
        for slider in sliders.values():
            if isinstance(slider, Slider):
                slider.direction.require(generator_name, "W")
            elif slider.components.generator != generator_name:
                raise LatentError(f"components of {slider.components.generator} are of no use in {generator_name}")
        self._held = {key: direction.require(generator_name, "W") for key, direction in (held or {}).items()}
        self._sliders = dict(sliders)
        self.name = name
        self.Controls = latent_controls(
            {key: (slider.title, isinstance(slider, Slider)) for key, slider in sliders.items()}, list(self._held)
        )

    def steer_code(self, code: Floats, controls: Any) -> Floats:
        """Move the code along every slider that is off its middle, in their order."""
        held = {name: way for name, way in self._held.items() if getattr(controls, f"hold_{name}")}
        rows = {"published": None, "all": (0, len(code))}.get(controls.rows, BANDS.get(controls.rows))
        for name, slider in self._sliders.items():
            if amount := getattr(controls, name):
                others = [way for key, way in held.items() if key != name]
                code = slider.apply(code, amount, others, rows)
        return code
