"""What boundaries are made from: a generator that maps z to w and draws w. Each published system names its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.base import Engine
from models import published
from models.arrays import Floats
from models.latents import LatentError

TRUNCATED_ROWS = 8
"""Rows from the coarse end that truncation pulls to the average (Karras et al. 2019)."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """A generator to sample.

    Attributes:
        generator: whose latents these are, as directions name it, e.g. "stylegan1-ffhq".
        width: length of z and of w.
        mapping: z (N, width), standard normal -> w (N, width).
        network: the ONNX file that draws.
        latent: name of its input, (N, rows, width).
        source: the checkpoint that both come from.
    """

    generator: str
    width: int
    mapping: Callable[[Tensor], Tensor]
    network: Path
    latent: str
    source: Path

    def latents(self, count: int, seed: tuple[int, int]) -> Floats:
        """Untruncated samples of W, (count, width) float32. The same seed gives the same samples."""
        z = np.random.default_rng(seed).standard_normal((count, self.width), np.float32)
        with torch.inference_mode():
            return np.ascontiguousarray(self.mapping(torch.from_numpy(z)).numpy(), np.float32)

    def average(self, samples: int = 4096) -> Floats:
        """The average w, (width,) float32, of samples of its own."""
        return np.asarray(self.latents(samples, (0, 2**31)).mean(0), np.float32)


def checkpoint(editor: str, file: Path) -> Path:
    """A checkpoint that is there.

    Raises:
        LatentError: it is not; the message says how to get it.
    """
    if not file.is_file():
        raise LatentError(f"{file} is missing; get it with: python -m models.fetch {editor}")
    return file


def draw(engine: Engine, latent: str, w: Floats, average: Floats, psi: float = 1.0) -> Floats:
    """Pictures of latents.

    Args:
        engine: the generator, input `latent` (N, rows, width), output "image".
        latent: name of its input.
        w: (N, width), all rows of the generator alike.
        average: (width,), where truncation pulls to.
        psi: truncation of the first `TRUNCATED_ROWS` rows; 1 is none.

    Returns:
        (N, 3, S, S) float32 RGB, nominally in [-1, 1], unclamped.
    """
    rows = engine.inputs[0].shape[1]
    if rows is None:
        raise LatentError("the generator's network leaves the number of its rows open")
    codes = np.repeat(w[:, None], rows, 1)
    if psi != 1:
        codes[:, :TRUNCATED_ROWS] = average + np.float32(psi) * (codes[:, :TRUNCATED_ROWS] - average)
    return engine.run({latent: np.ascontiguousarray(codes, np.float32)})["image"]


SAMPLERS: dict[str, Callable[[], Sampler]] = {
    name: make for module in published.parts("sampling") for name, make in module.SAMPLERS.items()
}
"""By the editor's name in the catalog. Each raises `CheckpointError` where its checkpoint is damaged, `LatentError`
where it is missing."""
