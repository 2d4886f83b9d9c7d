"""SAM, live: a face at any age from 0 to 100."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Latent
from models.crops import CropSpec
from models.editor import AimedEditor, Controls, Crop, Edit
from models.editors.latent import ENCODE_SECONDS, LATENT_SECONDS, crop_side, fitted, read_w_plus, rendered, unpack
from models.translation import to_network


class SamControls(Controls):
    """A target age in years; without one nothing is done. The face's own age need not be known."""

    age: float | None = Field(None, ge=0, le=100, title="Age", json_schema_extra={"unit": "years", "step": 1})
    detail: Literal["delta", "full"] = Field("delta", title="Detail")

    def neutral(self) -> bool:
        """No target age, whatever the detail."""
        return self.age is None


class Sam(AimedEditor):
    """SAM as a live editor.

    Its latent is the W+ code of the face as it is, what the target age adds to it, and 1 if the drawing replaces the
    camera. Both halves are read at the same set rate and smoothed by the stream: the age moves on with the code.

    Args:
        identity: engine of the age-free half, input "image", output "w_plus".
        ageing: engine of `AgeEncoder`, inputs "image" and "age", output "offsets".
        generator: engine of the StyleGAN2, input "w_plus" of any batch, output "image".
        size: side of the crop; by default the generator's, at most 512.
    """

    name = "sam"
    Controls = SamControls
    needs_masks = True
    latent_seconds = LATENT_SECONDS
    encode_seconds = ENCODE_SECONDS

    def __init__(self, identity: Engine, ageing: Engine, generator: Engine, *, size: int | None = None) -> None:
        self.crop = CropSpec("ffhq", size or crop_side(generator))
        self._identity = identity
        self._ageing = ageing
        self._generator = generator

    def encode(self, crop: Crop) -> Latent:
        """(2 * rows * D + 1,) float32, for no target age: nothing is added."""
        return self.encode_for(crop, SamControls())

    def encode_for(self, crop: Crop, controls: SamControls) -> Latent:
        """(2 * rows * D + 1,) float32, for the target age."""
        code = read_w_plus(self._identity, crop)
        offsets = np.zeros_like(code)
        if controls.age is not None:
            side = self._ageing.inputs[0].shape[-1] or len(crop.image)
            inputs = {"image": fitted(to_network(crop.image), side), "age": np.array([controls.age], np.float32)}
            offsets = self._ageing.run(inputs)["offsets"][0].ravel()
        return np.concatenate([code, offsets, [0]]).astype(np.float32)

    def steer(self, latent: Latent, controls: SamControls) -> Latent:
        """The same latent, with what the age adds left out where there is none."""
        steered = latent.copy()
        if controls.age is None:
            steered[len(latent) // 2 : -1] = 0
        steered[-1] = controls.detail == "full"
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """What changes between the drawings of the face as it is and as it would be, or the second drawing itself."""
        code, offsets = (unpack(half, self._generator) for half in np.split(steered[:-1], 2))
        if not offsets.any():
            return Edit(mask=np.zeros(crop.image.shape[:2], np.float32))
        return rendered(self._generator, code, code + offsets, crop, full=bool(steered[-1]))
