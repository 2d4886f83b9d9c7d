"""HairMapper (Wu et al., CVPR 2022): takes the hair off a W+ code of StyleGAN2.

A small network reads each coarse row of the code and says how that row changes when the hair goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.published.stylegan.stylegan2 import LR_MULTIPLIER, MappingLayer
from models.weights.checkpoints import CheckpointError, build, parts_under, read, shape_of, tensors_in

ROWS = 8
"""The mapper moves rows 0..7, the coarse ones."""

OVERSHOOT = 1.2
"""The authors move by 1.2 times the checkpoint's `alpha`."""

REMIX_FROM, REMIX = 7, 0.8
"""What the authors' script means to do to rows 7..17: keep this share of the original."""

UNUSED = ("structure_mapping.w_avg",)
"""Keys that the files carry and inference never reads."""


class LevelMapper(nn.Module):
    """Rows of W+ (..., 512) -> how they change, (..., 512). Eight dense layers, shared by all rows."""

    def __init__(self, style_dim: int = 512, layers: int = 8) -> None:
        super().__init__()
        self.structure_mapping = nn.Module()
        for index in range(layers):
            self.structure_mapping.add_module(f"fc{index}", MappingLayer(style_dim, style_dim, LR_MULTIPLIER))

    def forward(self, rows: Tensor) -> Tensor:
        x = rows
        for layer in self.structure_mapping.children():
            x = layer(x)
        return x


@dataclass(frozen=True)
class HairMapper:
    """The mapper and the strength its authors found for it."""

    mapper: LevelMapper
    alpha: float

    def remove(self, codes: Tensor, strength: float = 1.0) -> Tensor:
        """Take the hair off.

        Args:
            codes: W+ (N, rows, 512), e4e's.
            strength: 0 leaves the code, 1 is the authors' edit.

        Returns:
            (N, rows, 512); rows from 8 on are untouched.
        """
        changed = codes[:, :ROWS] + strength * OVERSHOOT * self.alpha * self.mapper(codes[:, :ROWS])
        return torch.cat([changed, codes[:, ROWS:]], 1)


def remix(edited: Tensor, original: Tensor) -> Tensor:
    """Give rows 7..17 most of the original back.

    The authors' script calls for it with one array under both names, so that it does nothing there; this is what the
    call says.
    """
    mixed = (1 - REMIX) * edited[:, REMIX_FROM:] + REMIX * original[:, REMIX_FROM:]
    return torch.cat([edited[:, :REMIX_FROM], mixed], 1)


def load(path: str | Path) -> HairMapper:
    """Open `best_model.pt` of the authors: {"alpha", "state_dict"}.

    Raises:
        CheckpointError: see `models.weights.checkpoints.read`; or there is no alpha.
    """
    saved = read(path)
    state = tensors_in(saved, "state_dict", origin=str(path))
    alpha = saved.get("alpha")
    if isinstance(alpha, Tensor) and alpha.numel() == 1:
        alpha = alpha.item()
    if not isinstance(alpha, int | float):
        raise CheckpointError(f"{path} has no alpha, the strength of the edit")
    return HairMapper(load_mapper(state), float(alpha))


def load_mapper(state: Mapping[str, Tensor]) -> LevelMapper:
    """The mapper of a state dict, as deep and wide as its weights, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    style_dim, _ = shape_of(state, "structure_mapping.fc0.weight", (512, 512))
    layers = parts_under(state, "structure_mapping.fc") or 8
    return build(lambda: LevelMapper(style_dim, layers), state, ignored=UNUSED)
