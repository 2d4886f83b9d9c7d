"""Keras's HDF5 files (`model.save("x.h5")`), read without Keras and without trusting them.

A file holds the model's description as JSON and one dataset per weight. HDF5 can do much more than that: link to other
files, keep its data in them, map one dataset onto others, unpack a few bytes to terabytes, fill what was never written.
Keras uses none of it, so all of it is refused, and what is read is bounded before it is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.weights import checkpoints
from models.weights.checkpoints import CheckpointError

try:
    import h5py
except ModuleNotFoundError:  # only conversions of Keras's files need it
    h5py = None

T = TypeVar("T")
Weights = Mapping[tuple[str, str], NDArray[np.float32]]
"""(layer, weight) -> values, e.g. ("conv1", "kernel"), in Keras's layout."""

DAMAGE = (*checkpoints.DAMAGE, RecursionError)
"""What a damaged or malicious file may raise while it is read."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a file may be. The largest encoder of its authors (ResNet152V2) has 300 MB, with its optimizer 900."""

    file: int = 2 << 30
    """Bytes of the file."""
    weights: int = 1 << 30
    """Bytes of all weights that are read."""
    description: int = 16 << 20
    """Bytes of the JSON."""
    objects: int = 20_000
    """Groups and datasets."""
    depth: int = 12
    """Groups within groups."""
    axes: int = 5
    """Of a weight."""


BOUNDS = Bounds()


class KerasFile(NamedTuple):
    """A saved model.

    Attributes:
        config: its description, a JSON object with `class_name` and `config`.
        weights: its tensors.
    """

    config: Mapping[str, Any]
    weights: Weights


def read_keras(path: str | Path, bounds: Bounds = BOUNDS) -> KerasFile:
    """Read a model that Keras 2 saved whole.

    Args:
        path: the .h5 file.
        bounds: what is read at most.

    Raises:
        CheckpointError: no such file, damaged, too large, weights without a model, or a file that uses what Keras does
            not (links, data in other files, compression); the message says which.
    """
    return _read(Path(path), bounds, lambda file: KerasFile(_description(file, bounds), _weights(file, bounds)))


def read_weights(path: str | Path, bounds: Bounds = BOUNDS) -> Weights:
    """Read the weights of a file of Keras 2 that may hold no description: `model.save_weights` writes none.

    Args:
        path: the .h5 file, its layers at the root or in `model_weights`.
        bounds: what is read at most.

    Raises:
        CheckpointError: as `read_keras`, except for what a description lacks.
    """

    def weights(file: h5py.File) -> Weights:
        return _weights_below(file, bounds) if _follow(file, "model_weights") is None else _weights(file, bounds)

    return _read(Path(path), bounds, weights)


def _read(path: Path, bounds: Bounds, take: Callable[[h5py.File], T]) -> T:
    if h5py is None:
        raise CheckpointError("to read Keras's files, h5py is needed: pip install h5py")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; `python -m models.fetch` gets the weights of a catalogued editor")
    if path.stat().st_size > bounds.file:
        raise CheckpointError(f"{path} has more than {bounds.file >> 20} MB, which no encoder has")
    try:
        with h5py.File(path, "r") as file:
            return take(file)
    except DAMAGE as error:
        if isinstance(error, CheckpointError):
            raise CheckpointError(f"{path}: {error}") from error
        raise CheckpointError(f"{path} is damaged or no file of Keras: {error}") from error


def _description(file: h5py.File, bounds: Bounds) -> Mapping[str, Any]:
    if "model_config" not in file.attrs:
        raise CheckpointError("it has weights but no model_config; `model.save` writes both")
    kind = file.attrs.get_id("model_config")
    if kind.shape != () or kind.dtype.kind not in "SO" or kind.get_storage_size() > bounds.description:
        raise CheckpointError("its model_config is no text, or too long")
    text = file.attrs["model_config"]
    if not isinstance(text, str | bytes) or len(text) > bounds.description:
        raise CheckpointError("its model_config is no text, or too long")
    config = json.loads(text)
    if not isinstance(config, dict):
        raise CheckpointError("its model_config describes no model")
    return config


def _weights(file: h5py.File, bounds: Bounds) -> Weights:
    if not isinstance(_follow(file, "model_weights"), h5py.Group):
        raise CheckpointError("it has no model_weights")
    return _weights_below(file["model_weights"], bounds)


def _weights_below(top: h5py.Group, bounds: Bounds) -> Weights:
    weights: dict[tuple[str, str], NDArray[np.float32]] = {}
    left = bounds.weights
    for parts, data in _datasets(top, bounds):
        if len(parts) < 2:
            raise CheckpointError(f"the weight {'/'.join(parts)} belongs to no layer")
        key = (parts[-2], parts[-1].removesuffix(":0"))
        left -= _checked(data, "/".join(parts), bounds)
        if left < 0:
            raise CheckpointError(f"its weights have more than {bounds.weights >> 20} MB, which no encoder has")
        if key in weights:
            raise CheckpointError(f"it has two weights {key[1]!r} of a layer {key[0]!r}")
        weights[key] = np.asarray(data[()], np.float32)
    return weights


def _datasets(top: h5py.Group, bounds: Bounds) -> Iterator[tuple[tuple[str, ...], h5py.Dataset]]:
    """Path and dataset of everything below a group."""
    waiting: list[tuple[tuple[str, ...], h5py.Group]] = [((), top)]
    met = 0
    while waiting:
        parts, group = waiting.pop()
        for name in group:
            met += 1
            if met > bounds.objects or len(parts) >= bounds.depth:
                raise CheckpointError("it has more groups than a model, or groups in a circle")
            found = _follow(group, name)
            if isinstance(found, h5py.Group):
                waiting.append(((*parts, name), found))
            elif isinstance(found, h5py.Dataset):
                yield (*parts, name), found


def _follow(group: h5py.Group, name: str) -> Any:
    """What a name stands for in a group; None where there is none of it.

    Raises:
        CheckpointError: the name is a link to another place or file.
    """
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise CheckpointError(f"{name!r} is a link to another place or file; Keras writes none")
    return group[name]


def _checked(data: h5py.Dataset, name: str, bounds: Bounds) -> int:
    """Bytes of a weight as float32, once it is plain numbers, all of them in this file."""
    if data.dtype.kind != "f" or data.dtype.itemsize > 8 or data.dtype.subdtype is not None:
        raise CheckpointError(f"the weight {name} is {data.dtype}, not floating point")
    if data.shape is None or len(data.shape) > bounds.axes:
        raise CheckpointError(f"the weight {name} has no shape of a weight")
    layout = data.id.get_create_plist().get_layout()
    if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or data.external or data.is_virtual:
        raise CheckpointError(f"the weight {name} is compressed or lies in another file; Keras writes it plainly")
    needed = data.dtype.itemsize * int(np.prod(data.shape, dtype=object))
    if data.id.get_storage_size() < needed:
        raise CheckpointError(f"the weight {name} was never written whole")
    return needed // data.dtype.itemsize * np.dtype(np.float32).itemsize
