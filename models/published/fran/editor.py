"""FRAN, live: another age, from the one the user tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.ages import Difference, years_of
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.published.drawing import border_fade

WINDOW = 512
"""Side of the pictures that the network was trained on, cut from faces of 1024 px."""


@dataclass(frozen=True, slots=True)
class WindowFade:
    """How a window fades to its border; measured on the authors' mask512.jpg. Pixels of a window of 512."""

    dark: float = 5.0
    """Distance from the border up to which nothing of the window counts."""
    full: float = 65.0
    """Distance from which all of it does."""


WINDOW_FADE = WindowFade()


YOUNGEST, OLDEST = 10.0, 90.0
"""Ages that the network was trained for, years."""


class FranControls(Controls):
    """Ages in years. Without a target age nothing is done; with a difference, the user's own is read of the face."""

    source_age: float = Field(
        35.0,
        ge=YOUNGEST,
        le=OLDEST,
        title="Your age",
        json_schema_extra={"unit": "years", "step": 1, "needs": "target_age"},
    )
    target_age: Annotated[float, Field(ge=YOUNGEST, le=OLDEST)] | Difference | None = Field(
        None, title="Shown age", json_schema_extra={"unit": "years", "step": 1, "lifespan": True}
    )

    def neutral(self) -> bool:
        """No target age, whatever the user's own is."""
        return self.target_age is None

    def at_age(self, own: float | None) -> Self:
        """The same from the age that is read of the face, where a difference from it is asked for."""
        if own is None or not self.relative:
            return super().at_age(own)
        return super().at_age(own).model_copy(update={"source_age": min(max(own, YOUNGEST), OLDEST)})


class Fran(Editor[FranControls]):
    """FRAN as a live editor: its edit is a residual on the camera's pixels. It reads nothing of the face.

    Args:
        network: engine of `UNet`, inputs "image" and "ages", output "delta", batch of any size.
        size: side of the crop: 1024 is the scale of its training, nine overlapping windows, for single pictures;
            512 is one window over the whole face, nine times faster and coarser than it was trained for.
    """

    name = "fran"
    Controls = FranControls
    latent_seconds = 0.0
    encode_seconds = 0.0

    def __init__(self, network: Engine, size: int = WINDOW) -> None:
        self.crop = CropSpec("box", size)
        self._network = network
        self._starts = range(0, max(size - WINDOW, 0) + 1, WINDOW // 2)

    def for_still(self) -> Fran:
        """At the scale of its training, in nine windows."""
        return Fran(self._network, 2 * WINDOW)

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
        ages = np.array([[controls.source_age, years_of(controls.target_age)]], np.float32)
        # As the authors clip the picture and not the residual.
        aged = np.clip(image + self._residual(image, ages), 0, 1)
        return Edit(mask=mask, delta=np.ascontiguousarray((aged - image).transpose(1, 2, 0)) * np.float32(255))

    def _residual(self, image: Floats, ages: Floats) -> Floats:
        """(3, S, S) RGB difference on the scale of `image` (3, S, S), put together from its windows."""
        if len(self._starts) == 1:
            return self._network.run({"image": image[None], "ages": ages})["delta"][0]
        total, weights = np.zeros_like(image), np.zeros(image.shape[1:], np.float32)
        weight = window_fade(WINDOW)
        for top in self._starts:
            for left in self._starts:
                part = np.s_[top : top + WINDOW, left : left + WINDOW]
                window = np.ascontiguousarray(image[:, *part])
                # One after the other: nine at once would take nine times the memory.
                total[:, *part] += weight * self._network.run({"image": window[None], "ages": ages})["delta"][0]
                weights[part] += weight
        # What only the faded border of a window reaches stays faint.
        return np.asarray(total / np.maximum(weights, 1), np.float32)


def window_fade(side: int) -> Floats:
    """(S, S) float32: how much of a window counts."""
    scale = side / 512
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) / scale
    ramp = np.clip((distance - WINDOW_FADE.dark) / (WINDOW_FADE.full - WINDOW_FADE.dark), 0, 1)
    ramp = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    return np.asarray(np.multiply.outer(ramp, ramp), np.float32)
