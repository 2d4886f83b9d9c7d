"""What an ONNX file of a stranger asks for, checked before a library parses it.

Libraries read external data at any address a file names (ONNX Runtime's marker of memory addresses, absolute paths) and
run constant loops while they load. The check walks the protobuf fields of onnx.ModelProto (onnx/onnx.proto); the
values of tensors are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # protobuf wire types
LONGEST_VARINT = 10  # bytes
LARGEST_NUMBER = 1 << 63  # negative int64 values are written as larger ones
GROUP_STEP = 7  # bits of a varint's byte

DEEPEST = 8
"""Graphs within graphs."""
MOST_NODES = 200_000
"""Of all graphs and functions together; the largest published network here has some thousand."""
MOST_TENSORS = 200_000
MOST_BYTES = 16 << 30
"""Of all constant tensors together, inside and outside of the file."""
MOST_AXES = 16
MOST_TRIPS = 10_000
"""Of a loop, and of nested loops multiplied."""
LONGEST_NAME = 4096  # bytes
LONGEST_SCALAR = 1024  # bytes of a tensor that may be a trip count
MARKERS = ("_ORT_MEM_ADDR_",)
"""Locations that libraries take for addresses in memory."""
BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8,
}  # fmt: skip
"""Bits of an element by TensorProto.DataType; strings (8) have no fixed size."""
INT64 = 7


class Graph:
    """Fields of GraphProto."""

    NODE, INITIALIZER, SPARSE_INITIALIZER = 1, 5, 15


class Node:
    """Fields of NodeProto."""

    INPUT, OUTPUT, TYPE, ATTRIBUTE = 1, 2, 4, 5


class Attribute:
    """Fields of AttributeProto."""

    INT, TENSOR, GRAPH, INTS, TENSORS, GRAPHS, SPARSE, SPARSES = 3, 5, 6, 8, 10, 11, 22, 23


class Tensor:
    """Fields of TensorProto."""

    DIMS, TYPE, INT64S, NAME, RAW, EXTERNAL, LOCATION = 1, 2, 7, 8, 9, 13, 14
    VALUES = frozenset((4, 5, 6, 7, 10, 11))


class Model:
    """Fields of ModelProto."""

    GRAPH, TRAINING, FUNCTION = 7, 20, 25


FUNCTION_NODE, FUNCTION_ATTRIBUTE = 7, 11
TRAINING_GRAPHS = (1, 2)
SPARSE_TENSORS = (1, 2)
ENTRY_KEY, ENTRY_VALUE = 1, 2


@dataclass(frozen=True, slots=True)
class _Field:
    """One protobuf field: its number, its value (a varint) or where its bytes lie."""

    number: int
    value: int
    start: int
    end: int


@dataclass(slots=True)
class _Loop:
    """A loop's trip count: the name of a tensor, and the loop it stands in."""

    trips: str
    within: _Loop | None


