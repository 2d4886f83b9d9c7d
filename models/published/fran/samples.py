"""FRAN at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.fran.network import UNet
from models.weights.export import Sample


def fran() -> Sample:
    """FRAN on one window of 512 pixels."""
    return Sample(UNet(), {"image": torch.rand(1, 3, 512, 512), "ages": torch.tensor([[30.0, 60.0]])}, "delta")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "fran": fran,
}
