"""StarGAN v2 at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.starganv2.editor import STYLE
from models.published.starganv2.network import Generator
from models.weights.export import Sample, random_picture


def starganv2() -> Sample:
    """StarGAN v2's generator, without high-pass skips."""
    return Sample(Generator(256, 0.0), {"image": random_picture(256), "style": torch.randn(1, STYLE)}, "translated")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "starganv2": starganv2,
}
