"""LPIPS on VGG16 (Zhang et al., CVPR 2018): feature maps of unit length per place, squared differences weighted.

The weights are the package lpips' `weights/v0.1/vgg.pth` (BSD-2-Clause), which the user brings. They were fitted on
torchvision's VGG16 and belong to no other.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models.perceptual.vgg16 import Vgg16
from models.weights.checkpoints import CheckpointError, load_state

LAYERS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Normalisation of RGB in [-1, 1]."""


class Lpips(nn.Module):
    """The distance of two pictures.

    Args:
        vgg: torchvision's.
        weights: one (C,) per layer of `LAYERS`.

    Raises:
        CheckpointError: the VGG16 is Keras'.
    """

    def __init__(self, vgg: Vgg16, weights: list[Tensor]) -> None:
        super().__init__()
        if vgg.caffe:
            raise CheckpointError("LPIPS was fitted on torchvision's VGG16, not on Keras': give vgg16-397923af.pth")
        self.vgg = vgg
        for layer, weight in zip(LAYERS, weights, strict=True):
            self.register_buffer(layer, weight[:, None, None])
        self.register_buffer("shift", torch.tensor(SHIFT, device="cpu")[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE, device="cpu")[:, None, None])

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """(N, 3, S, S) RGB in [-1, 1] both -> (N,), 0 for equal pictures."""
        shift, scale = self.get_buffer("shift"), self.get_buffer("scale")
        read = [self.vgg.read_normalised((picture - shift) / scale, LAYERS) for picture in (one, other)]
        total = torch.zeros(len(one), device=one.device)
        for layer in LAYERS:
            difference = (_unit(read[0][layer]) - _unit(read[1][layer])).square()
            total = total + (difference * self.get_buffer(layer)).sum(1).mean((1, 2))
        return total


def load_lpips(path: Path, vgg: Vgg16) -> Lpips:
    """LPIPS with its weights, frozen.

    Raises:
        CheckpointError: the file is another one.
    """
    state = load_state(path)
    keys = [f"lin{number}.model.1.weight" for number in range(len(LAYERS))]
    if any(key not in state or state[key].ndim != 4 for key in keys):
        raise CheckpointError(f"{path} holds no weights of LPIPS on VGG16 (lpips/weights/v0.1/vgg.pth)")
    return Lpips(vgg, [state[key].float().flatten() for key in keys]).eval().requires_grad_(False)


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)
