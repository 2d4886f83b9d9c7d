"""StyleALAE at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from models.published.alae import network as networks
from models.weights.export import Sample, random_picture


def alae(half: str) -> Sample:
    """StyleALAE's encoder or decoder of 1024 pixels."""
    if half == "encoder":
        network: nn.Module = networks.Encoder(networks.FFHQ)
        sample = Sample(network, {"image": random_picture(networks.FFHQ.size)}, "w")
    else:
        network = networks.FixedNoise(networks.Decoder(networks.FFHQ))
        sample = Sample(network, {"w": torch.randn(1, 2 * networks.FFHQ.layers, networks.FFHQ.latent)}, "image")
    networks.freeze(network)
    return sample


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "alae-encoder": partial(alae, "encoder"),
    "alae-decoder": partial(alae, "decoder"),
}
