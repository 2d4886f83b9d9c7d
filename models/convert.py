"""`python -m models.convert SYSTEM FILE --to DIR`: a published checkpoint as the networks its editor runs.

Reads the authors' file (see `models.weights.checkpoints`), exports what runs per frame as ONNX, checks each network
against the torch module, and prints the keys that the file has beyond those. Needs torch; running the result does not.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.base import EngineError
from models import (
    apart,
    convert_translators,
    dialects,
    directions,
    encoders,
    hairmapper,
    latents,
    mobilestylegan,
    sam,
    stylegan1,
    stylegan2,
)
from models.convert_translators import write
from models.latents import LatentError
from models.published.stylegan import GENERATOR, SEMANTICS
from models.weights import pickles
from models.weights.checkpoints import CheckpointError, UnsafeCheckpoint, load_state, report_rest, tensors_in

LARGEST_PICTURE = 512
"""Side at which StyleGAN2's and MobileStyleGAN's pictures are taken: both have them at every resolution, and the
editors blend crops of this size. The rest of a 1024 px generator is left out, with a fifth of its work or more."""


class Picture(nn.Module):
    """A StyleGAN2 that stops at a resolution: W+ (N, rows, D) -> RGB (N, 3, size, size)."""

    def __init__(self, generator: stylegan2.Generator, size: int = LARGEST_PICTURE) -> None:
        super().__init__()
        self.generator = generator
        self.size = min(size, generator.size)

    def forward(self, w_plus: Tensor) -> Tensor:
        return self.generator.synthesize(w_plus, self.size)


class Removal(nn.Module):
    """HairMapper's edit: W+ (N, rows, 512) -> the code without hair."""

    def __init__(self, mapper: hairmapper.HairMapper) -> None:
        super().__init__()
        self.mapper = mapper.mapper
        self.edit = mapper

    def forward(self, w_plus: Tensor) -> Tensor:
        return self.edit.remove(w_plus)


def inverter(file: Path, to: Path) -> None:
    """pSp, e4e, ReStyle: encoder.onnx, image -> w_plus; generator.onnx, w_plus -> image; its semantics."""
    found = encoders.load_inverter(file)
    write_generator(found.generator, to)
    write_semantics(found.generator, to)
    write(found.network(), {"image": _faces()}, ["w_plus"], to / "encoder.onnx")


def generator2(file: Path, to: Path) -> None:
    """A StyleGAN2 of any known program: generator.onnx, w_plus -> image; its semantics; average.npy, if it has one."""
    state, average = dialects.read_stylegan2(file)
    generator = stylegan2.load_generator(state)
    write_generator(generator, to)
    write_semantics(generator, to)
    if average is not None:
        np.save(to / "average.npy", average.numpy())


def generator1(file: Path, to: Path) -> None:
    """A StyleGAN of any known program: generator.onnx, w_plus -> image; average.npy, the average w."""
    network = stylegan1.load_generator(dialects.read_stylegan1(file))
    np.save(to / "average.npy", network.truncation.w_avg.numpy())
    write(network, {"w_plus": torch.randn(1, network.rows, network.style_dim)}, ["image"], to / "generator.onnx")


def ageing(file: Path, to: Path) -> None:
    """SAM: identity.onnx, image -> w_plus; ageing.onnx, image and age -> offsets; generator.onnx, w_plus -> image."""
    found = sam.load(file)
    write_generator(found.generator, to)
    write(found.identity, {"image": _faces()}, ["w_plus"], to / "identity.onnx")
    example = {"image": _faces(), "age": torch.tensor([40.0])}
    write(found.ageing, example, ["offsets"], to / "ageing.onnx")


def baldness(file: Path, to: Path) -> None:
    """HairMapper: mapper.onnx, w_plus -> bald."""
    write(Removal(hairmapper.load(file)), {"w_plus": torch.randn(1, 18, encoders.WIDTH)}, ["bald"], to / "mapper.onnx")


def mobile(file: Path, to: Path) -> None:
    """MobileStyleGAN: generator.onnx, StyleGAN2's w_plus -> image."""
    try:
        state = load_state(file, "state_dict")
    except UnsafeCheckpoint:  # PyTorch Lightning keeps its hyperparameters beside the tensors
        state = tensors_in(pickles.read_torch(file), "state_dict", origin=str(file))
    report_rest(state, mobilestylegan.PARTS, str(file))
    student = mobilestylegan.load_student(state)
    example = {"w_plus": torch.randn(1, 18, mobilestylegan.STYLE_DIM)}
    write(mobilestylegan.FixedNoise(student, LARGEST_PICTURE), example, ["image"], to / "generator.onnx")


def direction(file: Path, to: Path) -> None:
    """A published direction or GANSpace's components: <stem>.npz, which names its generator."""
    directions.convert(file, to)


CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    "psp": inverter,
    "e4e": inverter,
    "restyle": inverter,
    "stylegan2": generator2,
    "stylegan1": generator1,
    "sam": ageing,
    "hairmapper": baldness,
    "mobilestylegan": mobile,
    "direction": direction,
    **convert_translators.CONVERTERS,
}


def write_generator(generator: stylegan2.Generator, to: Path) -> None:
    """Export a StyleGAN2 as generator.onnx, up to `LARGEST_PICTURE`."""
    example = {"w_plus": torch.randn(1, generator.rows, generator.style_dim)}
    write(Picture(generator), example, ["image"], to / "generator.onnx")


def write_semantics(generator: stylegan2.Generator, to: Path) -> None:
    """Write a StyleGAN2's first semantics by SeFa as directions semantic_1.npz, semantic_2.npz, ...

    Over all layers but the later RGB ones, as rosinality's closed-form factorisation takes them. Factorisation leaves
    the sign open: the largest entry is made positive.
    """
    layers = [
        parameter.numpy()
        for name, parameter in generator.named_parameters()
        if name.endswith("modulation.weight") and not name.startswith("to_rgbs.")
    ]
    vectors, _ = latents.semantics(layers)
    for name, vector in zip(SEMANTICS, vectors, strict=False):
        sign = np.sign(vector[np.abs(vector).argmax()])
        latents.save(to / f"{name}.npz", latents.Direction(name, sign * vector, GENERATOR))


def _faces() -> Tensor:
    return torch.rand(1, 3, encoders.FACE_SIDE, encoders.FACE_SIDE) * 2 - 1


def main(argv: Sequence[str]) -> int:
    """Convert one checkpoint.

    Returns:
        0, or 1 if the file or a network is refused; the message says why.
    """
    parser = argparse.ArgumentParser(prog="python -m models.convert", description="Checkpoints as ONNX networks.")
    parser.add_argument("system", choices=sorted(CONVERTERS), help="what the checkpoint is of")
    parser.add_argument("file", type=Path, help="the authors' checkpoint")
    parser.add_argument("--to", type=Path, required=True, help="folder for the networks")
    options = parser.parse_args(argv)
    options.to.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(format="%(message)s")  # of `models.weights.checkpoints`: which keys of the file nothing read
    torch.manual_seed(0)
    try:
        CONVERTERS[options.system](options.file, options.to)
    except (CheckpointError, EngineError, LatentError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A checkpoint is a stranger's file: what makes a library crash on it costs one sentence.
    sys.exit(main(sys.argv[1:]) if apart.inside() else apart.run("models.convert", sys.argv[1:]))
