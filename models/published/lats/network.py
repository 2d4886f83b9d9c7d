"""LATS: a face through its lifespan, six age classes with a continuous path between them (Or-El et al., ECCV 2020)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.published.lats.editor import AGE_CLASSES
from models.weights.checkpoints import build, shape_of

CODE_PER_CLASS = 50
"""The age code of class i is 300 numbers, the i-th block of 50 one and the rest zero."""

UNUSED_KEYS = ("age_encoder.*", "*.blur.weight", "*.blur.weight_flip")
"""Keys of the checkpoints that an edit never reads: the age encoder serves training only, the blurs are constants."""


class PixelNorm(nn.Module):
    """Divide each pixel's channels by their root mean square."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-5)


class EqualConv2d(nn.Module):
    """Convolution whose stored weight is scaled by sqrt(2 / fan_in) at run time (equalised learning rate)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.scale = math.sqrt(2 / (inputs * kernel * kernel))
        self.conv = nn.ParameterDict(
            {"weight_orig": torch.randn(outputs, inputs, kernel, kernel), "bias": torch.zeros(outputs)}
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv["weight_orig"] * self.scale, self.conv["bias"], self.stride)


class EqualLinear(nn.Module):
    """Linear layer with the same scaling as `EqualConv2d`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.scale = math.sqrt(2 / inputs)
        self.linear = nn.ParameterDict({"weight_orig": torch.randn(outputs, inputs), "bias": torch.zeros(outputs)})

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.linear["weight_orig"] * self.scale, self.linear["bias"])


class ResnetBlock(nn.Module):
    """x + PN(conv(ReLU(PN(conv(x))))), 3x3, reflected borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            EqualConv2d(channels, channels, 3),
            PixelNorm(),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            EqualConv2d(channels, channels, 3),
            PixelNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv_block(x)
        return out


class IdentityEncoder(nn.Module):
    """What stays of a face at every age: (N, 3, S, S) RGB in [-1, 1] to (N, 4 * width, S/4, S/4)."""

    def __init__(self, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), EqualConv2d(3, width, 7), PixelNorm(), nn.ReLU()]
        for _ in range(2):
            layers += [nn.ReflectionPad2d(1), EqualConv2d(width, 2 * width, 3, stride=2), PixelNorm(), nn.ReLU()]
            width *= 2
        layers += [ResnetBlock(width) for _ in range(blocks)]
        self.encoder = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        out: Tensor = self.encoder(image)
        return out


class AgeMapping(nn.Module):
    """Age code (N, 300) to age latent (N, 256): eight linear layers, every input normalised."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [PixelNorm(), EqualLinear(inputs, width)]
        for _ in range(7):
            layers += [nn.LeakyReLU(0.2), PixelNorm(), EqualLinear(width, width)]
        self.model = nn.Sequential(*layers, PixelNorm())

    def forward(self, code: Tensor) -> Tensor:
        out: Tensor = self.model(code)
        return out


class ModulatedConv2d(nn.Module):
    """3x3 convolution whose input channels are scaled by 1 + PN(affine(w)) and whose output has unit variance again.

    The scale acts on the activations instead of the weights: the same function, and the weights stay constant.
    """

    def __init__(self, inputs: int, outputs: int, latent: int, upsample: bool = False) -> None:
        super().__init__()
        self.outputs = outputs
        self.upsample = upsample
        self.scale = math.sqrt(2 / (inputs * 9))
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))
        self.mlp_class_std = nn.Sequential(EqualLinear(latent, inputs), PixelNorm())

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        weight = self.weight * self.scale
        style = 1 + self.mlp_class_std(w)
        demodulation = torch.rsqrt(style.square() @ weight.square().sum(dim=(2, 3)).T + 1e-5)
        x = x * style[:, :, None, None]
        if self.upsample:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight)
        x = x * demodulation[:, :, None, None] + self.bias
        return _blur(x, self.outputs) if self.upsample else x


def _blur(x: Tensor, channels: int) -> Tensor:
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = (taps[:, None] * taps / 16).expand(channels, 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=channels)


