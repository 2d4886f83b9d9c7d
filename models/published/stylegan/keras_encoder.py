"""The encoders into W+ of StyleGAN that `stylegan-encoder` trains: a Keras trunk, then layers in a tree.

`finetuned_resnet.h5` has a ResNet50 or ResNet50V2 (or a larger one), `finetuned_effnet.h5` an EfficientNet of the
`efficientnet` package of 2019; which, and how wide and deep what follows is, the file says itself.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models.perceptual.vgg16 import CAFFE_MEAN, IMAGENET_DEVIATION, IMAGENET_MEAN
from models.weights.checkpoints import CheckpointError
from models.weights.hdf5 import read_keras
from models.weights.keras_graph import KerasModel, build_keras

STYLE_DIM = 512


class KerasEncoder(nn.Module):
    """RGB (N, 3, S, S) in [-1, 1] -> W+ (N, rows, 512), absolute: the average w is not added.

    Args:
        network: what the file holds; reads pictures as Keras's `preprocess_input` leaves them.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, network: KerasModel) -> None:
        super().__init__()
        self.network = network
        self.side = network.side
        self.bgr = "DepthwiseConv2D" not in network.kinds
        if self.bgr:
            scale, offset = torch.full((3,), 127.5), 127.5 - torch.tensor(CAFFE_MEAN)
        else:
            deviation = torch.tensor(IMAGENET_DEVIATION)
            scale, offset = 0.5 / deviation, (0.5 - torch.tensor(IMAGENET_MEAN)) / deviation
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("offset", offset[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        prepared = (image.flip(1) if self.bgr else image) * self.scale + self.offset
        codes: Tensor = self.network(prepared)
        return codes


def load_keras_encoder(path: str | Path) -> KerasEncoder:
    """The encoder in a file of `stylegan-encoder`, frozen, in eval mode.

    Raises:
        CheckpointError: see `models.weights.hdf5.read_keras` and `models.weights.keras_graph.build_keras`; or what it
            gives are no codes of a StyleGAN.
    """
    return encoder_of(build_keras(read_keras(path)), str(path))


def encoder_of(network: KerasModel, origin: str) -> KerasEncoder:
    """`load_keras_encoder` for a network that has been built; `origin` names it in errors."""
    encoder = KerasEncoder(network).eval().requires_grad_(False)
    try:
        with torch.inference_mode():
            codes = encoder(torch.zeros(1, 3, network.side, network.side))
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(f"{origin}: its layers do not fit each other: {error}") from error
    if codes.ndim != 3 or codes.shape[2] != STYLE_DIM:
        raise CheckpointError(f"{origin} gives {tuple(codes.shape)}, not codes (1, rows, {STYLE_DIM})")
    return encoder
