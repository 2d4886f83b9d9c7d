"""LATS, live: a face at any age between 0 and 70, head shape included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from engines.base import Engine
from models.ages import Difference, years_of
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor, Masks
from models.published.drawing import border_fade, to_image, to_network

AGE_CLASSES = ("0-2", "3-6", "7-9", "15-19", "30-39", "50-69")
CLASS_MID_AGES = (1.0, 4.5, 8.0, 17.0, 34.5, 59.5)

MODELS = ("male", "female")


class LatsControls(Controls):
    """Without an age nothing is done."""

    age: Annotated[float, Field(ge=0, le=70)] | Difference | None = Field(
        None, title="Age", json_schema_extra={"unit": "years", "step": 1, "lifespan": True}
    )
    model: Literal["male", "female"] = Field("female", title="Model", json_schema_extra={"needs": "age"})

    def neutral(self) -> bool:
        """No age, whichever model is chosen."""
        return self.age is None


GREY = 128
"""Background of the pictures that the network was trained on, and of those it draws."""
GREY_TOLERANCE = 0.12
"""A drawn pixel this near to grey, in [-1, 1], is background."""
NECK = 0.35
"""How far the neck, which our masks do not name, reaches below the face: a share of the face's height."""


class Lats(Editor[LatsControls]):
    """LATS as a live editor. It needs no source age, so it reads nothing of the face.

    Args:
        generators: engines of `Ageing` by model, inputs "image" and "class_weights", output "aged".
    """

    name = "lats"
    crop = CropSpec("ffhq_lats", 256)
    Controls = LatsControls
    latent_seconds = 0.0
    encode_seconds = 0.0

    def __init__(self, generators: Mapping[str, Engine]) -> None:
        self._generators = dict(generators)

    def encode(self, crop: Crop, controls: LatsControls) -> Latent:
        """(0,) float32."""
        return np.zeros(0, np.float32)

    def steer(self, latent: Latent, controls: LatsControls) -> Latent:
        """(6,) float32, the shares of the age classes around the wanted age; zeros without one.

        Raises:
            ValueError: the weights of the chosen model are not there.
        """
        if controls.age is None:
            return np.zeros(len(AGE_CLASSES), np.float32)
        if controls.model not in self._generators:
            raise ValueError(f"the {controls.model} model is not installed; there is {', '.join(self._generators)}")
        return class_weights(years_of(controls.age))

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: LatsControls) -> Edit:
        """The face at the wanted age in place of the camera's."""
        size = len(crop.image)
        if not steered.any():
            return Edit(mask=np.zeros((size, size), np.float32))
        keep = _kept(crop.masks, size)
        image = np.where(keep[..., None] > 0.5, crop.image, np.uint8(GREY))
        inputs = {"image": to_network(image), "class_weights": steered[None]}
        aged = self._generators[controls.model].run(inputs)["aged"][0]
        mask = _drawn(aged) * border_fade(size)
        if crop.masks is not None:
            mask *= 1 - cv2.resize(crop.masks.occluder, (size, size), interpolation=cv2.INTER_LINEAR)
        return Edit(mask=mask, image=to_image(aged))


def class_weights(age: float) -> Floats:
    """The mix of age classes for an age in years: (6,) float32, linear between the middles of the classes."""
    return np.array([np.interp(age, CLASS_MID_AGES, row) for row in np.eye(len(CLASS_MID_AGES))], np.float32)


def _kept(masks: Masks | None, size: int) -> Floats:
    """Where the network sees the camera: hair, face and neck. Everywhere without masks."""
    if masks is None:
        return np.ones((size, size), np.float32)
    keep = np.minimum(masks.hair + masks.face, 1)  # the sum: on the hairline both are half
    rows = np.flatnonzero((masks.face > 0.5).any(1))
    if len(rows):
        chin, height = int(rows[-1]), int(rows[-1] - rows[0] + 1)
        columns = np.flatnonzero((masks.face[chin - height // 4 : chin + 1] > 0.5).any(0))
        neck = np.s_[chin - height // 4 : chin + round(NECK * height), columns[0] : columns[-1] + 1]
        keep[neck] = np.maximum(keep[neck], masks.person[neck])
    out: Floats = cv2.resize(keep, (size, size), interpolation=cv2.INTER_LINEAR)
    return out


def _drawn(picture: Floats) -> Floats:
    """The head in a drawn picture (3, S, S), by its grey background: (S, S) in [0, 1], softened, holes filled."""
    colour = np.abs(picture - (GREY / 127.5 - 1)).max(0)
    head = (colour > GREY_TOLERANCE).astype(np.uint8)
    side = 2 * (len(head) // 64) + 1
    head = cv2.morphologyEx(head, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    outlines, _ = cv2.findContours(head, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(head.shape, np.float32)
    if outlines:
        cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, 1.0, cv2.FILLED)
    out: Floats = cv2.GaussianBlur(filled, (0, 0), len(head) / 128)
    return out
