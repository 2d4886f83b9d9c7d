"""What portraits show of beards: found by rules where the picture is sharp, and looked through one by one."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.arrays import Floats, Rows
from models.embedded.beard import find_beard
from models.face.segmenter import Segmenter
from models.training.apply import portrait_crop
from models.training.data import FaceSet

LOOKED_AT = Path(__file__).with_name("looked_at.csv")
"""Ids of portraits and what somebody saw in them: 0 no beard, 1 one that `find_beard` finds, 2 one that it finds badly,
3 a grey one, 4 unsure.
"""
NONE, FOUND = 0, 1


@dataclass(frozen=True, slots=True)
class Bearded:
    """Whose beards are known.

    Attributes:
        found: rows of those with a beard, and what is beard of each crop, 0..255 uint8 (320, 320).
        alike: rows of men in whom rules see a beard that is none.
        bare: rows of all others without one: women, and men in whom rules see none.
    """

    found: dict[int, np.ndarray]
    alike: Rows
    bare: Rows


def bearded(faces: FaceSet, rows: Rows, segmenter: Segmenter) -> Bearded:
    """Who has a beard.

    Args:
        faces: the portraits.
        rows: those that may be used.
        segmenter: reads their masks.
    """
    with LOOKED_AT.open() as file:
        codes = {line["id"]: int(line["seen"]) for line in csv.DictReader(file)}
    labels = faces.labels
    seen = np.array([codes.get(str(labels["id"][row]), -1) for row in rows])
    women = labels["sex"][rows] == "F"
    found = {
        int(row): np.rint(255 * _label(faces, int(row), segmenter, known=True)).astype(np.uint8)
        for row in rows[seen == FOUND]
    }
    return Bearded(found, rows[seen == NONE], rows[(seen == -1) & (women | _smooth(faces, rows, segmenter))])


def _smooth(faces: FaceSet, rows: Rows, segmenter: Segmenter) -> np.ndarray:
    """Which portraits show nothing that rules take for a beard."""
    return np.array([bool(_label(faces, int(row), segmenter).mean() < 0.004) for row in rows])


def _label(faces: FaceSet, row: int, segmenter: Segmenter, *, known: bool = False) -> Floats:
    crop = portrait_crop(faces.image(row), faces.points5[row], faces.mesh[row], segmenter)
    return find_beard(crop, known=known)
