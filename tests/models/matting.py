"""A matte of hair without its network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, TensorSpec
from models.embedded.hair import Hair
from models.embedded.matte import CHANNELS, COARSE, HairMatte
from tests.models.beards import told_beard
from tests.models.hair_looks import shipped_look


class CoarseMatte(Engine):
    """Gives back the coarse reading, and counts its calls."""

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("given", (None, CHANNELS, None, None), np.dtype(np.float32)),)
    outputs = (TensorSpec("alpha", (None, 1, None, None), np.dtype(np.float32)),)

    def __init__(self) -> None:
        self.calls = 0

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.calls += 1
        return {"alpha": inputs["given"][:, COARSE : COARSE + 1]}


def coarse_hair() -> Hair:
    """The hair dye editor on the coarse reading."""
    return Hair(HairMatte(CoarseMatte()), told_beard(), shipped_look())
