"""SAM, live: a face at any age from 0 to 100."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.editor import Controls, Crop, CropSpec, Edit, Editor, Latent
from models.editors.latent import ENCODE_SECONDS, LATENT_SECONDS, crop_side, fitted, read_w_plus, rendered, unpack
from models.translation import to_network


class SamControls(Controls):
    """A target age in years; without one nothing is done. The face's own age need not be known."""

    age: float | None = Field(None, ge=0, le=100, title="Age", json_schema_extra={"unit": "years", "step": 1})
    detail: Literal["delta", "full"] = Field("delta", title="Detail")

    def neutral(self) -> bool:
        """No target age, whatever the detail."""
        return self.age is None


class Sam(Editor):
    """SAM as a live editor.

    Its latent is the W+ code of the face as it is, which the stream smooths, the target age, and 1 if the drawing
    replaces the camera. What the age adds is read from each frame, as it depends on the age.

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
        """(rows * D + 2,) float32; an age below 0 is none."""
        return np.concatenate([read_w_plus(self._identity, crop), [-1, 0]]).astype(np.float32)

    def steer(self, latent: Latent, controls: SamControls) -> Latent:
        """The same code with the wanted age."""
        steered = latent.copy()
        steered[-2:] = -1 if controls.age is None else controls.age, controls.detail == "full"
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """What changes between the drawings of the face as it is and as it would be, or the second drawing itself."""
        age, full = steered[-2:]
        if age < 0:
            return Edit(mask=np.zeros(crop.image.shape[:2], np.float32))
        side = self._ageing.inputs[0].shape[-1] or len(crop.image)
        face = fitted(to_network(crop.image), side)
        offsets = self._ageing.run({"image": face, "age": np.array([age], np.float32)})["offsets"][0]
        own = unpack(latent, self._generator)
        return rendered(self._generator, own, own + offsets, crop, full=bool(full))
