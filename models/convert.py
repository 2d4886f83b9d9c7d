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

import torch

from engines import apart
from engines.base import EngineError
from models import published
from models.latents import LatentError
from models.weights.checkpoints import CheckpointError

CONVERTERS: Mapping[str, Callable[[Path, Path], None]] = {
    name: convert for module in published.parts("conversion") for name, convert in module.CONVERTERS.items()
}
"""By the name of what a checkpoint is of: takes the file and the folder for the networks."""


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
