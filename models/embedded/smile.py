"""How a face smiles with its lips closed, as measured on many: corners of the mouth and cheeks rise, folds deepen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.canvas import continued

MOST_SMILE, MOST_FROWN = 1.25, 0.7
"""How much of a whole smile is drawn at most, and how much of one is taken away; lips neither part nor fold."""


@dataclass(frozen=True, slots=True)
class Smile:
    """Measured statistics of a whole smile against none.

    Attributes:
        shape: (64 + `NECK_NODES`, 64, 2) float32, how the face moves; see `models.face.canvas.continued`.
        skin: (192, 192, 3) float32, how the log colour of its skin changes.
    """

    shape: Floats
    skin: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Smile:
        """Take `smile_shape` and `smile_skin` from named arrays."""
        shape, skin = (tables[name].astype(np.float32) for name in ("smile_shape", "smile_skin"))
        return Smile(continued(shape), skin)

    def drawn(self, amount: float) -> tuple[Floats, Floats]:
        """The moves of the lattice and the change of log colour, for `models.face.canvas.Canvas.draw`.

        Args:
            amount: 1 adds a whole smile, -1 takes one away. The corners of the mouth come down then, but no skin is
                lifted: a face that does not smile has no folds to fill.
        """
        strength = np.float32(amount * (MOST_SMILE if amount > 0 else MOST_FROWN))
        return self.shape * strength, self.skin * max(strength, np.float32(0))
