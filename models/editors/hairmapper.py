"""HairMapper, live: the hair taken off."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.editors.latent import ENCODE_SECONDS, LATENT_SECONDS, crop_side, read_w_plus, rendered, unpack


class HairMapperControls(Controls):
    """How far the hair is taken off; 1 is the authors' edit."""

    amount: float = Field(0.0, ge=0, le=1.5, title="Bald", json_schema_extra={"step": 0.05})
    detail: Literal["delta", "full"] = Field("full", title="Detail")

    def neutral(self) -> bool:
        """Nothing is taken off."""
        return self.amount == 0


class HairMapper(Editor):
    """HairMapper as a live editor. Its latent is W+ and a last number, 1 if the drawing replaces the camera.

    Hair that the camera sees cannot be taken away by a difference of two drawings alone, so the drawing is shown unless
    the user asks otherwise.

    Args:
        encoder: engine of e4e, input "image", output "w_plus".
        mapper: engine of the edit, input "w_plus", output "bald".
        generator: engine of the StyleGAN2, input "w_plus" of any batch, output "image".
        size: side of the crop; by default the generator's, at most 512.
    """

    name = "hairmapper"
    Controls = HairMapperControls
    needs_masks = True
    latent_seconds = LATENT_SECONDS
    encode_seconds = ENCODE_SECONDS

    def __init__(self, encoder: Engine, mapper: Engine, generator: Engine, *, size: int | None = None) -> None:
        self.crop = CropSpec("ffhq", size or crop_side(generator))
        self._encoder = encoder
        self._mapper = mapper
        self._generator = generator

    def encode(self, crop: Crop) -> Latent:
        """(rows * D + 1,) float32."""
        return np.append(read_w_plus(self._encoder, crop), np.float32(0))

    def steer(self, latent: Latent, controls: HairMapperControls) -> Latent:
        """Go the mapper's way, which is straight, by the amount."""
        code = unpack(latent, self._generator)
        bald = self._mapper.run({"w_plus": code[None]})["bald"][0]
        moved = code + np.float32(controls.amount) * (bald - code)
        return np.append(moved.ravel(), np.float32(controls.detail == "full"))

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """The drawing of the bald head, or what changes between the two drawings."""
        own, wanted = (unpack(code, self._generator) for code in (latent, steered))
        return rendered(self._generator, own, wanted, crop, full=bool(steered[-1]))
