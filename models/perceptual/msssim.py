"""Multi-scale structural similarity (Wang et al. 2003), with the constants of TensorFlow's `ssim_multiscale`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SHARES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, from fine to coarse."""
WINDOW, SIGMA = 11, 1.5
SMALLEST = 1e-12
"""Below it a scale counts as 0: a power's slope at 0 is infinite."""
K1, K2 = 0.01, 0.03


def ms_ssim(one: Tensor, other: Tensor, range_: float) -> Tensor:
    """Similarity of two pictures, (N,), 1 for equal ones.

    Args:
        one: (N, C, S, S), S at least 176.
        other: the same.
        range_: difference between the largest and the smallest value that the constants assume.
    """
    factors = []
    for scale in range(len(SHARES)):
        if scale:
            one, other = (F.avg_pool2d(picture, 2, ceil_mode=True) for picture in (one, other))
        similarity, contrast = _ssim(one, other, range_)
        factors.append((similarity if scale == len(SHARES) - 1 else contrast).relu())
    shares = torch.tensor(SHARES, device=one.device)[:, None, None]
    stacked = torch.stack(factors)
    powers = stacked.clamp_min(SMALLEST).pow(shares)
    return torch.where(stacked > SMALLEST, powers, torch.zeros_like(powers)).prod(0).mean(1)


def _ssim(one: Tensor, other: Tensor, range_: float) -> tuple[Tensor, Tensor]:
    """Mean similarity, and mean contrast-structure part, each (N, C)."""
    channels = one.shape[1]
    axis = torch.arange(WINDOW, device=one.device) - (WINDOW - 1) / 2
    line = torch.softmax(-axis.square() / (2 * SIGMA**2), 0)
    kernel = torch.outer(line, line).expand(channels, 1, -1, -1)

    def mean(picture: Tensor) -> Tensor:
        return F.conv2d(picture, kernel, groups=channels)

    first, second = mean(one), mean(other)
    c1, c2 = (K1 * range_) ** 2, (K2 * range_) ** 2
    light = (2 * first * second + c1) / (first.square() + second.square() + c1)
    joint = 2 * mean(one * other) - 2 * first * second
    spread = mean(one.square() + other.square()) - first.square() - second.square()
    contrast = (joint + c2) / (spread + c2)
    return (light * contrast).mean((2, 3)), contrast.mean((2, 3))
