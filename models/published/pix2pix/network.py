"""pix2pix: picture to picture with a U-Net (Isola et al., CVPR 2017); CoupleGenerator draws a couple's other half."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.weights.checkpoints import build, shape_of

LEVELS = 8
"""Halvings of unet_256; unet_128 has seven."""
FEWEST_LEVELS, MOST_LEVELS = 5, 10
"""The authors' program builds no smaller ones; larger ones would be for pictures beyond 1024 pixels."""

UNUSED_KEYS = ("*.num_batches_tracked",)
"""Keys that only training reads."""

Norm = Literal["batch", "batch moments", "instance"]


class BatchMoments(nn.BatchNorm2d):
    """BatchNorm by the moments of each picture, as the authors test with one picture at a time."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = (x - mean).square().mean(dim=(2, 3), keepdim=True)
        return (x - mean) * torch.rsqrt(variance + self.eps) * self.weight[:, None, None] + self.bias[:, None, None]


NORMS: dict[Norm, type[nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "batch moments": BatchMoments,
    "instance": nn.InstanceNorm2d,
}


class UNet(nn.Module):
    """Halvings down to the bottleneck, as many doublings up, each with the skip connection of its level.

    Args:
        levels: how many halvings.
        inputs: channels of the picture.
        outputs: channels of the result.
        width: channels of the first level; they double three times.
        norm: "batch" uses the stored statistics, "batch moments" those of each picture, "instance" has no parameters
            and biases on every convolution instead.
        bottleneck_norm: whether the innermost convolution is normalised (CoupleGenerator).
        decoder_slope: slope of the decoder's leaky ReLU below zero; 0 is a ReLU (all but CoupleGenerator).
        inner: levels at the bottleneck that come before those with a dropout; 1 but in CoupleGenerator.

    Attributes:
        size: side of the pictures it is made for: the bottleneck has one pixel, in CoupleGenerator two.
        dropouts: sides of the decoder's maps behind a dropout, from the bottleneck out.
    """

    def __init__(
        self,
        *,
        levels: int = LEVELS,
        inputs: int = 3,
        outputs: int = 3,
        width: int = 64,
        norm: Norm = "batch",
        bottleneck_norm: bool = False,
        decoder_slope: float = 0.0,
        inner: int = 1,
    ) -> None:
        super().__init__()
        self.decoder_slope = decoder_slope
        self.inputs, self.outputs = inputs, outputs
        self.channels = 8 * width
        self.levels = levels
        self.size = 2 ** (levels + 1 - inner)
        count = levels - FEWEST_LEVELS
        self._dropped = range(levels - 1 - inner, levels - 1 - inner - count, -1)
        self.dropouts = tuple(self.size >> level for level in self._dropped)
        bias = norm == "instance"
        channels = [width * min(2**level, 8) for level in range(levels)]
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1, bias=bias)
            for before, after in zip([inputs, *channels], channels, strict=False)
        )
        self.down_norm = nn.ModuleList(
            NORMS[norm](count) if 0 < level < levels - 1 or (level and bottleneck_norm) else nn.Identity()
            for level, count in enumerate(channels)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(
                channels[level] * (1 if level == levels - 1 else 2),
                channels[level - 1] if level else outputs,
                4,
                stride=2,
                padding=1,
                bias=bias or level == 0,
            )
            for level in range(levels)
        )
        self.up_norm = nn.ModuleList(
            NORMS[norm](channels[level - 1]) if level else nn.Identity() for level in range(levels)
        )

    def forward(self, image: Tensor, *keep: Tensor) -> Tensor:
        """Translate a picture.

        Args:
            image: (N, inputs, S, S) RGB in [-1, 1], S a multiple of 2 ** levels.
            keep: per side of `dropouts` (N, 8 * width, side, side) at S = `size`, 2 for a unit that is kept and 0 for
                one that is not; none for no dropout.

        Returns:
            (N, outputs, S, S) RGB in [-1, 1].
        """
        skips: list[Tensor] = []
        x = image
        for level, (down, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            x = norm(down(F.leaky_relu(x, 0.2) if level else x))
            skips.append(x)
        masks = dict(zip(self._dropped, keep, strict=False))
        for level in reversed(range(self.levels)):
            if level < self.levels - 1:
                x = torch.cat([skips[level], x], dim=1)
            x = self.up_norm[level](self.up[level](F.leaky_relu(x, self.decoder_slope if level else 0.0)))
            if level in masks:
                x = x * masks[level]
        return torch.tanh(x)


def couple_generator(width: int = 64) -> UNet:
    """The U-Net of CoupleGenerator: 512 px, leaky decoder, moments of the picture in every norm."""
    return UNet(width=width, norm="batch moments", bottleneck_norm=True, decoder_slope=0.2, inner=0)


def rename_reference_key(key: str, levels: int = LEVELS) -> str | None:
    """Name of an authors' tensor here, where the U-Net is a list of levels and not nested; None if it is unknown.

    >>> rename_reference_key("model.model.1.model.3.model.5.weight")
    'up.2.weight'
    """
    match = _NESTED.fullmatch(key)
    if match is None:
        return None
    level = match[1].count("model.")
    names = {0: {"0": "down", "3": "up"}, levels - 1: {"1": "down", "3": "up", "4": "up_norm"}}
    name = names.get(level, {"1": "down", "2": "down_norm", "5": "up", "6": "up_norm"}).get(match[2])
    return f"{name}.{level}.{match[3]}" if name and level < levels else None


_LISTED = re.compile(r"down\.(\d{1,2})\.weight")
_NESTED = re.compile(r"model\.((?:model\.1\.(?:model\.3\.)*)?)model\.(\d)\.(\w+)")


def levels_of(state: Mapping[str, Tensor]) -> int:
    """How many halvings a file has: how deep the authors' keys are nested, or how long the lists of this module are."""
    nested = (match[1].count("model.") + 1 for match in map(_NESTED.fullmatch, state) if match)
    listed = (int(match[1]) + 1 for match in map(_LISTED.fullmatch, state) if match)
    return min(max(*nested, *listed, FEWEST_LEVELS, FEWEST_LEVELS), MOST_LEVELS)


