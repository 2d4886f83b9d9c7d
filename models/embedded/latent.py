"""The latent of the embedded editor: what a face looks like now, and what each control remembers of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.arrays import Floats, Latent
from models.embedded.attributes import ATTRIBUTES
from models.embedded.scalp import LIGHT_MODES
from models.embedded.strands import LIT_LENGTH, LOOK_LENGTH


@dataclass(frozen=True, slots=True)
class EmbeddedLatent:
    """The latent by its parts, all float32. The stream averages the packed numbers over time.

    Attributes:
        attributes: (8,), in the order of `models.embedded.attributes.ATTRIBUTES`.
        light: (LIGHT_MODES,), the light on the face, from `ScalpModel.light`.
        skin: (3,), median log colour of the face.
        lit: (LIT_LENGTH,), the light on the face against white room light, a packed `models.embedded.strands.Lit`.
        hair: (LOOK_LENGTH,), a packed `models.embedded.strands.Look`; zeros where there is no hair.
        details: (D,), what the controls remember of the face, one after the other; see
            `models.embedded.control.Control.read`.
    """

    attributes: Floats
    light: Floats
    skin: Floats
    lit: Floats
    hair: Floats
    details: Floats

    def pack(self) -> Latent:
        """One array, (`COMMON_LENGTH` + D,) float32."""
        parts = (self.attributes, self.light, self.skin, self.lit, self.hair, self.details)
        return np.concatenate(parts).astype(np.float32, copy=False)

    @staticmethod
    def unpack(latent: Latent) -> EmbeddedLatent:
        """The parts of a packed latent, as views of it."""
        return EmbeddedLatent(*np.split(latent, np.cumsum(SIZES)))

    def with_attributes(self, attributes: Floats) -> EmbeddedLatent:
        """The same latent with other attributes."""
        return replace(self, attributes=attributes)


SIZES = (len(ATTRIBUTES), LIGHT_MODES, 3, LIT_LENGTH, LOOK_LENGTH)
"""Lengths of the parts but the last, in the order of the fields."""
COMMON_LENGTH = sum(SIZES)
