"""PGGAN, in-domain inversion and GenForce's encoder at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.genforce import idinvert, pggan, styles
from models.published.stylegan import stylegan1
from models.weights.export import Sample, random_picture

PGGAN_WIDTHS = [512, 512, 512, 512, 256, 128, 64, 32, 16]
"""Channels from 4 to 1024 pixels."""
INVERSION_WIDTHS = [64, 128, 256, 512, 1024, 1024, 1024]
"""Channels of the encoder of 256 pixels."""
STYLE_STAGES = [(64, 2), (128, 2), (512, 2), (512, 2), (512, 1)]
STYLE_HEADS = [4096, 4096, 1792]
"""Values of each head: four, four and six rows of a generator of 256 pixels."""
SIDE = 256
"""Side of the published pictures of both generators with an encoder."""


def pggan_generator() -> Sample:
    """PGGAN, of 1024 pixels."""
    network = pggan.Generator(PGGAN_WIDTHS)
    return Sample(network, {"w_plus": torch.randn(1, 1, network.z_dim)}, "image")


def inversion_encoder() -> Sample:
    """In-domain inversion's encoder."""
    network = idinvert.Encoder(INVERSION_WIDTHS)
    return Sample(network, {"image": random_picture(network.size)}, "w_plus")


def inversion_generator() -> Sample:
    """In-domain inversion's generator, a StyleGAN with a tanh."""
    generator = stylegan1.Generator(SIDE)
    example = {"w_plus": torch.randn(1, generator.rows, generator.style_dim)}
    return Sample(idinvert.Picture(generator), example, "image")


def style_encoder() -> Sample:
    """GenForce's encoder of the style vectors of a StyleGAN of 256 pixels."""
    network = styles.Encoder(STYLE_STAGES, (512, 512), styles.lengths_of(stylegan1.Generator(SIDE)), STYLE_HEADS)
    return Sample(network, {"image": random_picture(network.size)}, "w_plus")


def style_generator() -> Sample:
    """That StyleGAN, drawing style vectors."""
    generator = stylegan1.Generator(SIDE)
    lengths = styles.lengths_of(generator)
    example = {"w_plus": torch.randn(1, len(lengths), max(lengths))}
    return Sample(styles.takes_styles(generator), example, "image")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "pggan": pggan_generator,
    "idinvert-encoder": inversion_encoder,
    "idinvert-generator": inversion_generator,
    "genforce-y-encoder": style_encoder,
    "genforce-y-generator": style_generator,
}
