"""A network of beards without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, TensorSpec
from models.embedded.beard_alpha import PLANES, SIDE, BeardAlpha


class ToldBeard(Engine):
    """Says that everything is beard, or nothing."""

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("given", (None, PLANES, SIDE, SIDE), np.dtype(np.float32)),)
    outputs = (TensorSpec("alpha", (None, 1, SIDE, SIDE), np.dtype(np.float32)),)

    def __init__(self, everywhere: bool = True) -> None:
        self._alpha = float(everywhere)

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"alpha": np.full((1, 1, SIDE, SIDE), self._alpha, np.float32)}


def told_beard() -> BeardAlpha:
    """Everything is beard."""
    return BeardAlpha(ToldBeard())
