"""HairMapper at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.hairmapper.conversion import Removal
from models.published.hairmapper.network import HairMapper, LevelMapper
from models.published.stylegan.samples import CODES
from models.weights.export import Sample


def hairmapper() -> Sample:
    """HairMapper, between e4e and StyleGAN2."""
    return Sample(Removal(HairMapper(LevelMapper(), 1.0)), {"w_plus": torch.randn(1, 18, CODES)}, "bald")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "hairmapper": hairmapper,
}
LIGHT: tuple[str, ...] = ("hairmapper",)
"""Those of at most 100 GFLOP a frame and 200 MB."""
