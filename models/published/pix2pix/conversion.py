"""Checkpoints of pix2pix and CoupleGenerator as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.published.pix2pix import network as pix2pix
from models.weights.checkpoints import DAMAGE, CheckpointError, load_state
from models.weights.export import random_picture, write_network


def other_half(file: Path, to: Path) -> None:
    """pix2pix's `<epoch>_net_G.pth`: AtoB.onnx, image and dropout -> translated."""
    state = load_state(file)
    write_unet(pix2pix.load_reference(state, pix2pix.norm_of(state)), to)


def couple(file: Path, to: Path) -> None:
    """CoupleGenerator's variables in an .npz: AtoB.onnx, image and dropout -> translated."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            state = pix2pix.from_tensorflow({name.removesuffix(":0"): arrays[name] for name in arrays.files})
    except KeyError as error:
        raise CheckpointError(f"{file} lacks {error}, a variable of CoupleGenerator") from error
    except DAMAGE as error:
        raise CheckpointError(f"{file} is no .npz of CoupleGenerator's variables: {error}") from error
    write_unet(pix2pix.load_couple_generator(state), to)


def write_unet(network: pix2pix.UNet, to: Path) -> None:
    """Export a U-Net as AtoB.onnx, image and dropout -> translated.

    Raises:
        CheckpointError: it does not make a colour picture of a colour picture.
    """
    if (network.inputs, network.outputs) != (3, 3):
        raise CheckpointError(f"it makes {network.outputs} channels of {network.inputs}, no colour picture of one")
    write_network(network, example(network), ["translated"], to / "AtoB.onnx")


def example(network: pix2pix.UNet) -> dict[str, Tensor]:
    """Inputs of a network, by name, to trace it with."""
    keep = {f"keep_{side}": torch.ones(1, network.channels, side, side) for side in network.dropouts}
    return {"image": random_picture(network.size), **keep}


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "pix2pix": other_half,
    "couplegenerator": couple,
}
