"""Golden outputs of rosinality's StyleGAN2."""

from __future__ import annotations

from collections.abc import Iterator

from models.golden import Comparison, Golden
from models.stylegan2 import load_generator, truncate


def generator(golden: Golden) -> Iterator[Comparison]:
    """Pictures of a W+ code and of a truncated z, and the codes between."""
    state = golden.state()
    average = state.pop("latent_avg")
    network = load_generator(state)
    yield from golden.compare_image("out", network(golden.input("w_plus")))
    w = network.mapping(golden.input("z"))
    yield golden.compare("w", w)
    truncated = truncate(w, average, 0.7)
    yield golden.compare("w_truncated", truncated)
    yield from golden.compare_image("out_z_trunc07", network(network.repeat(truncated)))
