"""The checkpoint of FRAN as a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from models.published.fran import network as fran
from models.weights.checkpoints import load_state
from models.weights.export import write_network


def residual(file: Path, to: Path) -> None:
    """FRAN: residual.onnx, image and ages -> delta."""
    example = {"image": torch.rand(1, 3, 512, 512), "ages": torch.tensor([[30.0, 60.0]])}
    write_network(fran.load_network(load_state(file)), example, ["delta"], to / "residual.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "fran": residual,
}
