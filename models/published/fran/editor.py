"""FRAN, live: another age, from the one the user tells."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.published.drawing import border_fade

WINDOW = 512
"""Side of the pictures that the network was trained on, cut from faces of 1024 px."""


class FranControls(Controls):
    """Ages in years. Without a target age nothing is done."""

    source_age: float = Field(
        35.0, ge=10, le=90, title="Your age", json_schema_extra={"unit": "years", "step": 1, "needs": "target_age"}
    )
    target_age: float | None = Field(
        None, ge=10, le=90, title="Shown age", json_schema_extra={"unit": "years", "step": 1, "lifespan": True}
    )

    def neutral(self) -> bool:
        """No target age, whatever the user's own is."""
        return self.target_age is None


class Fran(Editor[FranControls]):
    """FRAN as a live editor: its edit is a residual on the camera's pixels. It reads nothing of the face.

    Args:
        network: engine of `UNet`, inputs "image" and "ages", output "delta", batch of any size.
        size: side of the crop: 1024 is the scale of its training, nine overlapping windows a frame; 512 is one
            window over the whole face, nine times faster and coarser than it was trained for.
    """

    name = "fran"
    Controls = FranControls
    latent_seconds = 0.0
    encode_seconds = 0.0

    def __init__(self, network: Engine, size: int = WINDOW) -> None:
        self.crop = CropSpec("box", size)
        self._network = network
        self._starts = range(0, max(size - WINDOW, 0) + 1, WINDOW // 2)

    def encode(self, crop: Crop, controls: FranControls) -> Latent:
        """(0,) float32: the user gives the source age."""
        return np.zeros(0, np.float32)

    def steer(self, latent: Latent, controls: FranControls) -> Latent:
        """The latent itself: there is nothing to move."""
        return latent

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: FranControls) -> Edit:
        """The residual from the source age to the target age."""
        size = len(crop.image)
        mask = border_fade(size)
        if controls.target_age is None or controls.target_age == controls.source_age:
            return Edit(mask=np.zeros_like(mask))
        image = np.ascontiguousarray(crop.image.transpose(2, 0, 1), np.float32) / np.float32(255)
        side = min(size, WINDOW)
        corners = [(top, left) for top in self._starts for left in self._starts]
        windows = np.stack([image[:, top : top + side, left : left + side] for top, left in corners])
        ages = np.repeat(np.array([[controls.source_age, controls.target_age]], np.float32), len(windows), 0)
        deltas = self._network.run({"image": windows, "ages": ages})["delta"]
        total, weights = np.zeros_like(image), np.zeros((size, size), np.float32)
        weight = _window(side) if len(corners) > 1 else np.ones((side, side), np.float32)
        for (top, left), delta in zip(corners, deltas, strict=True):
            total[:, top : top + side, left : left + side] += weight * delta
            weights[top : top + side, left : left + side] += weight
        # As the authors clip the picture and not the residual.
        aged = np.clip(image + total / np.maximum(weights, 1e-3), 0, 1)
        return Edit(mask=mask, delta=np.ascontiguousarray((aged - image).transpose(1, 2, 0)) * np.float32(255))


def _window(side: int) -> Floats:
    ramp = np.sin(np.pi * (np.arange(side, dtype=np.float32) + 0.5) / side) ** 2
    return np.multiply.outer(ramp, ramp) + np.float32(1e-3)
