"""PGGAN, live: a face that is drawn, or read by an encoder, moves along hyperplanes of Z."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import numpy as np
from pydantic import Field, create_model

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.latents import Direction, conditioned, move
from models.published.drawing import head_mask, to_image
from models.published.stylegan.wplus import crop_side, draw, draw_edit, read_w_plus, unpack

REACH = 3.0
"""Distance from the code's own place at a slider's ends, as InterFaceGAN's authors go."""


class PgganControls(Controls):
    """Without an encoder a face of its own is shown: nobody publishes one that reads a face into Z of PGGAN."""

    show: bool = Field(False, title="Show the drawn face")
    seed: int = Field(0, ge=0, le=9999, title="Which face", json_schema_extra={"sets": {"show": True}})

    def neutral(self) -> bool:
        """No face is shown, wherever the sliders are."""
        return not self.show


class OwnFaceControls(Controls):
    """With an encoder of the user's own."""

    detail: Literal["delta", "full"] = Field("delta", title="Detail")

    def neutral(self) -> bool:
        """No slider is off its middle: the switches alone change nothing."""
        return not any(isinstance(value, float) and value for _, value in self)


def pggan_controls(names: Mapping[str, str], *, reads: bool) -> type[Controls]:
    """The model of the controls.

    Args:
        names: of the sliders, with their titles.
        reads: whether an encoder reads the face.
    """
    fields: dict[str, Any] = {}
    sets: dict[str, Any] = {} if reads else {"sets": {"show": True}}
    for name, title in names.items():
        fields[name] = (float, Field(0.0, ge=-1, le=1, title=title, json_schema_extra={"step": 0.05, **sets}))
    for name, title in names.items():
        fields[f"hold_{name}"] = (bool, Field(False, title=f"Keep {title.lower()}"))
    base = OwnFaceControls if reads else PgganControls
    return cast(type[Controls], create_model("PgganControls", __base__=base, **fields))


class Pggan(Editor[Any]):
    """PGGAN as a live editor. Its latent is z.

    Args:
        generator: engine, input "w_plus" (N, 1, D), output "image" (N, 3, S, S).
        boundaries: hyperplanes of its Z, by the names of their controls.
        encoder: engine of the user's own, input "image" (N, 3, S, S) in [-1, 1], output "w_plus" (N, 1, D); None shows
            a drawn face in place of the caller's.

    Raises:
        LatentError: a boundary belongs to another generator or space.
    """

    name = "pggan"
    latent_seconds = 0.1
    encode_seconds = 0.0

    def __init__(self, generator: Engine, boundaries: Mapping[str, Direction], encoder: Engine | None = None) -> None:
        self.crop = CropSpec("ffhq", crop_side(generator))
        self._generator, self._encoder = generator, encoder
        self._boundaries = {name: way.require("pggan-celebahq", "Z").unit() for name, way in boundaries.items()}
        if encoder is None:
            self.latent_seconds = 0.0  # another seed is another face at once
        self.Controls = pggan_controls({name: title_of(name) for name in boundaries}, reads=encoder is not None)

    def encode(self, crop: Crop, controls: Any) -> Latent:
        """z, (D,) float32: what the encoder reads, or what the seed draws."""
        if self._encoder is not None:
            return read_w_plus(self._encoder, crop)
        size = self._generator.inputs[0].shape[-1] or 512
        return np.random.default_rng(controls.seed).normal(size=size).astype(np.float32)

    def steer(self, latent: Latent, controls: Any) -> Latent:
        """z at its customary length, moved along every slider that is off its middle."""
        z = normalized(latent)
        held = {name: way for name, way in self._boundaries.items() if getattr(controls, f"hold_{name}")}
        for name, way in self._boundaries.items():
            if amount := getattr(controls, name):
                others = [other for key, other in held.items() if key != name]
                z = move(z, conditioned(way, *others) if others else way, REACH * amount)
        return z

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        """The drawn face in place of the caller's, or what changes of the caller's."""
        wanted = unpack(steered, self._generator)
        if self._encoder is None:
            return Edit(mask=head_mask(crop), image=to_image(draw(self._generator, [wanted], crop)[0]))
        own = unpack(normalized(latent), self._generator)
        return draw_edit(self._generator, own, wanted, crop, full=controls.detail == "full")


def normalized(z: Floats) -> Floats:
    """z with the length that normal numbers have, as InterFaceGAN prepares it."""
    length = float(np.linalg.norm(z))
    return np.asarray(z * np.float32(np.sqrt(z.size) / max(length, 1e-8)), np.float32)


def title_of(name: str) -> str:
    return name.replace("_", " ").capitalize()
