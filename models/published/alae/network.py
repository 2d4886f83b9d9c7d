"""StyleALAE: an autoencoder whose latent is StyleGAN's W (Pidhorskyi et al., CVPR 2020), with its attribute edit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.weights.checkpoints import CheckpointError, build, parts_under, shape_of

MOST_LAYERS = 11
"""Of any model: 4096 pixels."""

FUSED_SIDE = 128
"""From this side on the strided convolutions carry the resampling themselves."""


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of a published model.

    Attributes:
        layers: blocks of the encoder and of the decoder; the picture's side is 2 ** (layers + 1).
        width: channels at full resolution; they double inwards up to `latent`.
        latent: length of W and most channels of a layer.
    """

    layers: int
    width: int
    latent: int

    @property
    def size(self) -> int:
        return 2 ** (self.layers + 1)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels from full resolution inwards, one more than there are layers."""
        return tuple(min(self.width * 2**i, self.latent) for i in range(self.layers + 1))


FFHQ = Config(layers=9, width=16, latent=512)
CELEBA_HQ_256 = Config(layers=7, width=64, latent=512)
CELEBA_128 = Config(layers=6, width=64, latent=256)


class Blur(nn.Module):
    """3x3 binomial filter, zero border."""

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        taps = torch.tensor([1.0, 2.0, 1.0], device="cpu")
        self.register_buffer("weight", (taps[:, None] * taps / 16).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, padding=1, groups=self.channels)


def _spread_kernel(weight: Tensor) -> Tensor:
    """A 3x3 kernel as the 4x4 one that resamples by two as well: the sum of its four half-pixel shifts."""
    weight = F.pad(weight, (1, 1, 1, 1))
    return weight[..., 1:, 1:] + weight[..., :-1, 1:] + weight[..., 1:, :-1] + weight[..., :-1, :-1]


class Weight(nn.Module):
    """A convolution's weight under its name in the checkpoint.

    Args:
        shape: of the 3x3 kernel.
        gain: of the 4x4 kernel that also resamples, see `resampling`.
    """

    resampler: Tensor | None

    def __init__(self, *shape: int, gain: float = 1) -> None:
        super().__init__()
        self.gain = gain
        self.weight = nn.Parameter(torch.randn(*shape) / math.sqrt(math.prod(shape[1:])))
        self.register_buffer("resampler", None, persistent=False)

    def resampling(self) -> Tensor:
        """The 4x4 kernel, computed here or by `freeze` once and for all."""
        return _spread_kernel(self.weight) * self.gain if self.resampler is None else self.resampler


class FromRGB(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.from_rgb = nn.Conv2d(3, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.from_rgb(x), 0.2)


class ToRGB(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_rgb = nn.Conv2d(channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.to_rgb(x)
        return out


class EncodeBlock(nn.Module):
    """Two convolutions; each takes the mean and deviation of its channels out of the picture and into the latent."""

    def __init__(self, inputs: int, outputs: int, latent: int, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.conv_1 = Weight(inputs, inputs, 3, 3)
        self.bias_1 = nn.Parameter(torch.zeros(1, inputs, 1, 1))
        self.style_1 = nn.Linear(2 * inputs, latent)
        self.blur = Blur(inputs)
        self.conv_2 = Weight(outputs, inputs, 3, 3, gain=0.25)
        self.bias_2 = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.style_2 = nn.Linear(2 * outputs, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns: the picture at half the side, normalised; this block's share of W (N, latent)."""
        x = F.leaky_relu(F.conv2d(x, self.conv_1.weight, padding=1) + self.bias_1, 0.2)
        w = self.style_1(_statistics(x))
        x = self.blur(F.instance_norm(x))
        if self.fused:
            x = F.conv2d(x, self.conv_2.resampling(), stride=2, padding=1)
        else:
            x = F.avg_pool2d(F.conv2d(x, self.conv_2.weight, padding=1), 2)
        x = F.leaky_relu(x + self.bias_2, 0.2)
        return F.instance_norm(x), w + self.style_2(_statistics(x))


