"""Golden outputs of StyleALAE: encoder, mapping, decoder under three noises, and the attribute edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch

from models.published.alae.editor import coordinates, edit
from models.published.alae.network import Config, config_of, decoder_config, load_decoder, load_encoder, load_mapping
from models.weights.golden import Comparison, Golden

ENCODER, DECODER, MAPPING = "models/discriminator_s/", "models/generator_s/", "models/mapping_fl_s/"


def alae(golden: Golden) -> Iterator[Comparison]:
    """Whichever parts of a model of whatever size have weights here."""
    encoder, decoder, mapping = map(golden.state, (ENCODER, DECODER, MAPPING))
    if encoder:
        network = load_encoder(encoder, config_of(encoder))
        yield golden.compare("w_encoder", network(golden.image())[:, None])
    if mapping:
        yield golden.compare("w_mapping", load_mapping(mapping)(golden.input("z")))
    if decoder:
        yield from _pictures(golden, decoder_config(decoder))
    if golden.has("input.direction_0"):
        yield from _edit(golden)


def _pictures(golden: Golden, config: Config) -> Iterator[Comparison]:
    decoder = load_decoder(golden.state(DECODER), config)
    w = golden.input("w")
    rows = w.expand(-1, 2 * config.layers, -1)
    zeros = [torch.zeros(1, 1, 4 << i // 2, 4 << i // 2) for i in range(2 * config.layers)]
    if golden.found("(dec_zero_noise)"):
        yield from golden.compare_image("dec_zero_noise", decoder(rows, zeros))
    if golden.found("(dec_fixed_noise)"):
        maps = [golden.input(f"noise_{i}") for i in range(2 * config.layers)]
        yield from golden.compare_image("dec_fixed_noise", decoder(rows, maps))
    if golden.found("(dec_noise_false)"):
        yield from golden.compare_image("dec_noise_false", decoder(rows))


def _edit(golden: Golden) -> Iterator[Comparison]:
    average = golden.array("models/dlatent_avg/buff")[0]
    keys = [key for key in golden.rules if key.startswith("input.direction_")]
    directions = {key: golden.array(key) for key in keys}
    before = golden.input("w")[0, 0].numpy()
    had = coordinates(before, average, directions)
    yield golden.compare("x64_edit_projection", torch.tensor([had[key] for key in keys], dtype=torch.float64))
    values = dict(zip(keys, map(float, golden.stored("edit_new_values")), strict=True))
    yield golden.compare("edit_w", edit(before, average, directions, values))


CHECKS: Mapping[str, Callable[[Golden], Iterator[Comparison]]] = {
    r"alae.*": alae,
}
"""By a pattern of the name of the golden file, in lower case."""
