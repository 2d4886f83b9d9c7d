"""The latent of the embedded editor: what a face looks like now, and how its skin would change."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.arrays import Floats, Latent
from models.embedded.ageing import COMPRESSED
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
        older: (COMPRESSED,), change of skin in `AGEING_YEARS`, from `models.embedded.ageing.compress_change`.
        younger: as `older`, towards youth.
        greyed: as `older`, what turns brows and beard grey. All three stick to the skin: they are drawn a few times a
            second.
    """

    attributes: Floats
    light: Floats
    skin: Floats
    lit: Floats
    hair: Floats
    older: Floats
    younger: Floats
    greyed: Floats

    def pack(self) -> Latent:
        """One array, (LENGTH,) float32."""
        parts = (self.attributes, self.light, self.skin, self.lit, self.hair, self.older, self.younger, self.greyed)
        return np.concatenate(parts).astype(np.float32, copy=False)

    @staticmethod
    def unpack(latent: Latent) -> EmbeddedLatent:
        """The parts of a packed latent, as views of it."""
        ends = np.cumsum(SIZES)
        return EmbeddedLatent(*(latent[end - size : end] for end, size in zip(ends, SIZES, strict=True)))

    def with_attributes(self, attributes: Floats) -> EmbeddedLatent:
        """The same latent with other attributes."""
        return replace(self, attributes=attributes)


SIZES = (len(ATTRIBUTES), LIGHT_MODES, 3, LIT_LENGTH, LOOK_LENGTH, COMPRESSED, COMPRESSED, COMPRESSED)
"""Lengths of the parts, in the order of the fields."""
LENGTH = sum(SIZES)
