"""From a face to W+ of StyleGAN2: pSp, e4e and ReStyle, with the key names of their authors' checkpoints.

All share an IR-SE-50 trunk (ArcFace's) and one small convolutional head per row of W+. pSp (Richardson et al., CVPR
2021) reads coarse, middle and fine rows from a feature pyramid. e4e (Tov et al., SIGGRAPH 2021) predicts one w and an
offset per row. ReStyle (Alaluf et al., ICCV 2021) reads all rows from the last features of the face and of the picture
drawn so far, and refines the code in a few rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.published.stylegan.stylegan2 import EqualLinear, Generator, load_generator
from models.weights.checkpoints import (
    CheckpointError,
    build,
    parts_under,
    read,
    report_rest,
    shape_of,
    tensors_in,
    under,
)

STAGES = ((64, 64, 3), (64, 128, 4), (128, 256, 14), (256, 512, 3))
"""The trunk: (channels in, channels out, units); the first unit of each stage halves the side."""

COARSE_END, MIDDLE_END = 3, 7
"""Rows [0, 3) are read at 16x16, rows [3, 7) at 32x32, the rest at 64x64 (for a 256x256 face)."""

WIDTH = 512
FACE_SIDE = 256
"""Side of the face crop the encoders were trained on."""

ROUNDS = 5
"""Of ReStyle's refinement, as its authors take."""

COUNTERS = ("*.num_batches_tracked",)
"""Keys of training that inference does not read."""


