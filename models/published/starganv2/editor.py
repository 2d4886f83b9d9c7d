"""StarGAN v2, live: another style of a domain, from a seed or a reference photo."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.photo_codes import References, photo_field
from models.published.drawing import head_mask, to_image, to_network

DOMAINS = ("female", "male")
"""Domains of the CelebA-HQ model, in the order of its folders."""

LATENT = 16
STYLE = 64


class StarGanV2Controls(Controls):
    """A domain and a style in it. A seed draws a style; a reference photo gives one."""

    domain: Literal["own", "female", "male"] = Field(
        "own", title="Domain", json_schema_extra={"wakes": {"strength": 1.0}}
    )
    style: Literal["seed", "reference"] = Field("seed", title="Style from", json_schema_extra={"needs": "domain"})
    photo: str = photo_field("Reference")
    seed: int = Field(0, ge=0, le=9999, title="Style seed", json_schema_extra={"needs": "domain"})
    strength: float = Field(1.0, ge=0, le=1, title="Strength", json_schema_extra={"needs": "domain"})

    def neutral(self) -> bool:
        """No domain chosen, no strength, or no photo to take the style from."""
        return self.domain == "own" or self.strength == 0 or (self.style == "reference" and not self.photo)

    def idle(self) -> str:
        """As in any editor; a style from a reference needs one."""
        lacks_photo = self.domain != "own" and self.style == "reference" and not self.photo
        return "choose a photo for the style" if lacks_photo else super().idle()


class StarGanV2(Editor[StarGanV2Controls]):
    """StarGAN v2 as a live editor. It needs no style of the face as it is, so it reads nothing of the face.

    Args:
        generator: engine of `Generator`, inputs "image" and "style" (and "mask_32", "mask_64" with high-pass skips),
            output "translated".
        mapping: engine of `MappingNetwork`, input "z", output "styles".
        style_encoder: engine of `StyleEncoder`, input "image", output "styles"; None takes no photos.
    """

    name = "starganv2"
    crop = CropSpec("ffhq", 256)
    Controls = StarGanV2Controls
    latent_seconds = 0.0
    encode_seconds = 0.0

    def __init__(
        self,
        generator: Engine,
        mapping: Engine,
        style_encoder: Engine | None = None,
    ) -> None:
        self._generator = generator
        self._mapping = mapping
        self._style_encoder = style_encoder
        self.references: References = References()
        self._high_pass = any(spec.name == "mask_32" for spec in generator.inputs)

    def encode(self, crop: Crop, controls: StarGanV2Controls) -> Latent:
        """(0,) float32."""
        return np.zeros(0, np.float32)

    def steer(self, latent: Latent, controls: StarGanV2Controls) -> Latent:
        """(STYLE,) float32, the style to go to; (0,) while no domain is chosen, or a photo is wanted and missing."""
        if controls.domain == "own":
            return latent
        if controls.style == "reference":
            chosen = self.references.get(controls.photo)
            if chosen is None:
                return latent
            styles = chosen
        else:
            z = np.random.default_rng(controls.seed).standard_normal((1, LATENT)).astype(np.float32)
            styles = self._mapping.run({"z": z})["styles"][0]
        return np.asarray(styles[DOMAINS.index(controls.domain)], np.float32)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: StarGanV2Controls) -> Edit:
        """The face in the wanted style in place of the camera's, as far as the strength says."""
        mask = head_mask(crop)
        if not len(steered) or controls.strength == 0:
            return Edit(mask=np.zeros_like(mask))
        inputs = {"image": to_network(crop.image), "style": steered[None]}
        if self._high_pass:
            inputs["mask_32"], inputs["mask_64"] = feature_masks(crop)
        translated = self._generator.run(inputs)["translated"][0]
        return Edit(mask=mask * np.float32(controls.strength), image=to_image(translated))

    def read_photo(self, crop: Crop) -> dict[str, Any]:
        """The style of a photo: hair, make-up, beard.

        Raises:
            ValueError: there is no style encoder.
        """
        if self._style_encoder is None:
            raise ValueError("this editor has no style encoder to read a photo with")
        return {"photo": self.references.keep(reference_styles(self._style_encoder, crop)), "style": "reference"}

    def knows_photo(self, id: str) -> bool:
        """Whether a style is still known."""
        return id in self.references


def reference_styles(style_encoder: Engine, crop: Crop) -> Floats:
    """(domains, style): a reference face read as each domain by an engine of `StyleEncoder`, "image" to "styles"."""
    styles: Floats = style_encoder.run({"image": to_network(crop.image)})["styles"][0]
    return styles


FEATURES = (
    *(33, 160, 158, 133, 153, 144, 263, 387, 385, 362, 380, 373),  # eyes
    *(70, 63, 105, 66, 107, 300, 293, 334, 296, 336),  # brows
    *(168, 6, 195, 1, 98, 327),  # nose
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 13, 14),  # mouth
)
"""Points of the MediaPipe face mesh on eyes, brows, nose and mouth."""
OUTLINE = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454)
"""Points of the mesh along the jaw, ear to ear."""

FEATURE_REACH = 0.035
"""Radius of a landmark in a heat map, a share of the crop's side."""


def feature_masks(crop: Crop) -> tuple[Floats, Floats]:
    """Where the high-pass skips act: (1, 1, 64, 64) with the face's outline and without it.

    The authors take them from a landmark network of their own (wing.ckpt, 98 heat maps). Here they are drawn from the
    face mesh, or from the five points where there is none: close, not equal.
    """
    side = 64
    size = len(crop.image)
    if crop.mesh is None:
        inner = outline = _heat(crop.points5, size, side)
    else:
        inner = _heat(crop.mesh[list(FEATURES)], size, side)
        outline = np.maximum(inner, _heat(crop.mesh[list(OUTLINE)], size, side))
    return outline[None, None], inner[None, None]


def _heat(points: Floats, size: int, side: int) -> Floats:
    grid = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / side
    across, down = (((points[:, axis, None] + 0.5) / size - grid) / FEATURE_REACH for axis in (0, 1))
    bumps = np.exp(-0.5 * (down[:, :, None] ** 2 + across[:, None, :] ** 2))
    heat: Floats = bumps.max(0).astype(np.float32)
    return heat
