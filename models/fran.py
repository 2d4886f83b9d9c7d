"""FRAN: re-aging as a residual from a U-Net (Zoss et al., SIGGRAPH Asia 2022), as in the open face_reaging."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from engines.base import Engine
from models.checkpoints import build
from models.editor import Controls, Crop, CropSpec, Edit, Floats, Latent
from models.translation import border_fade


class BlurPool(nn.Module):
    """Anti-aliased subsampling: a 4x4 binomial filter before the stride (Zhang, ICML 2019). Reflected borders.

    Args:
        channels: channels of the input, each filtered alone.
        stride: 2 halves the picture, 1 only smooths it.
    """

    filt: Tensor

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu")
        self.register_buffer("filt", (taps[:, None] * taps / 64).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 2, 1, 2), mode="reflect"), self.filt, stride=self.stride, groups=x.shape[1])


def _two_convolutions(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.LeakyReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.LeakyReLU(),
    ]


class Down(nn.Module):
    """Halve the picture: dense max pooling, then BlurPool, then two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.MaxPool2d(2, stride=1), BlurPool(inputs, 2), *_two_convolutions(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


class Up(nn.Module):
    """Double the picture, join the skip connection, two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.blur_upsample = nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 2, stride=2), BlurPool(outputs, 1))
        self.layer = nn.Sequential(*_two_convolutions(inputs, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        out: Tensor = self.layer(torch.cat([self.blur_upsample(x), skip], dim=1))
        return out


class UNet(nn.Module):
    """The re-aging network: picture and two age planes in, what to add to the picture out.

    Args:
        width: channels at full resolution; 64 in the checkpoint.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.init_conv = nn.Sequential(*_two_convolutions(5, width))
        self.down1 = Down(width, 2 * width)
        self.down2 = Down(2 * width, 4 * width)
        self.down3 = Down(4 * width, 8 * width)
        self.down4 = Down(8 * width, 16 * width)
        self.up1 = Up(16 * width, 8 * width)
        self.up2 = Up(8 * width, 4 * width)
        self.up3 = Up(4 * width, 2 * width)
        self.up4 = Up(2 * width, width)
        self.final_conv = nn.Conv2d(width, 3, 1)

    def forward(self, image: Tensor, ages: Tensor) -> Tensor:
        """Predict the change of the picture from one age to another.

        Args:
            image: (N, 3, S, S) RGB in [0, 1], S a multiple of 16.
            ages: (N, 2) source and target age in years.

        Returns:
            (N, 3, S, S) RGB difference on the scale of `image`; the aged picture is clip(image + difference, 0, 1).
        """
        planes = (ages / 100)[:, :, None, None].expand(-1, -1, image.shape[2], image.shape[3])
        level0 = self.init_conv(torch.cat([image, planes], dim=1))
        level1 = self.down1(level0)
        level2 = self.down2(level1)
        level3 = self.down3(level2)
        level4 = self.down4(level3)
        out: Tensor = self.final_conv(self.up4(self.up3(self.up2(self.up1(level4, level3), level2), level1), level0))
        return out


def load_network(state: Mapping[str, Tensor]) -> UNet:
    """The network of the published state dict, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    return build(UNet, state, optional=["*.filt"])


WINDOW = 512
"""Side of the pictures that the network was trained on, cut from faces of 1024 px."""


class FranControls(Controls):
    """Ages in years. Without a target age nothing is done."""

    source_age: float = Field(35.0, ge=10, le=90, title="Your age", json_schema_extra={"unit": "years", "step": 1})
    target_age: float | None = Field(
        None, ge=10, le=90, title="Shown age", json_schema_extra={"unit": "years", "step": 1}
    )

    def neutral(self) -> bool:
        """No target age, whatever the user's own is."""
        return self.target_age is None


class Fran:
    """FRAN as a live editor: its latent is (source age, target age), its edit a residual on the camera's pixels.

    Args:
        network: engine of `UNet`, inputs "image" and "ages", output "delta", batch of any size.
        size: side of the crop: 1024 is the scale of its training, nine overlapping windows a frame; 512 is one
            window over the whole face, nine times faster and coarser than it was trained for.
    """

    name = "fran"
    Controls = FranControls
    needs_masks = False
    latent_seconds = 0.0

    def __init__(self, network: Engine, size: int = WINDOW) -> None:
        self.crop = CropSpec("box", size)
        self._network = network
        self._starts = range(0, max(size - WINDOW, 0) + 1, WINDOW // 2)

    def encode(self, crop: Crop) -> Latent:
        """(2,) float32: no change of age. The source age is the user's to tell; no part of the system guesses it."""
        return np.zeros(2, np.float32)

    def steer(self, latent: Latent, controls: FranControls) -> Latent:
        """(2,) float32 source and target age; the same twice is no edit."""
        target = controls.source_age if controls.target_age is None else controls.target_age
        return np.array([controls.source_age, target], np.float32)

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """The residual from the source age to the target age."""
        size = len(crop.image)
        mask = border_fade(size)
        if steered[0] == steered[1]:
            return Edit(mask=np.zeros_like(mask))
        image = np.ascontiguousarray(crop.image.transpose(2, 0, 1), np.float32) / np.float32(255)
        side = min(size, WINDOW)
        corners = [(top, left) for top in self._starts for left in self._starts]
        windows = np.stack([image[:, top : top + side, left : left + side] for top, left in corners])
        ages = np.repeat(steered[None].astype(np.float32), len(windows), 0)
        deltas = self._network.run({"image": windows, "ages": ages})["delta"]
        total, weights = np.zeros_like(image), np.zeros((size, size), np.float32)
        weight = _window(side) if len(corners) > 1 else np.ones((side, side), np.float32)
        for (top, left), delta in zip(corners, deltas, strict=True):
            total[:, top : top + side, left : left + side] += weight * delta
            weights[top : top + side, left : left + side] += weight
        # As the authors clip the picture and not the residual.
        aged = np.clip(image + total / np.maximum(weights, 1e-3), 0, 1)
        return Edit(mask=mask, delta=np.ascontiguousarray((aged - image).transpose(1, 2, 0)) * np.float32(255))


def _window(side: int) -> Floats:
    ramp = np.sin(np.pi * (np.arange(side, dtype=np.float32) + 0.5) / side) ** 2
    return np.multiply.outer(ramp, ramp) + np.float32(1e-3)
