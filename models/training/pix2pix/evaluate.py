"""`python -m models.training.evaluate pix2pix`: what the trainer learns in two minutes of a processor.

Pairs of smooth random colours and the same with red and blue exchanged and a little darker are drawn from a seed. The
trainer sees nine tenths of them for that time; the rest measures it, against leaving a picture as it is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.training.pix2pix.losses import PIX2PIX
from models.training.pix2pix.train import learn, parse, read_halves, split
from models.training.translation.loop import to_tensor
from models.training.translation.pictures import Faults, find_pairs

PAIRS = 40
DARKER = 0.8


def main(argv: list[str]) -> int:
    """Train on drawn pairs for a bounded time and print the error."""
    parser = argparse.ArgumentParser(prog="python -m models.training.evaluate pix2pix", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="processor time for training")
    parser.add_argument("--width", type=int, default=8, help="channels of the first layer")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_pairs(Path(folder) / "pairs")
        arguments = [str(Path(folder) / "pairs"), "--name", "bench", "--work", str(Path(folder) / "work")]
        arguments += ["--width", str(options.width), "--rate", "0.002", "--batch", "2", "--device", "cpu"]
        wish = parse([*arguments, "--minutes", str(options.seconds / 60), "--save-every", "100000"])
        pairs = find_pairs(Path(folder) / "pairs", Faults())
        run, _, error = learn(wish, pairs, clock=time.process_time)
        held, _ = split(pairs)
        halves = [[to_tensor([half]) for half in read_halves(pair, PIX2PIX)] for pair in held]
        untouched = float(np.mean([float((source - target).abs().mean()) for source, target in halves]))
    print(f"{run.done} steps in {options.seconds:g} s: mean absolute difference {error:.4f} of 2 on {len(held)} pairs")
    print(f"left as they are: {untouched:.4f}")
    return 0


def write_pairs(folder: Path) -> None:
    """Write folders A and B."""
    for name in ("A", "B"):
        (folder / name).mkdir(parents=True)
    for number in range(PAIRS):
        coarse: NDArray[np.uint8] = np.random.default_rng(number).integers(0, 256, (5, 5, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (286, 286), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "A" / f"{number:03}.png"), picture)
        cv2.imwrite(str(folder / "B" / f"{number:03}.png"), (picture[..., ::-1] * DARKER).astype(np.uint8))
