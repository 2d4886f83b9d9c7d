"""StyleALAE at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from models.published.alae import network as networks
from models.weights.export import Sample, random_picture


def alae(half: str, config: networks.Config) -> Sample:
    """StyleALAE's encoder or decoder of one of its models."""
    if half == "encoder":
        network: nn.Module = networks.Encoder(config)
        sample = Sample(network, {"image": random_picture(config.size)}, "w")
    else:
        network = networks.FixedNoise(networks.Decoder(config))
        sample = Sample(network, {"w": torch.randn(1, 2 * config.layers, config.latent)}, "image")
    networks.freeze(network)
    return sample


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "alae-encoder": partial(alae, "encoder", networks.FFHQ),
    "alae-decoder": partial(alae, "decoder", networks.FFHQ),
    "alae-celebahq-encoder": partial(alae, "encoder", networks.CELEBA_HQ_256),
    "alae-celebahq-decoder": partial(alae, "decoder", networks.CELEBA_HQ_256),
}
