"""H.264 parameter sets: what passes the size check, FFmpeg decodes at that size or not at all."""

from __future__ import annotations

import contextlib

import av
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from signaling.transport.decoders import bounded
from signaling.transport.sizes import MACROBLOCK, Unreadable, coded_size, too_large

H264 = RTCRtpCodecParameters("video/H264", 90_000, payloadType=99)
MAX_PIXELS = 640 * 480

PICTURE = bytes.fromhex("0000000168ce0e62000000016588840fffffffffc0")
SETS = (
    "42c0339d400000038cb86d2ae00fb001d2e7ffffffffffffffc0",  # read two ways
    "42c01fda0280bfe5c0440000030004000003000c83c60ca8",
    "640028acd940780227e5c05a808080a0000003002000000781e30632c0",
    "42001ff402802dc8",
)


def seeds() -> list[bytes]:
    """Parameter sets with a picture behind them."""
    return [b"\0\0\0\1\x67" + bytes.fromhex(sps) + PICTURE for sps in SETS]


def target(data: bytes) -> None:
    """Decode what the size check lets pass.

    Raises:
        AssertionError: FFmpeg made a picture of more pixels than were read.
    """
    try:
        size = coded_size(data, "H264")
    except Unreadable:
        return
    if size is None or too_large(size, MAX_PIXELS):
        return
    decoder = bounded(H264, MAX_PIXELS)
    with contextlib.suppress(av.FFmpegError, ValueError):
        decoder.decode(JitterFrame(data, 0))
    coded = decoder.codec.coded_width * decoder.codec.coded_height
    assert coded <= size[0] * size[1] + MACROBLOCK * sum(size), f"{size} read, {coded} pixels decoded"