def from_tensorflow(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """CoupleGenerator's TensorFlow variables as the state of `couple_generator()`.

    Args:
        arrays: `generator/...` variables by name, for instance from `tf.train.load_checkpoint`; others are left out.

    Returns:
        State of the network. A decoder sees [own, skip] channels in TensorFlow and [skip, own] here.

    Raises:
        KeyError: a variable is missing.
    """
    state: dict[str, Tensor] = {}

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(arrays[f"generator/{name}"]))

    for level in range(LEVELS):
        state[f"down.{level}.weight"] = tensor(f"conv_{level + 1}/filter").permute(3, 2, 0, 1)
        up = tensor(f"deconv_{level + 1}/filter").permute(3, 2, 0, 1)
        if level < LEVELS - 1:
            own, skip = up.chunk(2)
            up = torch.cat([skip, own])
        state[f"up.{level}.weight"] = up
        if level:
            # TensorFlow counts norms in the order they run: down the encoder from 2, then up the decoder from 9.
            for name, count in ((f"down_norm.{level}", level + 1), (f"up_norm.{level}", 2 * LEVELS - level)):
                state[f"{name}.weight"] = tensor(f"batchnorm_{count}/expand")
                state[f"{name}.bias"] = tensor(f"batchnorm_{count}/offset")
    state["up.0.bias"] = torch.zeros(3)
    return state


def norm_of(state: Mapping[str, Tensor]) -> Norm:
    """How a file of the authors is tested: models trained with InstanceNorm have biases and no norms."""
    return "instance" if "model.model.0.bias" in state else "batch moments"


def load_reference(state: Mapping[str, Tensor], norm: Norm = "batch moments") -> UNet:
    """The U-Net of an authors' `<epoch>_net_G.pth`, ready to run; depth and channels follow from its weights.

    Args:
        state: the file's tensors.
        norm: "batch moments" is how the authors test; "instance" for models trained with InstanceNorm.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    levels = levels_of(state)
    renamed = {rename_reference_key(key, levels) or key: value for key, value in state.items()}
    width, inputs, *_ = shape_of(renamed, "down.0.weight", (64, 3, 4, 4))
    _, outputs, *_ = shape_of(renamed, "up.0.weight", (128, 3, 4, 4))
    return build(
        lambda: UNet(levels=levels, inputs=inputs, outputs=outputs, width=width, norm=norm),
        renamed,
        optional=UNUSED_KEYS,
        ignored=UNUSED_KEYS,
    )


def load_couple_generator(state: Mapping[str, Tensor]) -> UNet:
    """CoupleGenerator from its converted variables (`from_tensorflow`), ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    width, *_ = shape_of(state, "down.0.weight", (64, 3, 4, 4))
    return build(lambda: couple_generator(width), state, optional=("*.running_mean", "*.running_var", *UNUSED_KEYS))
