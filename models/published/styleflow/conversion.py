"""The checkpoint of StyleFlow as a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from models.published.styleflow import network as styleflow
from models.published.styleflow.editor import CONDITIONS
from models.published.stylegan import encoders
from models.weights.checkpoints import load_state
from models.weights.export import write_network


def flow(file: Path, to: Path) -> None:
    """StyleFlow's `modellarge10k.pt`: flow.onnx, w, condition and wanted -> edited."""
    network = styleflow.Relabel(styleflow.load_flow(load_state(file)))
    conditions = torch.randn(2, 1, CONDITIONS) * 0.1
    example = {"w": torch.randn(1, 18, encoders.WIDTH), "condition": conditions[0], "wanted": conditions[1]}
    write_network(network, example, ["edited"], to / "flow.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "styleflow": flow,
}
