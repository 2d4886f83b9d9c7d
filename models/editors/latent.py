"""StyleGAN, live: a face moves along directions of the latent space its generator was found to have.

An encoder reads W+ (e4e, pSp, ReStyle), directions move it (InterFaceGAN, GANSpace, SeFa), the generator draws both
codes, and their difference goes onto the camera's picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import cv2
import numpy as np
from pydantic import Field, create_model

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.latents import Components, Direction, LatentError, conditioned, move
from models.translation import head_mask, redrawn, to_image, to_network

LARGEST_CROP = 512
"""Side of the crop in pixels; a larger drawing is averaged down to it."""

LATENT_SECONDS = 0.1
"""Time constant for codes of W+: they hold the expression, which must not lag much."""
ENCODE_SECONDS = 0.05
"""How often a face is read: its code moves slower than frames come."""

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


class LatentEditor(Editor):
    """Directions of one StyleGAN as a live editor.

    Its latent is W+ and a last number, 1 if the drawing replaces the camera.

    Args:
        encoder: engine, input "image" (N, 3, 256, 256) in [-1, 1], output "w_plus" (N, rows, D).
        generator: engine, input "w_plus" of any batch, output "image" (N, 3, S, S).
        generator_name: whose directions are allowed, see `models.directions.Generator`.
        sliders: by the names of their controls.
        held: attributes that the others can be kept from moving along, by name.
        size: side of the crop; by default the generator's, at most `LARGEST_CROP`.

    Raises:
        LatentError: a direction belongs to another generator.
    """

    needs_masks = True
    latent_seconds = LATENT_SECONDS
    encode_seconds = ENCODE_SECONDS

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
        for slider in sliders.values():
            if isinstance(slider, Slider):
                slider.direction.require(generator_name, "W")
            elif slider.components.generator != generator_name:
                raise LatentError(f"components of {slider.components.generator} are of no use in {generator_name}")
        self._held = {key: direction.require(generator_name, "W") for key, direction in (held or {}).items()}
        self.name = name
        self.crop = CropSpec("ffhq", size or crop_side(generator))
        self.Controls = latent_controls(
            {key: (slider.title, isinstance(slider, Slider)) for key, slider in sliders.items()}, list(self._held)
        )
        self._encoder = encoder
        self._generator = generator
        self._sliders = dict(sliders)

    def encode(self, crop: Crop) -> Latent:
        """(rows * D + 1,) float32."""
        return np.append(read_w_plus(self._encoder, crop), np.float32(0))

    def steer(self, latent: Latent, controls: Any) -> Latent:
        """Move the code along every slider that is off its middle, in their order."""
        code = unpack(latent, self._generator)
        held = {name: way for name, way in self._held.items() if getattr(controls, f"hold_{name}")}
        rows = {"published": None, "all": (0, len(code))}.get(controls.rows, BANDS.get(controls.rows))
        for name, slider in self._sliders.items():
            if amount := getattr(controls, name):
                others = [way for key, way in held.items() if key != name]
                code = slider.apply(code, amount, others, rows)
        return np.append(code.ravel(), np.float32(controls.detail == "full"))

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """What changes between the drawings of the two codes, or the second drawing itself."""
        own, wanted = (unpack(code, self._generator) for code in (latent, steered))
        return rendered(self._generator, own, wanted, crop, full=bool(steered[-1]))


def crop_side(generator: Engine) -> int:
    """Side of the crop that suits a generator."""
    return min(generator.outputs[0].shape[-1] or LARGEST_CROP, LARGEST_CROP)


def read_w_plus(encoder: Engine, crop: Crop) -> Floats:
    """The encoder's reading of a crop, (rows * D,) float32."""
    side = encoder.inputs[0].shape[-1] or len(crop.image)
    return encoder.run({"image": fitted(to_network(crop.image), side)})["w_plus"][0].ravel()


def unpack(latent: Latent, generator: Engine) -> Floats:
    """The W+ code (rows, D) at the start of a latent, in the shape that the generator takes."""
    rows, features = generator.inputs[0].shape[1:]
    if rows is None or features is None:
        raise LatentError("the generator's network leaves the shape of its codes open")
    return latent[: rows * features].reshape(rows, features)


def rendered(generator: Engine, own: Floats, wanted: Floats, crop: Crop, *, full: bool) -> Edit:
    """The edit from one code (rows, D) to another.

    Args:
        generator: draws them.
        own: the face's own code.
        wanted: the edited code.
        crop: the face.
        full: show the drawing of `wanted`; else add what changes between the two drawings, which keeps the camera's
            detail. Equal codes are no edit.
    """
    mask = head_mask(crop)
    if full:
        return Edit(mask=mask, image=to_image(draw(generator, [wanted], crop)[0]))
    if np.array_equal(own, wanted):
        return Edit(mask=np.zeros_like(mask))
    before, after = draw(generator, [own, wanted], crop)
    return redrawn(before, after, mask, full=0)


def draw(generator: Engine, codes: Sequence[Floats], crop: Crop) -> Floats:
    """Codes (rows, D) -> pictures (N, 3, S, S) in about [-1, 1], at the crop's side S."""
    pictures = generator.run({"w_plus": np.stack(codes).astype(np.float32)})["image"]
    return fitted(pictures, len(crop.image))


def fitted(pictures: Floats, side: int) -> Floats:
    """(N, C, S, S) float32 at another side: the area's mean where it shrinks, bilinear where it grows."""
    n, channels, height, _ = pictures.shape
    if height == side:
        return np.ascontiguousarray(pictures)
    if height % side == 0:
        factor = height // side
        blocks = pictures.reshape(n, channels, side, factor, side, factor)
        return np.ascontiguousarray(blocks.mean((3, 5), dtype=np.float32))
    how = cv2.INTER_AREA if side < height else cv2.INTER_LINEAR
    planes = [cv2.resize(plane, (side, side), interpolation=how) for plane in pictures.reshape(-1, height, height)]
    return np.stack(planes).reshape(n, channels, side, side).astype(np.float32, copy=False)
