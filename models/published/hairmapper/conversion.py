"""The checkpoint of HairMapper as a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.published.hairmapper import network as hairmapper
from models.published.stylegan import encoders
from models.weights.export import write_network


class Removal(nn.Module):
    """HairMapper's edit: W+ (N, rows, 512) -> the code without hair."""

    def __init__(self, mapper: hairmapper.HairMapper) -> None:
        super().__init__()
        self.mapper = mapper.mapper
        self.edit = mapper

    def forward(self, w_plus: Tensor) -> Tensor:
        return self.edit.remove(w_plus)


def baldness(file: Path, to: Path) -> None:
    """HairMapper: mapper.onnx, w_plus -> bald."""
    write_network(
        Removal(hairmapper.load(file)), {"w_plus": torch.randn(1, 18, encoders.WIDTH)}, ["bald"], to / "mapper.onnx"
    )


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "hairmapper": baldness,
}
