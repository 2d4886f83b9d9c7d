"""HairMapper at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.hairmapper.conversion import Removal
from models.published.hairmapper.network import HairMapper, LevelMapper
from models.published.stylegan.encoders import WIDTH
from models.weights.export import Sample


def hairmapper() -> Sample:
    """HairMapper, between e4e and StyleGAN2."""
    return Sample(Removal(HairMapper(LevelMapper(), 1.0)), {"w_plus": torch.randn(1, 18, WIDTH)}, "bald")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "hairmapper": hairmapper,
}
