"""LATS: a face through its lifespan, six age classes with a continuous path between them (Or-El et al., ECCV 2020)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from engines.base import Engine
from models.checkpoints import build
from models.editor import Controls, Crop, CropSpec, Edit, Floats, Latent, Masks
from models.translation import border_fade, to_image, to_network

AGE_CLASSES = ("0-2", "3-6", "7-9", "15-19", "30-39", "50-69")
CLASS_MID_AGES = (1.0, 4.5, 8.0, 17.0, 34.5, 59.5)
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
        return _blur(x) if self.upsample else x


def _blur(x: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = (taps[:, None] * taps / 16).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])


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
    """The generator of a `latest_net_g_running.pth`, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    return build(Generator, state, ignored=UNUSED_KEYS)


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


MODELS = ("male", "female")


class LatsControls(Controls):
    """Without an age nothing is done."""

    age: float | None = Field(None, ge=0, le=70, title="Age", json_schema_extra={"unit": "years", "step": 1})
    model: Literal["male", "female"] = Field("female", title="Model")

    def neutral(self) -> bool:
        """No age, whichever model is chosen."""
        return self.age is None


GREY = 128
"""Background of the pictures that the network was trained on, and of those it draws."""
GREY_TOLERANCE = 0.12
"""A drawn pixel this near to grey, in [-1, 1], is background."""
NECK = 0.35
"""How far the neck, which our masks do not name, reaches below the face: a share of the face's height."""


class Lats:
    """LATS as a live editor. Its latent is the share of each age class, all zero for the camera's own face.

    Args:
        generators: engines of `Ageing` by model, inputs "image" and "class_weights", output "aged".
    """

    name = "lats"
    crop = CropSpec("ffhq_lats", 256)
    Controls = LatsControls
    needs_masks = True
    latent_seconds = 0.0

    def __init__(self, generators: Mapping[str, Engine]) -> None:
        self._generators = dict(generators)

    def encode(self, crop: Crop) -> Latent:
        """(12,) float32 zeros: the network needs no source age."""
        return np.zeros(len(MODELS) * len(AGE_CLASSES), np.float32)

    def steer(self, latent: Latent, controls: LatsControls) -> Latent:
        """The shares of the two age classes around the wanted age, in the six numbers of the chosen model.

        Raises:
            ValueError: the chosen model's weights are not there.
        """
        steered = np.zeros_like(latent)
        if controls.age is None:
            return steered
        if controls.model not in self._generators:
            raise ValueError(f"the {controls.model} model is not installed; there is {', '.join(self._generators)}")
        first = MODELS.index(controls.model) * len(AGE_CLASSES)
        steered[first : first + len(AGE_CLASSES)] = class_weights(controls.age)
        return steered

    def render(self, crop: Crop, latent: Latent, steered: Latent) -> Edit:
        """The face at the wanted age in place of the camera's; a latent on its way from zero fades it in."""
        size = len(crop.image)
        shares = steered.reshape(len(MODELS), len(AGE_CLASSES))
        model = int(shares.sum(1).argmax())
        strength = float(shares[model].sum())
        if strength <= 0:
            return Edit(mask=np.zeros((size, size), np.float32))
        keep = _kept(crop.masks, size)
        image = np.where(keep[..., None] > 0.5, crop.image, np.uint8(GREY))
        weights = (shares[model] / strength)[None]
        aged = self._generators[MODELS[model]].run({"image": to_network(image), "class_weights": weights})["aged"][0]
        mask = _drawn(aged) * border_fade(size)
        if crop.masks is not None:
            mask *= 1 - cv2.resize(crop.masks.occluder, (size, size), interpolation=cv2.INTER_LINEAR)
        return Edit(mask=mask * np.float32(min(strength, 1)), image=to_image(aged))


def class_weights(age: float) -> Floats:
    """The mix of age classes for an age in years: (6,) float32, linear between the middles of the classes."""
    return np.array([np.interp(age, CLASS_MID_AGES, row) for row in np.eye(len(CLASS_MID_AGES))], np.float32)


def _kept(masks: Masks | None, size: int) -> Floats:
    """Where the network sees the camera: hair, face and neck. Everywhere without masks."""
    if masks is None:
        return np.ones((size, size), np.float32)
    keep = np.maximum(masks.hair, masks.face)
    rows = np.flatnonzero((masks.face > 0.5).any(1))
    if len(rows):
        chin, height = int(rows[-1]), int(rows[-1] - rows[0] + 1)
        columns = np.flatnonzero((masks.face[chin - height // 4 : chin + 1] > 0.5).any(0))
        neck = np.s_[chin - height // 4 : chin + round(NECK * height), columns[0] : columns[-1] + 1]
        keep[neck] = np.maximum(keep[neck], masks.person[neck])
    out: Floats = cv2.resize(keep, (size, size), interpolation=cv2.INTER_LINEAR)
    return out


def _drawn(picture: Floats) -> Floats:
    """The head in a drawn picture (3, S, S), by its grey background: (S, S) in [0, 1], softened, holes filled."""
    colour = np.abs(picture - (GREY / 127.5 - 1)).max(0)
    head = (colour > GREY_TOLERANCE).astype(np.uint8)
    side = 2 * (len(head) // 64) + 1
    head = cv2.morphologyEx(head, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    outlines, _ = cv2.findContours(head, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(head.shape, np.float32)
    if outlines:
        cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, 1.0, cv2.FILLED)
    out: Floats = cv2.GaussianBlur(filled, (0, 0), len(head) / 128)
    return out
