"""Golden outputs of StyleALAE: encoder, mapping, decoder under three noises, and the attribute edit."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.alae import CELEBA_128, FFHQ, Decoder, Encoder, MappingNetwork
from models.checkpoints import build
from models.editors.alae import coordinates, edit
from models.golden import Comparison, Golden

ENCODER, DECODER, MAPPING = "models/discriminator_s/", "models/generator_s/", "models/mapping_fl_s/"


def ffhq_encoder(golden: Golden) -> Iterator[Comparison]:
    """W of a picture of 1024 px."""
    network = build(lambda: Encoder(FFHQ), golden.state(ENCODER), optional=golden.fixed(ENCODER))
    yield golden.compare("w_encoder", network(golden.image())[:, None])


def celeba128(golden: Golden) -> Iterator[Comparison]:
    """The whole model at 128 px."""
    config = CELEBA_128
    encoder = build(lambda: Encoder(config), golden.state(ENCODER), optional=golden.fixed(ENCODER))
    w = encoder(golden.image())
    yield golden.compare("w_encoder", w[:, None])
    mapping = build(lambda: MappingNetwork(config.latent), golden.state(MAPPING))
    yield golden.compare("w_mapping", mapping(golden.input("z")))

    decoder = build(lambda: Decoder(config), golden.state(DECODER), optional=golden.fixed(DECODER))
    rows = golden.input("w").expand(1, 2 * config.layers, config.latent)
    maps = [golden.input(f"noise_{i}") for i in range(2 * config.layers)]
    yield from golden.compare_image("dec_zero_noise", decoder(rows, [torch.zeros_like(map) for map in maps]))
    yield from golden.compare_image("dec_fixed_noise", decoder(rows, maps))
    yield from golden.compare_image("dec_noise_false", decoder(rows))

    average = golden.array("models/dlatent_avg/buff")[0]
    names = ["0", "1", "2"]
    directions = {name: golden.array(f"input.direction_{name}") for name in names}
    before = golden.input("w")[0, 0].numpy()
    had = coordinates(before, average, directions)
    yield golden.compare("x64_edit_projection", torch.tensor([had[name] for name in names], dtype=torch.float64))
    values = dict(zip(names, map(float, golden.stored("edit_new_values")), strict=True))
    yield golden.compare("edit_w", edit(before, average, directions, values))
