"""An ONNX file on disk: checked for being whole before any library parses it, identified by its hash."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from engines.base import EngineError

log = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parent.parent
EMBEDDED = PROJECT / "models" / "embedded"

# Fields of onnx.ModelProto (onnx/onnx.proto) that every usable model has.
IR_VERSION, GRAPH, OPSET_IMPORT, METADATA = 1, 7, 8, 14
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protobuf wire types
LONGEST_VARINT = 10  # bytes

# Names what `engines.graph.half` and `engines.backends.tensorrt` make of a file: with another name, engines are built
# again.
GRAPHS = "2"

LONGEST_PROPERTY = 1 << 16  # bytes
RANGE_PREFIX = "latentcam:range:"
PRECISE = "latentcam:precise"  # "1" where rounding costs more than it saves: to be run in FP32
QUANTIZED_FROM = "latentcam:quantized_from"  # sha256 of the network that an int8 version was made from


@dataclass(frozen=True, slots=True)
class Network:
    """A whole ONNX file.

    Attributes:
        path: where it lies.
        sha256: of its bytes, in hex.
        size: bytes.
        properties: its metadata, see `range_property`, `PRECISE` and `QUANTIZED_FROM`.
        quantized: the same network in int8, where `engines.graph.quantize` has put one beside it.
    """

    path: Path
    sha256: str
    size: int
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    quantized: Network | None = None

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def precise(self) -> bool:
        """Whether the file asks to be run in FP32."""
        return self.properties.get(PRECISE) == "1"

    def broken(self, reason: object) -> EngineError:
        """The error for a file that a library refuses: names the file, the reason and what mends it."""
        return _broken(self.path, str(reason))


def open_network(path: str | Path) -> Network:
    """Check that a file is a complete ONNX model and hash it.

    Only the outermost protobuf fields are read: enough to tell a cut, empty or foreign file (a Git LFS pointer, an
    HTML page) from a model, and cheap for files of a gigabyte.

    Raises:
        EngineError: the file is missing, cut or no ONNX model; the message names it and the command that mends it.
    """
    network = _open(Path(path))
    beside = quantized_path(network.path)
    if not beside.is_file():
        return network
    quantized = _open(beside)
    if quantized.properties.get(QUANTIZED_FROM) != network.sha256:
        log.warning("%s was made from another version of %s and is not used", beside, network.path.name)
        return network
    return replace(network, quantized=quantized)


def embedded() -> list[Path]:
    """The networks that ship with the project; int8 versions belong to the network beside them."""
    return sorted(path for path in EMBEDDED.rglob("*.onnx") if not path.name.endswith(".int8.onnx"))


def quantized_path(path: Path) -> Path:
    """Where the int8 version of a network lies."""
    return path.with_suffix(".int8.onnx")


def _open(path: Path) -> Network:
    properties: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            try:
                fields = set(_fields(file, size, properties))
            except ValueError as error:
                raise _broken(path, str(error)) from None
            if missing := {IR_VERSION, GRAPH, OPSET_IMPORT} - fields:
                raise _broken(path, f"not a complete ONNX model (fields {sorted(missing)} are missing)")
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from None
    return Network(path, digest, size, properties)


def range_property(name: str, low: float, high: float) -> tuple[str, str]:
    """Key and value of the metadata by which a file tells the range of real values of an input."""
    return f"{RANGE_PREFIX}{name}", f"{low:g} {high:g}"


def told_range(properties: Mapping[str, str], name: str) -> tuple[float, float] | None:
    """The range that a file's metadata tells for an input, or None."""
    try:
        low, high = (float(part) for part in properties.get(RANGE_PREFIX + name, "").split())
    except ValueError:
        return None
    return (low, high) if low < high else None


def _fields(file: BinaryIO, size: int, properties: dict[str, str]) -> Iterator[int]:
    """Numbers of the outermost protobuf fields of a file that must end exactly where its last field ends.

    Fills `properties` with the metadata on the way.
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
            if number == METADATA and length <= LONGEST_PROPERTY and start + length <= size:
                _read_property(file.read(length), properties)
            file.seek(start + length)
        else:
            raise ValueError("not an ONNX file")
        if file.tell() > size:
            raise ValueError(f"the file is cut: {size} bytes of at least {file.tell()}")
        yield number


def _read_property(data: bytes, properties: dict[str, str]) -> None:
    """One onnx.StringStringEntryProto: key and value are fields 1 and 2, both strings."""
    file, parts = io.BytesIO(data), {1: "", 2: ""}
    while file.tell() < len(data):
        number, wire = divmod(_varint(file), 8)
        if wire != BYTES or number not in parts:
            raise ValueError("not an ONNX file")
        parts[number] = file.read(_varint(file)).decode(errors="replace")
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


def _broken(path: Path, reason: str) -> EngineError:
    return EngineError(f"{path}: {reason}; mend it with: {_remedy(path)}")


def _remedy(path: Path) -> str:
    resolved = path.resolve()
    if resolved.is_relative_to(EMBEDDED):
        return f"git checkout -- {resolved.relative_to(PROJECT).as_posix()}"
    return "export or fetch this network again"
