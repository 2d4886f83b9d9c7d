"""pix2pix and CoupleGenerator at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.published.pix2pix.conversion import example
from models.published.pix2pix.network import UNet, couple_generator
from models.weights.export import Sample


def pix2pix() -> Sample:
    """pix2pix's U-Net."""
    network = UNet(norm="batch moments")
    return Sample(network, example(network), "translated")


def couplegenerator() -> Sample:
    """CoupleGenerator's U-Net, of 512 pixels."""
    network = couple_generator()
    return Sample(network, example(network), "translated")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "pix2pix": pix2pix,
    "couplegenerator": couplegenerator,
}
