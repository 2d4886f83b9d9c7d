"""Read other people's checkpoints without trusting them, and account for every key.

A checkpoint is a pickle, and a pickle is a program. Everything here goes through the `weights_only` reader of torch,
which builds tensors and plain containers and nothing else. A file that needs more is refused, with the names of what it
wanted to call.
"""

from __future__ import annotations

import io
import logging
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

M = TypeVar("M", bound=nn.Module)

DAMAGE = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError, RuntimeError, MemoryError, OverflowError),
    *(ValueError, TypeError, AttributeError, IndexError, KeyError, UnicodeDecodeError, zipfile.BadZipFile),
)
"""What reading a damaged or malicious file may raise."""

SHOWN_KEYS = 8
"""How many keys of each kind a message lists before it counts the rest."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used; the message names the file or the keys, and the next step."""


class UnsafeCheckpoint(CheckpointError):
    """Reading the file would run code of its author.

    Attributes:
        calls: dotted names of what the pickle wants to import, sorted; empty where the file could not be scanned.
    """

    def __init__(self, message: str, calls: tuple[str, ...]) -> None:
        super().__init__(message)
        self.calls = calls


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of each key when a state dict met a module.

    Attributes:
        loaded: number of tensors taken over.
        missing: keys the module has and the state lacks, `optional` ones left out.
        extra: keys the state has and the module does not, `ignored` ones left out.
        misshapen: (key, shape the module has, shape the state has).
    """

    loaded: int
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    misshapen: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    @property
    def usable(self) -> bool:
        """Whether every tensor of the module was filled. Extra keys do no harm."""
        return not self.missing and not self.misshapen

    def __str__(self) -> str:
        parts = [f"{self.loaded} keys loaded"]
        if self.missing:
            parts.append(f"{len(self.missing)} missing: {_listing(self.missing)}")
        if self.misshapen:
            shown = [f"{key} is {_size(have)}, not {_size(want)}" for key, want, have in self.misshapen]
            parts.append(f"{len(shown)} mis-shaped: {_listing(shown)}")
        if self.extra:
            parts.append(f"{len(self.extra)} extra: {_listing(self.extra)}")
        return "; ".join(parts)


def read(path: str | Path) -> Any:
    """Read a checkpoint file: tensors and plain containers only, on the CPU.

    Args:
        path: a file written by `torch.save`, zip or legacy format.

    Returns:
        Whatever was saved: usually a dict. Tensors of a zip file are mapped from disk, not copied.

    Raises:
        UnsafeCheckpoint: the pickle names a class or function that is not a tensor or a plain container.
        CheckpointError: the file is missing, truncated or no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; `python -m models.fetch` gets the weights of a catalogued editor")
    zipped = zipfile.is_zipfile(path)
    if not zipped and not _is_legacy(path):
        raise _refusal(path, "it is neither of the formats of torch.save")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except DAMAGE as error:
        raise _refusal(path, str(error)) from error


def load_state(path: str | Path, container: str = "") -> dict[str, Tensor]:
    """The tensors of one network in a checkpoint file.

    Args:
        path: see `read`.
        container: where the network lies in the file: "" for a bare state dict, a key ("state_dict", "g_ema"), or keys
            joined by "/" for nested dicts ("models/generator_s"). Alternatives are separated by "|", the first one
            present is taken ("generator_smooth|generator").

    Returns:
        Keys as in the file. Entries that are not tensors are left out.

    Raises:
        CheckpointError: see `read`; or the container is not there, or holds no tensors.
    """
    return tensors_in(read(path), container, origin=str(path))


def tensors_in(saved: Any, container: str = "", origin: str = "checkpoint") -> dict[str, Tensor]:
    """`load_state` for a file that has been read already. `origin` names it in errors."""
    for choice in container.split("|"):
        level = saved
        for key in filter(None, choice.split("/")):
            level = level.get(key) if isinstance(level, Mapping) else None
        if isinstance(level, Mapping):
            state = {str(key): value for key, value in level.items() if isinstance(value, Tensor)}
            if state:
                return state
    held = _listing([str(key) for key in saved]) if isinstance(saved, Mapping) else type(saved).__name__
    raise CheckpointError(f"{origin} has no tensors under {container or 'its top level'!r}; it holds {held}")


def under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The part of a state dict whose keys start with `prefix`, with the prefix taken off."""
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def report_rest(state: Mapping[str, Tensor], prefixes: Iterable[str], origin: str) -> None:
    """Log the keys of a system that belong to none of its networks; `build` reports those within a network.

    Args:
        state: all tensors of the system.
        prefixes: of the keys of its networks, and of what is known to be of no use.
        origin: names the file.
    """
    rest = [key for key in state if not key.startswith(tuple(prefixes))]
    if rest:
        log.warning("%s: %d keys belong to no network here: %s", origin, len(rest), _listing(rest))


def shape_of(state: Mapping[str, Tensor], key: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a tensor that tells the size of a network.

    Args:
        state: tensors by key.
        key: of the tensor.
        usual: its shape in the published network.

    Returns:
        Its shape; the usual one where it is missing, empty or of another rank, so that loading says so.
    """
    shape = tuple(state[key].shape) if key in state else ()
    return shape if len(shape) == len(usual) and all(shape) else usual


