"""StyleFlow at full size, with drawn weights, to measure the speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from models.published.styleflow.editor import CONDITIONS
from models.published.styleflow.network import Flow, Relabel
from models.published.stylegan.encoders import WIDTH
from models.weights.export import Sample


def styleflow() -> Sample:
    """StyleFlow's change of one attribute, between e4e and StyleGAN2."""
    conditions = torch.randn(2, 1, CONDITIONS) * 0.1
    example = {"w": torch.randn(1, 18, WIDTH), "condition": conditions[0], "wanted": conditions[1]}
    return Sample(Relabel(Flow()), example, "edited")


SAMPLES: Mapping[str, Callable[[], Sample]] = {
    "styleflow": styleflow,
}
