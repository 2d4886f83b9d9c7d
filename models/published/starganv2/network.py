"""StarGAN v2: styles of a domain from noise or from a reference face (Choi et al., CVPR 2020)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.published.starganv2.editor import DOMAINS, LATENT, STYLE
from models.weights.checkpoints import build, parts_under, shape_of

MAX_CHANNELS = 512
SKIP_SIDES = (32, 64, 128)
"""Sides of the features that pass the bottleneck by a high-pass skip."""
FIRST_LAYER = 2**14
"""Channels of the first layer times the side of the picture."""


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class ResBlk(nn.Module):
    """Pre-activation residual block; the sum keeps unit variance. Halves the picture where told to."""

    def __init__(self, inputs: int, outputs: int, *, normalize: bool = False, downsample: bool = False) -> None:
        super().__init__()
        self.downsample = downsample
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1 = nn.InstanceNorm2d(inputs, affine=True) if normalize else nn.Identity()
        self.norm2 = nn.InstanceNorm2d(inputs, affine=True) if normalize else nn.Identity()
        self.conv1x1 = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        skip = self.conv1x1(x)
        x = self.conv1(F.leaky_relu(self.norm1(x), 0.2))
        if self.downsample:
            skip = F.avg_pool2d(skip, 2)
            x = F.avg_pool2d(x, 2)
        x = self.conv2(F.leaky_relu(self.norm2(x), 0.2))
        out: Tensor = (skip + x) / math.sqrt(2)
        return out


class AdaIN(nn.Module):
    """Instance norm, then scale 1 + gamma and shift beta from the style."""

    def __init__(self, style: int, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(style, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        gamma, beta = self.fc(style)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = (1 + gamma) * F.instance_norm(x) + beta
        return out


class AdainResBlk(nn.Module):
    """Residual block of the decoder, styled. With high-pass skips (`high_pass`) it has no shortcut of its own."""

    def __init__(
        self, inputs: int, outputs: int, style: int, *, upsample: bool = False, high_pass: bool = False
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.high_pass = high_pass
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm1 = AdaIN(style, inputs)
        self.norm2 = AdaIN(style, outputs)
        self.conv1x1 = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        out: Tensor = F.leaky_relu(self.norm1(x, style), 0.2)
        if self.upsample:
            out = _upsample(out)
        out = self.conv2(F.leaky_relu(self.norm2(self.conv1(out), style), 0.2))
        if self.high_pass:
            return out
        skip = self.conv1x1(_upsample(x) if self.upsample else x)
        return (out + skip) / math.sqrt(2)


class HighPass(nn.Module):
    """Laplacian of the encoder's features, which carries the drawing of eyes, nose and mouth past the bottleneck."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        taps = torch.tensor([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]], device="cpu") / weight
        self.register_buffer("filter", taps)

    def forward(self, x: Tensor) -> Tensor:
        channels = int(x.shape[1])
        kernel = self.get_buffer("filter").expand(channels, 1, 3, 3)
        return F.conv2d(x, kernel, padding=1, groups=channels)


class Generator(nn.Module):
    """The translator G(x, s).

    Args:
        size: side of the picture; a power of two.
        high_pass: weight of the high-pass skips; 0 for none (animal faces), 1 in the CelebA-HQ model, which has one
            more block each way.
        style: length of the style code.
    """

    def __init__(self, size: int = 256, high_pass: float = 1.0, style: int = STYLE) -> None:
        super().__init__()
        self.size = size
        channels = FIRST_LAYER // size
        self.from_rgb = nn.Conv2d(3, channels, 3, padding=1)
        encode: list[ResBlk] = []
        decode: list[AdainResBlk] = []
        has_high_pass = high_pass > 0
        first = channels
        for _ in range(int(math.log2(size)) - 4 + has_high_pass):
            deeper = min(2 * channels, MAX_CHANNELS)
            encode.append(ResBlk(channels, deeper, normalize=True, downsample=True))
            decode.insert(0, AdainResBlk(deeper, channels, style, upsample=True, high_pass=has_high_pass))
            channels = deeper
        for _ in range(2):
            encode.append(ResBlk(channels, channels, normalize=True))
            decode.insert(0, AdainResBlk(channels, channels, style, high_pass=has_high_pass))
        self.encode = nn.ModuleList(encode)
        self.decode = nn.ModuleList(decode)
        self.to_rgb = nn.Sequential(nn.InstanceNorm2d(first, affine=True), nn.LeakyReLU(0.2), nn.Conv2d(first, 3, 1))
        self.hpf = HighPass(high_pass) if has_high_pass else None

    def forward(
        self, image: Tensor, style: Tensor, mask_32: Tensor | None = None, mask_64: Tensor | None = None
    ) -> Tensor:
        """Translate a face into a style.

        Args:
            image: (N, 3, S, S) RGB in [-1, 1].
            style: (N, style) from `MappingNetwork` or `StyleEncoder`.
            mask_32: heat map (N, 1, H, W) of the landmarks for the features of side 32.
            mask_64: heat map for the features of side 64 and 128. Without both maps there are no high-pass skips.

        Returns:
            (N, 3, S, S) RGB, about [-1, 1], unclamped.
        """
        x = self.from_rgb(image)
        side = self.size
        skips: dict[int, Tensor] = {}
        for encode in self.encode:
            if side in SKIP_SIDES:
                skips[side] = x
            x = encode(x)
            side //= 2 if encode.downsample else 1
        for decode in self.decode:
            x = decode(x, style)
            side *= 2 if decode.upsample else 1
            mask = mask_32 if side == 32 else mask_64
            if mask is not None and self.hpf is not None and side in skips:
                mask = F.interpolate(mask, size=side, mode="bilinear", align_corners=False)
                x = x + self.hpf(mask * skips[side])
        out: Tensor = self.to_rgb(x)
        return out


