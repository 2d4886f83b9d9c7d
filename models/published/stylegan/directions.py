"""Published directions: which file belongs to which generator, and what it does.

The vectors are bare numbers; nothing in the files says whose they are. They are recognised by their SHA-256, so a file
under another name keeps its origin, and a direction of another generator is refused instead of shaking the picture.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.latents import Components, Direction, LatentError, Space, save, save_components

Generator = Literal[
    "stylegan1-ffhq",
    "stylegan1-celebahq",
    "stylegan1-idinvert",
    "stylegan2-ffhq",
    "stylegan2-ffhq-256",
    "pggan-celebahq",
    "alae-ffhq",
]
"""The generators whose directions are known. All of 1024 px, but the 256 px ones of in-domain inversion and of the
StyleGAN2 that this project can train."""

TABLE = Path(__file__).with_name("directions.tsv")

LARGEST_FILE = 4 << 20
"""Bytes; the largest published one has 168 kB."""


class Published(NamedTuple):
    """One row of the table.

    Attributes:
        sha256: of the file.
        collection: whose, as they call themselves.
        name: what it changes.
        generator: the one it was found in.
        space: "Z", "W" or "W+".
        positive: what going along it does; "" where nobody has said.
        rows: "start:end" of the rows it is used on, "" for all.
    """

    sha256: str
    collection: str
    name: str
    generator: str
    space: Space
    positive: str
    rows: str


@cache
def known() -> Mapping[str, Published]:
    """The table, by SHA-256."""
    with TABLE.open(newline="") as file:
        rows = [Published(**row) for row in csv.DictReader(file, delimiter="\t")]  # type: ignore[arg-type]
    return {row.sha256: row for row in rows}


def sha256_of(collection: str, name: str, generator: str = "", space: str = "") -> str:
    """SHA-256 of a file of the table, for the catalog's rows.

    Args:
        collection: whose.
        name: what it changes.
        generator: whose direction it is, where a collection has one of that name for several.
        space: in which one it was found, where there is one for several.

    Raises:
        LookupError: the table has none, or several, of that collection and name.
    """
    rows = [row for row in known().values() if (row.collection, row.name) == (collection, name)]
    found = [row.sha256 for row in rows if generator in ("", row.generator) and space in ("", row.space)]
    if len(found) != 1:
        raise LookupError(f"{TABLE.name} has {len(found)} files {collection}/{name}, not one")
    return found[0]


def load_published(path: str | Path, generator: str) -> Direction:
    """Read a published direction for use in one generator.

    Args:
        path: a .npy or .pt file as its authors publish it.
        generator: where it is going to be applied, see `Generator`.

    Returns:
        The direction with its origin; rows of W+ that are all equal become one vector.

    Raises:
        LatentError: the file is unknown, or belongs to another generator.
        CheckpointError: a .pt file that cannot be read safely.
    """
    path = Path(path)
    row = _identify(path)
    values = _values(path)
    if isinstance(values, Mapping):
        values = values.get("boundary")
    vector = np.squeeze(np.asarray(values, np.float32))
    if vector.ndim == 2 and (vector == vector[0]).all():
        vector = vector[0]
    start, _, end = row.rows.partition(":")
    return Direction(
        name=row.name,
        vector=vector,
        generator=row.generator,
        space=row.space,
        positive=row.positive,
        rows=(int(start), int(end)) if end else None,
    ).require(generator)


def load_components(path: str | Path, generator: str) -> Components:
    """Read published GANSpace components for use in one generator. Arguments and errors as in `load_published`."""
    path = Path(path)
    row = _identify(path)
    if row.generator != generator:
        raise LatentError(f"the components {path} belong to {row.generator}, not to {generator}")
    values = _values(path)
    if not isinstance(values, Mapping):
        raise LatentError(f"{path} holds one direction, no components")
    mean, vectors, deviations = (np.squeeze(np.asarray(values[key], np.float32)) for key in ("mean", "comp", "std"))
    return Components(mean, vectors, deviations, row.generator)


def convert(path: str | Path, to: Path) -> None:
    """Write a published direction, or components, in this project's format: `<stem>.npz`, which says whose it is.

    Raises:
        LatentError: the file is unknown.
    """
    path = Path(path)
    row = _identify(path)
    if row.name == "ffhq_pca":
        save_components(to / f"{path.stem}.npz", load_components(path, row.generator))
    else:
        save(to / f"{path.stem}.npz", load_published(path, row.generator))


class Coordinate(NamedTuple):
    """A named GANSpace edit of StyleGAN2 FFHQ: set a component's coordinate on some rows."""

    component: int
    rows: tuple[int, int]
    value: float


GANSPACE_FFHQ: Mapping[str, Coordinate] = {
    "eye_openness": Coordinate(54, (7, 8), 20),
    "smile": Coordinate(46, (4, 5), -20),
    "trimmed_beard": Coordinate(58, (7, 9), 20),
    "white_hair": Coordinate(57, (7, 10), -24),
    "lipstick": Coordinate(34, (10, 11), 20),
    "wrinkles": Coordinate(20, (6, 7), -18),
    "overexposed": Coordinate(27, (8, 18), 15),
    "screaming": Coordinate(35, (3, 7), -15),
    "short_face": Coordinate(32, (2, 6), -20),
    "boyishness": Coordinate(8, (2, 5), 20),
}
"""Edits that GANSpace's and e4e's authors publish, for the components of e4e's `ffhq_pca.pt`."""


def _identify(path: Path) -> Published:
    if path.stat().st_size > LARGEST_FILE:
        raise LatentError(f"{path} is too large for a direction")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in known():
        raise LatentError(
            f"{path} is no published direction (SHA-256 {digest}); directions of your own carry their generator: "
            "`python -m models.latents fit` writes them"
        )
    return known()[digest]


def _values(path: Path) -> Any:
    if path.suffix == ".npy":
        try:
            values: NDArray[Any] = np.load(path, allow_pickle=False)
        except ValueError:  # in-domain inversion's are dicts
            from models.weights.pickles import read_object  # torch's formats need torch  # noqa: PLC0415

            return read_object(path)
        return values
    from models.weights.checkpoints import read  # torch's format needs torch  # noqa: PLC0415

    return read(path)
