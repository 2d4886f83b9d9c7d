"""An ONNX file on disk: checked for being complete before any library parses it, identified by its hash."""

from __future__ import annotations

import hashlib
import io
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from engines import onnx_check
from engines.base import EngineError, TensorSpec

# Field numbers of onnx.ModelProto (onnx/onnx.proto). Every usable model has the first three.
IR_VERSION, GRAPH, OPSET_IMPORT, METADATA = 1, 7, 8, 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protobuf wire types
LONGEST_VARINT = 10  # bytes

LONGEST_PROPERTY = 1 << 16  # bytes
RANGE_PREFIX = "latentcam:range:"  # metadata key prefix of an input's range, see `range_property`
PRECISE = "latentcam:precise"  # metadata key; "1" asks for FP32, where rounding costs more than it saves

REMEDY = "export or fetch this network again"


@dataclass(frozen=True, slots=True)
class Network:
    """A complete ONNX file.

    Attributes:
        path: the file.
        sha256: hash of its bytes, in hex; where it has external data, of both.
        properties: its metadata by key, see `range_property` and `PRECISE`.
        remedy: what a user does about a damaged file, for error messages.
    """

    path: Path
    sha256: str
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    remedy: str = REMEDY

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def precise(self) -> bool:
        """Whether the file asks for FP32."""
        return self.properties.get(PRECISE) == "1"

    def broken(self, reason: object) -> EngineError:
        """The error for a file that a library refuses: names the file, the reason and the remedy."""
        return _broken(self.path, str(reason), self.remedy)


def open_network(path: str | Path, remedy: str = REMEDY) -> Network:
    """Check that a file is a complete ONNX model and hash it.

    The outermost protobuf fields tell a truncated, empty or foreign file (a Git LFS pointer, an HTML page) from a
    model. `engines.onnx_check` then refuses what no network needs and what makes libraries crash or hang. Both skip the
    tensors' values and stay fast for files of a gigabyte.

    Args:
        path: the file.
        remedy: what a user does about a damaged file: a phrase or a command.

    Raises:
        EngineError: the file is missing, truncated, no ONNX model or refused by `engines.onnx_check.check`; the message
            names the file and the remedy.
    """
    path, properties = Path(path), dict[str, str]()
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            try:
                fields = set(_fields(file, size, properties))
            except ValueError as error:
                raise _broken(path, str(error), remedy) from None
            if missing := {IR_VERSION, GRAPH, OPSET_IMPORT} - fields:
                raise _broken(path, f"not a complete ONNX model (fields {sorted(missing)} are missing)", remedy)
            try:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    external = onnx_check.check(data, path.parent)  # type: ignore[arg-type]
            except ValueError as error:
                raise _broken(path, str(error), remedy) from None
            digest = _digest(file, path.parent, external)
    except OSError as error:
        raise _broken(path, error.strerror or str(error), remedy) from None
    return Network(path, digest, properties, remedy)


def _digest(file: io.BufferedReader, folder: Path, external: Sequence[Path]) -> str:
    """Hash of a file, and of the names and contents of its external data if it has any."""
    file.seek(0)
    own = hashlib.file_digest(file, "sha256")
    if not external:
        return own.hexdigest()
    whole = hashlib.sha256(own.digest())
    for path in external:
        with path.open("rb") as part:
            whole.update(hashlib.file_digest(part, "sha256").digest())
        whole.update(hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest())
    return whole.hexdigest()


def range_property(name: str, low: float, high: float) -> tuple[str, str]:
    """Metadata key and value that record the range of real values of the input `name`."""
    return f"{RANGE_PREFIX}{name}", f"{low:g} {high:g}"


def recorded_range(properties: Mapping[str, str], name: str) -> tuple[float, float] | None:
    """The range that a file's metadata records for an input, or None."""
    try:
        low, high = (float(part) for part in properties.get(RANGE_PREFIX + name, "").split())
    except ValueError:
        return None
    return (low, high) if low < high else None


def only_batch_is_free(network: Network, inputs: Sequence[TensorSpec]) -> None:
    """Check that no input has a free dimension besides its batch: buffers and graphs have fixed sizes.

    Raises:
        EngineError: an input has one; the message names it.
    """
    for spec in inputs:
        if None in spec.shape[1:]:
            raise EngineError(f"{network.path}: input {spec.name!r} {spec.shape} leaves more than its batch open")


def _fields(file: BinaryIO, size: int, properties: dict[str, str]) -> Iterator[int]:
    """Numbers of the outermost protobuf fields. The file must end exactly where its last field ends.

    Adds the metadata to `properties`.

    Raises:
        ValueError: the file is empty, truncated or not made of protobuf fields.
    """
    if size == 0:
        raise ValueError("the file is empty")
    while file.tell() < size:
        number, wire = divmod(_varint(file), 8)
        if wire == VARINT:
            _varint(file)
        elif wire in (FIXED64, FIXED32):
            file.seek(8 if wire == FIXED64 else 4, 1)
        elif wire == BYTES:
            length = _varint(file)
            start = file.tell()
            if start + length > size:
                raise ValueError(f"the file is cut: {size} bytes of at least {start + length}")
            if number == METADATA and length <= LONGEST_PROPERTY:
                _read_property(file.read(length), properties)
            file.seek(start + length)
        else:
            raise ValueError("not an ONNX file")
        if file.tell() > size:
            raise ValueError(f"the file is cut: {size} bytes of at least {file.tell()}")
        yield number


def _read_property(data: bytes, properties: dict[str, str]) -> None:
    """Add one onnx.StringStringEntryProto: key and value are fields 1 and 2, both strings."""
    file, parts = io.BytesIO(data), {1: "", 2: ""}
    while file.tell() < len(data):
        number, wire = divmod(_varint(file), 8)
        if wire != BYTES or number not in parts:
            raise ValueError("not an ONNX file")
        length = _varint(file)
        if length > len(data) - file.tell():
            raise ValueError("not an ONNX file")
        parts[number] = file.read(length).decode(errors="replace")
    properties[parts[1]] = parts[2]


def _varint(file: BinaryIO) -> int:
    value = 0
    for index in range(LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file is cut or no ONNX file")
        value |= (byte[0] & 0x7F) << (7 * index)
        if byte[0] < 0x80:
            return value
    raise ValueError("not an ONNX file")


def _broken(path: Path, reason: str, remedy: str) -> EngineError:
    return EngineError(f"{path}: {reason}; mend it with: {remedy}")
