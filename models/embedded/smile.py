"""A smile with closed lips, from statistics over many faces: corners of the mouth and cheeks rise, folds deepen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.canvas import extend_over_neck

MOST_ADDED = 1.25
"""Multiple of the mean smile that a control of 1 adds; the lips do not part."""
MOST_REMOVED = 0.7
"""Multiple of the mean smile that a control of -1 removes; the lips do not fold."""


@dataclass(frozen=True, slots=True)
class Smile:
    """Mean difference between smiling and neutral faces.

    Attributes:
        shape: (64 + `NECK_NODES`, 64, 2) float32, displacement of the lattice, texture pixels; see
            `models.face.canvas.extend_over_neck`.
        skin: (192, 192, 3) float32, change of the log colour of the skin.
    """

    shape: Floats
    skin: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Smile:
        """Read `smile_shape` and `smile_skin` from named arrays."""
        shape, skin = (tables[name].astype(np.float32) for name in ("smile_shape", "smile_skin"))
        return Smile(extend_over_neck(shape), skin)

    def changes(self, amount: float) -> tuple[Floats, Floats]:
        """Displacement of the lattice and change of log colour, for `models.face.canvas.Canvas.draw`.

        Args:
            amount: -1..1. 1 adds a smile. -1 removes one: the corners of the mouth come down, but the skin stays, as
                a face that does not smile has no folds to fill.
        """
        strength = np.float32(amount * (MOST_ADDED if amount > 0 else MOST_REMOVED))
        return self.shape * strength, self.skin * max(strength, np.float32(0))
