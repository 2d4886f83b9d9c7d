"""Golden codes of pSp, e4e and ReStyle."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.published.stylegan.encoders import FromAverage, ReStyle, load_encoder
from models.published.stylegan.stylegan2 import load_generator
from models.weights.golden import Comparison, Golden


def encoder(golden: Golden) -> Iterator[Comparison]:
    """Codes of one face; the name tells e4e from pSp, the tensors do not."""
    kind = "Encoder4Editing" if "e4e" in golden.system.lower() else "GradualStyleEncoder"
    network = FromAverage(load_encoder(golden.state("encoder.", strip=False), kind), _average(golden))
    codes = network(golden.image())
    yield golden.compare("w_plus", codes)
    if golden.found("(out)"):
        yield from golden.compare_image("out", load_generator(golden.state("decoder."))(codes))


def restyle(golden: Golden) -> Iterator[Comparison]:
    """Codes after every stored round, and their pictures."""
    kind = "ProgressiveBackboneEncoder" if "e4e" in golden.system.lower() else "BackboneEncoder"
    average = _average(golden)
    encoder = load_encoder(golden.state("encoder.", strip=False), kind)
    network = ReStyle(encoder, load_generator(golden.state("decoder.")), average)
    image = golden.image()
    drawn = network.draw(average[None])
    yield from golden.compare_image("avg_image", drawn)
    drawn = drawn.expand(len(image), -1, -1, -1)
    rounds = max(map(int, golden.found(r"(?:codes|out)_iter(\d+)")), default=0)
    codes = average
    for index in range(1, rounds + 1):
        codes = network.refine(image, codes, drawn)
        if golden.found(f"(codes_iter{index})"):
            yield golden.compare(f"codes_iter{index}", codes)
        if golden.found(f"(out_iter{index})"):
            yield from golden.compare_image(f"out_iter{index}", network.generator(codes))
        if index < rounds:
            drawn = network.draw(codes)


def _average(golden: Golden) -> Tensor:
    """(rows, 512) or (512,); zero where the network was trained without it."""
    return torch.from_numpy(golden.array("latent_avg")) if golden.has("latent_avg") else torch.zeros(1)
