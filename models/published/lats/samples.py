"""LATS at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.lats.network import Ageing, Generator
from models.weights.export import Sample, random_picture


def lats() -> Sample:
    """LATS, one of its two models."""
    return Sample(
        Ageing(Generator()), {"image": random_picture(256), "class_weights": torch.full((1, 6), 1 / 6)}, "aged"
    )


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "lats": lats,
}
