"""Training pictures on disk: found, checked before anything is trained, and read as tensors."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Image
from models.face.pictures import PictureError, read_file

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
SHOWN = 10
"""Faults of one kind that a message lists before it counts the rest."""
LEAST = 2
"""Pictures or pairs that a training needs."""
SHAPE_SLACK = 0.01
"""How far the shapes (width over height) of two partners may differ, as a share: what rounded sizes make."""
FOLDERS = (("A", "B"), ("trainA", "trainB"), ("input", "target"))
"""Names of paired folders: what is read, what is wanted."""


class DataError(ValueError):
    """The training data cannot be used; the message names the files and what is wrong with them."""


@dataclass(slots=True)
class Faults:
    """What is wrong with data, collected before it is told."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, what: str) -> None:
        self.found.setdefault(kind, []).append(what)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        lines = []
        for kind, names in self.found.items():
            rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines.append(f"{kind}: {', '.join(names[:SHOWN])}{rest}")
        return "; ".join(lines)


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair. `source` and `target` are the same file where the halves lie side by side."""

    source: Path
    target: Path


def find_pairs(folder: Path, faults: Faults) -> list[Pair]:
    """The pairs of a folder: two folders of equal file names (`FOLDERS`), or pictures with both halves side by side.

    Raises:
        DataError: there is neither.
    """
    for names in FOLDERS:
        sources, targets = (folder / name for name in names)
        if sources.is_dir() and targets.is_dir():
            return _paired(sources, targets, faults)
    files = pictures_in(folder)
    if not files:
        pairs = " or ".join("/".join(names) for names in FOLDERS)
        raise DataError(f"{folder} holds no pictures and no folders {pairs}")
    return [Pair(file, file) for file in files]


def digest_of(files: Iterable[Path]) -> str:
    """What tells sets of files apart: SHA-256 of their names and contents, in hexadecimal."""
    digest = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.name}\0{content}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name, without those of its subfolders; links that lead nowhere are among them.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and _is_file_or_dead_link(path))


def _is_file_or_dead_link(path: Path) -> bool:
    return path.is_file() or (path.is_symlink() and not path.exists())


def _paired(sources: Path, targets: Path, faults: Faults) -> list[Pair]:
    by_stem: list[dict[str, Path]] = [{}, {}]
    for folder, found in zip((sources, targets), by_stem, strict=True):
        for path in pictures_in(folder):
            if path.stem in found:
                faults.add("of one name", f"{found[path.stem].name} and {path.name} in {folder.name}")
            found.setdefault(path.stem, path)
    for own, other, name in ((0, 1, targets.name), (1, 0, sources.name)):
        for stem in sorted(by_stem[own].keys() - by_stem[other].keys()):
            faults.add("unpaired", f"{by_stem[own][stem].name} has no partner in {name}")
    return [Pair(by_stem[0][stem], by_stem[1][stem]) for stem in sorted(by_stem[0].keys() & by_stem[1].keys())]


def check_pairs(pairs: Sequence[Pair], faults: Faults) -> list[Pair]:
    """The pairs that can be read; the others are named among the faults."""
    good = []
    for pair in pairs:
        try:
            picture = read_file(pair.source)
            partner = picture if pair.source == pair.target else read_file(pair.target)
        except PictureError as error:
            faults.add("unreadable", str(error))
            continue
        (height, width), (high, wide) = picture.shape[:2], partner.shape[:2]
        if pair.source == pair.target and width != 2 * height:
            faults.add("not two squares side by side", f"{pair.source.name} is {width}x{height}")
        elif abs(wide * height - width * high) > SHAPE_SLACK * width * high:
            shapes = f"{pair.source.name} is {width}x{height}, its partner {wide}x{high}"
            faults.add("of another shape than their partner", shapes)
        else:
            good.append(pair)
    return good


def read_pair(pair: Pair, side: int, *, input_right: bool = False) -> tuple[Image, Image]:
    """What is read and what is wanted, each (side, side, 3) uint8 RGB.

    Args:
        pair: which.
        side: pixels.
        input_right: of pictures with both halves: the right half is what is read (CoupleGenerator), not the left one.
    """
    picture = read_file(pair.source)
    if pair.source == pair.target:
        half = picture.shape[1] // 2
        halves = picture[:, :half], picture[:, half:]
        source, target = halves[::-1] if input_right else halves
    else:
        source, target = picture, read_file(pair.target)
    return sized(source, side), sized(target, side)


def sized(picture: Image, side: int) -> Image:
    """(H, W, 3) uint8 BGR, cut to its central square, as (side, side, 3) uint8 RGB; averaged where it shrinks."""
    height, width = picture.shape[:2]
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    cut = picture[top : top + square, left : left + square]
    how = cv2.INTER_AREA if square > side else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(cut, (side, side), interpolation=how)[..., ::-1])


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Pictures with labels.

    Attributes:
        files: (N,) pictures.
        labels: (N, L) float32, 0 or 1.
        names: of the labels.
        unlabelled: names of the pictures in the folder that have no row in the table.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.float32]
    names: tuple[str, ...]
    unlabelled: tuple[str, ...] = ()

    @property
    def exclusive(self) -> bool:
        """Whether exactly one label holds of every picture, as of expressions."""
        return self.labels.shape[1] > 1 and bool((self.labels.sum(1) == 1).all())


VALUES = {"0": 0.0, "1": 1.0, "-1": 0.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}
"""What may stand in a table of labels (CelebA's own has -1 for no)."""


def read_labelled(folder: Path, table: Path, faults: Faults, chosen: Sequence[str] = ()) -> LabelledSet:
    """Pictures and the rows of a table whose first column names them.

    Args:
        folder: of the pictures.
        table: CSV with a header; the first column is a file name, each other one a label of 0 and 1.
        faults: what is wrong with single rows and pictures is added to it.
        chosen: labels to use, in this order; empty for all columns.

    Raises:
        DataError: the table cannot be read, or has not the chosen columns.
    """
    header, rows = _read_table(table)
    names = [name.strip().lower() for name in chosen] or header[1:]
    if missing := [name for name in names if name not in header[1:]]:
        raise DataError(f"{table} has no column {', '.join(missing)}; there are {', '.join(header[1:])}")
    if twice := sorted({name for name in names if header[1:].count(name) > 1}):
        raise DataError(f"{table} has several columns {', '.join(twice)}")
    if bad := [name for name in names if not name.isidentifier()]:
        raise DataError(f"{table}: labels are names of letters, digits and _, not {', '.join(map(repr, bad))}")
    there = {path.name: path for path in pictures_in(folder)}
    files, labels = [], []
    lines: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        name, values = row[0].strip(), dict(zip(header[1:], (each.strip().lower() for each in row[1:]), strict=False))
        if (first := lines.setdefault(name, number)) != number:
            faults.add("labelled twice", f"{name} (lines {first} and {number})")
        elif name not in there:
            faults.add("labelled, but not in the folder", f"{name} (line {number})")
        elif len(row) != len(header):
            faults.add("not as many values as the header", f"line {number} has {len(row)}, the header {len(header)}")
        elif wrong := [f"{label}={values[label]!r}" for label in names if values[label] not in VALUES]:
            faults.add("labels that are not 0 or 1", f"line {number}: {', '.join(wrong)}")
        elif _can_be_read(there[name], faults):
            files.append(there[name])
            labels.append([VALUES[values[label]] for label in names])
    table_of_labels = np.array(labels, np.float32).reshape(-1, len(names))
    return LabelledSet(tuple(files), table_of_labels, tuple(names), tuple(sorted(there.keys() - lines.keys())))


def _read_table(table: Path) -> tuple[list[str], list[list[str]]]:
    """Names of the columns in small letters, and the rows below them.

    Raises:
        DataError: it cannot be read, or has no labels or no rows.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except UnicodeDecodeError as error:
        raise DataError(f"{table} is no text in UTF-8") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{table}: {getattr(error, 'strerror', None) or error}") from error
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DataError(f"{table} has no header with a file name and labels, parted by commas, or no rows")
    return [name.strip().lower() for name in rows[0]], rows[1:]


def _can_be_read(picture: Path, faults: Faults) -> bool:
    try:
        read_file(picture)
    except PictureError as error:
        faults.add("unreadable", str(error))
        return False
    return True


def require_classes(data: LabelledSet) -> None:
    """Refuse labels that hold of all pictures or of none: there is nothing to learn of them.

    Raises:
        DataError: one is missing, or there are too few pictures.
    """
    if len(data.files) < LEAST:
        raise DataError(f"{len(data.files)} labelled pictures are left; at least {LEAST} are needed")
    shares = data.labels.mean(0)
    none = [name for name, share in zip(data.names, shares, strict=True) if share == 0]
    every = [name for name, share in zip(data.names, shares, strict=True) if share == 1]
    if none or every:
        parts = [f"no picture has {', '.join(none)}"] * bool(none) + [f"every picture has {', '.join(every)}"] * bool(
            every
        )
        raise DataError(f"one class is missing: {'; '.join(parts)}")
