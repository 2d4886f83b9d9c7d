"""StyleGAN, StyleGAN2, MobileStyleGAN and e4e at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch

from models.published.stylegan import stylegan1 as stylegan1_network
from models.published.stylegan import stylegan2 as stylegan2_network
from models.published.stylegan.conversion import LARGEST_PICTURE, Picture
from models.published.stylegan.encoders import WIDTH, Encoder4Editing, FromAverage
from models.published.stylegan.mobilestylegan import FixedNoise, Student
from models.weights.export import Sample, random_picture


def e4e(rows: int) -> Sample:
    """e4e's encoder for a generator of that many rows; pSp's and each of SAM's two cost the same."""
    return Sample(
        FromAverage(Encoder4Editing(rows), torch.zeros(rows, WIDTH)), {"image": random_picture(256)}, "w_plus"
    )


def stylegan2(size: int, picture: int | None = None) -> Sample:
    """StyleGAN2, config-f, up to the pixels at which its picture is taken."""
    generator = stylegan2_network.Generator(size)
    return Sample(Picture(generator, picture or size), {"w_plus": torch.randn(1, generator.rows, WIDTH)}, "image")


def stylegan1() -> Sample:
    """StyleGAN."""
    return Sample(stylegan1_network.Generator(1024), {"w_plus": torch.randn(1, 18, WIDTH)}, "image")


def mobilestylegan() -> Sample:
    """MobileStyleGAN's student, up to the pixels at which an editor takes its picture."""
    return Sample(FixedNoise(Student(), LARGEST_PICTURE), {"w_plus": torch.randn(1, 18, WIDTH)}, "image")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "mobilestylegan": mobilestylegan,
    "stylegan2-256": partial(stylegan2, 256),
    "e4e-256": partial(e4e, 14),
    "e4e": partial(e4e, 18),
    "stylegan2": partial(stylegan2, 1024, LARGEST_PICTURE),
    "stylegan2-1024": partial(stylegan2, 1024),
    "stylegan1": stylegan1,
}
