"""NVIDIA's network pickles, read without running them.

StyleGAN's and StyleGAN2's .pkl files rebuild whole programs when they are unpickled; those of stylegan2-ada-pytorch
even carry the source they run. Here the pickle is replayed with every name that it imports replaced: tensors and arrays
by constructors of ours that check the parts, everything else by an inert box that keeps what it is given and does
nothing.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

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
    found = saved.get(network) if isinstance(saved, dict) else None
    try:
        tensors = dict(_module_tensors(found, _Walk()))
    except DAMAGE as error:
        raise CheckpointError(f"{path} is no pickle of stylegan2-ada-pytorch: {error}") from error
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
        variables = dict(_variables(saved[index] if isinstance(saved, tuple | list) else saved, _Walk()))
    except DAMAGE as error:
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


def read_object(path: str | Path) -> Any:
    """The one object in an .npy file that numpy would unpickle (`np.save` of a dict), replayed without running it.

    Args:
        path: the .npy file.

    Returns:
        The object; arrays at the top level of a dict are numpy arrays.

    Raises:
        CheckpointError: no such file.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST_FILE:
        raise CheckpointError(f"{path} is larger than any published file")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise pickle.UnpicklingError(f"a header of version {version}")
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            if shape != () or kind != np.dtype(object):
                raise pickle.UnpicklingError("it is no single object")
            held = _ObjectReplayer(file).load()
    except DAMAGE as error:
        raise CheckpointError(f"{path} holds no object that numpy wrote: {error}") from error
    if not isinstance(held, _ObjectArray) or held.objects is None or len(held.objects) != 1:
        raise CheckpointError(f"{path} holds no object that numpy wrote")
    (found,) = held.objects
    if isinstance(found, dict):
        return {key: value.values if isinstance(value, _Array) else value for key, value in found.items()}
    return found


DAMAGE = (*checkpoints.DAMAGE, ImportError, SystemError, ArithmeticError, AssertionError)
"""What a damaged or malicious pickle may raise while it is replayed and read."""

MOST_STEPS = 10_000_000
"""Opcodes of a pickle; the largest published one has some ten thousand."""
MOST_NODES = 100_000
"""Modules and variables of a network, each time it is met; published ones have some hundred."""
DEEPEST = 32
"""Levels of modules within modules; published ones have five."""
MOST_AXES = 8
KINDS = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
"""numpy's names of the types that arrays may have: plain numbers."""
FOREIGN = frozenset(
    ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "BYTEARRAY8")  # none of the programs writes them
)


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


class _Dict(dict[Any, Any]):
    """Stands for dnnlib's dict with attributes and for OrderedDict, whose attributes a pickle could replace."""

    def __setstate__(self, _: Any) -> None:
        """Attributes of a dict; nothing here reads them."""


class _Kind:
    """Stands for numpy.dtype: a type of `KINDS` by its name, in the byte order that its state names."""

    __slots__ = ("name", "order")

    def __init__(self, name: Any = "", *_: Any) -> None:
        if not isinstance(name, str) or name not in KINDS:
            raise pickle.UnpicklingError("an array of another type than plain numbers")
        self.name = name
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if not isinstance(order, str) or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("an array's type has a malformed state")
        self.order = order

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.name).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


class _Array:
    """Stands for numpy.ndarray: keeps the parts of its state, checked; numpy's own `__setstate__` trusts them.

    Attributes:
        values: the array; None before its state is known.
    """

    __slots__ = ("values",)

    def __init__(self, *_: Any) -> None:
        self.values: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("an array has a malformed state")
        _, shape, kind, by_columns, data = state
        self.values = _values(shape, kind, "F" if by_columns is True else "C", data)


def _values(shape: Any, kind: Any, order: Literal["C", "F"], data: Any) -> NDArray[Any]:
    """An array of its parts.

    Raises:
        pickle.UnpicklingError: they are of other types or do not fit each other.
    """
    if isinstance(data, str):  # Python 2's strings of bytes
        data = data.encode("latin1")
    if not isinstance(kind, _Kind) or not isinstance(data, bytes) or not _are_sizes(shape, MOST_AXES):
        raise pickle.UnpicklingError("an array has a malformed state")
    if math.prod(shape) * kind.numpy().itemsize != len(data):
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
    return np.frombuffer(data, kind.numpy()).reshape(shape, order=order)


