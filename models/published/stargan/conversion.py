"""Checkpoints of StarGAN as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from models.published.stargan import network as stargan
from models.weights.checkpoints import load_state
from models.weights.export import random_picture, write_network


def stargan_generator(file: Path, to: Path, side: int = 128) -> None:
    """StarGAN's `*-G.ckpt`: generator.onnx, image and label -> translated. Its file does not tell the side."""
    network = stargan.load_generator(load_state(file))
    example = {"image": random_picture(side), "label": torch.rand(1, network.domains)}
    write_network(network, example, ["translated"], to / "generator.onnx")


def stargan_labels(file: Path, to: Path) -> None:
    """StarGAN's `*-D.ckpt`: labels.onnx, image -> label."""
    network = stargan.load_discriminator(load_state(file))
    write_network(stargan.LabelReader(network), {"image": random_picture(network.size)}, ["label"], to / "labels.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "stargan-128": stargan_generator,
    "stargan-256": partial(stargan_generator, side=256),
    "stargan-labels": stargan_labels,
}
