"""Checkpoints of StyleGAN, StyleGAN2, MobileStyleGAN and their encoders as networks; directions as .npz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models import latents
from models.published.controls import SEMANTICS
from models.published.stylegan import (
    dialects,
    directions,
    encoders,
    keras_encoder,
    mobilestylegan,
    stylegan1,
    stylegan2,
)
from models.published.stylegan.rows import GENERATOR
from models.weights.checkpoints import report_rest
from models.weights.export import random_picture, write_network

LARGEST_PICTURE = 512
"""Side at which StyleGAN2's and MobileStyleGAN's pictures are taken: both have them at every resolution, and the
editors blend crops of this size. The rest of a 1024 px generator is left out, with a fifth of its work or more."""


class Picture(nn.Module):
    """A StyleGAN2 that stops at a resolution: W+ (N, rows, D) -> RGB (N, 3, size, size)."""

    def __init__(self, generator: stylegan2.Generator, size: int = LARGEST_PICTURE) -> None:
        super().__init__()
        self.generator = generator
        self.size = min(size, generator.size)

    def forward(self, w_plus: Tensor) -> Tensor:
        return self.generator.synthesize(w_plus, self.size)


def inverter(file: Path, to: Path) -> None:
    """pSp, e4e, ReStyle: encoder.onnx, image -> w_plus; generator.onnx, w_plus -> image; its semantics."""
    found = encoders.load_inverter(file)
    write_generator(found.generator, to)
    write_semantics(found.generator, to)
    write_network(found.network(), {"image": random_picture(encoders.FACE_SIDE)}, ["w_plus"], to / "encoder.onnx")


def generator2(file: Path, to: Path) -> None:
    """A StyleGAN2 of any known program: generator.onnx, w_plus -> image; its semantics; average.npy, if it has one."""
    state, average = dialects.read_stylegan2(file)
    generator = stylegan2.load_generator(state)
    write_generator(generator, to)
    write_semantics(generator, to)
    if average is not None:
        np.save(to / "average.npy", average.numpy())


def generator1(file: Path, to: Path) -> None:
    """A StyleGAN of any known program: generator.onnx, w_plus -> image; average.npy, the average w."""
    network = stylegan1.load_generator(dialects.read_stylegan1(file))
    np.save(to / "average.npy", network.truncation.w_avg.numpy())
    write_network(
        network, {"w_plus": torch.randn(1, network.rows, network.style_dim)}, ["image"], to / "generator.onnx"
    )


def encoder1(file: Path, to: Path) -> None:
    """An encoder of `stylegan-encoder`, a Keras file: resnet.onnx, image -> w_plus of StyleGAN."""
    network = keras_encoder.load_keras_encoder(file)
    write_network(network, {"image": random_picture(network.side)}, ["w_plus"], to / "resnet.onnx")


def mobile(file: Path, to: Path) -> None:
    """MobileStyleGAN: generator.onnx, StyleGAN2's w_plus -> image."""
    state = dialects.read_mobilestylegan(file)
    report_rest(state, mobilestylegan.PARTS, str(file))
    student = mobilestylegan.load_student(state)
    example = {"w_plus": torch.randn(1, 18, mobilestylegan.STYLE_DIM)}
    write_network(mobilestylegan.FixedNoise(student, LARGEST_PICTURE), example, ["image"], to / "generator.onnx")


def direction(file: Path, to: Path) -> None:
    """A published direction or GANSpace's components: <stem>.npz, which names its generator."""
    directions.convert(file, to)


def write_generator(generator: stylegan2.Generator, to: Path) -> None:
    """Export a StyleGAN2 as generator.onnx, up to `LARGEST_PICTURE`."""
    example = {"w_plus": torch.randn(1, generator.rows, generator.style_dim)}
    write_network(Picture(generator), example, ["image"], to / "generator.onnx")


def write_semantics(generator: stylegan2.Generator, to: Path) -> None:
    """Write a StyleGAN2's first semantics by SeFa as directions semantic_1.npz, semantic_2.npz, ...

    Over all layers but the later RGB ones, as rosinality's closed-form factorisation takes them. Factorisation leaves
    the sign open: the largest entry is made positive.
    """
    layers = [
        parameter.numpy()
        for name, parameter in generator.named_parameters()
        if name.endswith("modulation.weight") and not name.startswith("to_rgbs.")
    ]
    vectors, _ = latents.semantics(layers)
    for name, vector in zip(SEMANTICS, vectors, strict=False):
        sign = np.sign(vector[np.abs(vector).argmax()])
        latents.save(to / f"{name}.npz", latents.Direction(name, sign * vector, GENERATOR))


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "psp": inverter,
    "e4e": inverter,
    "restyle": inverter,
    "stylegan2": generator2,
    "stylegan1": generator1,
    "keras-encoder": encoder1,
    "mobilestylegan": mobile,
    "direction": direction,
}
