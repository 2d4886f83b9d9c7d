"""PGGAN, live: a face that is drawn, or read by an encoder, moves along hyperplanes of Z."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import Controls, Crop, Edit, Editor
from models.latents import Direction
from models.published.drawing import head_mask, to_image
from models.published.stylegan.editor import INTERFACEGAN_REACH, Slider, Steering, latent_controls
from models.published.stylegan.wplus import crop_side, draw, draw_edit, read_w_plus, unpack

GENERATOR = "pggan-celebahq"
"""What directions call its Z."""


class PgganControls(Controls):
    """Without an encoder a face of its own is shown: nobody publishes one that reads a face into Z of PGGAN."""

    show: bool = Field(False, title="Show the drawn face")
    seed: int = Field(0, ge=0, le=9999, title="Which face", json_schema_extra={"sets": {"show": True}})

    def neutral(self) -> bool:
        """No face is shown, wherever the sliders are."""
        return not self.show


def pggan_controls(names: Collection[str], *, reads: bool) -> type[Controls]:
    """The model of the controls.

    Args:
        names: of the sliders.
        reads: whether an encoder reads the face; else the sliders show a drawn one.
    """
    drawn, sets = (None, None) if reads else (PgganControls, {"show": True})
    return latent_controls(dict.fromkeys(names, ("", True)), list(names), space="Z", drawn=drawn, sets=sets)


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
        ways = {name: way.unit() for name, way in boundaries.items()}
        sliders = {name: Slider(way, INTERFACEGAN_REACH) for name, way in ways.items()}
        self._steering = Steering(GENERATOR, sliders, ways, "Z")
        if encoder is None:
            self.latent_seconds = 0.0  # another seed is another face at once
        self.Controls = pggan_controls(boundaries, reads=encoder is not None)

    def encode(self, crop: Crop, controls: Any) -> Latent:
        """z, (D,) float32: what the encoder reads, or what the seed draws."""
        if self._encoder is not None:
            return read_w_plus(self._encoder, crop)
        size = self._generator.inputs[0].shape[-1] or 512
        return np.random.default_rng(controls.seed).normal(size=size).astype(np.float32)

    def steer(self, latent: Latent, controls: Any) -> Latent:
        """z at its customary length, moved along every slider that is off its middle."""
        return self._steering(normalized(latent), controls)

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