def parts_under(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many parts "<prefix>0", "<prefix>1", ... a network has: one more than the highest number in its keys.

    A part of which a key is missing counts, so that loading names the key. At most the number of keys.
    """
    found = (re.match(rf"{re.escape(prefix)}(\d+)(?:\.|$)", key) for key in state)
    return min(max((int(match[1]) + 1 for match in found if match), default=0), len(state))


def load_into(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    prefix: str = "",
    optional: Iterable[str] = (),
    ignored: Iterable[str] = (),
) -> KeyReport:
    """Fill a module from a state dict, or say exactly why not. Nothing is loaded unless everything fits.

    The module takes over the state's tensors (no copy), in its own dtype. What lay on the meta device and is optional
    and absent becomes zeros.

    Args:
        module: the network; may lie on the meta device, see `build`.
        state: tensors by key.
        prefix: only keys that start with it belong to this module, and it is taken off.
        optional: patterns (`fnmatch`) of the module's keys that the state may lack, e.g. "*.num_batches_tracked".
        ignored: patterns of the state's keys that belong to the system but not to this network: no extra keys.

    Returns:
        The report; `usable` is True and `extra` is for the caller to log.

    Raises:
        CheckpointError: keys are missing or mis-shaped; the message is the report.
    """
    given = under(state, prefix)
    wanted = module.state_dict(keep_vars=True)
    fitting = {key: value for key, value in given.items() if key in wanted and value.shape == wanted[key].shape}
    report = KeyReport(
        loaded=len(fitting),
        missing=tuple(key for key in wanted if key not in given and not _matches(key, optional)),
        extra=tuple(key for key in given if key not in wanted and not _matches(key, ignored)),
        misshapen=tuple(
            (key, tuple(wanted[key].shape), tuple(value.shape))
            for key, value in given.items()
            if key in wanted and key not in fitting
        ),
    )
    if not report.usable:
        raise CheckpointError(f"the weights do not fit {type(module).__name__}: {report}")
    module.load_state_dict(
        {key: value.to(wanted[key].dtype) for key, value in fitting.items()}, strict=False, assign=True
    )
    _materialise(module)
    return report


def build(
    make: Callable[[], M],
    state: Mapping[str, Tensor],
    *,
    prefix: str = "",
    optional: Iterable[str] = (),
    ignored: Iterable[str] = (),
) -> M:
    """Make a network straight from its weights: no initialisation, no second copy in memory; eval mode, no gradients.

    Args:
        make: makes the network. It runs on the meta device; constants must name `device="cpu"` themselves.
        state, prefix, optional, ignored: see `load_into`.

    Raises:
        CheckpointError: see `load_into`.
    """
    with torch.device("meta"):
        module = make()
    report = load_into(module, state, prefix=prefix, optional=optional, ignored=ignored)
    if report.extra:
        log.warning("%s: %s", type(module).__name__, report)
    return module.eval().requires_grad_(False)


def pickle_imports(path: str | Path) -> tuple[str, ...]:
    """What a pickle would import beyond tensors and containers, found by reading its opcodes without running them.

    Args:
        path: a pickle or a zip of torch.save.

    Returns:
        Dotted names, sorted, without those torch's safe reader knows; empty where there is no readable pickle.
    """
    path = Path(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] == "data.pkl"]
            data = archive.read(names[0]) if names else b""
    else:
        data = path.read_bytes()
    found: set[str] = set()
    strings: list[str] = []
    stream = io.BytesIO(data)
    try:
        while stream.tell() < len(data):  # the legacy format is several pickles in a row, then raw storages
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name in ("GLOBAL", "INST"):
                    found.add(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL":
                    found.add(".".join(strings[-2:]))
                elif isinstance(argument, str):
                    strings.append(argument)
    except DAMAGE:
        pass  # a damaged tail, or the storages: what came before still counts
    return tuple(sorted(name for name in found if not name.startswith(("torch.", "collections.OrderedDict"))))


def _is_legacy(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x80\x02"  # pickle protocol 2, before torch.save wrote zip files


def _refusal(path: Path, reason: str) -> CheckpointError:
    calls = pickle_imports(path)
    if not calls:
        return CheckpointError(f"{path} is damaged or no checkpoint: {reason}")
    return UnsafeCheckpoint(
        f"{path} would run code when it is read ({_listing(calls)}), so it is refused. NVIDIA's own .pkl files of "
        "StyleGAN and StyleGAN2 go through `python -m models.convert`, which reads them without running them. To "
        "convert another, open it with its authors' program where that does no harm, and save only its tensors: "
        "`torch.save({name: tensor for name, tensor in network.state_dict().items()}, 'converted.pt')`",
        calls,
    )


def _materialise(module: nn.Module) -> None:
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.is_meta:
                part.register_buffer(name, torch.zeros(buffer.shape, dtype=buffer.dtype, device="cpu"))
        for name, parameter in part.named_parameters(recurse=False):
            if parameter.is_meta:
                zeros = torch.zeros(parameter.shape, dtype=parameter.dtype, device="cpu")
                part.register_parameter(name, nn.Parameter(zeros, requires_grad=parameter.requires_grad))


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _listing(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - SHOWN_KEYS
    return ", ".join(names[:SHOWN_KEYS]) + (f" and {rest} more" if rest > 0 else "")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
