"""StyleGAN, StyleGAN2, MobileStyleGAN and e4e at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch

from models.published.stylegan import stylegan1 as stylegan1_network
from models.published.stylegan import stylegan2 as stylegan2_network
from models.published.stylegan.encoders import Encoder4Editing, FromAverage
from models.published.stylegan.mobilestylegan import FixedNoise, Student
from models.weights.export import Sample, random_picture

CODES = 512
"""Length of a row of W+."""


def e4e(rows: int) -> Sample:
    """e4e's encoder for a generator of that many rows; pSp's and each of SAM's two cost the same."""
    return Sample(
        FromAverage(Encoder4Editing(rows), torch.zeros(rows, CODES)), {"image": random_picture(256)}, "w_plus"
    )


def stylegan2(size: int) -> Sample:
    """StyleGAN2, config-f."""
    generator = stylegan2_network.Generator(size)
    return Sample(generator, {"w_plus": torch.randn(1, generator.rows, CODES)}, "image")


def stylegan1() -> Sample:
    """StyleGAN."""
    return Sample(stylegan1_network.Generator(1024), {"w_plus": torch.randn(1, 18, CODES)}, "image")


def mobilestylegan() -> Sample:
    """MobileStyleGAN's student, up to the 512 pixels at which an editor takes its picture."""
    return Sample(FixedNoise(Student(), 512), {"w_plus": torch.randn(1, 18, CODES)}, "image")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "mobilestylegan": mobilestylegan,
    "stylegan2-256": partial(stylegan2, 256),
    "e4e-256": partial(e4e, 14),
    "e4e": partial(e4e, 18),
    "stylegan2-1024": partial(stylegan2, 1024),
    "stylegan1": stylegan1,
}
LIGHT: tuple[str, ...] = (
    "mobilestylegan",
    "stylegan2-256",
)
"""Those of at most 100 GFLOP a frame and 200 MB."""
