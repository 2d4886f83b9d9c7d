"""Tints faces: an editor for Latentcam that is installed beside it."""

from pathlib import Path

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.entry import Entry, Preset, Weights

NETWORK = Path(__file__).with_name("tint.onnx")


class TintControls(Controls):
    """How warm the face becomes. Defaults are the neutral position."""

    warmth: float = Field(0.0, ge=-1, le=1, title="Warmth", json_schema_extra={"step": 0.05})


class Tint(Editor[TintControls]):
    """A tint as a live editor. Its latent is the mean colour of the face."""

    name = "tint"
    crop = CropSpec("ffhq", 256)
    Controls = TintControls

    def __init__(self, network: Engine) -> None:
        self._network = network

    def encode(self, crop: Crop, controls: TintControls) -> Latent:
        """(3,) float32, mean RGB in 0..255."""
        return crop.image.reshape(-1, 3).mean(0).astype(np.float32)

    def steer(self, latent: Latent, controls: TintControls) -> Latent:
        """(3,) float32, the mean colour wanted."""
        return latent * (1 + np.float32(0.3 * controls.warmth) * np.array([1, 0, -1], np.float32))

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: TintControls) -> Edit:
        """The face, tinted, inside an ellipse that fades to the border of the crop."""
        image = crop.image.transpose(2, 0, 1)[None].astype(np.float32)
        colour = (steered / np.maximum(latent, 1)).reshape(1, 3, 1, 1)
        tinted = self._network.run({"image": image, "colour": colour})["tinted"][0]
        axis = np.linspace(-1, 1, self.crop.size, dtype=np.float32)
        radius = np.hypot(axis[None], axis[:, None])
        return Edit(mask=np.clip(4 * (0.8 - radius), 0, 1), delta=(tinted - image[0]).transpose(1, 2, 0))


ENTRY = Entry(
    name="tint",
    title="Tint",
    description="A warmer or colder face.",
    controls=lambda: TintControls,
    load=lambda load_engine: Tint(load_engine(NETWORK)),
    weights=(Weights(NETWORK, "MIT", "made by make_network.py"),),
    presets=(Preset("Warm", {"warmth": 0.7}),),
)
