"""SAM, "Only a Matter of Style" (Alaluf et al., SIGGRAPH 2021): a face at a target age of 0 to 100, in W+ of StyleGAN2.

Two encoders of pSp's kind read the face. The pretrained one gives who it is; the other, which sees the target age as a
fourth channel, gives what that age adds. The sum starts from the average code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.published.stylegan.encoders import FromAverage, GradualStyleEncoder, average_of, load_encoder
from models.published.stylegan.stylegan2 import Generator, load_generator
from models.weights.checkpoints import CheckpointError, read, report_rest, tensors_in

OLDEST = 100.0
"""Years at which the age plane is 1."""


class AgeEncoder(nn.Module):
    """What a target age adds: face (N, 3, 256, 256) in [-1, 1] and age (N,) in years -> offsets (N, rows, 512)."""

    def __init__(self, encoder: GradualStyleEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor, age: Tensor) -> Tensor:
        plane = torch.ones_like(image[:, :1]) * (age / OLDEST)[:, None, None, None]
        offsets: Tensor = self.encoder(torch.cat([image, plane], 1))
        return offsets


class Sam(nn.Module):
    """The whole system: face (N, 3, 256, 256) in [-1, 1], age (N,) in years -> W+ (N, rows, 512).

    Attributes:
        identity: face -> code; does not depend on the age, so a track keeps it.
        ageing: face and age -> offsets.
        generator: draws codes.
    """

    def __init__(self, identity: FromAverage, ageing: AgeEncoder, generator: Generator) -> None:
        super().__init__()
        self.identity = identity
        self.ageing = ageing
        self.generator = generator

    def forward(self, image: Tensor, age: Tensor) -> Tensor:
        codes: Tensor = self.identity(image) + self.ageing(image, age)
        return codes


def assemble(state: Mapping[str, Tensor], average: Tensor) -> Sam:
    """The system from the state dict of its authors' checkpoint.

    Args:
        state: keys `encoder.*`, `pretrained_encoder.*`, `decoder.*`.
        average: (rows, 512), the checkpoint's `latent_avg`.

    Raises:
        CheckpointError: keys are missing or mis-shaped, or the encoder takes no age.
    """
    ageing = load_encoder(state, "GradualStyleEncoder")
    if ageing.input_channels != 4:
        raise CheckpointError("this encoder has no age channel: a checkpoint of pSp, not of SAM")
    identity = load_encoder(state, "GradualStyleEncoder", "pretrained_encoder.")
    return Sam(FromAverage(identity, average), AgeEncoder(ageing), load_generator(state, "decoder.")).eval()


def load(path: str | Path) -> Sam:
    """Open `sam_ffhq_aging.pt`.

    Raises:
        CheckpointError: see `models.weights.checkpoints.read` and `assemble`.
    """
    saved = read(path)
    state = tensors_in(saved, "state_dict", origin=str(path))
    report_rest(state, ("encoder.", "pretrained_encoder.", "decoder."), str(path))
    if not isinstance(saved.get("latent_avg"), Tensor):
        raise CheckpointError(f"{path} has no latent_avg")
    sam = assemble(state, saved["latent_avg"])
    sam.identity.average = average_of(saved["latent_avg"], sam.generator, str(path))
    return sam
