"""Checkpoints of pix2pix and CoupleGenerator as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from models.published.pix2pix import network as pix2pix
from models.published.pix2pix.editor import DROPOUT_SIDES
from models.weights.checkpoints import DAMAGE, CheckpointError, load_state
from models.weights.export import random_picture, write_network


def other_half(file: Path, to: Path) -> None:
    """pix2pix's `<epoch>_net_G.pth`: AtoB.onnx, image and dropout -> translated."""
    state = load_state(file)
    write_unet(pix2pix.load_reference(state, pix2pix.norm_of(state)), 256, to)


def couple(file: Path, to: Path) -> None:
    """CoupleGenerator's variables in an .npz: AtoB.onnx, image and dropout -> translated."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            state = pix2pix.from_tensorflow({name.removesuffix(":0"): arrays[name] for name in arrays.files})
    except KeyError as error:
        raise CheckpointError(f"{file} lacks {error}, a variable of CoupleGenerator") from error
    except DAMAGE as error:
        raise CheckpointError(f"{file} is no .npz of CoupleGenerator's variables: {error}") from error
    write_unet(pix2pix.load_couple_generator(state), 512, to)


def write_unet(network: pix2pix.UNet, size: int, to: Path) -> None:
    """Export a U-Net as AtoB.onnx, image and dropout -> translated."""
    keep = {f"keep_{side}": torch.ones(1, network.channels, side, side) for side in DROPOUT_SIDES}
    write_network(network, {"image": random_picture(size), **keep}, ["translated"], to / "AtoB.onnx")


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "pix2pix": other_half,
    "couplegenerator": couple,
}
