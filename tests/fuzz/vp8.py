"""VP8 headers: what passes the size check, libvpx decodes at that size or not at all."""

from __future__ import annotations

from fractions import Fraction

import av
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from signaling.transport.decoders import bounded
from signaling.transport.sizes import Unreadable, coded_size, too_large

VP8 = RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97)
MAX_PIXELS = 640 * 480


def seeds() -> list[bytes]:
    """Key frames of two sizes, and one that is larger than is taken."""
    return [_encoded(64, 48), _encoded(320, 240), _encoded(1280, 720)]


def _encoded(width: int, height: int) -> bytes:
    context = av.CodecContext.create("libvpx", "w")
    context.width, context.height, context.pix_fmt, context.framerate = width, height, "yuv420p", Fraction(30)
    return bytes([*context.encode(av.VideoFrame(width, height, "yuv420p")), *context.encode(None)][0])


def target(data: bytes) -> None:
    """Decode what the size check lets pass.

    Raises:
        AssertionError: libvpx made a picture of another size than was read.
    """
    try:
        size = coded_size(data, "VP8")
    except Unreadable:
        return
    if not data or size is None or too_large(size, MAX_PIXELS):
        return
    try:
        frames = bounded(VP8, MAX_PIXELS).decode(JitterFrame(data, 0))
    except (av.FFmpegError, ValueError):
        return
    assert all((frame.width, frame.height) == size for frame in frames)