def _are_sizes(sizes: Any, most: int) -> bool:
    """Whether something is a tuple of at most `most` whole numbers from 0 to the size of the largest file."""
    return (
        isinstance(sizes, tuple)
        and len(sizes) <= most
        and all(type(size) is int and 0 <= size <= LARGEST_FILE for size in sizes)
    )


class _Maker:
    """A function that a pickle may call and cannot change."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, _: Any) -> None:
        raise pickle.UnpicklingError("a function with a state")


def _array(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: Any = None, data: Any = None, *_: Any) -> Any:
    return _values((), kind, "C", data)[()]


def _latin1(text: Any = "", encoding: Any = "latin1", *_: Any) -> bytes:
    """Bytes as Python 3 writes them in protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an unknown encoding")
    return text.encode("latin1")


def _persistent(meta: Any = None, *_: Any) -> _Box:
    box = _Box()
    box.state = meta.get("state") if isinstance(meta, dict) else None
    return box


def _storage(data: Any = None, *_: Any) -> Any:
    if not isinstance(data, bytes):
        raise pickle.UnpicklingError("a malformed storage")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _tensor(storage: Any = None, offset: Any = None, size: Any = None, stride: Any = None, *_: Any) -> Tensor:
    """torch's `_rebuild_tensor_v2`, which would enlarge a storage that is too small for the tensor."""
    size = tuple(size) if isinstance(size, torch.Size) else size
    if not isinstance(storage, torch.storage.TypedStorage) or not _are_sizes((offset,), 1):
        raise pickle.UnpicklingError("a malformed tensor")
    if not _are_sizes(size, MOST_AXES) or not _are_sizes(stride, MOST_AXES) or len(size) != len(stride):
        raise pickle.UnpicklingError("a malformed tensor")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    held = storage._untyped_storage.nbytes() // storage.dtype.itemsize
    if 0 not in size and (last >= held or math.prod(size) > held):
        raise pickle.UnpicklingError(f"a tensor of shape {size} lies beyond its storage")
    made: Tensor = torch._utils._rebuild_tensor(storage, offset, size, stride)  # type: ignore[no-untyped-call]
    return made


def _size(sizes: Any = (), *_: Any) -> torch.Size:
    if not isinstance(sizes, list | tuple) or not _are_sizes(tuple(sizes), MOST_AXES):
        raise pickle.UnpicklingError("a malformed size")
    return torch.Size(sizes)


def _parameter(data: Any = None, *_: Any) -> Any:
    return data


_KNOWN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("dnnlib.util", "EasyDict"): _Dict,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _Maker(_persistent),
    ("torch._utils", "_rebuild_tensor_v2"): _Maker(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Maker(_parameter),
    ("torch.storage", "_load_from_bytes"): _Maker(_storage),
    ("torch", "Size"): _Maker(_size),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("numpy.core.multiarray", "_reconstruct"): _Maker(_array),
    ("numpy._core.multiarray", "_reconstruct"): _Maker(_array),
    ("numpy.core.multiarray", "scalar"): _Maker(_scalar),
    ("numpy._core.multiarray", "scalar"): _Maker(_scalar),
    ("_codecs", "encode"): _Maker(_latin1),
}


class _Replayer(pickle.Unpickler):
    """Replays a pickle and imports nothing. The file is read to its end.

    Raises:
        ValueError, pickle.UnpicklingError: on the way to `load`, see `_check_steps`.
    """

    def __init__(self, file: IO[bytes], **options: Any) -> None:
        data = file.read()
        _check_steps(data)
        super().__init__(io.BytesIO(data), **options)

    def find_class(self, module: str, name: str) -> Any:
        return _KNOWN.get((module, name), _Box)


