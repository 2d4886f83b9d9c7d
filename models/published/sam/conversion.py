"""The checkpoint of SAM as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from models.published.sam import network as sam
from models.published.stylegan import encoders
from models.published.stylegan.conversion import write_generator
from models.weights.export import random_picture, write_network


def ageing(file: Path, to: Path) -> None:
    """SAM: identity.onnx, image -> w_plus; ageing.onnx, image and age -> offsets; generator.onnx, w_plus -> image."""
    found = sam.load(file)
    write_generator(found.generator, to)
    write_network(found.identity, {"image": random_picture(encoders.FACE_SIDE)}, ["w_plus"], to / "identity.onnx")
    example = {"image": random_picture(encoders.FACE_SIDE), "age": torch.tensor([40.0])}
    write_network(found.ageing, example, ["offsets"], to / "ageing.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "sam": ageing,
}
