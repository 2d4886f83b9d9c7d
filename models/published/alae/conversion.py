"""Checkpoints of StyleALAE as networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from models import latents
from models.published.alae import network as alae
from models.published.controls import SEMANTICS
from models.weights.checkpoints import CheckpointError, read, tensors_in
from models.weights.export import random_picture, write_network

STYLE = re.compile(r"\.style_[12]\.weight$")
"""Keys of the layers that make a style of W."""


def autoencoder(file: Path, to: Path) -> None:
    """StyleALAE: encoder.onnx, image -> w; decoder.onnx, w -> image; average.npy; the decoder's semantics, .npy."""
    saved = read(file)
    state = tensors_in(saved, "models/discriminator_s")
    config = alae.config_of(state)
    encoder = alae.load_encoder(state, config)
    alae.freeze(encoder)
    write_network(encoder, {"image": random_picture(config.size)}, ["w"], to / "encoder.onnx")
    decoder = alae.FixedNoise(alae.load_decoder(tensors_in(saved, "models/generator_s"), config))
    alae.freeze(decoder)
    write_network(decoder, {"w": torch.randn(1, 2 * config.layers, config.latent)}, ["image"], to / "decoder.onnx")
    average = tensors_in(saved, "models/dlatent_avg").get("buff")
    if average is None or average.ndim != 2 or average.shape[1] != config.latent:
        raise CheckpointError(f"{file}: dlatent_avg/buff is not (rows, {config.latent})")
    np.save(to / "average.npy", average[0].float().numpy())
    styles = [tensor.numpy() for key, tensor in tensors_in(saved, "models/generator_s").items() if STYLE.search(key)]
    for name, vector in zip(SEMANTICS, latents.semantics(styles)[0], strict=False):
        np.save(to / f"{name}.npy", (vector * np.sign(vector[np.abs(vector).argmax()])).astype(np.float32))


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "alae": autoencoder,
}