def _check_steps(data: bytes) -> None:
    """Check the opcodes of a pickle before it is replayed.

    The replay allocates as many places of its memo as the highest index asks for: a few bytes could take all memory.

    Raises:
        ValueError, pickle.UnpicklingError: it is malformed, too long, or has opcodes that no known program writes.
    """
    for steps, (opcode, argument, _) in enumerate(pickletools.genops(data), 1):
        if steps > MOST_STEPS:
            raise pickle.UnpicklingError("more opcodes than any published network has")
        if opcode.name in FOREIGN:
            raise pickle.UnpicklingError(f"an opcode {opcode.name}")
        if opcode.name.endswith("PUT") and not 0 <= int(argument or 0) <= steps:
            raise pickle.UnpicklingError("an index beyond its objects")


class _AnyKind(_Kind):
    """A numpy.dtype that may also be that of objects."""

    __slots__ = ()

    def __init__(self, name: Any = "", *rest: Any) -> None:
        if name == "O8":
            self.name, self.order = name, "|"
        else:
            super().__init__(name, *rest)

    def numpy(self) -> np.dtype[Any]:
        if self.name == "O8":
            raise pickle.UnpicklingError("an array of objects in place of numbers")
        return super().numpy()


class _ObjectArray(_Array):
    """A numpy.ndarray that may also be one of objects.

    Attributes:
        objects: what it holds; None for numbers.
    """

    __slots__ = ("objects",)

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.objects: list[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], list):
            self.objects = state[4]
        else:
            super().__setstate__(state)


def _object_array(*_: Any) -> _ObjectArray:
    return _ObjectArray()


class _ObjectReplayer(_Replayer):
    """A `_Replayer` of what `np.save` writes of an object."""

    _KINDS: Mapping[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _ObjectArray,
        ("numpy", "dtype"): _AnyKind,
        ("numpy.core.multiarray", "_reconstruct"): _Maker(_object_array),
        ("numpy._core.multiarray", "_reconstruct"): _Maker(_object_array),
    }

    def find_class(self, module: str, name: str) -> Any:
        return self._KINDS.get((module, name)) or super().find_class(module, name)


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


class _Walk:
    """Bounds a walk through objects that may contain themselves, or each other many times."""

    __slots__ = ("_bytes", "_nodes")

    def __init__(self) -> None:
        self._nodes = self._bytes = 0

    def visit(self, depth: int, size: int = 0) -> None:
        """Count one node and the bytes of its values.

        Raises:
            ValueError: they are too many, or too deep.
        """
        self._nodes += 1
        self._bytes += size
        if depth > DEEPEST or self._nodes > MOST_NODES or self._bytes > LARGEST_FILE:
            raise ValueError("it has more parts than any published network")


def _module_tensors(module: Any, walk: _Walk, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    walk.visit(depth)
    state = module.state if isinstance(module, _Box) else None
    if not isinstance(state, dict):
        return
    for group in ("_parameters", "_buffers"):
        for name, tensor in _dict(state.get(group)).items():
            if isinstance(tensor, Tensor) and isinstance(name, str):
                walk.visit(depth, tensor.numel() * tensor.element_size())
                yield f"{prefix}{name}", tensor.detach()
    for name, child in _dict(state.get("_modules")).items():
        if isinstance(name, str):
            yield from _module_tensors(child, walk, f"{prefix}{name}.", depth + 1)


def _variables(network: Any, walk: _Walk, depth: int = 0) -> Iterator[tuple[str, NDArray[np.float32]]]:
    walk.visit(depth)
    state = network.state if isinstance(network, _Box) else None
    if not isinstance(state, dict):
        return
    variables = state.get("variables")
    for name, saved in variables if isinstance(variables, list | tuple) else ():
        value = saved.values if isinstance(saved, _Array) else saved
        if isinstance(value, np.ndarray | np.number | float) and isinstance(name, str):
            walk.visit(depth, 4 * np.size(value))
            with np.errstate(over="ignore"):
                yield name, np.asarray(value, np.float32)
    for component in _dict(state.get("components")).values():
        yield from _variables(component, walk, depth + 1)


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