@dataclass(slots=True)
class _Check:
    """The walk through one file.

    Attributes:
        data: the file's bytes.
        folder: where it lies.
        external: files of external data, found so far.
        scalars: the largest value of each constant scalar by name.
        loops: all loops.
    """

    data: bytes
    folder: Path
    external: set[Path] = field(default_factory=set)
    scalars: dict[str, int] = field(default_factory=dict)
    loops: list[_Loop] = field(default_factory=list)
    nodes: int = 0
    tensors: int = 0
    bytes: int = 0

    def model(self) -> None:
        for part in self.fields(0, len(self.data)):
            if part.number == Model.GRAPH:
                self.graph(part, None, 1)
            elif part.number == Model.TRAINING:
                for inner in self.fields(part.start, part.end):
                    if inner.number in TRAINING_GRAPHS:
                        self.graph(inner, None, 1)
            elif part.number == Model.FUNCTION:
                for inner in self.fields(part.start, part.end):
                    if inner.number == FUNCTION_NODE:
                        self.node(inner, None, 1)
                    elif inner.number == FUNCTION_ATTRIBUTE:
                        self.attribute(inner, None, 1)
        for loop in self.loops:
            self.check_trips(loop)

    def graph(self, at: _Field, within: _Loop | None, depth: int) -> None:
        if depth > DEEPEST:
            raise ValueError(f"it has graphs in graphs, more than {DEEPEST} deep")
        for part in self.fields(at.start, at.end):
            if part.number == Graph.NODE:
                self.node(part, within, depth)
            elif part.number == Graph.INITIALIZER:
                self.tensor(part)
            elif part.number == Graph.SPARSE_INITIALIZER:
                self.sparse(part)

    def node(self, at: _Field, within: _Loop | None, depth: int) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise ValueError(f"it has more than {MOST_NODES:,} nodes")
        inputs, outputs, kind, attributes = list[str](), list[str](), "", list[_Field]()
        for part in self.fields(at.start, at.end, (Node.TYPE,)):
            if part.number == Node.INPUT and not inputs:  # the first is a loop's trip count
                inputs.append(self.text(part))
            elif part.number == Node.OUTPUT and not outputs:
                outputs.append(self.text(part))
            elif part.number == Node.TYPE:
                kind = self.text(part)
            elif part.number == Node.ATTRIBUTE:
                attributes.append(part)
        if kind == "Loop":
            within = _Loop(inputs[0] if inputs else "", within)
            self.loops.append(within)
        for part in attributes:
            self.attribute(part, within, depth, outputs[0] if kind == "Constant" and outputs else "")

    def attribute(self, at: _Field, within: _Loop | None, depth: int, constant: str = "") -> None:
        """One attribute; `constant` is the name of the tensor that it is the value of."""
        once = (Attribute.INT, Attribute.TENSOR, Attribute.GRAPH, Attribute.SPARSE)
        for part in self.fields(at.start, at.end, once):
            if part.number in (Attribute.TENSOR, Attribute.TENSORS):
                self.tensor(part, constant)
            elif part.number in (Attribute.GRAPH, Attribute.GRAPHS):
                self.graph(part, within, depth + 1)
            elif part.number in (Attribute.SPARSE, Attribute.SPARSES):
                self.sparse(part)
            elif constant and part.number in (Attribute.INT, Attribute.INTS):
                self.know(constant, self.numbers(part))

    def sparse(self, at: _Field) -> None:
        for part in self.fields(at.start, at.end, SPARSE_TENSORS):
            if part.number in SPARSE_TENSORS:
                self.tensor(part)

    def tensor(self, at: _Field, constant: str = "") -> None:  # noqa: PLR0912
        self.tensors += 1
        if self.tensors > MOST_TENSORS:
            raise ValueError(f"it has more than {MOST_TENSORS:,} constant tensors")
        dims, kind, raw, values, whole = list[int](), 0, None, 0, list[int]()
        entries: dict[str, str] = {}
        once = (Tensor.TYPE, Tensor.NAME, Tensor.RAW, Tensor.LOCATION)
        for part in self.fields(at.start, at.end, once):
            size = part.end - part.start
            if part.number == Tensor.DIMS:
                dims += self.numbers(part, MOST_AXES)
            elif part.number == Tensor.TYPE:
                kind = part.value
            elif part.number == Tensor.NAME:
                constant = constant or self.text(part)
            elif part.number == Tensor.RAW:
                raw = size
                if size == BITS[INT64] // 8:
                    whole.append(int.from_bytes(self.data[part.start : part.end], "little"))
            elif part.number in Tensor.VALUES:
                values += size or 1
                if part.number == Tensor.INT64S and size <= LONGEST_SCALAR:
                    whole += self.numbers(part)
            elif part.number == Tensor.EXTERNAL:
                self.entry(part, entries)
            elif part.number == Tensor.LOCATION and part.value not in (0, 1):
                raise ValueError("a tensor lies at an unknown kind of location")
            elif part.number == Tensor.LOCATION and part.value:
                entries.setdefault("location", "")
        self.check_size(dims, kind, raw, values, entries)
        if kind == INT64 and constant:
            self.know(constant, whole)

    def check_size(self, dims: list[int], kind: int, raw: int | None, values: int, entries: dict[str, str]) -> None:
        """Compare a tensor's shape with its values."""
        if len(dims) > MOST_AXES or any(size >= LARGEST_NUMBER for size in dims):
            raise ValueError(f"a tensor has the shape {dims[:MOST_AXES]}")
        count = math.prod(dims)
        size = -(-count * BITS.get(kind, 8) // 8)
        if entries:
            if kind not in BITS:
                raise ValueError("external data of a type without a size")
            self.locate(entries, size)
        elif raw is not None and (kind not in BITS or raw != size):
            raise ValueError(f"a tensor of shape {dims} has {raw} bytes")
        elif raw is None and count > 2 * values:  # one byte at least for two values of four bits
            raise ValueError(f"a tensor of shape {dims} has {values} bytes of values")
        self.bytes += size
        if self.bytes > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 30} GiB of constants")

    def locate(self, entries: dict[str, str], size: int) -> None:
        """Check where a tensor's external data lie, and note the file."""
        location = entries.get("location", "")
        posix, windows = PurePosixPath(location), PureWindowsPath(location)
        if not location or "\0" in location or any(marker in location for marker in MARKERS):
            raise ValueError(f"external data at {location[:80]!r}, which is no file")
        outside = posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts)
        path = self.folder / location
        if outside or not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"external data at {location[:80]!r}, outside of its folder")
        if not path.is_file():
            raise ValueError(f"external data at {location[:80]!r}, which is no file")
        numbers = [entries.get(key, str(default)) for key, default in (("offset", 0), ("length", size))]
        if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in numbers):
            raise ValueError(f"external data at {location[:80]!r} have a malformed offset or length")
        offset, length = map(int, numbers)
        if length != size or offset + length > path.stat().st_size:
            raise ValueError(f"external data at {location[:80]!r} are not as long as their tensor")
        self.external.add(path)

    def entry(self, at: _Field, entries: dict[str, str]) -> None:
        texts = {ENTRY_KEY: "", ENTRY_VALUE: ""}
        for part in self.fields(at.start, at.end, (ENTRY_KEY, ENTRY_VALUE)):
            if part.number in texts:
                texts[part.number] = self.text(part)
        if texts[ENTRY_KEY] in entries and entries[texts[ENTRY_KEY]]:
            raise ValueError("a tensor names its external data twice")
        entries[texts[ENTRY_KEY]] = texts[ENTRY_VALUE]

    def know(self, name: str, values: list[int]) -> None:
        if len(values) == 1:
            self.scalars[name] = max(values[0], self.scalars.get(name, 0))

    def check_trips(self, loop: _Loop) -> None:
        product, level = 1, 0
        current: _Loop | None = loop
        while current is not None:
            if current.trips not in self.scalars:
                raise ValueError("it has a loop without a constant number of trips")
            product *= max(self.scalars[current.trips], 1)
            current, level = current.within, level + 1
        if product > MOST_TRIPS:
            raise ValueError(f"it has a loop of {product:,} trips, more than {MOST_TRIPS:,}")

    def numbers(self, at: _Field, most: int = LONGEST_SCALAR) -> list[int]:
        """A field of integers: one, or several in a row."""
        if at.start == at.end:
            return [at.value]
        if at.end - at.start > most * LONGEST_VARINT:
            raise ValueError("a field has too many numbers")
        found, position = [], at.start
        while position < at.end:
            number, position = self.varint(position, at.end)
            found.append(number)
        return found

    def text(self, at: _Field) -> str:
        if at.end - at.start > LONGEST_NAME:
            raise ValueError(f"a name has more than {LONGEST_NAME} bytes")
        return self.data[at.start : at.end].decode(errors="replace")

    def fields(self, start: int, end: int, once: tuple[int, ...] = ()) -> Iterator[_Field]:
        """The fields of a message.

        Args:
            start: of its bytes.
            end: of its bytes.
            once: numbers of fields that may come once: of several, libraries take the last or join them.
        """
        seen = set[int]()
        while start < end:
            key, start = self.varint(start, end)
            number, wire = divmod(key, 8)
            value, stop = 0, start
            if wire == VARINT:
                value, stop = self.varint(start, end)
                start = stop
            elif wire == BYTES:
                length, start = self.varint(start, end)
                stop = start + length
            elif wire in (FIXED64, FIXED32):
                stop = start + (8 if wire == FIXED64 else 4)
            else:
                raise ValueError("not an ONNX file")
            if stop > end or number == 0:
                raise ValueError("a field is longer than its message")
            if number in once:
                if number in seen:
                    raise ValueError("a field that may come once comes twice")
                seen.add(number)
            yield _Field(number, value, start, stop)
            start = stop

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """A number and where it ends."""
        value = 0
        for index in range(min(LONGEST_VARINT, end - at)):
            byte = self.data[at + index]
            value |= (byte & 0x7F) << (GROUP_STEP * index)
            if byte < 0x80:
                return value & (2 * LARGEST_NUMBER - 1), at + index + 1
        raise ValueError("the file is cut or no ONNX file")


def check(data: bytes, folder: Path) -> tuple[Path, ...]:
    """Check what a model asks for.

    Args:
        data: the file's bytes, or a memory map of them.
        folder: where the file lies, for its external data.

    Returns:
        The files of its external data, sorted.

    Raises:
        ValueError: it is no ONNX model, or asks for more than a network needs: external data outside of its folder or
            at an address, a loop without a small constant number of trips, graphs nested too deeply, tensors whose
            shapes do not fit their values.
        OSError: a file of external data cannot be read.
    """
    walk = _Check(data, folder)
    walk.model()
    return tuple(sorted(walk.external))