def _perceptron(inputs: int, outputs: int) -> list[nn.Module]:
    """Three hidden layers of 512 and a linear last one."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(inputs, MAX_CHANNELS), nn.ReLU()]
        inputs = MAX_CHANNELS
    return [*layers, nn.Linear(inputs, outputs)]


class MappingNetwork(nn.Module):
    """Noise to a style of every domain: (N, latent) to (N, domains, style)."""

    def __init__(self, domains: int = len(DOMAINS), latent: int = LATENT, style: int = STYLE) -> None:
        super().__init__()
        self.shared = nn.Sequential(*_perceptron(latent, MAX_CHANNELS), nn.ReLU())
        self.unshared = nn.ModuleList(nn.Sequential(*_perceptron(MAX_CHANNELS, style)) for _ in range(domains))

    def forward(self, z: Tensor) -> Tensor:
        h = self.shared(z)
        return torch.stack([head(h) for head in self.unshared], dim=1)


class StyleEncoder(nn.Module):
    """A reference face to its style, read as each domain: (N, 3, S, S) RGB in [-1, 1] to (N, domains, style)."""

    def __init__(self, size: int = 256, domains: int = len(DOMAINS), style: int = STYLE) -> None:
        super().__init__()
        channels = FIRST_LAYER // size
        blocks: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1)]
        for _ in range(int(math.log2(size)) - 2):
            deeper = min(2 * channels, MAX_CHANNELS)
            blocks.append(ResBlk(channels, deeper, downsample=True))
            channels = deeper
        blocks += [nn.LeakyReLU(0.2), nn.Conv2d(channels, channels, 4), nn.LeakyReLU(0.2)]
        self.shared = nn.Sequential(*blocks)
        self.unshared = nn.ModuleList(nn.Linear(channels, style) for _ in range(domains))

    def forward(self, image: Tensor) -> Tensor:
        h = self.shared(image).flatten(1)
        return torch.stack([head(h) for head in self.unshared], dim=1)


def load_generator(state: Mapping[str, Tensor]) -> Generator:
    """The generator of a checkpoint's `generator`, ready to run; side and high-pass skips follow from its weights.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    size = _side(shape_of(state, "from_rgb.weight", (64, 3, 3, 3)))
    _, style = shape_of(state, "decode.0.norm1.fc.weight", (2 * MAX_CHANNELS, STYLE))
    blocks = parts_under(state, "encode.")
    high_pass = 1.0 if blocks > int(math.log2(size)) - 2 else 0.0
    return build(lambda: Generator(size, high_pass, style), state, optional=["hpf.filter"])


def load_mapping(state: Mapping[str, Tensor]) -> MappingNetwork:
    """The mapping of a checkpoint's `mapping_network`, ready to run. Errors as in `load_generator`."""
    _, latent = shape_of(state, "shared.0.weight", (MAX_CHANNELS, LATENT))
    style, _ = shape_of(state, "unshared.0.6.weight", (STYLE, MAX_CHANNELS))
    domains = parts_under(state, "unshared.")
    return build(lambda: MappingNetwork(domains, latent, style), state)


def load_style_encoder(state: Mapping[str, Tensor]) -> StyleEncoder:
    """The style encoder of a checkpoint's `style_encoder`, ready to run. Errors as in `load_generator`."""
    size = _side(shape_of(state, "shared.0.weight", (64, 3, 3, 3)))
    style, _ = shape_of(state, "unshared.0.weight", (STYLE, MAX_CHANNELS))
    domains = parts_under(state, "unshared.")
    return build(lambda: StyleEncoder(size, domains, style), state)


def _side(first: tuple[int, ...]) -> int:
    """Side of the pictures, from the shape of the first layer; 256 where no network has such a layer."""
    size = FIRST_LAYER // first[0]
    return size if size >= 2 * SKIP_SIDES[0] and size * first[0] == FIRST_LAYER else 256
