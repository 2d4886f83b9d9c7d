"""RTP packets of a video: aiortc's parser and depayloaders refuse them, or our buffer takes them in bounded memory."""

from __future__ import annotations

import struct

from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from signaling.transport.jitter import CAPACITY, FrameBuffer

CODECS = {
    97: RTCRtpCodecParameters("video/VP8", 90_000, payloadType=97),
    99: RTCRtpCodecParameters("video/H264", 90_000, payloadType=99),
}
MAX_PIXELS = 640 * 480
PART = 64  # bytes of the input that make one packet


def seeds() -> list[bytes]:
    """Streams of packets of `PART` bytes: VP8 key frames, H.264 in single, aggregated and cut packets."""
    vp8 = b"\x10\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01"
    h264 = [
        b"\x67\x42\x00\x1f\xf4\x02\x80\x2d\xc8",
        b"\x78\x00\x02\x67\x42\x00\x02\x68\xce",
        b"\x7c\x85\x88",
        b"\x7c\x45\x11",
    ]
    streams = [[(97, vp8)] * 6, [(99, payload) for payload in h264]]
    return [b"".join(_packet(i, *packet) for i, packet in enumerate(stream)) for stream in streams]


def _packet(number: int, payload_type: int, payload: bytes) -> bytes:
    head = struct.pack("!BBHLL", 0x80, 0x80 | payload_type, number, 3000 * number, 1)
    return (head + payload).ljust(PART, b"\7")


def target(data: bytes) -> None:
    """Feed the packets to a buffer, as aiortc's receiver does.

    Raises:
        AssertionError: the buffer holds more packets than it may.
        Exception: anything but a refusal of the packet's parser or depayloader.
    """
    buffer = FrameBuffer({number: codec.name for number, codec in CODECS.items()}, MAX_PIXELS)
    for at in range(0, len(data), PART):
        try:
            packet = RtpPacket.parse(data[at : at + PART])
            codec = CODECS[packet.payload_type]
            packet._data = depayload(codec, packet.payload) if packet.payload else b""
        except (ValueError, KeyError):
            continue
        buffer.add(packet)
        list(buffer.rest())
        assert len(buffer._packets) <= CAPACITY
