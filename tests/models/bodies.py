"""A stand-in for the network that tells what body is behind hair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, TensorSpec
from models.embedded.body_behind_hair import BACKDROP, FINER, PLANES, BodyBehindHair

SURE = 8.0
"""The logit of what is told."""


class ToldBody(Engine):
    """Tells the same layout of every picture, and keeps what it was shown.

    Args:
        layers: (H, W) of `BACKDROP`, `SKIN` and `CLOTH` at twice the coarse grid; None for backdrop all over.
    """

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("given", (None, PLANES, None, None), np.dtype(np.float32)),)
    outputs = (TensorSpec("layout", (None, 3, None, None), np.dtype(np.float32)),)

    def __init__(self, layers: NDArray[Any] | None = None) -> None:
        self._layers = layers

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.given = inputs["given"][0]
        rows, columns = self.given.shape[1:]
        layers = self._layers
        if layers is None:
            layers = np.full((rows * FINER, columns * FINER), BACKDROP)
        return {"layout": np.stack([SURE * (layers == kind) for kind in range(3)])[None].astype(np.float32)}


def no_body() -> BodyBehindHair:
    """A reader that sees no body anywhere."""
    return BodyBehindHair(ToldBody())
