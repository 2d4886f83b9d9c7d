"""HairMapper, live: the hair taken off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats, Latent
from models.editor import NO_HAIR, Controls, Crop, Edit
from models.published.drawing import head_mask, to_image
from models.published.hairmapper.blending import clone_face
from models.published.stylegan.wplus import WPlusEditor, draw, unpack


class HairMapperControls(Controls):
    """How far the hair is taken off; 1 is the authors' edit."""

    amount: float = Field(0.0, ge=0, le=1.5, title="Bald", json_schema_extra={"step": 0.05})
    detail: Literal["delta", "full", "paper"] = Field("full", title="Detail", json_schema_extra={"needs": "amount"})

    def neutral(self) -> bool:
        """Nothing is taken off."""
        return self.amount == 0


class HairMapper(WPlusEditor[HairMapperControls]):
    """HairMapper as a live editor.

    A difference of two drawings cannot remove hair that the camera sees, so the drawing is shown unless the user asks
    otherwise: "paper" clones the camera's face into the drawing as the authors do, which keeps its skin and eyes. Their
    mask takes in hats and, on demand, ears; here it is the segmenter's hair.

    Args:
        encoder: engine of e4e, input "image", output "w_plus".
        mapper: engine of the edit, input "w_plus", output "bald".
        generator: engine of the StyleGAN2, input "w_plus" of any batch, output "image".
        size: side of the crop; by default that of the generator, at most 512.
    """

    name = "hairmapper"
    Controls = HairMapperControls

    def __init__(self, encoder: Engine, mapper: Engine, generator: Engine, *, size: int | None = None) -> None:
        super().__init__(encoder, generator, size=size)
        self._mapper = mapper

    def steer_code(self, code: Floats, controls: HairMapperControls) -> Floats:
        """Go the way of the mapper, which is straight, by the amount."""
        bald = self._mapper.run({"w_plus": code[None]})["bald"][0]
        return np.asarray(code + np.float32(controls.amount) * (bald - code), np.float32)

    def obstacles(self, crop: Crop, latent: Latent, controls: HairMapperControls) -> Mapping[str, str]:
        """No hair to take off."""
        seen = crop.masks is None or crop.masks.shows_hair
        return {} if seen or controls.neutral() else {"amount": NO_HAIR}

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: HairMapperControls) -> Edit:
        """The drawing, what changes between the two, or the camera's face cloned into the drawing."""
        if controls.detail != "paper" or crop.masks is None:
            shown = controls if controls.detail != "paper" else controls.model_copy(update={"detail": "full"})
            return super().render(crop, latent, steered, shown)
        bald = to_image(draw(self.generator, [unpack(steered, self.generator)], crop)[0])
        return Edit(mask=head_mask(crop), image=clone_face(crop.image, bald, crop.masks.hair))
