"""StyleGAN, StyleGAN2, MobileStyleGAN and their encoders at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from models.published.stylegan import stylegan1 as stylegan1_network
from models.published.stylegan import stylegan2 as stylegan2_network
from models.published.stylegan.conversion import LARGEST_PICTURE, Picture
from models.published.stylegan.encoders import (
    FACE_SIDE,
    WIDTH,
    BackboneEncoder,
    Encoder4Editing,
    FromAverage,
    ReStyle,
)
from models.published.stylegan.mobilestylegan import FixedNoise, Student
from models.published.stylegan.tree_sample import TreeEncoder
from models.weights.export import Sample, random_picture


def e4e(rows: int) -> Sample:
    """e4e's encoder for a generator of that many rows; pSp's and each of SAM's two cost the same."""
    return Sample(
        FromAverage(Encoder4Editing(rows), torch.zeros(rows, WIDTH)), {"image": random_picture(256)}, "w_plus"
    )


class Refinement(nn.Module):
    """ReStyle as it is exported: the picture of the average is a constant."""

    drawn: Tensor

    def __init__(self, network: ReStyle) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("drawn", torch.zeros(1, 3, FACE_SIDE, FACE_SIDE))

    def forward(self, image: Tensor) -> Tensor:
        return self.network.refine_from(image, self.drawn)


def restyle() -> Sample:
    """ReStyle over pSp, all rounds with the pictures between them; over e4e it costs the same."""
    generator = stylegan2_network.Generator(1024)
    network = ReStyle(BackboneEncoder(generator.rows), generator, torch.zeros(generator.rows, WIDTH))
    return Sample(Refinement(network), {"image": random_picture(FACE_SIDE)}, "w_plus")


def stylegan2(size: int, picture: int | None = None) -> Sample:
    """StyleGAN2, config-f, up to the pixels at which its picture is taken."""
    generator = stylegan2_network.Generator(size)
    return Sample(Picture(generator, picture or size), {"w_plus": torch.randn(1, generator.rows, WIDTH)}, "image")


def stylegan1() -> Sample:
    """StyleGAN."""
    return Sample(stylegan1_network.Generator(1024), {"w_plus": torch.randn(1, 18, WIDTH)}, "image")


def stylegan1_encoder() -> Sample:
    """The encoder of `stylegan-encoder`, of the sizes that its training program takes if nothing is said."""
    return Sample(TreeEncoder(), {"image": random_picture(FACE_SIDE)}, "w_plus")


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
    "stylegan1-encoder": stylegan1_encoder,
    "restyle": restyle,
}
