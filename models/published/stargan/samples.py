"""StarGAN at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch

from models.published.stargan.network import Generator
from models.weights.export import Sample, random_picture


def stargan(size: int) -> Sample:
    """StarGAN's generator with CelebA's five domains."""
    return Sample(Generator(5), {"image": random_picture(size), "label": torch.rand(1, 5)}, "translated")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "stargan-128": partial(stargan, 128),
    "stargan-256": partial(stargan, 256),
}
