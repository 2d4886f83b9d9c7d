"""`python -m models.full_size DIR [NAME ...]`: published networks at full size as ONNX files, to measure their speed.

Their weights are drawn from a seed: nobody's checkpoint is needed, and how fast a network runs does not depend on what
it has learnt. Needs torch; `python -m engines.bench --published` gets its networks here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.convert_translators import write

SEED = 0
CODES = 512
"""Length of a row of W+."""


class Sample(NamedTuple):
    """A network and how it is called.

    Attributes:
        module: with drawn weights.
        example: its inputs by name, in the range of real ones.
        output: name of its output.
    """

    module: nn.Module
    example: Mapping[str, Tensor]
    output: str


def e4e(rows: int) -> Sample:
    """e4e's encoder for a generator of that many rows; pSp's and each of SAM's two cost the same."""
    from models.encoders import Encoder4Editing, FromAverage  # noqa: PLC0415

    return Sample(FromAverage(Encoder4Editing(rows), torch.zeros(rows, CODES)), {"image": _picture(256)}, "w_plus")


def stylegan2(size: int) -> Sample:
    """StyleGAN2, config-f."""
    from models.stylegan2 import Generator  # noqa: PLC0415

    generator = Generator(size)
    return Sample(generator, {"w_plus": torch.randn(1, generator.rows, CODES)}, "image")


def stylegan1() -> Sample:
    """StyleGAN."""
    from models.stylegan1 import Generator  # noqa: PLC0415

    return Sample(Generator(1024), {"w_plus": torch.randn(1, 18, CODES)}, "image")


def mobilestylegan() -> Sample:
    """MobileStyleGAN's student, up to the 512 pixels at which an editor takes its picture."""
    from models.mobilestylegan import FixedNoise, Student  # noqa: PLC0415

    return Sample(FixedNoise(Student(), 512), {"w_plus": torch.randn(1, 18, CODES)}, "image")


def hairmapper() -> Sample:
    """HairMapper, between e4e and StyleGAN2."""
    from models.convert import Removal  # noqa: PLC0415
    from models.hairmapper import HairMapper, LevelMapper  # noqa: PLC0415

    return Sample(Removal(HairMapper(LevelMapper(), 1.0)), {"w_plus": torch.randn(1, 18, CODES)}, "bald")


def styleflow() -> Sample:
    """StyleFlow's change of one attribute, between e4e and StyleGAN2."""
    from models.editors.styleflow import CONDITIONS  # noqa: PLC0415
    from models.styleflow import Flow, Relabel  # noqa: PLC0415

    conditions = torch.randn(2, 1, CONDITIONS) * 0.1
    example = {"w": torch.randn(1, 18, CODES), "condition": conditions[0], "wanted": conditions[1]}
    return Sample(Relabel(Flow()), example, "edited")


def lats() -> Sample:
    """LATS, one of its two models."""
    from models.lats import Ageing, Generator  # noqa: PLC0415

    return Sample(Ageing(Generator()), {"image": _picture(256), "class_weights": torch.full((1, 6), 1 / 6)}, "aged")


def stargan(size: int) -> Sample:
    """StarGAN's generator with CelebA's five domains."""
    from models.stargan import Generator  # noqa: PLC0415

    return Sample(Generator(5), {"image": _picture(size), "label": torch.rand(1, 5)}, "translated")


def starganv2() -> Sample:
    """StarGAN v2's generator, without high-pass skips."""
    from models.editors.starganv2 import STYLE  # noqa: PLC0415
    from models.starganv2 import Generator  # noqa: PLC0415

    return Sample(Generator(256, 0.0), {"image": _picture(256), "style": torch.randn(1, STYLE)}, "translated")


def fran() -> Sample:
    """FRAN on one window of 512 pixels."""
    from models.fran import UNet  # noqa: PLC0415

    return Sample(UNet(), {"image": torch.rand(1, 3, 512, 512), "ages": torch.tensor([[30.0, 60.0]])}, "delta")


def pix2pix() -> Sample:
    """pix2pix's U-Net."""
    from models.editors.pix2pix import DROPOUT_SIDES  # noqa: PLC0415
    from models.pix2pix import UNet  # noqa: PLC0415

    network = UNet(norm="batch moments")
    keep = {f"keep_{side}": torch.ones(1, network.channels, side, side) for side in DROPOUT_SIDES}
    return Sample(network, {"image": _picture(256), **keep}, "translated")


def alae(half: str) -> Sample:
    """StyleALAE's encoder or decoder of 1024 pixels."""
    from models import alae  # noqa: PLC0415

    if half == "encoder":
        network: nn.Module = alae.Encoder(alae.FFHQ)
        sample = Sample(network, {"image": _picture(alae.FFHQ.size)}, "w")
    else:
        network = alae.FixedNoise(alae.Decoder(alae.FFHQ))
        sample = Sample(network, {"w": torch.randn(1, 2 * alae.FFHQ.layers, alae.FFHQ.latent)}, "image")
    alae.freeze(network)
    return sample


LIGHT: Mapping[str, Callable[[], Sample]] = {
    "stargan-128": partial(stargan, 128),
    "stargan-256": partial(stargan, 256),
    "starganv2": starganv2,
    "pix2pix": pix2pix,
    "mobilestylegan": mobilestylegan,
    "hairmapper": hairmapper,
    "styleflow": styleflow,
    "stylegan2-256": partial(stylegan2, 256),
}
"""By name; each at most 100 GFLOP a frame and 200 MB."""

HEAVY: Mapping[str, Callable[[], Sample]] = {
    "e4e-256": partial(e4e, 14),
    "e4e": partial(e4e, 18),
    "stylegan2-1024": partial(stylegan2, 1024),
    "stylegan1": stylegan1,
    "lats": lats,
    "alae-encoder": partial(alae, "encoder"),
    "alae-decoder": partial(alae, "decoder"),
    "fran": fran,
}
"""By name; e4e-256 reads the 14 rows of a StyleGAN2 of 256 pixels."""

NETWORKS = {**LIGHT, **HEAVY}


def main(argv: Sequence[str]) -> int:
    """Write networks.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m models.full_size", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write NAME.onnx")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; by default all")
    parser.add_argument("--light", action="store_true", help=f"by default {', '.join(LIGHT)} alone")
    options = parser.parse_args(argv)
    try:
        write_networks(options.folder, options.names, light=options.light)
    except LookupError as error:
        parser.error(error.args[0])
    return 0


def write_networks(folder: Path, names: Sequence[str] = (), *, light: bool = False) -> list[Path]:
    """Write networks as NAME.onnx, see `engines.networks.write_published_networks`.

    Raises:
        LookupError: there is no network of a name; nothing is written.
    """
    unknown = sorted(set(names) - NETWORKS.keys())
    if unknown:
        raise LookupError(f"there is no {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in names or (LIGHT if light else NETWORKS):
        torch.manual_seed(SEED)
        module, example, output = NETWORKS[name]()
        paths.append(folder / f"{name}.onnx")
        write(module.requires_grad_(False), example, [output], paths[-1])
    return paths


def _picture(side: int) -> Tensor:
    return torch.rand(1, 3, side, side) * 2 - 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
