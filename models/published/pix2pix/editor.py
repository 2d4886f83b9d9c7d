"""pix2pix and CoupleGenerator, live: the other half."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, create_model

from engines.base import Engine
from models.arrays import Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.published.drawing import head_mask, to_image, to_network

KEEP = "keep_"
"""Start of the names of the inputs that say which units of a map are kept, one per dropout of 1/2 in the decoder. The
authors' dropout is on at test time too, the network's only source of variety; as an input it stands still over a video;
ones switch it off."""


class OtherHalfControls(Controls):
    """Which translation is shown. A seed draws another set of dropped units, and with it another face."""

    which: Literal["none", "AtoB", "BtoA"] = Field("none", title="Other half")
    seed: int = Field(0, ge=0, le=9999, title="Variation", json_schema_extra={"needs": "which"})

    def neutral(self) -> bool:
        """No translation, whatever the seed."""
        return self.which == "none"


DIRECTIONS = ("AtoB", "BtoA")


def other_half_controls(directions: Collection[str]) -> type[OtherHalfControls]:
    """The controls with those directions to choose from whose weights are there."""
    there = tuple(direction for direction in DIRECTIONS if direction in directions)
    which: Any = (Literal[("none", *there)], Field("none", title="Other half"))
    return create_model("OtherHalfControls", __base__=OtherHalfControls, which=which)


class OtherHalf(Editor[OtherHalfControls]):
    """pix2pix or CoupleGenerator as a live editor. It reads nothing of the face; a seed draws its dropout.

    Args:
        generators: engines of `UNet` by direction, inputs "image" and one "keep_<side>" per dropout, output
            "translated".
        name: its name in the catalog.
    """

    latent_seconds = 0.0
    encode_seconds = 0.0

    def __init__(self, generators: Mapping[str, Engine], name: str = "pix2pix") -> None:
        self.name = name
        self.Controls = other_half_controls(generators)
        self._generators = dict(generators)
        first = next(iter(self._generators.values()))
        shapes = {spec.name: tuple(n or 1 for n in spec.shape) for spec in first.inputs}
        self.crop = CropSpec("ffhq", shapes["image"][-1])
        self._keep = {name: shape for name, shape in shapes.items() if name.startswith(KEEP)}
        self._units = sum(int(np.prod(shape)) for shape in self._keep.values())

    def encode(self, crop: Crop, controls: OtherHalfControls) -> Latent:
        """(0,) float32."""
        return np.zeros(0, np.float32)

    def steer(self, latent: Latent, controls: OtherHalfControls) -> Latent:
        """(units,) float32, the keep values of the seed: 0 or 2 with equal chance. The same seed gives the same face.

        Raises:
            ValueError: the weights of the chosen direction are not there.
        """
        if controls.which != "none" and controls.which not in self._generators:
            raise ValueError(f"no weights for {controls.which}; there is {', '.join(self._generators)}")
        return 2 * np.random.default_rng(controls.seed).integers(0, 2, self._units).astype(np.float32)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: OtherHalfControls) -> Edit:
        """The translated face in place of the camera's."""
        mask = head_mask(crop)
        if controls.which == "none":
            return Edit(mask=np.zeros_like(mask))
        inputs = {"image": to_network(crop.image)}
        start = 0
        for name, shape in self._keep.items():
            count = int(np.prod(shape))
            inputs[name] = np.ascontiguousarray(steered[start : start + count].reshape(shape))
            start += count
        translated = self._generators[controls.which].run(inputs)["translated"][0]
        return Edit(mask=mask, image=to_image(translated))
