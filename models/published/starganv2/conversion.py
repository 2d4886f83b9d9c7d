"""The checkpoint of StarGAN v2 as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from models.published.starganv2 import network as starganv2
from models.published.starganv2.editor import LATENT, STYLE
from models.weights.checkpoints import read, tensors_in
from models.weights.export import random_picture, write_network


def styles(file: Path, to: Path) -> None:
    """StarGAN v2: generator.onnx, mapping.onnx (z -> styles), style_encoder.onnx (image -> styles)."""
    saved = read(file)
    generator = starganv2.load_generator(tensors_in(saved, "generator"))
    example = {"image": random_picture(256), "style": torch.randn(1, STYLE)}
    if generator.hpf is not None:
        example |= {"mask_32": torch.rand(1, 1, 64, 64), "mask_64": torch.rand(1, 1, 64, 64)}
    write_network(generator, example, ["translated"], to / "generator.onnx")
    mapping = starganv2.load_mapping(tensors_in(saved, "mapping_network"))
    write_network(mapping, {"z": torch.randn(1, LATENT)}, ["styles"], to / "mapping.onnx")
    encoder = starganv2.load_style_encoder(tensors_in(saved, "style_encoder"))
    write_network(encoder, {"image": random_picture(256)}, ["styles"], to / "style_encoder.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "starganv2": styles,
}
