"""Small pictures to train translators on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from models.arrays import Image


def scene(seed: int, side: int = 64) -> Image:
    """A smooth picture of random colours, (side, side, 3) uint8 RGB."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC))


def swapped(picture: Image) -> Image:
    """The translation that is to be learnt: red becomes blue, and everything a little darker."""
    return np.ascontiguousarray((picture[..., ::-1] * 0.8).astype(np.uint8))


def write(path: Path, picture: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def write_pairs(folder: Path, count: int = 6) -> None:
    """Folders A and B."""
    for number in range(count):
        picture = scene(number)
        write(folder / "A" / f"{number}.png", picture)
        write(folder / "B" / f"{number}.png", swapped(picture))


def write_halves(folder: Path, count: int = 4) -> None:
    """What is wanted on the left, what is read on the right, as CoupleGenerator has it."""
    for number in range(count):
        picture = scene(number)
        write(folder / f"{number}.png", np.hstack([swapped(picture), picture]))
