"""Every parser of strangers' bytes on generated structures: what mutations of whole files hardly reach.

The targets are those of this folder; Hypothesis writes the inputs field by field.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import onnx_check
from signaling.transport.sizes import MACROBLOCK, Unreadable, coded_size
from tests.fuzz import channel_messages, offers, onnx_fields, photos, pickles

structured = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, 2**31, 2**53, 1e308]))
TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
FIELDS = ("t", "every", "settings", "controls", "editor", "age", "faces", "lock", "smoothing")
MESSAGE = st.fixed_dictionaries(
    {
        "v": st.one_of(st.just(1), JSON),
        "type": st.one_of(st.sampled_from(["settings", "ping", "stats", "overlay"]), JSON),
    },
    optional=dict.fromkeys(FIELDS, JSON) | {"id": st.one_of(st.integers(0, 9), JSON)},
)


@structured
@given(MESSAGE)
def test_messages_of_any_fields(message: dict[str, Any]) -> None:
    channel_messages.target(json.dumps(message).encode())


ATTRIBUTES = (
    "a=rtpmap:{} {}/{}",
    "a=fmtp:{} {}={}",
    "a=rtcp-fb:{} {} {}",
    "a=extmap:{} {} {}",
    "a=ssrc:{} {}:{}",
    "a=ssrc-group:{} {} {}",
    "a=candidate:{} 1 udp {} {} 9 typ host",
    "a=rid:{} {} {}",
    "a=simulcast:{} {} {}",
    "m={} {} UDP/TLS/RTP/SAVPF {}",
    "a=group:{} {} {}",
    "a=mid:{}{}{}",
    "a={}:{} {}",
)
WORD = st.one_of(
    st.sampled_from(
        ["*", "0", "96", "97", "127", "65536", "-1", "VP8", "H264", "90000", "nack", "apt", "send", "audio"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
LINE = st.builds(lambda form, *words: form.format(*words), st.sampled_from(ATTRIBUTES), WORD, WORD, WORD)


@structured
@given(st.lists(LINE, max_size=12), st.integers(0, 40))
def test_offers_with_any_lines(lines: list[str], at: int) -> None:
    own = offers.OFFER.split("\r\n")
    offers.target("\r\n".join([*own[:at], *lines, *own[at:]]).encode(errors="replace"))


class BitWriter:
    """Writes bits, and Exp-Golomb codes of ITU-T H.264 section 9.1."""

    def __init__(self) -> None:
        self.bits = ""

    def fixed(self, value: int, count: int) -> BitWriter:
        self.bits += f"{value:0{count}b}"
        return self

    def code(self, value: int) -> BitWriter:
        number = f"{value + 1:b}"
        self.bits += "0" * (len(number) - 1) + number
        return self

    def bytes(self) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


SMALL = st.integers(0, 16)


@structured
@given(
    profile=st.sampled_from([66, 77, 88, 100, 110, 122, 244, 44, 83, 118]),
    width=st.integers(0, 1100),
    height=st.integers(0, 1100),
    fields=st.tuples(SMALL, SMALL, st.integers(0, 3), SMALL, SMALL),
    progressive=st.booleans(),
)
def test_parameter_sets_say_their_size_or_are_refused(
    profile: int, width: int, height: int, fields: tuple[int, ...], progressive: bool
) -> None:
    id, frames, order, log2, references = fields
    bits = BitWriter().fixed(profile, 8).fixed(0xC01F, 16).code(id)
    if profile in (100, 110, 122, 244, 44):
        bits.code(1).code(0).code(0).fixed(0, 2)
    bits.code(frames).code(order)
    if order == 0:
        bits.code(log2)
    elif order == 1:
        bits.fixed(0, 1).code(0).code(0).code(1).code(log2)
    bits.code(references).fixed(0, 1).code(width).code(height).fixed(int(progressive), 1).fixed(0b10, 2)
    body = bits.bytes()
    try:
        size = coded_size(b"\0\0\0\1\x67" + body, "H264")
    except Unreadable:
        legal = order < 3 and frames <= 12 and log2 <= 12 and max(width, height) < 1024
        assert not legal or profile in (83, 118) or b"\0\0" in body
        return
    assert size == (MACROBLOCK * (width + 1), MACROBLOCK * (height + 1) * (1 if progressive else 2))


@structured
@given(
    start=st.sampled_from([b"\x9d\x01\x2a", b"\x9d\x01\x2b"]),
    width=st.integers(0, 0x3FFF),
    height=st.integers(0, 0x3FFF),
    scale=st.integers(0, 3),
    tail=st.binary(max_size=8),
    kept=st.integers(0, 40),
)
def test_key_frames_of_vp8_say_their_size_or_are_refused(
    *, start: bytes, width: int, height: int, scale: int, tail: bytes, kept: int
) -> None:
    data = (b"\x10\0\0" + start + struct.pack("<HH", width | scale << 14, height | scale << 14) + tail)[:kept]
    try:
        size = coded_size(data, "VP8")
    except Unreadable:
        assert len(data) < 10 or start[-1] != 0x2A or not width or not height
        return
    assert size == ((width, height) if data else None)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


SIDE = st.one_of(st.integers(0, 64), st.sampled_from([1 << 14, 1 << 20, (1 << 31) - 1, 1 << 31]))
CHUNK = st.tuples(
    st.sampled_from([b"PLTE", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"acTL", b"fcTL", b"gAMA"]), st.binary(max_size=24)
)


@structured
@given(SIDE, SIDE, st.tuples(*[st.integers(0, 17)] * 2, *[st.integers(0, 2)] * 3), st.lists(CHUNK, max_size=3))
def test_png_headers_of_any_fields(
    width: int, height: int, rest: tuple[int, ...], chunks: list[tuple[bytes, bytes]]
) -> None:
    header = struct.pack(">II5B", width, height, *rest)
    parts = [chunk(b"IHDR", header), *(chunk(*each) for each in chunks), chunk(b"IDAT", zlib.compress(bytes(5000)))]
    photos.target(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""))


@structured
@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 9), st.integers(0, 4), st.binary(max_size=40))
def test_jpeg_headers_of_any_fields(width: int, height: int, components: int, kind: int, tail: bytes) -> None:
    table = b"".join(bytes([number, 0x11, 0]) for number in range(components))
    frame = struct.pack(">BHHB", 8, height, width, components) + table
    photos.target(b"\xff\xd8\xff" + bytes([0xC0 + kind]) + struct.pack(">H", len(frame) + 2) + frame + tail)


@structured
@given(
    st.sampled_from(["w.bin", "../w.bin", "/etc/passwd", "w.bin/", "./w.bin", "a/../w.bin", "", "*/_ORT_MEM_ADDR_/*"]),
    st.dictionaries(st.sampled_from(["offset", "length", "checksum", "location"]), st.one_of(TEXT, NUMBERS.map(str))),
)
def test_external_data_of_any_entries(location: str, entries: dict[str, str]) -> None:
    onnx_fields.seeds()  # the file that one location names
    entries.pop("location", None)
    data = onnx_fields.external_model(location, **entries).SerializeToString()
    try:
        onnx_check.check(data, onnx_fields.FOLDER)
    except ValueError:
        return
    assert (onnx_fields.FOLDER / location).resolve() == (onnx_fields.FOLDER / "w.bin").resolve()


@structured
@given(st.one_of(st.none(), st.integers(-(2**62), 2**62)), st.integers(1, 6))
def test_loops_of_any_count(trips: int | None, levels: int) -> None:
    onnx_fields.target(onnx_fields.loop_model(trips, levels).SerializeToString())


PIECE = st.one_of(st.sampled_from(pickles.WORDS), st.binary(max_size=4))


@structured
@given(st.integers(0, 5), st.lists(PIECE, max_size=30))
def test_pickles_of_any_opcodes(protocol: int, pieces: list[bytes]) -> None:
    pickles.target(b"\x80" + bytes([protocol]) + b"".join(pieces) + b".")
