"""`python -m models.full_size DIR [NAME ...]`: published networks at full size as ONNX files, to measure their speed.

Their weights are drawn from a seed: nobody's checkpoint is needed, and how fast a network runs does not depend on what
it has learnt. Needs torch; `python -m engines.bench --published` gets its networks here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from models import figures, published
from models.weights.export import Sample, write_network

SEED = 0
NETWORKS: Mapping[str, Callable[[], Sample]] = {
    name: sample for module in published.parts("samples") for name, sample in module.SAMPLES.items()
}
LIGHT = tuple(name for name in NETWORKS if figures.is_light(name))


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
        write_network(module.requires_grad_(False), example, [output], paths[-1])
    return paths


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
