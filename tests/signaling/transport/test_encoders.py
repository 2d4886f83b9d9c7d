"""Encoders: bitrate without key frames, levels, any size and format, and no second reformatter."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiortc.codecs import depayload
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from signaling.transport import encoders
from signaling.transport.bitrate import Hysteresis
from signaling.transport.encoders import LiveH264Encoder, LiveVp8Encoder, Thinning, threads
from signaling.transport.levels import fitting_size, level_for, level_of, macroblocks

FLOOR, CEILING = 100_000, 10_000_000


def frame(i: int, width: int = 320, height: int = 240, format: str = "yuv420p") -> av.VideoFrame:
    """A moving, noisy picture, 30 a second."""
    rng = np.random.default_rng(i)
    image = np.roll(np.indices((height, width)).sum(0) * 3 % 256, i * 5, 1)[..., None] * np.ones(3)
    image = np.clip(image + rng.integers(-40, 40, image.shape), 0, 255).astype(np.uint8)
    made = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=format)
    made.pts, made.time_base = 3000 * i, Fraction(1, 90_000)
    return made


def h264() -> LiveH264Encoder:
    return LiveH264Encoder("ultrafast", FLOOR, CEILING)


def is_key(payloads: list[bytes], codec: str) -> bool:
    if codec == "vp8":
        return payloads[0][4] & 1 == 0  # descriptor of four bytes with a picture id
    return payloads[0][0] & 0x1F in (7, 24)  # SPS, alone or in a STAP-A


def encode(encoder: Any, codec: str, start: int, count: int) -> tuple[float, int]:
    """Mean bit/s at 30 fps, and key frames."""
    size = keys = 0
    for i in range(start, start + count):
        payloads, _ = encoder.encode(frame(i))
        size += sum(map(len, payloads))
        keys += is_key(payloads, codec)
    return size * 8 * 30 / count, keys


def test_h264_follows_the_bitrate_without_a_key_frame() -> None:
    encoder = h264()
    encode(encoder, "h264", 0, 30)
    encoder.target_bitrate = 800_000
    encode(encoder, "h264", 30, 20)
    high, keys_high = encode(encoder, "h264", 50, 30)
    encoder.target_bitrate = 250_000
    encode(encoder, "h264", 80, 40)
    low, keys_low = encode(encoder, "h264", 120, 30)
    encoder.target_bitrate = 800_000
    encode(encoder, "h264", 150, 30)
    again, keys_again = encode(encoder, "h264", 180, 30)
    assert keys_high == keys_low == keys_again == 0
    assert 0.7 < high / 800_000 < 1.3
    assert 0.7 < low / 250_000 < 1.3
    assert 0.7 < again / 800_000 < 1.3


@pytest.mark.parametrize("fps", [15, 24, 60])
def test_h264_keeps_its_bitrate_at_any_frame_rate(fps: int) -> None:
    encoder = h264()
    encoder.target_bitrate = 800_000
    sizes = []
    for i in range(4 * fps):
        picture = frame(i)
        picture.pts = i * 90_000 // fps
        sizes.append(sum(map(len, encoder.encode(picture)[0])))
    assert 0.8 < sum(sizes[fps:]) * 8 / 3 / 800_000 < 1.2


@pytest.mark.parametrize(
    ("told", "tagged"),
    [
        ((2, 2, 2, 0), (6, 6, 6, 1)),  # a camera that says nothing
        ((1, 1, 1, 1), (1, 1, 1, 1)),
        ((2, 2, 1, 0), (1, 1, 1, 1)),
        ((9, 16, 9, 1), (9, 16, 9, 1)),
        ((6, 6, 6, 2), (6, 6, 6, 2)),
    ],
)
def test_h264_says_what_its_colours_mean(told: tuple[int, ...], tagged: tuple[int, ...]) -> None:
    encoder, decoder = h264(), av.CodecContext.create("h264", "r")
    picture = frame(0)
    picture.color_primaries, picture.color_trc, picture.colorspace, picture.color_range = told
    data = b"".join(b"\x00\x00\x01" + nal for nal in nals(encoder.encode(picture)[0]))
    [decoded] = [*decoder.decode(av.Packet(data)), *decoder.decode(None)][:1]
    found = (decoded.color_primaries, decoded.color_trc, decoded.colorspace, decoded.color_range)
    assert found == tagged


def test_other_colours_start_a_new_stream_with_a_key_frame() -> None:
    encoder = h264()
    encoder.encode(frame(0))
    camera = frame(1)
    camera.colorspace = 1
    assert is_key(encoder.encode(camera)[0], "h264")
    assert not is_key(encoder.encode(_like(camera, 2))[0], "h264")


def _like(picture: av.VideoFrame, i: int) -> av.VideoFrame:
    made = frame(i)
    made.colorspace = picture.colorspace
    return made


def nals(payloads: list[bytes]) -> list[bytes]:
    """NAL units of RTP payloads (RFC 6184): single ones, STAP-A, FU-A."""
    found: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == 24:
            at = 1
            while at < len(payload):
                length = int.from_bytes(payload[at : at + 2], "big")
                found.append(payload[at + 2 : at + 2 + length])
                at += 2 + length
        elif kind == 28:
            if payload[1] & 0x80:
                found.append(bytes([payload[0] & 0xE0 | payload[1] & 0x1F]))
            found[-1] += payload[2:]
        else:
            found.append(payload)
    return found


def test_aiortc_needs_a_key_frame_for_each_change() -> None:
    encoder = H264Encoder()
    encode(encoder, "h264", 0, 2)
    encoder.target_bitrate = 800_000
    assert encode(encoder, "h264", 2, 2)[1] == 1


def test_vp8_is_rebuilt_for_large_changes_only() -> None:
    now = [0.0]
    encoder = LiveVp8Encoder(FLOOR, CEILING, Hysteresis(lambda: now[0]))
    start = encoder.target_bitrate
    assert encode(encoder, "vp8", 0, 3)[1] == 1
    start = encoder.target_bitrate
    now[0] = 10
    encoder.target_bitrate = int(start * 0.85)
    assert encode(encoder, "vp8", 3, 3)[1] == 0
    encoder.target_bitrate = int(start * 0.6)
    assert encode(encoder, "vp8", 6, 3)[1] == 1
    encoder.target_bitrate = start
    now[0] = 12
    assert encode(encoder, "vp8", 9, 3)[1] == 0  # too soon to go up again
    now[0] = 16
    assert encode(encoder, "vp8", 12, 3)[1] == 1


def test_aiortc_rebuilds_vp8_for_a_tenth() -> None:
    encoder = Vp8Encoder()
    encode(encoder, "vp8", 0, 2)
    encoder.target_bitrate = int(encoder.target_bitrate * 0.85)
    assert encode(encoder, "vp8", 2, 2)[1] == 1


@pytest.mark.parametrize("make", [h264, lambda: LiveVp8Encoder(FLOOR, CEILING)])
def test_timestamps_are_the_cameras(make: Any) -> None:
    encoder = make()
    assert [encoder.encode(frame(i))[1] for i in range(5)] == [3000 * i for i in range(5)]


@pytest.mark.parametrize("make", [h264, lambda: LiveVp8Encoder(FLOOR, CEILING)])
def test_key_frames_are_sent_when_asked_for_and_not_because_the_camera_sent_one(make: Any) -> None:
    encoder = make()
    codec = "h264" if isinstance(encoder, LiveH264Encoder) else "vp8"
    encode(encoder, codec, 0, 2)
    camera = frame(2)
    camera.pict_type = PictureType.I
    assert not is_key(encoder.encode(camera)[0], codec)
    assert is_key(encoder.encode(frame(3), force_keyframe=True)[0], codec)
    assert not is_key(encoder.encode(frame(4))[0], codec)


@pytest.mark.parametrize("make", [h264, lambda: LiveVp8Encoder(FLOOR, CEILING)])
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (320, 241), (640, 480)])
@pytest.mark.parametrize("format", ["yuv420p", "bgr24", "gray"])
def test_any_size_and_format_can_be_decoded_again(make: Any, size: tuple[int, int], format: str) -> None:
    encoder = make()
    name = "H264" if isinstance(encoder, LiveH264Encoder) else "VP8"
    parameters = RTCRtpCodecParameters(mimeType=f"video/{name}", clockRate=90_000, payloadType=97)
    decoder = av.CodecContext.create({"H264": "h264", "VP8": "libvpx"}[name], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    picture = frame(0, *size, format=format)
    decoded = []
    for i in range(2):
        picture.pts = 3000 * i
        payloads, _ = encoder.encode(picture)
        decoded += decoder.decode(av.Packet(b"".join(depayload(parameters, payload) for payload in payloads)))
    decoded += decoder.decode(None)
    wanted = (max(2, size[0] & ~1), max(2, size[1] & ~1)) if name == "H264" else size
    assert [(made.width, made.height) for made in decoded] == [wanted] * 2


def test_a_new_size_makes_a_new_stream_at_bitrates_of_that_size() -> None:
    encoder = h264()
    encoder.encode(frame(0))
    small = encoder.target_bitrate
    payloads, _ = encoder.encode(frame(1, 1280, 720))
    assert is_key(payloads, "h264")
    assert encoder.target_bitrate > 3 * small


@pytest.mark.parametrize(
    ("size", "level"), [((640, 480), 30), ((1280, 720), 31), ((720, 1280), 31), ((1920, 1080), 40)]
)
def test_the_stream_says_constrained_baseline_at_the_right_level(size: tuple[int, int], level: int) -> None:
    assert level_for(macroblocks(*size)).idc == level
    payloads, _ = h264().encode(frame(0, *size))
    head = payloads[0]
    sps = head[3:] if head[0] & 0x1F == 24 else head
    assert sps[0] & 0x1F == 7
    assert (sps[1], sps[2] & 0xC0, sps[3]) == (66, 0xC0, level)


def test_one_reformatter_is_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    original = VideoReformatter

    def watched() -> Any:
        made.append(original())
        return made[-1]

    monkeypatch.setattr(encoders, "VideoReformatter", watched)
    for encoder in (h264(), LiveVp8Encoder(FLOOR, CEILING)):
        made.clear()
        for i in range(3):
            picture = frame(i, format="bgr24")
            encoder.encode(picture)
        assert len(made) <= 1


def test_threads_are_left_to_the_networks_on_small_machines() -> None:
    assert threads(1280 * 720, 2) == 1
    assert threads(640 * 480, 64) == 1
    assert threads(1280 * 720, 4) == 2
    assert threads(1920 * 1080, 16) == 4


def sent(
    encoder: LiveH264Encoder, size: tuple[int, int], fps: int, count: int
) -> tuple[list[int], list[av.VideoFrame]]:
    """Frames of a camera through an encoder: the times of those that were sent, and what a decoder makes of them."""
    decoder, times, shown = av.CodecContext.create("h264", "r"), [], []
    codec = RTCRtpCodecParameters("video/H264", 90_000, payloadType=99)
    for i in range(count):
        picture = frame(i % 3, *size)
        picture.pts = i * 90_000 // fps
        payloads, timestamp = encoder.encode(picture, force_keyframe=i == 0)
        if payloads:
            times.append(timestamp)
            shown += decoder.decode(av.Packet(b"".join(depayload(codec, payload) for payload in payloads)))
    return times, shown


def level_said(payload: bytes) -> int:
    return (payload[3:] if payload[0] & 0x1F == 24 else payload)[3]


@pytest.mark.parametrize(
    ("most", "size", "fps", "shown", "rate"),
    [
        (31, (1920, 1080), 30, (1280, 720), 30),
        (31, (1280, 720), 60, (1280, 720), 30),
        (31, (640, 480), 60, (640, 480), 60),
        (11, (640, 480), 30, (272, 204), 13.5),
    ],
)
def test_no_more_is_sent_than_the_peers_level_allows(
    most: int, size: tuple[int, int], fps: int, shown: tuple[int, int], rate: float
) -> None:
    level = level_of(most)
    assert level is not None
    encoder = LiveH264Encoder("ultrafast", FLOOR, CEILING, level)
    head = encoder.encode(frame(0, *size))[0][0]
    assert level_said(head) <= most
    times, frames = sent(encoder, size, fps, 2 * fps)
    settled = [time for time in times if time >= 90_000]
    assert len(settled) == pytest.approx(rate, abs=0.15 * rate)
    assert encoder.codec is not None
    assert (encoder.codec.width, encoder.codec.height) == fitting_size(*size, level)
    assert abs(encoder.codec.width - shown[0]) <= 16
    assert frames
    gaps = {after - before for before, after in itertools.pairwise(settled)}
    assert max(gaps) <= 2 * min(gaps)  # even


def test_the_level_follows_the_real_frame_rate() -> None:
    encoder = h264()
    assert level_said(encoder.encode(frame(0, 1280, 720))[0][0]) == 31
    times, _ = sent(encoder, (1280, 720), 60, 60)
    assert len(times) == 60
    assert encoder._level.idc == 32


def test_each_slice_has_its_packet_where_the_peer_takes_no_others() -> None:
    encoder = LiveH264Encoder("ultrafast", FLOOR, CEILING, single=True)
    payloads, _ = encoder.encode(frame(0, 640, 480))
    assert all(payload[0] & 0x1F < 24 for payload in payloads)
    assert max(map(len, payloads)) <= 1300
    assert len(payloads) > 5
    _, shown = sent(encoder, (640, 480), 30, 5)
    assert len(shown) == 5


def test_a_key_frame_that_was_asked_for_is_not_lost_with_a_frame_that_is_left_out() -> None:
    level = level_of(31)
    assert level is not None
    encoder = LiveH264Encoder("ultrafast", FLOOR, CEILING, level)
    sent(encoder, (1280, 720), 60, 60)
    keys = 0
    for i in range(60, 64):
        picture = frame(i, 1280, 720)
        picture.pts = i * 1500
        payloads, _ = encoder.encode(picture, force_keyframe=i == 60)
        keys += bool(payloads) and is_key(payloads, "h264")
    assert keys == 1


def test_frames_are_left_out_evenly() -> None:
    thinning = Thinning()
    kept = [i for i in range(50) if not thinning.leaves_out(i * 1800, 50, 20)]
    assert len(kept) == 20
    assert {after - before for before, after in itertools.pairwise(kept)} <= {2, 3}
    assert not any(Thinning().leaves_out(i * 3000, 30, 29) for i in range(9))
