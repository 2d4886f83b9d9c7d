"""Golden outputs of rosinality's StyleGAN2."""

from __future__ import annotations

from collections.abc import Iterator

from models.published.stylegan.dialects import stylegan2_state
from models.published.stylegan.stylegan2 import load_generator, truncate
from models.weights.golden import Comparison, Golden


def generator(golden: Golden) -> Iterator[Comparison]:
    """Pictures of a W+ code and of a truncated z, and the codes between."""
    state, average = stylegan2_state(golden.state())
    network = load_generator(state)
    if golden.has("input.w_plus"):
        yield from golden.compare_image("out", network(golden.input("w_plus")))
    if not golden.has("input.z"):
        return
    w = network.mapping(golden.input("z"))
    yield golden.compare("w", w)
    if average is None:
        return
    for digits in golden.found(r"out_z_trunc(\d+)") or ["07"]:
        truncated = truncate(w, average, float(f"{digits[0]}.{digits[1:]}"))
        yield golden.compare("w_truncated", truncated)
        yield from golden.compare_image(f"out_z_trunc{digits}", network(network.repeat(truncated)))
