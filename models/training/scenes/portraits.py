"""The faces that training pictures are composed from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.training.data import FaceSet
from models.training.scenes.geometry import EARS, NOSE

CHEEKS = (50, 280, 205, 425, 117, 346)
DARK = 105.0
"""Median brightness of the cheeks, of 255, below which a face counts as dark in `Portraits.balanced`."""
TURNED = 0.16
"""Distance of the nose tip from the middle between the ears, in ear distances, above which a head counts as turned."""


@dataclass(frozen=True, slots=True)
class Portraits:
    """Faces to paste, one row each, in pixels of their 256x256 pictures.

    Attributes:
        images: (N, 256, 256, 3) uint8 RGB.
        person: (N, 128, 128) uint8, probability x 255.
        mesh: (N, 478, 2) float32.
        points5: (N, 5, 2) float32.
        drawn: (M,) int64, the rows to sample from; a row of a rare kind occurs several times. Empty for all rows alike.
    """

    images: Image
    person: Image
    mesh: Floats
    points5: Floats
    drawn: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def draw(self, rng: np.random.Generator) -> int:
        """Sample a row uniformly from `drawn`, or from all rows where `drawn` is empty."""
        return int(rng.choice(self.drawn)) if len(self.drawn) else int(rng.integers(len(self)))

    def balanced(self) -> Portraits:
        """Oversample the same faces: a face counts once, dark skin two times more, a turned head once more."""
        cheeks = self.mesh[:, CHEEKS].round().astype(int).clip(0, self.images.shape[1] - 1)
        light = np.array([np.median(i[c[:, 1], c[:, 0]]) for i, c in zip(self.images, cheeks, strict=True)])
        left, nose, right = (self.mesh[:, point, 0] for point in (EARS[0], NOSE, EARS[1]))
        turned = np.abs((left + right) / 2 - nose) / np.maximum(np.abs(right - left), 1) > TURNED
        times = 1 + 2 * (light < DARK) + turned
        return replace(self, drawn=np.repeat(np.arange(len(self)), times))

    @staticmethod
    def of(faces: FaceSet, rows: NDArray[np.int64]) -> Portraits:
        """Take rows of a set, and shift its continuous coordinates by half a pixel to pixel centres at integers."""
        half = np.float32(0.5)
        return Portraits(faces.images[rows], faces.person[rows], faces.mesh[rows] - half, faces.points5[rows] - half)

    def __len__(self) -> int:
        return len(self.images)
