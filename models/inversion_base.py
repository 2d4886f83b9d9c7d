"""What the recipes that invert a photo share: the types, the error, the distance of feature maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Features = Callable[[Tensor], Sequence[Tensor]]
"""Face (N, 3, 256, 256) in [-1, 1] -> feature maps (N, C, H, W)."""

Progress = Callable[[int, int, float], None]
"""Called with the step, the number of steps and the loss."""


class InversionError(ValueError):
    """A photo cannot be inverted; the message says why."""


@dataclass(frozen=True, slots=True)
class Inversion:
    """What the descent found.

    Attributes:
        codes: W+ (1, rows, D), the best of all steps.
        first, best: loss of the guess and of the best code.
        steps: how many were made.
    """

    codes: Tensor
    first: float
    best: float
    steps: int


def unit_difference(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Distance of feature maps (N, C, H, W), of unit length per place as in LPIPS: the mean over places and levels."""
    levels = zip(found, wanted, strict=True)
    return torch.stack([(_unit(have) - _unit(want)).square().sum(1).mean() for have, want in levels]).mean()


def _unit(level: Tensor) -> Tensor:
    return level / (level.square().sum(1, keepdim=True) + 1e-8).sqrt()
