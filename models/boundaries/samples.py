"""Samples of a generator with their scores, collected in chunks: stopped at any time, a second run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from models.arrays import Floats
from models.latents import LatentError

CHUNK = 100
"""Samples a file; what a stop loses at most."""
SPARE_BYTES = 200 << 20
"""Free space that is left on the disk."""

Collect = Callable[[int, tuple[int, int]], tuple[Floats, Mapping[str, Floats]]]
"""Count and seed -> latents (N, D) and scores by name, each (N,), not a number where there is none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What samples depend on. Samples of other facts are not mixed with these.

    Attributes:
        generator: whose latents.
        source: name, size and beginning of its checkpoint, see `fingerprint`.
        seed: of the samples.
        psi: truncation of what is drawn.
        scores: names of the scores with what gives them.
    """

    generator: str
    source: str
    seed: int
    psi: float
    scores: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """What was collected: latents (N, D), and scores by name, each (N,)."""

    latents: Floats
    scores: Mapping[str, Floats]


def fingerprint(path: Path) -> str:
    """A file by its name, size and a digest of its first megabyte."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(1 << 20)).hexdigest()[:16]
    return f"{path.name} {path.stat().st_size} {digest}"


def collect(
    folder: Path, facts: Facts, size: tuple[int, int], make: Collect, progress: Callable[[int], None]
) -> Samples:
    """Collect samples, going on from what the folder holds.

    No picture is kept: a sample takes 4 (width + scores) bytes.

    Args:
        folder: where the chunks lie.
        facts: what they depend on.
        size: how many are wanted, and the length of a latent. Those that are there beyond them are left out.
        make: draws and scores a chunk.
        progress: told how many are there.

    Raises:
        LatentError: the folder holds samples of something else, or the disk has no room.
    """
    count, width = size
    folder.mkdir(parents=True, exist_ok=True)
    _require(folder, facts)
    need = 4 * count * (width + len(facts.scores)) - sum(path.stat().st_size for path in folder.glob("*.npz"))
    if shutil.disk_usage(folder).free < need + SPARE_BYTES:
        raise LatentError(f"{folder} needs {need / 1e6:.0f} MB more, which the disk does not have to spare")
    latents, scores = [], []
    for number in range(-(-count // CHUNK)):
        path = folder / f"chunk_{number:05}.npz"
        found = _read(path, facts.scores)
        if found is None:
            drawn, scored = make(CHUNK, (facts.seed, number))
            found = drawn, np.stack([scored[name.partition("=")[0]] for name in facts.scores], 1)
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.savez(file, latents=found[0], scores=found[1])
            part.replace(path)
        latents.append(found[0])
        scores.append(found[1])
        progress(min((number + 1) * CHUNK, count))
    together = np.concatenate(scores)[:count]
    names = [name.partition("=")[0] for name in facts.scores]
    return Samples(np.concatenate(latents)[:count], {name: together[:, place] for place, name in enumerate(names)})


def _require(folder: Path, facts: Facts) -> None:
    path, wanted = folder / "facts.json", json.loads(json.dumps(asdict(facts)))
    if not path.is_file():
        path.write_text(json.dumps(wanted, indent=1))
        return
    try:
        had = json.loads(path.read_text())
    except ValueError:
        had = {}
    if had != wanted:
        differ = ", ".join(name for name in wanted if had.get(name) != wanted[name])
        raise LatentError(f"{folder} holds samples of other {differ}: remove it, or name another folder with --work")


def _read(path: Path, names: tuple[str, ...]) -> tuple[Floats, Floats] | None:
    """A chunk; None where it is missing or was cut off."""
    try:
        with np.load(path, allow_pickle=False) as file:
            latents, scores = file["latents"], file["scores"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    fits = latents.ndim == 2 and scores.shape == (len(latents), len(names)) and len(latents) == CHUNK
    return (latents.astype(np.float32), scores.astype(np.float32)) if fits else None
