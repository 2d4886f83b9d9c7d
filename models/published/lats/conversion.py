"""Checkpoints of LATS as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from models.published.lats import network as lats
from models.published.lats.editor import AGE_CLASSES
from models.weights.checkpoints import load_state
from models.weights.export import random_picture, write_network


def lifespan(file: Path, to: Path) -> None:
    """LATS's `latest_net_g_running.pth`: ageing.onnx, image and class_weights -> aged."""
    network = lats.Ageing(lats.load_generator(load_state(file)))
    weights = torch.full((1, len(AGE_CLASSES)), 1 / len(AGE_CLASSES))
    write_network(network, {"image": random_picture(256), "class_weights": weights}, ["aged"], to / "ageing.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "lats": lifespan,
}
