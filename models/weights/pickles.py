"""NVIDIA's network pickles, read without running them.

StyleGAN's and StyleGAN2's .pkl files rebuild whole programs when they are unpickled; those of stylegan2-ada-pytorch
even carry the source they run. Here the pickle is replayed with every name that it imports replaced: tensors and arrays
by their own constructors, everything else by an inert box that keeps what it is given and does nothing.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.weights import checkpoints
from models.weights.checkpoints import CheckpointError

LARGEST_FILE = 4 << 30
"""Bytes; the largest published one (three networks of config-f with their source) has 381 MB."""


def read_ada(path: str | Path, network: str = "G_ema") -> dict[str, Tensor]:
    """Tensors of a network in a pickle of stylegan2-ada-pytorch or one of its descendants.

    Args:
        path: the .pkl file.
        network: "G_ema", "G" or "D".

    Returns:
        A state dict with the keys of its authors' modules, e.g. "synthesis.b4.const".

    Raises:
        CheckpointError: no such pickle, or the network is not in it.
    """
    saved = _replay(Path(path))
    found = saved.get(network) if isinstance(saved, Mapping) else None
    tensors = dict(_module_tensors(found)) if found is not None else {}
    if not tensors:
        raise CheckpointError(f"{path} is no pickle of stylegan2-ada-pytorch with a network {network!r}")
    return tensors


def read_tensorflow(path: str | Path, index: int = -1) -> dict[str, NDArray[np.float32]]:
    """Variables of a network in a pickle of NVIDIA's TensorFlow programs (StyleGAN, StyleGAN2).

    Args:
        path: the .pkl file, a tuple of G, D and the average generator Gs.
        index: which network; the last is Gs.

    Returns:
        Variables by their local names, e.g. "4x4/Const/const"; those of the mapping and synthesis networks together.

    Raises:
        CheckpointError: no such pickle.
    """
    saved = _replay(Path(path))
    try:
        variables = dict(_variables(saved[index] if isinstance(saved, tuple | list) else saved))
    except (IndexError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no pickle of NVIDIA's TensorFlow networks: {error}") from error
    if not variables:
        raise CheckpointError(f"{path} is no pickle of NVIDIA's TensorFlow networks")
    return variables


def read_torch(path: str | Path) -> Any:
    """A zip of torch.save whose pickle holds more than tensors (PyTorch Lightning's), its foreign objects inert.

    For files that `models.weights.checkpoints.read` refuses but whose tensors are wanted.

    Raises:
        CheckpointError: no zip of torch.save, or damaged.
    """
    path = Path(path)
    if not zipfile.is_zipfile(path) or _is_torchscript(path):  # torch would start to build a TorchScript program
        raise CheckpointError(f"{path} is no zip file of torch.save")
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_INERT_PICKLE)
    except DAMAGE as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


DAMAGE = (*checkpoints.DAMAGE, ImportError)
"""What a damaged or malicious pickle may raise while it is replayed."""


class _Box(dict[Any, Any]):
    """What stands for an object whose class is not looked up: it keeps its state and its items."""

    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> _Box:
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **_: Any) -> None:
        super().__init__()
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *_: Any, **__: Any) -> _Box:
        return _Box()

    def append(self, _: Any) -> None:
        """Lists that a pickle fills; nothing here reads them."""

    def extend(self, _: Any) -> None:
        """See `append`."""


def _persistent(meta: Any) -> _Box:
    box = _Box()
    box.state = meta.get("state") if isinstance(meta, Mapping) else None
    return box


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _parameter(data: Any, *_: Any) -> Any:
    return data


class _Dict(dict[Any, Any]):
    """Stands for dnnlib's dict with attributes."""


_NUMPY = {"_reconstruct": np.empty(0).__reduce__()[0], "scalar": np.float32(0).__reduce__()[0]}
"""numpy's own constructors of arrays and scalars, which have moved between versions."""

_KNOWN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("dnnlib.util", "EasyDict"): _Dict,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch", "Size"): torch.Size,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Replayer(pickle.Unpickler):
    """Replays a pickle and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in _NUMPY:
            return _NUMPY[name]
        return _KNOWN.get((module, name), _Box)


class _InertPickle:
    """Stands for the pickle module in `torch.load`."""

    Unpickler = _Replayer
    UnpicklingError = pickle.UnpicklingError


_INERT_PICKLE: Any = _InertPickle


def _replay(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise CheckpointError(f"{path} is larger than any published network")
    try:
        with path.open("rb") as file:
            return _Replayer(file, encoding="latin1").load()
    except DAMAGE as error:
        raise CheckpointError(f"{path} is damaged or no pickle: {error}") from error


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())


def _module_tensors(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    state = module.state if isinstance(module, _Box) else None
    if not isinstance(state, Mapping):
        return
    for group in ("_parameters", "_buffers"):
        for name, tensor in (state.get(group) or {}).items():
            if isinstance(tensor, Tensor):
                yield f"{prefix}{name}", tensor.detach()
    for name, child in (state.get("_modules") or {}).items():
        yield from _module_tensors(child, f"{prefix}{name}.")


def _variables(network: Any) -> Iterator[tuple[str, NDArray[np.float32]]]:
    state = network.state if isinstance(network, _Box) else None
    if not isinstance(state, Mapping):
        return
    for name, value in state.get("variables") or ():
        if isinstance(value, np.ndarray | np.number | float):
            yield str(name), np.asarray(value, np.float32)
    for component in (state.get("components") or {}).values():
        yield from _variables(component)
