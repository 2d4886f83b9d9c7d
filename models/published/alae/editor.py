"""StyleALAE, live: attributes along directions in ALAE's W."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, create_model

from engines.base import Engine
from models.arrays import Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.published.controls import SEMANTICS, Detail, SliderControls, semantic_title, slider
from models.published.drawing import head_mask, redrawn, to_network

EDITED_ROWS = 16
"""Rows from here on keep the latent of the unedited face (fine colour and texture)."""


class AlaeControls(SliderControls):
    """How far the latent moves along each direction, in the demo's units; 0 leaves it where it is."""

    gender: float = Field(0.0, ge=-40, le=40, title="Gender")
    smile: float = Field(0.0, ge=-40, le=40, title="Smile")
    attractive: float = Field(0.0, ge=-40, le=40, title="Attractive")
    wavy_hair: float = Field(0.0, ge=-40, le=40, title="Wavy hair")
    young: float = Field(0.0, ge=-40, le=40, title="Young")
    big_lips: float = Field(0.0, ge=-40, le=40, title="Big lips")
    big_nose: float = Field(0.0, ge=-40, le=40, title="Big nose")
    chubby: float = Field(0.0, ge=-40, le=40, title="Chubby")
    glasses: float = Field(0.0, ge=-40, le=40, title="Glasses")
    detail: Detail = "delta"


def alae_controls(fitted: Mapping[str, str]) -> type[AlaeControls]:
    """The controls with sliders of boundaries that were fitted, name -> title; those replace published ones."""
    fields: dict[str, Any] = {name: slider(title) for name, title in fitted.items()}
    return create_model("AlaeControls", __base__=AlaeControls, **fields) if fields else AlaeControls


def semantic_controls() -> type[Controls]:
    """The controls of what the decoder varies most (SeFa), in W's units; nobody publishes directions of this one."""
    fields: dict[str, Any] = {
        name: (float, Field(0.0, ge=-20, le=20, title=semantic_title(name))) for name in SEMANTICS
    }
    return create_model("SemanticControls", __base__=SliderControls, **fields, detail=(Detail, "delta"))


class Alae(Editor[Any]):
    """StyleALAE as a live editor. Its latent is W.

    Args:
        encoder: engine of `Encoder`, input "image", output "w".
        decoder: engine of `FixedNoise`, input "w" of any batch, output "image".
        average: (latent,) mean of W.
        directions: (latent,) by the name of its control; they must be of this very checkpoint.
        controls: the model of its controls, see `alae_controls`.
        name: its name in the catalog.

    Raises:
        ValueError: a direction is of another length than W.
    """

    latent_seconds = 0.1
    encode_seconds = 0.05

    def __init__(
        self,
        encoder: Engine,
        decoder: Engine,
        average: NDArray[np.float32],
        directions: Mapping[str, NDArray[np.floating]],
        controls: type[Controls] = AlaeControls,
        *,
        name: str = "alae",
    ) -> None:
        self.Controls = controls
        self.name = name
        self.crop = CropSpec("ffhq", encoder.inputs[0].shape[-1] or 1024)
        self._layers = (decoder.inputs[0].shape[1] or 18) // 2
        for way, direction in directions.items():
            if direction.shape != average.shape:
                raise ValueError(f"direction {way} is {direction.shape}, W {average.shape}: it is of another model")
        self._encoder = encoder
        self._decoder = decoder
        self._average = average
        self._directions = dict(directions)

    def encode(self, crop: Crop, controls: Any) -> Latent:
        """(latent,) float32."""
        return np.asarray(self._encoder.run({"image": to_network(crop.image)})["w"][0], np.float32)

    def steer(self, latent: Latent, controls: Any) -> Latent:
        """Move W along the directions.

        Raises:
            ValueError: a direction is asked for that is not there.
        """
        moves = {name: float(getattr(controls, name)) for name in type(controls).model_fields if name != "detail"}
        moves = {name: move for name, move in moves.items() if move}
        if missing := moves.keys() - self._directions.keys():
            raise ValueError(f"no direction for {', '.join(sorted(missing))}")
        had = coordinates(latent, self._average, {name: self._directions[name] for name in moves})
        edited = edit(latent, self._average, self._directions, {name: had[name] + move for name, move in moves.items()})
        return np.asarray(edited, np.float32)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        """What changes between the drawings of the two latents, or the second drawing itself."""
        codes = np.stack([rows(latent, w, self._layers) for w in (latent, steered)])
        own, wanted = self._decoder.run({"w": codes})["image"]
        return redrawn(own, wanted, head_mask(crop), float(controls.detail == "full"))


def edit(
    w: NDArray[np.float32],
    average: NDArray[np.float32],
    directions: Mapping[str, NDArray[np.floating]],
    targets: Mapping[str, float],
) -> NDArray[np.float32]:
    """Set a latent's coordinates along directions, as the authors' demo does.

    Args:
        w: (latent,) from the encoder.
        average: (latent,) mean of W.
        directions: (latent,) per name: raw coefficients of a linear classifier, not of unit length.
        targets: the coordinate each named direction shall have; the demo's sliders span -40..40.

    Returns:
        (latent,) the edited W. The coordinates it had (`coordinates`) are all taken before the first one is moved.
    """
    had = coordinates(w, average, {name: directions[name] for name in targets})
    moved = w.astype(np.float64) - average
    for name in targets:
        moved -= had[name] * directions[name]
    for name, target in targets.items():
        moved += target * directions[name]
    return (moved + average).astype(np.float32)


def coordinates(
    w: NDArray[np.float32], average: NDArray[np.float32], directions: Mapping[str, NDArray[np.floating]]
) -> dict[str, float]:
    """Where a latent (latent,) lies along each direction, from the average."""
    centred = w.astype(np.float64) - average
    return {name: float(centred @ direction) for name, direction in directions.items()}


def rows(w: NDArray[np.float32], edited: NDArray[np.float32], layers: int) -> NDArray[np.float32]:
    """The decoder's input (2 * layers, latent): edited up to row 15, the face's own W in the finest rows from 16 on."""
    return np.where(np.arange(2 * layers)[:, None] < EDITED_ROWS, edited, w).astype(np.float32)
