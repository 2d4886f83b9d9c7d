"""What the attribute encoder reads of a face, and the places of the attributes in what it returns."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from models.arrays import Floats, Image
from models.face.head_space import head_picture
from models.face.texture_space import Fit

READER, TABLES, CREASES = "editor_reader.onnx", "editor_tables.npz", "editor_creases.npz"
EARS = "editor_ears.npz"
"""Files of the embedded pack: the attribute encoder, the tables of statistics, what is lent of creases and ears."""

ATTRIBUTES = ("age", "male", "bald", "grey", "glasses", "hat", "smile", "skin")
"""In the order of the encoder's output: age in centuries, the others 0..1; skin is the lightness L* / 100."""
AGE, MALE, BALD, GREY, GLASSES, HAT, SMILE, SKIN_LIGHTNESS = range(len(ATTRIBUTES))
LASTING = MappingProxyType({AGE: 4.0, MALE: 4.0, BALD: 2.0, GREY: 2.0, GLASSES: 1.0, HAT: 1.0})
"""Time constants of what is the same from one moment to the next, seconds: each reading is off, and a head that turns
must not lose the ring of its hair, or years, from frame to frame.
"""
PROBABILITIES = (MALE, GLASSES, HAT)
"""Attributes that the encoder gives as logits."""


def read_attributes(reader: Engine, image: Image, fit: Fit) -> Floats:
    """Read the attributes of a face, (8,) float32 in 0..1, in the order of `ATTRIBUTES`.

    They are the mean over the face and its mirror image, which is nearer to the truth, most on dark skin.

    Args:
        reader: engine of the attribute encoder.
        image: (S, S, 3) uint8 RGB, the crop.
        fit: where the face is.
    """
    head = head_picture(image, fit)
    read = np.mean([reader.run({"head": to_planes(side)})["attributes"][0] for side in (head, head[:, ::-1])], axis=0)
    read[list(PROBABILITIES)] = 1 / (1 + np.exp(-read[list(PROBABILITIES)]))
    return np.asarray(np.clip(read, 0, 1), np.float32)


def read_tables(folder: Path) -> dict[str, NDArray[Any]]:
    """Read the tables of the embedded pack.

    Raises:
        FileNotFoundError: the file is missing.
    """
    tables: dict[str, NDArray[Any]] = {}
    for name in (TABLES, CREASES, EARS):
        with np.load(folder / name, allow_pickle=False) as file:
            tables |= {key: file[key] for key in file.files}
    return tables


def to_planes(picture: Image) -> Floats:
    """(S, S, 3) uint8 as (1, 3, S, S) float32, 0..255."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32)
