"""Weights and inputs by formula, and the golden outputs of the reference implementations under them.

A golden folder holds `<system>.npz` (outputs), `keys/<system>.tsv` (the rule of every tensor) and a README that names
the seed. A re-implementation is exact when it turns the filled tensors into the stored outputs.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

TOLERANCE = 1e-4
"""Relative L2 a float32 implementation keeps, whatever its order of summation."""


LEAST_MEAN = 0.01
"""A mean nearer to zero than this share of the deviation is measured as if it lay there."""


class GoldenError(RuntimeError):
    """A golden folder is incomplete or a fill does not reproduce; the message names the file and the tensor."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one tensor is filled: `kind` with its numbers `a` and `b`, and the CRC-32 of the result where it is known."""

    shape: tuple[int, ...]
    kind: str
    a: float
    b: float
    crc32: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a check: `error` must not exceed `tolerance`. `name` is the array's; a remark may follow.

    An `absent` one has nothing to compare with: the file is a part of the set.
    """

    name: str
    error: float
    tolerance: float = TOLERANCE
    absent: bool = False

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance  # False for NaN


def fill(key: str, rule: Rule, seed: int) -> NDArray[np.float32]:
    """Normal numbers n drawn from the key and the seed, scaled by the rule.

    The kinds: "lin" is a + b n; "abs" is a + b |n|; "fan" is b n / sqrt(product of all dimensions but the first).

    Args:
        key: name of the tensor in the checkpoint.
        rule: its shape, kind and numbers.
        seed: the seed of the golden set.

    Raises:
        ValueError: an unknown kind.
    """
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()) + 1_000_003 * seed))
    n = np.asarray(rng.standard_normal(rule.shape)).astype(np.float32)
    a, b = np.float32(rule.a), np.float32(rule.b)
    if rule.kind == "fan":
        return np.asarray(np.float32(rule.b / math.sqrt(math.prod(rule.shape[1:]))) * n)
    if rule.kind == "abs":
        return np.asarray(a + b * np.abs(n))
    if rule.kind == "lin":
        return np.asarray(a + b * n)
    raise ValueError(f"unknown rule {rule.kind!r} for {key}")


class Golden:
    """One system of a golden folder: its tensors by formula, its outputs from the file."""

    def __init__(self, system: str, outputs: Mapping[str, Array], rules: Mapping[str, Rule], seed: int) -> None:
        self.system = system
        self.rules = rules
        self.seed = seed
        self.read: set[str] = set()
        """Names of the stored arrays that the check has used."""
        self._outputs = outputs

    @classmethod
    def load(cls, file: Path, keys: Path | None = None) -> Golden:
        """Open one `<system>.npz`.

        The seed is, in this order, an array `seed` in the file, a number at the end of its name (`sam_seed7.npz`), the
        README's, one in the folder's name, or the table's.

        Args:
            file: the outputs.
            keys: folder of the rules; by default `keys` beside the file, or the file's own folder.

        Raises:
            GoldenError: the rules are missing, or no seed is named anywhere.
        """
        named = re.fullmatch(r"(?i)(.+?)[-_.]?seed[-_]?(\d+)", file.stem)
        system = named[1] if named else file.stem
        places = [
            folder / name for folder in _key_folders(file, keys) for name in (f"{file.stem}.tsv", f"{system}.tsv")
        ]
        table = next(filter(Path.is_file, places), None)
        if table is None:
            raise GoldenError(f"{places[-1]}: no such file; --keys names the folder with the rules")
        lines = [line for line in table.read_text().splitlines() if line.strip()]
        header = lines.pop(0) if lines and lines[0].startswith("key\t") else ""
        with np.load(file, allow_pickle=False) as archive:
            outputs = {name: archive[name] for name in archive.files}
        table_seed = _number(r"seed(\d+)", header)
        stored_seed = next((name for name in outputs if name.lower() == "seed" and outputs[name].size == 1), None)
        if stored_seed is not None:
            seed = int(outputs[stored_seed].item())
        else:
            seed = int(named[2]) if named else _named_seed(file.parent, table_seed)
        rules = {}
        for line in lines:
            key, size, kind, a, b, *check = line.split("\t")
            shape = () if size == "scalar" else tuple(map(int, size.split("x")))
            known = bool(check) and check[0] != "-" and table_seed == seed
            rules[key] = Rule(shape, kind, float(a), float(b), int(check[0], 16) if known else None)
        golden = cls(system, outputs, rules, seed)
        golden.read.update(name for name, values in outputs.items() if values.dtype.kind in "SU")  # notes, no figures
        if stored_seed is not None:
            golden.read.add(stored_seed)
        return golden

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stored arrays."""
        return tuple(self._outputs)

    def found(self, pattern: str) -> list[str]:
        """What the first group of a pattern is in the names of the stored arrays, in order and each once.

        Args:
            pattern: of a whole name; an image's without the ending of the figure (`IMAGE_FIGURES`).
        """
        ends = "|".join(filter(None, IMAGE_FIGURES))
        matches = (re.fullmatch(pattern, re.sub(f"({ends})$", "", name)) for name in self._outputs)
        return list(dict.fromkeys(match[1] for match in matches if match))

    def has(self, key: str) -> bool:
        """Whether a tensor of this key, an input for instance, is made by formula."""
        return key in self.rules

    def stored(self, name: str) -> Array:
        """A stored array; it counts as used.

        Raises:
            GoldenError: the file does not have it.
        """
        if name not in self._outputs:
            raise GoldenError(f"{self.system}: the file has no array {name!r}, which the check needs")
        self.read.add(name)
        return self._outputs[name]

    def array(self, key: str) -> NDArray[np.float32]:
        """The tensor of one key, by formula.

        Raises:
            GoldenError: the key has no rule, is fixed by the network, or its checksum differs.
        """
        rule = self.rules.get(key)
        if rule is None or rule.kind == "fixed":
            raise GoldenError(f"{self.system}: {key} has no formula")
        values = fill(key, rule, self.seed)
        if rule.crc32 is not None and zlib.crc32(values.astype("<f4", copy=False).tobytes()) != rule.crc32:
            raise GoldenError(f"{self.system}: the fill of {key} differs from its checksum")
        return values

    def input(self, name: str) -> Tensor:
        """The input `input.<name>`, by formula."""
        return torch.from_numpy(self.array(f"input.{name}"))

    def image(self, name: str = "image") -> Tensor:
        """An input picture (N, C, H, W) in [-1, 1]: fine noise over blocks of 16 pixels."""
        fine, coarse = self.array(f"input.{name}"), self.array(f"input.{name}.coarse")
        for axis in (2, 3):
            coarse = coarse.repeat(fine.shape[axis] // coarse.shape[axis], axis)
        return torch.from_numpy((fine + coarse).clip(-1, 1))

    def state(self, prefix: str = "", strip: bool = True) -> dict[str, Tensor]:
        """The checkpoint by formula, without inputs and without what the network builds itself.

        Args:
            prefix: only keys that start with it.
            strip: take the prefix off.
        """
        return {
            key[len(prefix) if strip else 0 :]: torch.from_numpy(self.array(key))
            for key, rule in self.rules.items()
            if key.startswith(prefix) and not _is_input(key) and rule.kind != "fixed"
        }

    def fixed(self, prefix: str = "") -> tuple[str, ...]:
        """Keys that the network builds itself, with the prefix taken off: the `optional` ones of `load_into`."""
        return tuple(
            key[len(prefix) :] for key, rule in self.rules.items() if key.startswith(prefix) and rule.kind == "fixed"
        )

    def compare(self, name: str, got: Tensor | Array, tolerance: float = TOLERANCE, least: float = 0.0) -> Comparison:
        """Relative L2 between an array and the stored one of that name; absent where the file does not have it.

        `least` stands for the stored array's length where that is shorter.
        """
        if name not in self._outputs:
            return Comparison(name, 0.0, tolerance, absent=True)
        return Comparison(name, relative_l2(got, self.stored(name), least), tolerance)

    def compare_image(self, name: str, got: Tensor | Array, tolerance: float = TOLERANCE) -> Iterator[Comparison]:
        """All stored figures of an image: whole, area average to 64, central 64, mean, deviation, first 64 values.

        Args:
            name: the image's name X; whatever of X, X_avg64, X_crop64, X_mean, X_std, X_first64 is stored is compared.
            got: (N, C, H, W); H and W multiples of 64 where an average to 64 is stored.
            tolerance: for each of them.
        """
        image = _numpy(got)
        for suffix, measure in IMAGE_FIGURES.items():
            if name + suffix in self._outputs:
                # a mean that happens to lie at zero has no digits of its own
                least = LEAST_MEAN * float(image.std(dtype=np.float64)) if suffix == "_mean" else 0.0
                yield self.compare(name + suffix, measure(image), tolerance, least)


def relative_l2(got: Tensor | Array, want: Tensor | Array, least: float = 0.0) -> float:
    """|got - want| / max(|want|, least), in float64; infinite where the shapes differ."""
    a, b = _numpy(got).astype(np.float64), _numpy(want).astype(np.float64)
    if a.shape != b.shape:
        return math.inf
    return float(np.linalg.norm((a - b).ravel()) / max(float(np.linalg.norm(b.ravel())), least, 1e-30))


def _average64(image: Array) -> Array:
    n, c, h, w = image.shape
    blocks = image.astype(np.float64).reshape(n, c, 64, h // 64, 64, w // 64)
    return np.asarray(blocks.mean(axis=(3, 5)))


def _centre64(image: Array) -> Array:
    top, left = image.shape[2] // 2 - 32, image.shape[3] // 2 - 32
    return image[:, :, top : top + 64, left : left + 64]


IMAGE_FIGURES: Mapping[str, Callable[[Array], Array]] = {
    "": lambda image: image,
    "_avg64": _average64,
    "_crop64": _centre64,
    "_mean": lambda image: image.mean(dtype=np.float64),
    "_std": lambda image: image.std(dtype=np.float64),
    "_first64": lambda image: image.ravel()[:64],
}


def _key_folders(file: Path, keys: Path | None) -> tuple[Path, ...]:
    return (file.parent, file.parent / "keys") if keys is None else (keys,)


def _is_input(key: str) -> bool:
    return key.startswith("input.") and key != "input.input"  # which is StyleGAN2's learned constant


def _numpy(values: Tensor | Array) -> Array:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _number(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text)
    return int(match[1]) if match else None


def _named_seed(folder: Path, otherwise: int | None) -> int:
    for readme in sorted(folder.glob("*")):
        if fnmatchcase(readme.name.lower(), "readme*") and readme.is_file():
            seed = _number(r"(?i)\bseed(?:\s+is)?\W{0,4}(\d+)", readme.read_text(errors="replace"))
            if seed is not None:
                return seed
    named = _number(r"(?i)seed[-_]?(\d+)", folder.resolve().name)
    if named is None and otherwise is None:
        raise GoldenError(f"{folder}: neither its README, its name nor its tables name a seed")
    return named if named is not None else otherwise or 0
