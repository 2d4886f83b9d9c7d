"""Golden codes of pSp, e4e and ReStyle."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from models.encoders import FromAverage, ReStyle, load_encoder
from models.golden import Comparison, Golden
from models.stylegan2 import load_generator


def psp_encoder(golden: Golden) -> Iterator[Comparison]:
    yield _codes(golden, "GradualStyleEncoder")


def e4e_encoder(golden: Golden) -> Iterator[Comparison]:
    yield _codes(golden, "Encoder4Editing")


def restyle_psp(golden: Golden) -> Iterator[Comparison]:
    return _restyle(golden, "BackboneEncoder")


def restyle_e4e(golden: Golden) -> Iterator[Comparison]:
    return _restyle(golden, "ProgressiveBackboneEncoder")


def _codes(golden: Golden, kind: str) -> Comparison:
    average = torch.from_numpy(golden.array("latent_avg"))
    network = FromAverage(load_encoder(golden.state("encoder.", strip=False), kind), average)
    return golden.compare("w_plus", network(golden.image()))


def _restyle(golden: Golden, kind: str) -> Iterator[Comparison]:
    average = torch.from_numpy(golden.array("latent_avg"))
    encoder = load_encoder(golden.state("encoder.", strip=False), kind)
    network = ReStyle(encoder, load_generator(golden.state("decoder.")), average)
    image = golden.image()
    drawn = network.draw(average[None])
    yield from golden.compare_image("avg_image", drawn)
    first = network.refine(image, average, drawn)
    yield golden.compare("codes_iter1", first)
    second = network(image, rounds=2)
    yield golden.compare("codes_iter2", second)
    yield from golden.compare_image("out_iter2", network.generator(second))
