"""Checkpoints of PGGAN, of in-domain inversion and of GenForce's encoder as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from models import latents
from models.published.controls import SEMANTICS
from models.published.genforce import idinvert, pggan, styles
from models.published.genforce.rows import STYLES
from models.published.stylegan import stylegan1
from models.published.stylegan.dialects import CONTAINERS
from models.weights.checkpoints import load_state, read, tensors_in
from models.weights.export import random_picture, write_network


def pggan_generator(file: Path, to: Path) -> None:
    """PGGAN of InterFaceGAN or GenForce: generator.onnx, z as a W+ of one row -> image."""
    network = pggan.load_generator(load_state(file, CONTAINERS))
    write_network(network, {"w_plus": torch.randn(1, 1, network.z_dim)}, ["image"], to / "generator.onnx")


def inversion_encoder(file: Path, to: Path) -> None:
    """In-domain inversion's encoder: encoder.onnx, image -> w_plus."""
    network = idinvert.load_encoder(load_state(file))
    write_network(network, {"image": random_picture(network.size)}, ["w_plus"], to / "encoder.onnx")


def inversion_generator(file: Path, to: Path) -> None:
    """In-domain inversion's generator: generator.onnx, w_plus -> image."""
    network = idinvert.load_picture(load_state(file))
    example = {"w_plus": torch.randn(1, network.generator.rows, network.generator.style_dim)}
    write_network(network, example, ["image"], to / "generator.onnx")


def style_vectors(file: Path, to: Path) -> None:
    """GenForce's encoder with its StyleGAN: encoder.onnx, image -> styles; generator.onnx; semantics."""
    saved = read(file)
    state = tensors_in(saved, "models/generator_smooth|models/generator|generator_smooth|generator", str(file))
    generator = styles.load_generator(state)
    lengths = styles.lengths_of(generator)
    encoder = styles.load_encoder(tensors_in(saved, "models/encoder|encoder", str(file)), lengths)
    _write_semantics(generator, to)
    write_network(encoder, {"image": random_picture(encoder.size)}, ["w_plus"], to / "encoder.onnx")
    example = {"w_plus": torch.randn(1, len(lengths), max(lengths))}
    write_network(styles.takes_styles(generator), example, ["image"], to / "generator.onnx")


def _write_semantics(generator: stylegan1.Generator, to: Path) -> None:
    """The generator's first semantics by SeFa, as what each changes in every style vector."""
    layers = [weight.numpy() for weight in styles.style_weights(generator)]
    vectors, _ = latents.semantics(layers)
    longest = max(map(len, layers))
    for name, vector in zip(SEMANTICS, vectors, strict=False):
        rows = [np.pad(weight @ vector, (0, longest - len(weight))) for weight in layers]
        way = np.stack(rows) * np.sign(vector[np.abs(vector).argmax()])
        latents.save(to / f"{name}.npz", latents.Direction(name, way.astype(np.float32), STYLES, "W+"))


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "pggan": pggan_generator,
    "idinvert-encoder": inversion_encoder,
    "idinvert-generator": inversion_generator,
    "genforce-y": style_vectors,
}
