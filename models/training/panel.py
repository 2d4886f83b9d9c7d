"""A blind panel: real and edited portraits, shuffled, on numbered sheets; what viewers say, scored.

A viewer sees the sheets alone and gives two numbers a cell: how sure it is that the face or hair was altered, 0..100,
and how old the person looks. Taken for real is what is below 50. Small panels swing: 30 cells a kind, two viewers.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from models.arrays import Image

CELL = 384
LABEL_HEIGHT = 28
ACROSS, DOWN = 4, 3
JPEG_QUALITY = 85
"""All cells go through the same JPEG, so that none is sharper for having been stored otherwise."""
REAL_BELOW = 50.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What a numbered cell shows; unseen by viewers.

    Attributes:
        kind: e.g. "real" or "network".
        row: the portrait.
        age: the age asked for, or the real one, years.
    """

    kind: str
    row: int
    age: float


@dataclass(frozen=True, slots=True)
class Score:
    """What viewers said of one kind.

    Attributes:
        kind: its name.
        answers: how many.
        real: share taken for real.
        suspicion: mean of 0..100.
        guess: mean age guessed, years.
        error: mean absolute difference between guess and `Cell.age`, years.
    """

    kind: str
    answers: int
    real: float
    suspicion: float
    guess: float
    error: float


def write_panel(pictures: Sequence[tuple[Cell, Image]], sheets: Path, key: Path, seed: int) -> None:
    """Shuffle the cells, write `sheet_NN.png` to `sheets`, and what the cells are to `key`, apart.

    Args:
        pictures: the cells and what they show, (S, S, 3) uint8 RGB.
        sheets: folder for the viewers.
        key: JSON file that they do not see.
        seed: of the order.
    """
    sheets.mkdir(parents=True, exist_ok=True)
    key.parent.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(seed).permutation(len(pictures))
    shuffled = [pictures[place] for place in order]
    key.write_text(json.dumps([asdict(cell) for cell, _ in shuffled], indent=1), encoding="utf-8")
    tiles = [_tile(number, image) for number, (_, image) in enumerate(shuffled)]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % (ACROSS * DOWN))
    for start in range(0, len(tiles), ACROSS * DOWN):
        part = tiles[start : start + ACROSS * DOWN]
        sheet = np.vstack([np.hstack(part[place : place + ACROSS]) for place in range(0, len(part), ACROSS)])
        cv2.imwrite(str(sheets / f"sheet_{start // (ACROSS * DOWN):02d}.png"), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def score_panel(key: Path, answers: Sequence[Path]) -> list[Score]:
    """Score the viewers' CSV files of columns `cell,altered_0_100,age`, one line per kind.

    Raises:
        ValueError: a cell's number is not on the sheets.
    """
    cells = [Cell(**entry) for entry in json.loads(key.read_text(encoding="utf-8"))]
    said: dict[str, list[tuple[float, float, float]]] = {}
    for path in answers:
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                number = int(line["cell"])
                if not 0 <= number < len(cells):
                    raise ValueError(f"{path.name} names cell {number}, the sheets have {len(cells)}")
                cell = cells[number]
                said.setdefault(cell.kind, []).append((float(line["altered_0_100"]), float(line["age"]), cell.age))
    scores = []
    for kind, lines in sorted(said.items()):
        suspicion, guess, age = np.array(lines).T
        scores.append(
            Score(
                kind=kind,
                answers=len(lines),
                real=float((suspicion < REAL_BELOW).mean()),
                suspicion=float(suspicion.mean()),
                guess=float(guess.mean()),
                error=float(np.abs(guess - age).mean()),
            )
        )
    return scores


def main(argv: list[str]) -> int:
    """Print the scores of a panel."""
    parser = argparse.ArgumentParser(prog="python -m models.training.panel", description=__doc__)
    parser.add_argument("key", type=Path)
    parser.add_argument("answers", type=Path, nargs="+", help="CSV files of columns cell,altered_0_100,age")
    options = parser.parse_args(argv)
    print("| kind | answers | taken for real | suspicion | age guessed | mean error to the asked age |")
    print("|---|---|---|---|---|---|")
    for score in score_panel(options.key, options.answers):
        print(
            f"| {score.kind} | {score.answers} | {score.real:.2f} | {score.suspicion:.0f} | {score.guess:.1f} "
            f"| {score.error:.1f} |"
        )
    return 0


def _tile(number: int, image: Image) -> Image:
    sized = cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_CUBIC)
    _, data = cv2.imencode(".jpg", sized, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    tile = np.zeros((CELL + LABEL_HEIGHT, CELL, 3), np.uint8)
    tile[LABEL_HEIGHT:] = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    cv2.putText(tile, str(number), (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (255, 255, 255), 2)
    return tile


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
