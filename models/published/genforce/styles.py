"""GenForce's encoder of style vectors (GH-Feat, Xu et al., CVPR 2021): a ResNet with a pyramid of features.

Its codes are no W+: they are what StyleGAN's layers make of one, a scale and a shift per channel, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.published.stylegan import stylegan1
from models.published.stylegan.dialects import stylegan1_state
from models.weights.checkpoints import CheckpointError, build, parts_under, shape_of

UNUSED_KEYS = ("*.num_batches_tracked",)
FINAL_SIDE = 4
"""Side of the maps that the heads read."""
MOST_PARTS = 16


class BasicBlock(nn.Module):
    """ResNet's block of two convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + short)


class Pyramid(nn.Module):
    """Features of several sides, each with what the smaller ones know."""

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.lateral_conv_list = nn.ModuleList(nn.Conv2d(count, outputs, 3, padding=1) for count in channels)
        self.feature_conv_list = nn.ModuleList(nn.Conv2d(outputs, outputs, 3, padding=1) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        levels = [conv(x) for conv, x in zip(self.lateral_conv_list, features, strict=True)]
        for index in range(len(levels) - 1, 0, -1):
            factor = int(levels[index - 1].shape[2]) // int(levels[index].shape[2])
            levels[index - 1] = levels[index - 1] + F.interpolate(levels[index], scale_factor=factor, mode="nearest")
        return [conv(x) for conv, x in zip(self.feature_conv_list, levels, strict=True)]


class Alignment(nn.Module):
    """All levels at the smallest side, each with the smallest one added."""

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.fusion_conv_list = nn.ModuleList(nn.Conv2d(count, outputs, 3, padding=1) for count in channels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        *larger, smallest = levels
        base = self.fusion_conv_list[len(larger)](smallest)
        out = []
        for conv, x in zip(self.fusion_conv_list, larger, strict=False):
            factor = int(x.shape[2]) // int(smallest.shape[2])
            out.append(conv(F.avg_pool2d(x, factor)) + base)
        return [*out, base]


class Head(nn.Module):
    """The codes of one level."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.fc(x.flatten(1))[:, :, None, None])
        return y.flatten(1)


class Encoder(nn.Module):
    """RGB (N, 3, S, S) in [-1, 1] -> style vectors (N, rows, L), each filled up with zeros to the longest.

    Args:
        stages: channels of each stage and how many blocks it has.
        pyramid: channels of the pyramid and of the aligned maps.
        lengths: of each row's style vector, twice the channels of its layer.
        heads: how many values each head gives; rows lie in heads whole, in order.
    """

    def __init__(
        self,
        stages: Sequence[tuple[int, int]],
        pyramid: tuple[int, int],
        lengths: Sequence[int],
        heads: Sequence[int],
    ) -> None:
        super().__init__()
        self.size = FINAL_SIDE * 2 ** (len(stages) + 1)
        self.lengths = tuple(lengths)
        before = stages[0][0]
        self.conv1 = nn.Conv2d(3, before, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.stages = len(stages)
        for index, (channels, blocks) in enumerate(stages, 1):
            stride = 1 if index == 1 else 2
            parts = [
                BasicBlock(before, channels, stride),
                *(BasicBlock(channels, channels, 1) for _ in range(blocks - 1)),
            ]
            self.add_module(f"layer{index}", nn.Sequential(*parts))
            before = channels
        levels = [channels for channels, _ in stages[-len(heads) :]]
        self.fpn = Pyramid(levels, pyramid[0])
        self.sam = Alignment([pyramid[0]] * len(heads), pyramid[1])
        self.head_list = nn.ModuleList(Head(pyramid[1] * FINAL_SIDE**2, outputs) for outputs in heads)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        features = []
        for index in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{index}")(x)
            features.append(x)
        levels = self.sam(self.fpn(features[-len(self.head_list) :]))
        codes = torch.cat([head(level) for head, level in zip(self.head_list, levels, strict=True)], 1)
        rows = torch.split(codes, list(self.lengths), 1)
        return torch.stack([F.pad(row, (0, max(self.lengths) - row.shape[1])) for row in rows], 1)


class FirstValues(nn.Module):
    """The style vector of a layer out of a row that is filled up: (N, L) -> (N, count)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, row: Tensor) -> Tensor:
        return row[:, : self.count]


def load_generator(state: Mapping[str, Tensor]) -> stylegan1.Generator:
    """GenForce's or InterFaceGAN's StyleGAN without its mapping network, which style vectors have no use for.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    own = {key: value for key, value in stylegan1_state(state).items() if not key.startswith("mapping.")}
    return stylegan1.load_generator(own, optional=("mapping.*",))


def takes_styles(generator: stylegan1.Generator) -> stylegan1.Generator:
    """Make a StyleGAN take style vectors (N, rows, L) in place of its W+."""
    lengths = lengths_of(generator)
    for name in generator.synthesis.layers:
        style = generator.get_submodule(f"synthesis.{name}.epilogue.style_mod")
        style.add_module("dense", FirstValues(lengths.pop(0)))
    return generator


def load_encoder(state: Mapping[str, Tensor], lengths: Sequence[int]) -> Encoder:
    """The encoder of a checkpoint, frozen, in eval mode; its sizes follow from its shapes.

    Args:
        state: its tensors.
        lengths: of each row's style vector, see `lengths_of`.

    Raises:
        CheckpointError: keys are missing or mis-shaped, or the heads do not give whole rows.
    """
    count = min(max(parts_under(state, "layer") - 1, 1), MOST_PARTS)
    stages = []
    for index in range(1, count + 1):
        channels, *_ = shape_of(state, f"layer{index}.0.conv1.weight", (512, 512, 3, 3))
        stages.append((channels, min(max(parts_under(state, f"layer{index}."), 1), MOST_PARTS)))
    fpn, *_ = shape_of(state, "fpn.lateral_conv_list.0.weight", (512, 512, 3, 3))
    sam, *_ = shape_of(state, "sam.fusion_conv_list.0.weight", (512, 512, 3, 3))
    number = min(max(parts_under(state, "head_list."), 1), count)
    heads = [shape_of(state, f"head_list.{index}.fc.bias", (4096,))[0] for index in range(number)]
    if sum(heads) != sum(lengths):
        raise CheckpointError(f"its heads give {sum(heads)} values, the generator's layers take {sum(lengths)}")
    return build(lambda: Encoder(stages, (fpn, sam), lengths, heads), state, optional=UNUSED_KEYS, ignored=UNUSED_KEYS)


def lengths_of(generator: stylegan1.Generator) -> list[int]:
    """Length of the style vector of each of a generator's layers."""
    return [len(weight) for weight in style_weights(generator)]


def style_weights(generator: stylegan1.Generator) -> list[Tensor]:
    """(L, D) of each layer: the style vector is this matrix times a row of W+, and a bias."""
    weights = []
    for name in generator.synthesis.layers:
        dense = generator.get_submodule(f"synthesis.{name}.epilogue.style_mod.dense")
        assert isinstance(dense, stylegan1.Dense)
        weights.append(dense.linear.weight * dense.scale)
    return weights
