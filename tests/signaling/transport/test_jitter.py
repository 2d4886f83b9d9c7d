"""Frames leave on their last packet; losses heal or are skipped; nothing broken is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from aiortc import RTCRtpReceiver
from aiortc.codecs import depayload
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtp import RtpPacket

from signaling.transport.jitter import CAPACITY, MAX_WAITING, FrameBuffer, is_keyframe, release_on_marker

VP8, H264 = 97, 99
CODECS = {VP8: "VP8", H264: "H264"}
STEP = 3000
PIXELS = 1920 * 1088
KEY_HEAD = b"\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01"  # 640x480 (RFC 6386, section 9.1)


def vp8(
    number: int, frame: int, *, key: bool = False, first: bool = True, last: bool = True, fill: int = 7
) -> RtpPacket:
    """Packet `number` of the stream, part of frame `frame`."""
    packet = RtpPacket(payload_type=VP8, sequence_number=number % 65536, timestamp=(frame * STEP) % (1 << 32))
    packet.marker = int(last)
    head = (KEY_HEAD if key else b"\x01") if first else b""
    packet.payload = bytes([0x10 if first else 0x00]) + head + bytes([fill])
    packet._data = packet.payload[1:]
    return packet


def padding(number: int, frame: int) -> RtpPacket:
    packet = RtpPacket(payload_type=VP8, sequence_number=number, timestamp=frame * STEP)
    packet.payload = packet._data = b""
    return packet


def frames(count: int, packets: int = 3, start: int = 0, key_every: int = 1000) -> list[RtpPacket]:
    """A stream of `count` frames of `packets` packets each; the first is a key frame."""
    return [
        vp8(start + f * packets + p, f, key=f % key_every == 0, first=p == 0, last=p == packets - 1, fill=f % 256)
        for f in range(count)
        for p in range(packets)
    ]


def play(buffer: Any, packets: Iterable[RtpPacket]) -> list[tuple[int, int, bool]]:
    """Feed packets. Returns (index of the packet, frame that left, PLI asked) for each that had an effect."""
    events = []
    for i, packet in enumerate(packets):
        ask, frame = buffer.add(packet)
        released = [frame] if frame is not None else []
        released += list(buffer.rest()) if isinstance(buffer, FrameBuffer) else []
        events += [(i, frame.timestamp // STEP, ask) for frame in released]
        if ask and not released:
            events.append((i, -1, True))
    return events


def test_a_frame_leaves_with_its_last_packet() -> None:
    assert play(FrameBuffer(CODECS, PIXELS), frames(4)) == [(2, 0, False), (5, 1, False), (8, 2, False), (11, 3, False)]
    # aiortc's own buffer keeps each frame until the next one begins
    assert play(JitterBuffer(512, is_video=True), frames(4)) == [(3, 0, False), (6, 1, False), (9, 2, False)]


def test_a_frame_without_marker_leaves_with_the_next_one() -> None:
    stream = frames(3)
    for packet in stream:
        packet.marker = 0
    assert [frame for _, frame, _ in play(FrameBuffer(CODECS, PIXELS), stream)] == [0, 1]


def test_disorder_is_mended_and_data_is_whole() -> None:
    stream = frames(3)
    stream[3], stream[4], stream[5] = stream[5], stream[3], stream[4]
    buffer = FrameBuffer(CODECS, PIXELS)
    out = [frame for packet in stream for frame in (buffer.add(packet)[1],) if frame is not None]
    assert [frame.data for frame in out] == [
        KEY_HEAD + b"\x00" * 3,
        b"\x01\x01" + b"\x01" * 2,
        b"\x01\x02" + b"\x02" * 2,
    ]


def test_after_a_retransmission_all_waiting_frames_leave_at_once() -> None:
    stream = frames(8, packets=1)
    lost = stream.pop(2)
    stream.insert(6, lost)
    assert [(i, frame) for i, frame, _ in play(FrameBuffer(CODECS, PIXELS), stream)][2:] == [
        (6, 2), (6, 3), (6, 4), (6, 5), (6, 6), (7, 7),
    ]  # fmt: skip
    # aiortc's own buffer lets one frame out for each packet that comes in, and stays behind for ever
    assert play(JitterBuffer(512, is_video=True), stream)[-1] == (7, 2, False)


def test_sequence_numbers_and_timestamps_wrap() -> None:
    stream = frames(40, start=65536 - 50)
    for packet in stream:
        packet.timestamp = (packet.timestamp + (1 << 32) - 20 * STEP) % (1 << 32)
    assert len(play(FrameBuffer(CODECS, PIXELS), stream)) == 40


def test_a_lost_packet_costs_a_key_frame_and_nothing_broken_is_shown() -> None:
    stream = frames(60, key_every=40)
    del stream[3 * 10 + 1]
    events = play(FrameBuffer(CODECS, PIXELS), stream)
    shown = [frame for _, frame, _ in events if frame >= 0]
    assert shown == [*range(10), *range(40, 60)]
    asked = [stream[i].timestamp // STEP for i, _, ask in events if ask]
    assert asked[0] == 26  # half a second after the loss
    assert len(asked) == 2  # again a third of a second later


def test_a_sender_that_ignores_requests_is_shown_broken_in_the_end() -> None:
    stream = frames(200)
    del stream[3 * 10 + 1]
    shown = [frame for _, frame, _ in play(FrameBuffer(CODECS, PIXELS), stream) if frame >= 0]
    assert shown[:10] == list(range(10))
    assert 100 <= shown[10] <= 105
    assert shown[-1] == 199


@pytest.mark.parametrize("missing", [1, 2, 50])
def test_a_stream_that_is_met_in_the_middle_waits_for_a_key_frame(missing: int) -> None:
    events = play(FrameBuffer(CODECS, PIXELS), frames(60, key_every=30)[missing:])
    assert [frame for _, frame, _ in events if frame >= 0] == [*range(30, 60)]
    assert events[0][2]


def test_padding_is_not_a_frame() -> None:
    stream = [vp8(0, 0, key=True), padding(1, 0), padding(2, 0), vp8(3, 1), vp8(4, 2)]
    assert [frame for _, frame, _ in play(FrameBuffer(CODECS, PIXELS), stream)] == [0, 1, 2]


def test_a_sender_that_starts_anew_is_followed() -> None:
    stream = [*frames(5), *frames(5, start=40_000), *frames(5, start=100)]
    for packet in stream[15:30]:
        packet.timestamp += 2_000_000_000
    for packet in stream[30:]:
        packet.timestamp += 1_000_000_000
    assert len([frame for _, frame, _ in play(FrameBuffer(CODECS, PIXELS), stream) if frame >= 0]) == 15


def test_late_and_repeated_packets_are_ignored() -> None:
    stream = frames(100)
    stream[240:240] = [*stream[20:30], stream[1], stream[238]]
    assert [frame for _, frame, _ in play(FrameBuffer(CODECS, PIXELS), stream)] == [*range(100)]


def test_a_key_frame_of_any_size_passes() -> None:
    stream = frames(3, packets=700)
    assert [frame for _, frame, _ in play(FrameBuffer(CODECS, PIXELS), stream)] == [0, 1, 2]


def test_memory_is_bounded_when_a_hole_stays_open() -> None:
    buffer = FrameBuffer(CODECS, PIXELS)
    buffer.add(vp8(0, 0, key=True))
    for number in range(2, 20_000):
        packet = vp8(number, 1)  # one endless frame: time never moves on
        packet.marker = 0
        buffer.add(packet)
        assert len(buffer._packets) <= CAPACITY


def h264(*payloads: bytes) -> list[RtpPacket]:
    codec = RTCRtpCodecParameters(mimeType="video/H264", clockRate=90000, payloadType=H264)
    packets = []
    for payload in payloads:
        packet = RtpPacket(payload_type=H264)
        packet.payload, packet._data = payload, depayload(codec, payload)
        packets.append(packet)
    return packets


@pytest.mark.parametrize(
    ("payloads", "whole", "key"),
    [
        ([b"\x67\x42\xc0\x1f", b"\x68\xce", b"\x65\x88"], False, True),
        ([b"\x78\x00\x02\x67\x42\x00\x02\x68\xce", b"\x7c\x85\x88", b"\x7c\x45\x11"], False, True),
        ([b"\x09\x10", b"\x67\x42", b"\x65\x88"], True, True),
        ([b"\x65\x88"], True, True),
        ([b"\x65\x88"], False, False),
        ([b"\x41\x9a"], True, False),
        ([b"\x7c\x81\x9a", b"\x7c\x41\x11"], True, False),
        ([b"\x7c\x45\x11"], True, False),
    ],
)
def test_h264_key_frames_are_recognised(payloads: list[bytes], whole: bool, key: bool) -> None:
    assert is_keyframe(h264(*payloads), "H264", whole) is key


def test_frames_of_unknown_codecs_pass() -> None:
    assert is_keyframe(h264(b"\x41\x9a"), "AV1", False)


@pytest.mark.anyio
async def test_a_decoder_that_cannot_keep_up_starts_again_at_a_key_frame() -> None:
    class Transport:
        state = "connected"

    receiver = RTCRtpReceiver("video", Transport())
    receiver._RTCRtpReceiver__decoder_thread = object()
    receiver._RTCRtpReceiver__codecs = {
        VP8: RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90000, payloadType=VP8)
    }
    waiting = receiver._RTCRtpReceiver__decoder_queue
    release_on_marker(receiver, CODECS, PIXELS)
    longest = 0
    for packet in frames(115, key_every=100):
        await receiver._handle_rtp_packet(packet, arrival_time_ms=0)
        longest = max(longest, waiting.qsize())
    assert longest <= MAX_WAITING + 1
    first = waiting.get_nowait()[1]
    assert first.timestamp == 100 * STEP
    receiver._RTCRtpReceiver__decoder_thread = None