class StyledConvBlock(nn.Module):
    """Two modulated convolutions, each followed by a leaky ReLU with gain sqrt(2) and PixelNorm."""

    def __init__(self, inputs: int, outputs: int, latent: int, upsample: bool = False) -> None:
        super().__init__()
        self.conv0 = ModulatedConv2d(inputs, outputs, latent, upsample)
        self.conv1 = ModulatedConv2d(outputs, outputs, latent)
        self.norm = PixelNorm()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        for conv in (self.conv0, self.conv1):
            x = self.norm(F.leaky_relu(conv(x, w), 0.2) * math.sqrt(2))
        return x


class Decoder(nn.Module):
    """Identity features and an age latent to a picture of the face at that age."""

    def __init__(self, width: int = 64, latent: int = 256) -> None:
        super().__init__()
        deep = 4 * width
        for i in range(4):
            self.add_module(f"StyledConvBlock_{i}", StyledConvBlock(deep, deep, latent))
        self.add_module("StyledConvBlock_up0", StyledConvBlock(deep, 2 * width, latent, upsample=True))
        self.add_module("StyledConvBlock_up1", StyledConvBlock(2 * width, width, latent, upsample=True))
        self.conv_img = nn.Sequential(EqualConv2d(width, 3, 1), nn.Tanh())
        self.mlp = AgeMapping(CODE_PER_CLASS * len(AGE_CLASSES), latent)

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        """Args: features (N, 4 * width, S/4, S/4), w (N, latent). Returns: (N, 3, S, S) RGB in [-1, 1]."""
        x = features
        for name, block in self.named_children():
            if name.startswith("StyledConvBlock"):
                x = block(x, w)
        out: Tensor = self.conv_img(x)
        return out


class Generator(nn.Module):
    """Identity encoder and decoder, as far as an edit needs them.

    Args:
        width: channels at full resolution; 64 in the released models.
        latent: length of an age latent; 256 in the released models.
    """

    def __init__(self, width: int = 64, latent: int = 256) -> None:
        super().__init__()
        self.id_encoder = IdentityEncoder(width)
        self.decoder = Decoder(width, latent)

    def class_latents(self) -> Tensor:
        """(6, latent): the latents of the six age classes, without the noise of training."""
        classes = len(AGE_CLASSES)
        like = next(self.parameters())
        codes = torch.eye(classes, device=like.device, dtype=like.dtype)
        out: Tensor = self.decoder.mlp(codes.repeat_interleave(CODE_PER_CLASS, dim=1))
        return out

    def forward(self, image: Tensor, class_weights: Tensor) -> Tensor:
        """Show a face at another age.

        Args:
            image: (N, 3, S, S) RGB in [-1, 1], everything but head, hair and neck grey (0).
            class_weights: (N, 6) share of each age class, summing to 1; two neighbours in continuous age. The mix is
                one of mapped latents, as in the authors' traversal, not of age codes.

        Returns:
            (N, 3, S, S) RGB in [-1, 1], background grey.
        """
        out: Tensor = self.decoder(self.id_encoder(image), class_weights @ self.class_latents())
        return out


def load_generator(state: Mapping[str, Tensor]) -> Generator:
    """The generator of a `latest_net_g_running.pth`, as wide as its weights, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    width, *_ = shape_of(state, "id_encoder.encoder.1.conv.weight_orig", (64, 3, 7, 7))
    latent, _ = shape_of(state, "decoder.mlp.model.1.linear.weight_orig", (256, CODE_PER_CLASS * len(AGE_CLASSES)))
    return build(lambda: Generator(width, latent), state, ignored=UNUSED_KEYS)


class Ageing(nn.Module):
    """`Generator` for an engine: the six age latents are computed once and stay in the graph as constants."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.id_encoder = generator.id_encoder
        self.decoder = generator.decoder
        self.register_buffer("latents", generator.class_latents().detach())

    def forward(self, image: Tensor, class_weights: Tensor) -> Tensor:
        """As `Generator.forward`."""
        out: Tensor = self.decoder(self.id_encoder(image), class_weights @ self.get_buffer("latents"))
        return out
