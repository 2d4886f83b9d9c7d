"""The size of a coded picture is known before a decoder sees it, and nothing larger than allowed gets there."""

from __future__ import annotations

import random
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from signaling.transport.jitter import FrameBuffer
from signaling.transport.sizes import Unreadable, coded_size, too_large

LARGEST = 640 * 480


TWO_READINGS = bytes.fromhex(
    "0000000167 42c0339d400000038cb86d2ae00fb001d2e7ffffffffffffffc0"  # sequence parameter set
    "0000000168 ce0e62 000000016588840fffffffffc0"
)


def encoded(codec: str, width: int, height: int, **options: str) -> bytes:
    """A key frame as an encoder makes it."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = width, height, options.pop("format", "yuv420p")
    context.time_base = Fraction(1, 30)
    context.options = options
    picture = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")
    packets = [*context.encode(picture.reformat(format=context.pix_fmt)), *context.encode(None)]
    return bytes(packets[0])


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (1920, 1080), (16, 16), (4096, 2304)])
@pytest.mark.parametrize(
    "options",
    [
        {"profile": "baseline"},
        {"profile": "high", "x264-params": "cqm=jvt"},  # with scaling lists
        {"profile": "high444", "format": "yuv444p"},
        {"profile": "main", "x264-params": "interlaced=1"},
    ],
)
def test_h264(width: int, height: int, options: dict[str, str]) -> None:
    size = coded_size(encoded("libx264", width, height, preset="ultrafast", **options), "H264")
    assert size is not None
    assert 0 <= size[0] - width < 16
    assert 0 <= size[1] - height < 32


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1279, 719), (2, 2)])
def test_vp8(width: int, height: int) -> None:
    assert coded_size(encoded("libvpx", width, height), "VP8") == (width, height)


def test_frames_between_have_no_size() -> None:
    assert coded_size(b"\x00\x00\x00\x01\x41\x9a\x00", "H264") is None
    assert coded_size(bytes([1]) * 40, "VP8") is None
    assert coded_size(b"", "H264") is None


def test_endless_lists_are_not_read() -> None:
    order_1 = (
        "01000010" + "0" * 7 + "1" + "0" * 7 + "1" + "1" + "1" + "010" + "1" + "1" + "1"
    )  # up to the list of offsets
    bits = order_1 + "0" * 10 + "1" * 11 + "1" * 30_000 * 8
    endless = int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8, "big")
    with pytest.raises(Unreadable, match="at most 255"):
        coded_size(b"\x00\x00\x01\x67" + endless, "H264")
    small = b"\x00\x00\x01\x67\x42\x00\x1f\xf4\x02\x80\x2d\xc8"
    assert coded_size(small * 8, "H264") == (1280, 720)
    with pytest.raises(Unreadable, match="more than 8"):
        coded_size(small * 9, "H264")


def test_what_decoders_read_differently_is_refused() -> None:
    """FFmpeg refuses this set for its 1,003 reference frames, reads it again with the emulation prevention byte in it,
    and sees 16,064 x 14,928 pixels where the standard has 7,456 x 16.
    """
    with pytest.raises(Unreadable, match="emulates a start code"):
        coded_size(TWO_READINGS, "H264")


@pytest.mark.parametrize(
    ("sps", "why"),
    [
        ((66, 0, 0, 0, 16), "16 where at most 12"),
        ((66, 0, 0, 3), "3 where at most 2"),
        ((66, 32, 0), "32 where at most 31"),
        ((66, 0, 0, 0, 0, 17), "17 where at most 16"),
        ((66, 0, 0, 0, 0, 1, None, 1024), "1024 where at most 1023"),
        ((118, 0, 1), "profile 118"),
        ((144, 0, 1), "profile 144"),
        ((100, 0, 4), "4 where at most 3"),
    ],
)
def test_fields_have_bounds(sps: tuple[int | None, ...], why: str) -> None:
    bits = f"{sps[0]:08b}" + "00000001" * 2
    for value in sps[1:]:
        bits += "0" if value is None else "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"
    bits += "1" * 64
    data = int(bits[: len(bits) // 8 * 8], 2).to_bytes(len(bits) // 8, "big")
    with pytest.raises(Unreadable, match=why):
        coded_size(b"\0\0\1\x67" + data, "H264")


@pytest.mark.parametrize("head", [b"\0\0\0\x9d\x01\x2b", b"\0\0\0\x9d\x01\x2a\0\0\0\0", b"\0" * 5])
def test_vp8_key_frames_without_start_or_size(head: bytes) -> None:
    with pytest.raises(Unreadable):
        coded_size(head, "VP8")


def test_the_edge_of_a_macroblock_does_not_count() -> None:
    assert not too_large((864, 480), 854 * 480)
    assert not too_large((1920, 1088), 1920 * 1080)
    assert too_large((896, 496), 854 * 480)


def test_whatever_comes_has_a_size_or_none_or_is_unreadable() -> None:
    rng = random.Random(2)
    good = encoded("libx264", 320, 240, preset="ultrafast")[:64]
    for _ in range(3000):
        data = bytearray(good[: rng.randrange(5, 64)])
        for _ in range(rng.randrange(8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with suppress(Unreadable):
            coded_size(bytes(data), "H264")
    with pytest.raises(Unreadable):
        coded_size(b"\x00\x00\x01\x67" + bytes([66, 0, 30, 0, 0, 0, 0, 0, 0]), "H264")
    with pytest.raises(Unreadable):
        coded_size(b"\x00\x00\x01\x67\x42", "H264")


@pytest.mark.parametrize(("codec", "name", "size"), [("libx264", "H264", (1280, 720)), ("libvpx", "VP8", (1280, 720))])
def test_a_frame_that_is_too_large_is_not_released(codec: str, name: str, size: tuple[int, int]) -> None:
    buffer = FrameBuffer({99: name}, LARGEST)
    released = []
    for number, (width, height) in enumerate([(640, 480), size]):
        packet = RtpPacket(payload_type=99, sequence_number=number, timestamp=3000 * number, marker=1)
        data = encoded(codec, width, height)
        packet._data = data
        packet.payload = b"\x10" + data
        _, frame = buffer.add(packet)
        released.append(frame)
    assert released[0] is not None
    assert released[1] is None
    assert buffer.oversized == size
