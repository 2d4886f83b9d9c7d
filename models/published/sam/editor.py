"""SAM, live: a face at any age from 0 to 100."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.ages import Difference, years_of
from models.arrays import Floats, Latent
from models.editor import Controls, Crop, Edit
from models.published.drawing import to_network
from models.published.stylegan.wplus import WPlusEditor, read_w_plus, resize_pictures


class SamControls(Controls):
    """A target age in years; without one nothing is done. The face's own age need not be known."""

    age: Annotated[float, Field(ge=0, le=100)] | Difference | None = Field(
        None, title="Age", json_schema_extra={"unit": "years", "step": 1, "lifespan": True}
    )
    detail: Literal["delta", "full"] = Field("delta", title="Detail", json_schema_extra={"needs": "age"})

    def neutral(self) -> bool:
        """No target age, whatever the detail."""
        return self.age is None


class Sam(WPlusEditor[SamControls]):
    """SAM as a live editor.

    Its latent is the W+ code of the face as it is and what the target age adds to it. Both halves are read together and
    smoothed by the stream: the age moves on with the code.

    Args:
        identity: engine of the age-free half, input "image", output "w_plus".
        ageing: engine of `AgeEncoder`, inputs "image" and "age", output "offsets".
        generator: engine of the StyleGAN2, input "w_plus" of any batch, output "image".
        size: side of the crop; by default that of the generator, at most 512.
    """

    name = "sam"
    Controls = SamControls

    def __init__(self, identity: Engine, ageing: Engine, generator: Engine, *, size: int | None = None) -> None:
        super().__init__(identity, generator, size=size)
        self._ageing = ageing

    def encode(self, crop: Crop, controls: SamControls) -> Latent:
        """(2 * rows * D,) float32, for the target age; nothing is added where there is none."""
        code = read_w_plus(self.encoder, crop)
        offsets = np.zeros_like(code)
        if controls.age is not None:
            side = self._ageing.inputs[0].shape[-1] or len(crop.image)
            inputs = {
                "image": resize_pictures(to_network(crop.image), side),
                "age": np.array([years_of(controls.age)], np.float32),
            }
            offsets = self._ageing.run(inputs)["offsets"][0].ravel()
        return np.concatenate([code, offsets]).astype(np.float32)

    def steer(self, latent: Latent, controls: SamControls) -> Latent:
        """(rows * D,) float32, the code with what the age adds, or without where there is no age."""
        code, offsets = np.split(latent, 2)
        return code if controls.age is None else code + offsets

    def steer_code(self, code: Floats, controls: SamControls) -> Floats:
        """The code itself: what the age adds is in the latent."""
        return code

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: SamControls) -> Edit:
        """What changes between the drawings of the face as it is and as it would be, or the second drawing itself."""
        if controls.age is None:
            return Edit(mask=np.zeros(crop.image.shape[:2], np.float32))
        return super().render(crop, latent, steered, controls)
