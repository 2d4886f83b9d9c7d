"""Batches of the head's ageing as tensors, and how its critics see them: unwrapped, varied, under a wrong age."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.face.texture_space import SIZE as TEXTURE
from models.training.ageing.samples import Sample
from models.training.data import SIZE

WRONG_BY = 18.0
"""Years by which a wrong label is wrong at least."""


def batch_of(samples: list[Sample], device: torch.device) -> dict[str, Tensor]:
    """The fields of `Sample` by name, stacked along a first axis."""

    def stacked(name: str) -> NDArray[Any]:
        return np.stack([np.asarray(getattr(sample, name), np.float32) for sample in samples])

    pictures = {
        name: torch.from_numpy(stacked(name)).to(device, memory_format=torch.channels_last)
        for name in ("planes", "photograph")
    }
    others = {
        name: torch.from_numpy(stacked(name)).to(device)
        for name in ("nodes", "head", "male", "source", "target", "own", "hint")
    }
    return pictures | others


def unwrap(pictures: Tensor, nodes: Tensor) -> Tensor:
    """Portraits sampled into the texture square, (B, C, 192, 192).

    Args:
        pictures: (B, C, 256, 256).
        nodes: (B, 64, 64, 2), pixels of the lattice.
    """
    grid = functional.interpolate(nodes.permute(0, 3, 1, 2), (TEXTURE, TEXTURE), mode="bilinear", align_corners=False)
    grid = grid.permute(0, 2, 3, 1) * (2 / (SIZE - 1)) - 1
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=True)


def vary(view: Tensor, generator: np.random.Generator) -> Tensor:
    """Shift, brightness, colour and a hole, another for each picture; the same operations on gradients."""
    count, channels, height, width = view.shape
    rgb, rest = view[:, :3], view[:, 3:]
    light, colour = torch.from_numpy(generator.normal(0, (0.12, 0.15), (count, 2)).astype(np.float32)).to(view).T
    rgb = rgb + light[:, None, None, None]
    middle = rgb.mean(1, keepdim=True)
    rgb = middle + (rgb - middle) * (1 + colour[:, None, None, None])
    view = torch.cat([rgb, rest], 1) if channels > 3 else rgb
    moved = []
    for place in range(count):
        right, down = (int(generator.integers(-height // 12, height // 12 + 1)) for _ in range(2))
        picture = torch.roll(view[place], (down, right), (1, 2))
        hole = torch.ones_like(picture[:1])
        if generator.random() < 0.4:
            top, left = (int(generator.integers(0, side)) for side in (height, width))
            hole[:, top : top + height // 4, left : left + width // 4] = 0
        moved.append(picture * hole)
    return torch.stack(moved)


def wrong_age(own: Tensor, generator: np.random.Generator) -> Tensor:
    """Another age for each, at least `WRONG_BY` years off."""
    years = []
    for age in own.tolist():
        low, high = max(0.0, age - WRONG_BY - 16), max(0.0, 88 - (age + WRONG_BY))
        place = generator.uniform(0, low + high)
        years.append(16 + place if place < low else age + WRONG_BY + (place - low))
    return torch.tensor(years, dtype=own.dtype, device=own.device)


def fine(x: Tensor) -> Tensor:
    """What is finer than 16 pixels of the mean of the channels."""
    grey = x.mean(1, keepdim=True)
    broad = functional.interpolate(functional.avg_pool2d(grey, 8), scale_factor=8.0, mode="bilinear")
    return grey - broad


def edges(x: Tensor) -> Tensor:
    """Mean absolute differences of neighbours along both axes, added up."""
    return (x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()
