"""Ageing of a face: the strength of a difference in ages, the change of shape, and the compressed change of skin.

The change of skin is part of the latent, so a stream smooths it over time; `compress_change` keeps it small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.canvas import extend_over_neck
from models.face.imaging import LUMINANCE, smoothstep
from models.face.texture_space import SIZE, STEP

AGEING_YEARS = 45.0
"""Difference in age that the networks and tables describe: strength 1."""
GROWN = 25.0
"""Age in years up to which faces grow; `Ageing.youth` describes the ten years before it."""
MOST_AGEING = 1.7
"""Bound of the strength."""


@dataclass(frozen=True, slots=True)
class Mouth:
    """Where the mean mouth is in the texture square, pixels.

    Attributes:
        middle, half_width: its columns.
        upper: row of the inner edge of the upper lip.
        gap: from there to that of the lower lip, in the middle.
        fade: how far around the lips follow.
    """

    middle: float = 96.2
    half_width: float = 27.3
    upper: float = 131.3
    gap: float = 6.0
    fade: float = 18.0


MOUTH = Mouth()
COLOUR_SIZE = 48
"""Side of the compressed colour of a change: skin changes colour broadly and lightness finely."""
COMPRESSED = SIZE * SIZE + 3 * COLOUR_SIZE * COLOUR_SIZE
"""Length of a compressed change."""


@dataclass(frozen=True, slots=True)
class Ageing:
    """Measured statistics of ageing on the lattice of the texture square.

    Attributes:
        shape: (2, 64 + `NECK_NODES`, 64, 2) float32, displacement of women's and men's faces in `AGEING_YEARS`,
            texture pixels; see `models.face.canvas.extend_over_neck`.
        youth: as `shape`, displacement from 25 to 15 years of age.
    """

    shape: Floats
    youth: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Ageing:
        """Read `ageing_shape` and `ageing_youth` from named arrays."""
        names = "ageing_shape", "ageing_youth"
        return Ageing(*(extend_over_neck(with_lips_together(tables[name].astype(np.float32))) for name in names))

    def moves(self, male: float, strength: float, youth: float = 0.0) -> Floats:
        """Displacement of the lattice, (64 + `NECK_NODES`, 64, 2) float32, texture pixels.

        Args:
            male: 0 for a woman, 1 for a man.
            strength: multiple of `AGEING_YEARS`, negative for younger.
            youth: share of the growth up to 25 that is undone, see `youth_of`.
        """
        moves = cv2.addWeighted(self.shape[0], (1 - male) * strength, self.shape[1], male * strength, 0)
        if youth:
            moves += ((1 - male) * youth) * self.youth[0] + (male * youth) * self.youth[1]
        return np.asarray(moves, np.float32)


def with_lips_together(moves: Floats) -> Floats:
    """A displacement that does not open or close the mouth: who smiles more in the statistics does so by chance.

    Args:
        moves: (..., 64, 64, 2) float32, displacement of the lattice, texture pixels.

    Returns:
        The same; the inner edges of both lips move alike, what lies around them as it did.
    """
    columns = np.arange(SIZE // STEP)
    places = (columns.astype(np.float32) + np.float32(0.5)) * np.float32(STEP)
    away = np.abs(places - MOUTH.middle) / MOUTH.half_width
    upper = np.full_like(places, MOUTH.upper)
    lower = upper + np.float32(MOUTH.gap) * np.maximum(1 - away * away, 0)
    down = moves[..., 1]

    def at(edge: Floats) -> Floats:
        row = edge / np.float32(STEP) - np.float32(0.5)
        above = row.astype(np.intp)
        share = row - above
        return np.asarray(down[..., above, columns] * (1 - share) + down[..., above + 1, columns] * share)

    opening = (at(lower) - at(upper)) * (1 - smoothstep(np.asarray(away, np.float32), 0.8, 1.3))
    rows = places[:, None]
    beyond = np.asarray(np.maximum(upper - rows, rows - lower), np.float32)
    share = np.clip((rows - upper) / np.maximum(lower - upper, 1), 0, 1) - np.float32(0.5)
    together = moves.copy()
    together[..., 1] -= opening[..., None, :] * share * (1 - smoothstep(beyond, 0, MOUTH.fade))
    return together


def strength_of(years: float) -> float:
    """Strength of a difference in ages; it saturates at `MOST_AGEING`, which keeps large differences plausible."""
    return MOST_AGEING * float(np.tanh(years / AGEING_YEARS / MOST_AGEING))


def youth_of(years: float, target: float) -> float:
    """Share of the growth between 15 and 25 that lies between two ages: 1 from 25 to 15, -1 from 15 to 25."""
    own, wanted = np.clip((GROWN - np.array([years, target])) / 10, 0, 1)
    return float(wanted - own)


def compress_change(change: Floats) -> Floats:
    """Compress a (192, 192, 3) float32 change of log colour to (`COMPRESSED`,) float32."""
    light = change @ LUMINANCE
    colour = cv2.resize(change - light[..., None], (COLOUR_SIZE, COLOUR_SIZE), interpolation=cv2.INTER_AREA)
    return np.concatenate([light.ravel(), colour.ravel()])


def decompress_change(compressed: Floats) -> Floats:
    """Restore the (192, 192, 3) float32 change of log colour that `compress_change` compressed."""
    light = compressed[: SIZE * SIZE].reshape(SIZE, SIZE)
    colour = compressed[SIZE * SIZE :].reshape(COLOUR_SIZE, COLOUR_SIZE, 3)
    change = cv2.resize(colour, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(change, cv2.merge([light, light, light]), dst=change))
