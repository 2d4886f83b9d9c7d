"""The network of hair looks that ships, loaded once, and one without weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine, TensorSpec
from engines.select import load as load_engine
from models.embedded import EMBEDDED
from models.embedded.hair_look import HAIR_LOOK, LOOKS, PLANES, HairLook


@lru_cache(maxsize=1)
def shipped_look() -> HairLook:
    """On one thread, in float32."""
    return HairLook(load_engine(EMBEDDED / HAIR_LOOK, precision="f32", threads=1))


class LevelledLook(Engine):
    """Gives hair the level that is wanted, and its own colour."""

    backend, precision = "stub", "f32"
    inputs = (
        TensorSpec("given", (None, PLANES, None, None), np.dtype(np.float32)),
        TensorSpec("looks", (None, LOOKS), np.dtype(np.float32)),
    )
    outputs = (TensorSpec("change", (None, 3, None, None), np.dtype(np.float32)),)

    def _run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        given, looks = inputs["given"], inputs["looks"]
        gain = np.exp(looks[:, 3] - looks[:, 0])[:, None, None, None]
        return {"change": (given[:, :3] + 2) * (gain - 1) * given[:, 3:4]}
