"""Golden outputs of InterFaceGAN's StyleGAN."""

from __future__ import annotations

from collections.abc import Iterator

from models.published.stylegan.dialects import stylegan1_state
from models.published.stylegan.stylegan1 import load_generator
from models.weights.golden import Comparison, Golden


def generator(golden: Golden) -> Iterator[Comparison]:
    """Pictures of a truncated w and of a W+ code, and the codes between."""
    network = load_generator(stylegan1_state(golden.state()))
    if golden.has("input.z"):
        yield golden.compare("w", network.mapping(golden.input("z")))
    if golden.has("input.w"):
        truncated = network.truncate(golden.input("w"))
        yield golden.compare("w_truncated", truncated[:, [0, -1]])
        yield from golden.compare_image("out_w", network(truncated))
    if golden.has("input.w_plus"):
        yield from golden.compare_image("out_w_plus", network(golden.input("w_plus")))