def _statistics(x: Tensor) -> Tensor:
    """(N, 2C): mean and standard deviation per channel, the latter without an epsilon."""
    mean = x.mean(dim=(2, 3))
    deviation = (x - mean[:, :, None, None]).square().mean(dim=(2, 3)).sqrt()
    return torch.cat([mean, deviation], dim=1)


class Encoder(nn.Module):
    """The encoder E: (N, 3, S, S) RGB in [-1, 1] to W (N, latent)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = config.channels
        self.from_rgb = nn.ModuleList(FromRGB(count) for count in channels[:-1])
        self.encode_block = nn.ModuleList(
            EncodeBlock(before, after, config.latent, fused=config.size >> i >= FUSED_SIDE)
            for i, (before, after) in enumerate(pairwise(channels))
        )

    def forward(self, image: Tensor) -> Tensor:
        # The authors apply the activation of the first layer twice.
        x = F.leaky_relu(self.from_rgb[0](image), 0.2)
        total: Tensor | None = None
        for block in self.encode_block:
            x, w = block(x)
            total = w if total is None else total + w
        assert total is not None
        return total


class DecodeBlock(nn.Module):
    """StyleGAN's block: convolution, noise, bias, leaky ReLU, AdaIN, twice. The first one starts from a constant."""

    def __init__(self, layer: int, inputs: int, outputs: int, latent: int) -> None:
        super().__init__()
        self.layer = layer
        self.outputs = outputs
        self.fused = 4 << layer >= FUSED_SIDE
        if layer:
            self.conv_1 = Weight(*((inputs, outputs) if self.fused else (outputs, inputs)), 3, 3)
        self.blur = Blur(outputs)
        self.conv_2 = Weight(outputs, outputs, 3, 3)
        for i in (1, 2):
            self.register_parameter(f"noise_weight_{i}", nn.Parameter(torch.zeros(1, outputs, 1, 1)))
            self.register_parameter(f"bias_{i}", nn.Parameter(torch.zeros(1, outputs, 1, 1)))
            self.add_module(f"style_{i}", nn.Linear(latent, 2 * outputs))

    def forward(self, x: Tensor, w: tuple[Tensor, Tensor], noise: tuple[Tensor, Tensor] | None) -> Tensor:
        if self.layer:
            if self.fused:
                x = F.conv_transpose2d(x, self.conv_1.resampling(), stride=2, padding=1)
            else:
                x = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), self.conv_1.weight, padding=1)
            x = self.blur(x)
        x = self._finish(x, 1, w[0], noise and noise[0])
        return self._finish(F.conv2d(x, self.conv_2.weight, padding=1), 2, w[1], noise and noise[1])

    def _finish(self, x: Tensor, i: int, w: Tensor, noise: Tensor | None) -> Tensor:
        if noise is not None:
            x = x + self.get_parameter(f"noise_weight_{i}") * noise
        else:
            s = math.sqrt(self.layer + 1)
            x = x + s * torch.exp(-x.square() / (2 * s * s)) / math.sqrt(2 * math.pi) * 0.8
        x = F.leaky_relu(x + self.get_parameter(f"bias_{i}"), 0.2)
        scale, shift = self.get_submodule(f"style_{i}")(w)[:, :, None, None].chunk(2, dim=1)
        # The weight of ones tells an exporter the number of channels, which it cannot see behind a free batch.
        ones = torch.ones(self.outputs, dtype=x.dtype, device=x.device)
        out: Tensor = F.instance_norm(x, weight=ones, bias=ones * 0, eps=1e-8) * (scale + 1) + shift
        return out


class Decoder(nn.Module):
    """The generator G: W per layer to a picture."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        channels = config.channels[-2::-1]
        self.const = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.decode_block = nn.ModuleList(
            DecodeBlock(i, channels[max(i - 1, 0)], count, config.latent) for i, count in enumerate(channels)
        )
        self.to_rgb = nn.ModuleList(ToRGB(count) for count in channels)

    def forward(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Draw a face.

        Args:
            w: (N, 2 * layers, latent), one row per style.
            noise: two (1 or N, 1, side, side) maps per layer, sides 4, 4, 8, 8, ..., the same ones over a video. None
                is the authors' noise=False: not zero noise, but a bump added where an activation is near zero.

        Returns:
            (N, 3, S, S) RGB, about [-1, 1], unclamped.
        """
        x = self.const.expand(w.shape[0], -1, -1, -1)
        for i, block in enumerate(self.decode_block):
            maps = None if noise is None else (noise[2 * i], noise[2 * i + 1])
            x = block(x, (w[:, 2 * i], w[:, 2 * i + 1]), maps)
        out: Tensor = self.to_rgb[-1](x)
        return out


class MapBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.fc(x), 0.2)


class MappingNetwork(nn.Module):
    """The mapping F: (N, latent) Gaussian noise to W (N, latent)."""

    def __init__(self, latent: int, layers: int = 8) -> None:
        super().__init__()
        self.map_blocks = nn.ModuleList(MapBlock(latent, latent) for _ in range(layers))

    def forward(self, z: Tensor) -> Tensor:
        x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for block in self.map_blocks:
            x = block(x)
        return x


OPTIONAL_KEYS = ("*.blur.weight",)
"""Constants that a file may lack."""


def config_of(encoder: Mapping[str, Tensor]) -> Config:
    """The sizes of a model, read from the shapes in its encoder's state.

    Raises:
        CheckpointError: it is not the state of an encoder.
    """
    layers = min(parts_under(encoder, "encode_block."), MOST_LAYERS)
    if not layers:
        raise CheckpointError("not the encoder of a StyleALAE: it has no encode_block")
    width, *_ = shape_of(encoder, "from_rgb.0.from_rgb.weight", (FFHQ.width, 3, 1, 1))
    latent, _ = shape_of(encoder, "encode_block.0.style_1.weight", (FFHQ.latent, 2 * FFHQ.width))
    return Config(layers, width, latent)


def decoder_config(decoder: Mapping[str, Tensor]) -> Config:
    """The sizes of a model, read from the shapes in its decoder's state.

    Raises:
        CheckpointError: it is not the state of a decoder.
    """
    layers = min(parts_under(decoder, "to_rgb."), MOST_LAYERS)
    if not layers:
        raise CheckpointError("not the decoder of a StyleALAE: it has no to_rgb")
    _, width, *_ = shape_of(decoder, f"to_rgb.{layers - 1}.to_rgb.weight", (3, FFHQ.width, 1, 1))
    _, latent = shape_of(decoder, "decode_block.0.style_1.weight", (2 * FFHQ.latent, FFHQ.latent))
    return Config(layers, width, latent)


def load_encoder(state: Mapping[str, Tensor], config: Config) -> Encoder:
    """The encoder of a checkpoint's `models/discriminator_s`, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    return build(lambda: Encoder(config), state, optional=OPTIONAL_KEYS)


def load_decoder(state: Mapping[str, Tensor], config: Config) -> Decoder:
    """The decoder of a checkpoint's `models/generator_s`, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    return build(lambda: Decoder(config), state, optional=OPTIONAL_KEYS)


def load_mapping(state: Mapping[str, Tensor]) -> MappingNetwork:
    """The mapping of a checkpoint's `models/mapping_fl_s`, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    layers = parts_under(state, "map_blocks.")
    latent, _ = shape_of(state, "map_blocks.0.fc.weight", (FFHQ.latent, FFHQ.latent))
    return build(lambda: MappingNetwork(latent, layers), state)


class FixedNoise(nn.Module):
    """`Decoder` for an engine: the noise of one seed is part of the graph, so that nothing flickers."""

    def __init__(self, decoder: Decoder, seed: int = 0) -> None:
        super().__init__()
        self.decoder = decoder
        random = torch.Generator().manual_seed(seed)
        for i in range(2 * len(decoder.decode_block)):
            side = 4 << i // 2
            self.register_buffer(f"noise_{i}", torch.randn(1, 1, side, side, generator=random))

    def forward(self, w: Tensor) -> Tensor:
        """As `Decoder.forward`."""
        noise = [self.get_buffer(f"noise_{i}") for i in range(2 * len(self.decoder.decode_block))]
        out: Tensor = self.decoder(w, noise)
        return out


def freeze(network: nn.Module) -> None:
    """Compute the resampling kernels once; the weights may not change any more. An exported graph needs it."""
    for module in network.modules():
        if isinstance(module, Weight):
            module.resampler = module.resampling().detach()
