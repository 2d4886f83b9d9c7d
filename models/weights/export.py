"""Writing converted networks as ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engines.graph.export import export


class Sample(NamedTuple):
    """A network and how it is called.

    Attributes:
        module: with drawn weights.
        example: its inputs by name, in the range of real ones.
        output: name of its output.
    """

    module: nn.Module
    example: Mapping[str, Tensor]
    output: str


def write_network(module: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str], path: Path) -> None:
    """Export one network and say how far it is from its module."""
    with warnings.catch_warnings():
        # It remarks that InstanceNorm reads the picture's statistics (it shall) and on what it leaves unfolded.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.onnx")
        # Torch's own checks of sizes are decided while it traces; the sizes are fixed.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        error = export(module, example, outputs, path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, differs from torch by {error:.1e}", flush=True)


def random_picture(side: int) -> Tensor:
    """A picture for tracing, (1, 3, side, side) float32 in [-1, 1]."""
    return torch.rand(1, 3, side, side) * 2 - 1