class Trunk(nn.Module):
    """IR-SE-50 without its classifier.

    Args:
        input_channels: 3 for RGB; 4 with an age plane (SAM); 6 with the picture drawn so far (ReStyle).
    """

    def __init__(self, input_channels: int) -> None:
        super().__init__()
        self.input_channels = input_channels
        width = STAGES[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(input_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        self.body = nn.Sequential(
            *(
                Unit(below if unit == 0 else here, here, stride=2 if unit == 0 else 1)
                for below, here, units in STAGES
                for unit in range(units)
            )
        )

    def features(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The last map of the second, third and fourth stage: 128, 256, 512 channels at 1/4, 1/8, 1/16 of the side."""
        ends = [sum(units for _, _, units in STAGES[: stage + 1]) for stage in range(len(STAGES))]
        fine = self.body[: ends[1]](self.input_layer(image))
        middle = self.body[ends[1] : ends[2]](fine)
        return fine, middle, self.body[ends[2] :](middle)


class GradualStyleEncoder(Trunk):
    """pSp: face (N, C, 256, 256) in [-1, 1] -> W+ offsets (N, rows, 512) from the average code."""

    def __init__(self, rows: int = 18, input_channels: int = 3) -> None:
        super().__init__(input_channels)
        self.styles = nn.ModuleList(Head(halvings=4 + (row >= COARSE_END) + (row >= MIDDLE_END)) for row in range(rows))
        self.latlayer1 = nn.Conv2d(STAGES[2][1], WIDTH, 1)
        self.latlayer2 = nn.Conv2d(STAGES[1][1], WIDTH, 1)

    def heads(self, image: Tensor) -> list[Tensor]:
        """What each head reads from its level of the pyramid: rows x (N, 512)."""
        fine, middle, coarse = self.features(image)
        p2 = _upsample(coarse) + self.latlayer1(middle)
        p1 = _upsample(p2) + self.latlayer2(fine)
        return [
            head(coarse if row < COARSE_END else p2 if row < MIDDLE_END else p1) for row, head in enumerate(self.styles)
        ]

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack(self.heads(image), 1)


class Encoder4Editing(GradualStyleEncoder):
    """e4e: the same tensors as pSp's, read differently: head 0 gives w for all rows, the others what their row adds."""

    def forward(self, image: Tensor) -> Tensor:
        return _progressive(self.heads(image))


class BackboneEncoder(Trunk):
    """ReStyle over pSp: face and drawn picture (N, 6, 256, 256) -> what the code must change by (N, rows, 512)."""

    def __init__(self, rows: int = 18, input_channels: int = 6) -> None:
        super().__init__(input_channels)
        self.styles = nn.ModuleList(Head(halvings=4) for _ in range(rows))

    def heads(self, image: Tensor) -> list[Tensor]:
        """What each head reads from the last features: rows x (N, 512)."""
        coarse = self.features(image)[-1]
        return [head(coarse) for head in self.styles]

    def forward(self, image: Tensor) -> Tensor:
        return torch.stack(self.heads(image), 1)


class ProgressiveBackboneEncoder(BackboneEncoder):
    """ReStyle over e4e: head 0 for all rows, the others what their row adds."""

    def forward(self, image: Tensor) -> Tensor:
        return _progressive(self.heads(image))


class FromAverage(nn.Module):
    """An encoder that answers with codes, not with offsets: face -> average + offsets, W+ (N, rows, 512).

    Args:
        encoder: gives offsets.
        average: (rows, 512) or (512,); zeros for the few networks trained without it.
    """

    average: Tensor

    def __init__(self, encoder: nn.Module, average: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("average", average)

    def forward(self, image: Tensor) -> Tensor:
        codes: Tensor = self.encoder(image) + self.average
        return codes


class ReStyle(nn.Module):
    """Iterative refinement: the encoder sees the face beside what its last code draws, and corrects the code.

    Args:
        encoder: gives corrections from (N, 6, 256, 256).
        generator: draws codes.
        average: (rows, 512), the first code.
    """

    average: Tensor

    def __init__(self, encoder: BackboneEncoder, generator: Generator, average: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.generator = generator
        self.register_buffer("average", average)

    def draw(self, codes: Tensor) -> Tensor:
        """Codes (N, rows, 512) -> the picture as the encoder sees it (N, 3, 256, 256)."""
        picture: Tensor = self.generator(codes)
        shrink = self.generator.size // FACE_SIDE
        if shrink:
            return F.avg_pool2d(picture, shrink)
        return F.interpolate(picture, scale_factor=FACE_SIDE // self.generator.size)

    def refine(self, image: Tensor, codes: Tensor, drawn: Tensor) -> Tensor:
        """One round.

        Args:
            image: face (N, 3, 256, 256) in [-1, 1].
            codes: the code so far, (N, rows, 512) or (rows, 512).
            drawn: its picture, (N, 3, 256, 256).

        Returns:
            The corrected code (N, rows, 512).
        """
        corrected: Tensor = self.encoder(torch.cat([image, drawn], 1)) + codes
        return corrected

    def forward(self, image: Tensor, rounds: int = ROUNDS) -> Tensor:
        return self.refine_from(image, self.draw(self.average[None]), rounds)

    def refine_from(self, image: Tensor, drawn: Tensor, rounds: int = ROUNDS) -> Tensor:
        """All rounds.

        Args:
            image: face (N, 3, 256, 256) in [-1, 1].
            drawn: the picture of the average, (1, 3, 256, 256).
            rounds: how many.

        Returns:
            The last code (N, rows, 512).
        """
        codes = self.refine(image, self.average, drawn.expand(image.shape[0], -1, -1, -1))
        for _ in range(rounds - 1):
            codes = self.refine(image, codes, self.draw(codes))
        return codes


class Unit(nn.Module):
    """Improved residual unit with squeeze and excitation (ArcFace): normalisation before and after two 3x3 kernels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module
        if in_channels == out_channels:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.PReLU(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            SqueezeExcitation(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.res_layer(x) + self.shortcut_layer(x)
        return y


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate read from all channels' means."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


class Head(nn.Module):
    """A feature map to one row of W+: halve the side until one pixel is left, then a linear layer."""

    def __init__(self, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(halvings):
            layers += [nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1), nn.LeakyReLU()]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        row: Tensor = self.linear(self.convs(x).flatten(1))
        return row


ENCODERS: Mapping[str, type[GradualStyleEncoder | BackboneEncoder]] = {
    "GradualStyleEncoder": GradualStyleEncoder,
    "Encoder4Editing": Encoder4Editing,
    "BackboneEncoder": BackboneEncoder,
    "ResNetBackboneEncoder": BackboneEncoder,
    "ProgressiveBackboneEncoder": ProgressiveBackboneEncoder,
}
"""`encoder_type` of a checkpoint's options -> network. pSp's and e4e's tensors fit each other: only the name tells."""


@dataclass(frozen=True)
class Inverter:
    """What a checkpoint of pSp, e4e or ReStyle holds.

    Attributes:
        encoder: gives offsets from `average`, or ReStyle's corrections.
        generator: its decoder.
        average: (rows, 512); zeros if the network was trained without it.
        options: the authors' training options.
    """

    encoder: GradualStyleEncoder | BackboneEncoder
    generator: Generator
    average: Tensor
    options: Mapping[str, Any]

    def codes(self, image: Tensor, rounds: int = ROUNDS) -> Tensor:
        """Face (N, 3, 256, 256) in [-1, 1] -> W+ (N, rows, 512); `rounds` counts for ReStyle alone."""
        return self.network()(image, rounds) if self.iterative else self.network()(image)

    @property
    def iterative(self) -> bool:
        return isinstance(self.encoder, BackboneEncoder)

    def network(self) -> nn.Module:
        """The whole encoder as one module, for export."""
        if isinstance(self.encoder, BackboneEncoder):
            return ReStyle(self.encoder, self.generator, self.average).eval()
        return FromAverage(self.encoder, self.average).eval()


def load_encoder(state: Mapping[str, Tensor], kind: str, prefix: str = "encoder.") -> Any:
    """One encoder from a state dict.

    Args:
        state: tensors by key.
        kind: a name of `ENCODERS`; the tensors alone do not tell pSp from e4e.
        prefix: of the encoder's keys.

    Returns:
        The network, frozen, in eval mode; rows and input channels as the weights have them.

    Raises:
        CheckpointError: an unknown kind, or keys that do not fit.
    """
    if kind not in ENCODERS:
        raise CheckpointError(f"no encoder of type {kind!r}; there are {', '.join(ENCODERS)}")
    own = under(state, prefix)
    first = shape_of(own, "input_layer.0.weight", (64, 3, 3, 3))
    rows = parts_under(own, "styles.")
    return build(lambda: ENCODERS[kind](rows or 18, first[1]), own, optional=COUNTERS)


def load_inverter(path: str | Path) -> Inverter:
    """Open a checkpoint of pSp, e4e or ReStyle as its authors publish it.

    Raises:
        CheckpointError: see `models.weights.checkpoints.read`; or options or keys do not fit.
    """
    saved = read(path)
    state = tensors_in(saved, "state_dict", origin=str(path))
    report_rest(state, ("encoder.", "decoder."), str(path))
    options = saved.get("opts")
    options = dict(options) if isinstance(options, Mapping) else {}
    generator = load_generator(state, prefix="decoder.")
    average = saved.get("latent_avg")
    if average is None or not options.get("start_from_latent_avg", True):
        average = torch.zeros(generator.rows, generator.style_dim)
    return Inverter(
        encoder=load_encoder(state, str(options.get("encoder_type", "GradualStyleEncoder"))),
        generator=generator,
        average=average_of(average, generator, str(path)),
        options=options,
    )


def average_of(saved: Any, generator: Generator, origin: str) -> Tensor:
    """A checkpoint's `latent_avg`, (rows, D) or (D,), as (rows, D) of its generator.

    Raises:
        CheckpointError: it is something else.
    """
    wanted = (generator.rows, generator.style_dim)
    if not isinstance(saved, Tensor) or tuple(saved.shape) not in (wanted, (1, *wanted), wanted[1:], (1, wanted[1])):
        found = tuple(saved.shape) if isinstance(saved, Tensor) else type(saved).__name__
        raise CheckpointError(f"{origin}: latent_avg is {found}, the generator takes {wanted}")
    return saved.reshape(-1, wanted[1]).float().expand(wanted)


def _progressive(heads: list[Tensor]) -> Tensor:
    base, *offsets = heads
    return torch.stack([base, *(base + offset for offset in offsets)], 1)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
