"""BabyGAN, live: the child of the face in front of the camera and of a second parent's photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from pydantic import Field, create_model

from engines.base import Engine
from models.arrays import Floats, Latent
from models.editor import Controls, Crop, Edit
from models.latents import Direction, LatentError, move
from models.photo_codes import References, photo_field
from models.published.babygan.formulas import AGE_CENTRE, EDITED_ROWS, child, grow
from models.published.stylegan.editor import Slider
from models.published.stylegan.wplus import WPlusEditor, read_w_plus, unpack


class _BabyGanControls(Controls):
    """Genes: how much of the second parent; unset shows the camera. The age is the child's."""

    photo: str = photo_field("Second parent")
    genes: float | None = Field(None, ge=0.01, le=0.99, title="Child: share of the second parent")
    resemblance: Literal["both", "father", "mother"] = Field(
        "both", title="Fine features from", json_schema_extra={"needs": "genes"}
    )
    age: float = Field(
        AGE_CENTRE,
        ge=10,
        le=50,
        title="Child's age",
        json_schema_extra={"unit": "years", "step": 1, "needs": "genes", "lifespan": True},
    )
    detail: Literal["full", "delta"] = Field("full", title="Detail", json_schema_extra={"needs": "genes"})

    def neutral(self) -> bool:
        """No child."""
        return self.genes is None


class BabyGan(WPlusEditor[_BabyGanControls]):
    """BabyGAN as a live editor.

    The live face is the father of the formulas, the photo the mother. The child looks where the live face looks: along
    the pose directions, the photo's code is first brought to the live face's.

    Args:
        encoder: engine, input "image", output "w_plus".
        generator: engine, input "w_plus" of any batch, output "image".
        generator_name: whose directions are allowed.
        parent: the second parent's code (rows, D), of the same generator, e.g. from `models.inversion`, for those who
            choose no photo; None where there is none.
        age: direction to younger, whose length is five years.
        sliders: what else can be set, by the names of their controls: gender, smile, ...
        pose: directions along which the child follows the live face.
        size: side of the crop; by default the generator's, at most 512.

    Raises:
        LatentError: a direction or the parent's code belongs to another generator.
    """

    name = "babygan"

    def __init__(
        self,
        encoder: Engine,
        generator: Engine,
        generator_name: str,
        *,
        parent: Floats | None,
        age: Direction,
        sliders: Mapping[str, Slider],
        pose: Sequence[Direction] = (),
        size: int | None = None,
    ) -> None:
        for direction in (age, *pose, *(slider.direction for slider in sliders.values())):
            direction.require(generator_name, "W")
        if parent is not None and parent.shape != generator.inputs[0].shape[1:]:
            raise LatentError(f"the second parent's code is {parent.shape}, the generator takes another shape")
        super().__init__(encoder, generator, size=size)
        self.Controls = babygan_controls(sliders)
        self._parent = None if parent is None else parent.astype(np.float32)
        self.references: References = References()
        self._age = age
        self._sliders = dict(sliders)
        self._pose = [direction.unit() for direction in pose]

    def steer_code(self, code: Floats, controls: _BabyGanControls) -> Floats:
        """Mix the parents, then set the age of the child and the rest, in the first eight rows as the notebook does."""
        mother = self.references.get(controls.photo) if controls.photo else self._parent
        if controls.genes is None or mother is None:
            return code
        mixed = child(code, follow(mother, code, self._pose), controls.genes, controls.resemblance)
        mixed = grow(mixed, self._age, controls.age)
        for name, slider in self._sliders.items():
            if amount := getattr(controls, name):
                mixed = move(mixed, slider.direction, amount * slider.reach, EDITED_ROWS)
        return mixed

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: _BabyGanControls) -> Edit:
        """The drawing of the child, or what changes between the drawings of the live face and of the child."""
        if np.array_equal(latent, steered):
            return Edit(mask=np.zeros(crop.image.shape[:2], np.float32))
        return super().render(crop, latent, steered, controls)

    def read_photo(self, crop: Crop) -> dict[str, Any]:
        """The second parent: the code that the encoder reads of the photo. `models.inversion` makes a closer one."""
        return {"photo": self.references.keep(unpack(read_w_plus(self.encoder, crop), self.generator)), "genes": 0.5}

    def knows_photo(self, id: str) -> bool:
        """Whether a parent is still known."""
        return id in self.references


def follow(code: Floats, leader: Floats, directions: Sequence[Direction]) -> Floats:
    """A code (rows, D) with the leader's coordinates along unit directions, one after the other, row by row."""
    for direction in directions:
        gap = ((leader - code) * direction.vector).sum(-1, keepdims=True)
        code = code + gap * direction.vector
    return code.astype(np.float32, copy=False)


def babygan_controls(sliders: Mapping[str, Slider]) -> type[_BabyGanControls]:
    """The model of the editor's controls, a slider more per direction."""
    fields: dict[str, Any] = {
        name: (
            float,
            Field(0.0, ge=-1, le=1, title=slider.title or name.capitalize(), json_schema_extra={"step": 0.05}),
        )
        for name, slider in sliders.items()
    }
    return cast(type[_BabyGanControls], create_model("BabyGanControls", __base__=_BabyGanControls, **fields))
