"""How a face ages: how strongly a difference of ages is drawn, how shape moves, how a change of skin is remembered.

The change of skin is small enough to be remembered (`remembered`), and a stream smooths it over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.canvas import continued
from models.face.imaging import LUMINANCE
from models.face.texture_space import SIZE

AGEING_YEARS = 45.0
"""The step of age that the networks and tables describe: strength 1."""
GROWN = 25.0
"""Below this age faces grow; `Ageing.youth` describes ten years of it."""
MOST_AGEING = 1.7
"""The strength that no difference of ages exceeds."""

COLOUR_SIZE = 48
"""Side to which the colour of a change is reduced: skin changes its colour broadly, its lightness finely."""
REMEMBERED = SIZE * SIZE + 3 * COLOUR_SIZE * COLOUR_SIZE
"""Numbers that hold a change."""


@dataclass(frozen=True, slots=True)
class Ageing:
    """Measured statistics of ageing, on the texture square's lattice.

    Attributes:
        shape: (2, 64 + `NECK_NODES`, 64, 2) float32, how women's and men's faces move in `AGEING_YEARS`, texture
            pixels; see `models.face.canvas.continued`.
        youth: as `shape`, how they differ at 15 from what they are at 25.
    """

    shape: Floats
    youth: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Ageing:
        """Take `ageing_shape` and `ageing_youth` from named arrays."""
        return Ageing(*(continued(tables[name].astype(np.float32)) for name in ("ageing_shape", "ageing_youth")))

    def moves(self, male: float, strength: float, youth: float = 0.0) -> Floats:
        """Where the lattice's nodes go, (64 + `NECK_NODES`, 64, 2) float32 texture pixels.

        Args:
            male: 0 for a woman, 1 for a man.
            strength: how much of `AGEING_YEARS`, negative for younger.
            youth: how much of the growth up to 25 is undone, see `youth_of`.
        """
        moves = cv2.addWeighted(self.shape[0], (1 - male) * strength, self.shape[1], male * strength, 0)
        if youth:
            moves += ((1 - male) * youth) * self.youth[0] + (male * youth) * self.youth[1]
        return np.asarray(moves, np.float32)


def strength_of(years: float) -> float:
    """How strongly to draw a difference of ages; bends towards `MOST_AGEING`, so that long ways stay plausible."""
    return MOST_AGEING * float(np.tanh(years / AGEING_YEARS / MOST_AGEING))


def youth_of(years: float, target: float) -> float:
    """How much of the growth between 15 and 25 lies between two ages: 1 from 25 to 15, negative the other way."""
    own, wanted = np.clip((GROWN - np.array([years, target])) / 10, 0, 1)
    return float(wanted - own)


def remembered(change: Floats) -> Floats:
    """Reduce a (192, 192, 3) float32 change of log colour to (`REMEMBERED`,) float32."""
    light = change @ LUMINANCE
    colour = cv2.resize(change - light[..., None], (COLOUR_SIZE, COLOUR_SIZE), interpolation=cv2.INTER_AREA)
    return np.concatenate([light.ravel(), colour.ravel()])


def recalled(memory: Floats) -> Floats:
    """The (192, 192, 3) float32 change of log colour that `remembered` reduced."""
    light = memory[: SIZE * SIZE].reshape(SIZE, SIZE)
    colour = memory[SIZE * SIZE :].reshape(COLOUR_SIZE, COLOUR_SIZE, 3)
    change = cv2.resize(colour, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(change, cv2.merge([light, light, light]), dst=change))
