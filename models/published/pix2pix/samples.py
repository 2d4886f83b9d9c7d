"""pix2pix at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.pix2pix.editor import DROPOUT_SIDES
from models.published.pix2pix.network import UNet
from models.weights.export import Sample, random_picture


def pix2pix() -> Sample:
    """pix2pix's U-Net."""
    network = UNet(norm="batch moments")
    keep = {f"keep_{side}": torch.ones(1, network.channels, side, side) for side in DROPOUT_SIDES}
    return Sample(network, {"image": random_picture(256), **keep}, "translated")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "pix2pix": pix2pix,
}
LIGHT: tuple[str, ...] = ("pix2pix",)
"""Those of at most 100 GFLOP a frame and 200 MB."""
