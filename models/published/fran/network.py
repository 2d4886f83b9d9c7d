"""FRAN: re-aging as a residual from a U-Net (Zoss et al., SIGGRAPH Asia 2022), as in the open face_reaging."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.weights.checkpoints import build, shape_of


class BlurPool(nn.Module):
    """Anti-aliased subsampling: a 4x4 binomial filter before the stride (Zhang, ICML 2019). Reflected borders.

    Args:
        channels: channels of the input, each filtered alone.
        stride: 2 halves the picture, 1 only smooths it.
    """

    filt: Tensor

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu")
        self.register_buffer("filt", (taps[:, None] * taps / 64).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 2, 1, 2), mode="reflect"), self.filt, stride=self.stride, groups=self.channels)


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
    """The network of the published state dict, as wide as its weights, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    width, *_ = shape_of(state, "init_conv.0.weight", (64, 5, 3, 3))
    return build(lambda: UNet(width), state, optional=["*.filt"])
