"""H264 and VP8 encoders set for a live picture on a busy CPU.

aiortc encodes H264 with libx264's default preset (26-57 ms for a frame of 720p), at level 3.1 whatever the size, with
bitrates that blur 720p, and makes a new encoder (and so a key frame) whenever the bitrate moves by a tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Literal

import av
from aiortc import RTCRtpSender
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import VIDEO_TIME_BASE, convert_timebase
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from engines.cores import usable_cores
from signaling.transport.bitrate import Bitrates, Hysteresis, bitrates
from signaling.transport.colours import Colours
from signaling.transport.levels import (
    FRAME_RATE,
    HIGHEST,
    LEVELS,
    Level,
    fitting_size,
    highest_rate,
    level_for,
    macroblocks,
)
from stream.mark.claims import sei_unit

Preset = Literal["ultrafast", "superfast", "veryfast"]

VIDEO_CLOCK = 90_000  # of RTP timestamps, Hz
RATE_SHARE = 0.1  # of the newest frame in the mean duration of a frame
RATE_STEP = 0.08  # relative change of that mean that counts
LONGEST_FRAME_S = 1.0  # a longer gap is a pause, not a frame
LOWEST_RATE, HIGHEST_RATE = 5.0, 120.0  # frames a second
CLAIM_EVERY_S = 2.0  # between two signed claims in a stream
SLICES = range(1, 6)  # types of NAL units that hold a picture
KEYFRAME_DISTANCE = 3000  # frames; key frames are sent when the peer asks
H264_BUFFER_S = 0.2  # of the ceiling; bounds a key frame's burst
VP8_SPEED = {False: "-10", True: "-16"}  # per large picture; aiortc's -6 costs twice the time of -16
LARGE_PIXELS = 640 * 480
SINGLE_NAL_BYTES = 1200  # of a slice, where each has a packet of its own (packetization mode 0)


class BitrateTarget:
    """What both encoders know of bitrates.

    Args:
        floor, ceiling: bitrates that the operator allows, bit/s.
    """

    def __init__(self, floor: int, ceiling: int) -> None:
        super().__init__()
        self.codec: VideoCodecContext | None = None
        self._allowed = (floor, ceiling)
        self._rates: Bitrates = bitrates(1280, 720, floor, ceiling)
        self._wanted: int | None = None
        self._reformatter = VideoReformatter()

    @property
    def target_bitrate(self) -> int:
        """Bitrate aimed at, bit/s. Setting it is a wish, kept to what the picture's size is worth."""
        return self._rates.start if self._wanted is None else self._rates.clamp(self._wanted)

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._wanted = bitrate


class FrameRate:
    """The frame rate of a stream, from the times of its frames. It moves in steps, so that it seldom changes."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._mean = self._shown = 1 / FRAME_RATE

    def __call__(self, timestamp: int) -> float:
        """Frames a second.

        Args:
            timestamp: of the next frame, 90 kHz.
        """
        last, self._last = self._last, timestamp
        if last is not None and 0 < timestamp - last < LONGEST_FRAME_S * VIDEO_CLOCK:
            self._mean += RATE_SHARE * ((timestamp - last) / VIDEO_CLOCK - self._mean)
        if not 1 - RATE_STEP < self._mean / self._shown < 1 + RATE_STEP:
            self._shown = self._mean
        return min(max(1 / self._shown, LOWEST_RATE), HIGHEST_RATE)


class Thinning:
    """Leaves frames out so that no more than a rate remains, evenly."""

    SLACK = 1.1  # times the rate that pass as they are: cameras are not exact

    def __init__(self) -> None:
        self._due: float | None = None

    def leaves_out(self, timestamp: int, rate: float, most: float) -> bool:
        """Whether to leave out a frame.

        Args:
            timestamp: of the frame, 90 kHz.
            rate: frames a second that come.
            most: that may go.
        """
        if rate <= self.SLACK * most:
            self._due = None
            return False
        period = VIDEO_CLOCK / most
        if self._due is not None and self._due - period <= timestamp < self._due:
            return True
        self._due = max((self._due or timestamp) + period, timestamp + period / 2)
        return False


class LiveH264Encoder(BitrateTarget, H264Encoder):  # type: ignore[misc]
    """H264, constrained baseline. Follows the target bitrate without a new encoder and without a key frame.

    Args:
        preset: libx264's.
        floor, ceiling: bitrates that the operator allows, bit/s.
        most: highest level that the peer decodes. Larger pictures are made smaller, and frames left out.
        single: whether every slice has a packet of its own (packetization mode 0 of RFC 6184).
    """

    def __init__(
        self, preset: Preset, floor: int, ceiling: int, most: Level = HIGHEST, *, single: bool = False
    ) -> None:
        super().__init__(floor, ceiling)
        self._preset = preset
        self._most = most
        self._single = single
        self._level = most
        self._colours: Colours | None = None
        self._frame_rate = FrameRate()
        self._thinning = Thinning()
        self._key_wanted = False
        self._claimed_at: int | None = None

    def encode(self, frame: av.VideoFrame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """Encode a frame of any size and format into RTP payloads and their timestamp (90 kHz).

        Returns:
            No payloads for a frame that is left out.
        """
        timestamp = convert_timebase(frame.pts, frame.time_base, VIDEO_TIME_BASE)
        self._key_wanted = self._key_wanted or force_keyframe
        size = fitting_size(frame.width, frame.height, self._most)
        rate, most = self._frame_rate(timestamp), highest_rate(*size, self._most)
        if self._thinning.leaves_out(timestamp, rate, most):
            return [], timestamp
        rate = min(rate, most)
        claim = frame.opaque
        frame = to_yuv420p(frame, self._reformatter, size)
        colours = Colours.of(frame)
        level = level_for(macroblocks(*size), rate, self._most)
        higher = LEVELS.index(level) > LEVELS.index(self._level)
        if self.codec is None or higher or (self.codec.width, self.codec.height, self._colours) != (*size, colours):
            self._rates = bitrates(*size, *self._allowed)
            self._colours, self._level = colours, level
            self.codec = self._open(*size, colours)
        # x264 spends a bitrate on FRAME_RATE frames, whatever their times say; its own mode for variable rates holds
        # every frame back until the next one.
        bitrate = int(min(self.target_bitrate, self._most.bitrate) * FRAME_RATE / rate)
        if self.codec.bit_rate != bitrate:
            self.codec.bit_rate = bitrate
        frame.pict_type = PictureType.I if self._key_wanted else PictureType.NONE
        self._key_wanted = False
        packets = self.codec.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        units = self._split_bitstream(data)
        if isinstance(claim, bytes) and self._is_claim_due(timestamp, any(packet.is_keyframe for packet in packets)):
            units = with_claim(units, claim)
        return list(units) if self._single else self._packetize(units), timestamp

    def _is_claim_due(self, timestamp: int, is_key: bool) -> bool:
        """Whether a frame says that it is edited: every key frame does, and another one every `CLAIM_EVERY_S`."""
        last = self._claimed_at
        due = is_key or last is None or not 0 <= timestamp - last < CLAIM_EVERY_S * VIDEO_CLOCK
        if due:
            self._claimed_at = timestamp
        return due

    def _open(self, width: int, height: int, colours: Colours) -> VideoCodecContext:
        codec = av.CodecContext.create("libx264", "w")
        colours.tag(codec)
        codec.width, codec.height = width, height
        codec.pix_fmt = "yuv420p"
        codec.framerate = Fraction(FRAME_RATE, 1)
        codec.time_base = VIDEO_TIME_BASE
        codec.gop_size = KEYFRAME_DISTANCE
        codec.thread_count = threads(width * height, usable_cores())
        codec.profile = "Baseline"
        # x264 follows a new bitrate only if it was opened at a constant one: the ceiling, with a decoder buffer.
        # That one has room for the bits of a camera at half of FRAME_RATE.
        ceiling = min(self._rates.ceiling, self._most.bitrate)
        codec.bit_rate = 2 * ceiling
        codec.options = {
            "preset": self._preset,
            "tune": "zerolatency",
            "level": str(self._level.idc),
            "maxrate": str(2 * ceiling),
            "bufsize": str(int(ceiling * H264_BUFFER_S)),
            **({"x264-params": f"slice-max-size={SINGLE_NAL_BYTES}"} if self._single else {}),
        }
        codec.open()
        return codec


def with_claim(units: Iterable[bytes], claim: bytes) -> Iterator[bytes]:
    """The NAL units of one frame, with a signed claim before the first slice.

    Args:
        units: without start codes.
        claim: of `stream.mark.claims`.
    """
    pending = True
    for unit in units:
        if pending and unit[0] & 0x1F in SLICES:
            pending = False
            yield sei_unit(claim)
        yield unit


class LiveVp8Encoder(BitrateTarget, Vp8Encoder):  # type: ignore[misc]
    """VP8 at a constant bitrate. libvpx cannot follow a new bitrate here, so it is rebuilt for large changes only.

    Args:
        floor, ceiling: bitrates that the operator allows, bit/s.
        hysteresis: when to rebuild.
        on_colours: called with the colours of each picture, which VP8 itself cannot say.
    """

    def __init__(
        self,
        floor: int,
        ceiling: int,
        hysteresis: Hysteresis | None = None,
        on_colours: Callable[[Colours], None] | None = None,
    ) -> None:
        super().__init__(floor, ceiling)
        self.picture_id: int
        self._on_colours = on_colours
        self._hysteresis = hysteresis or Hysteresis()

    def encode(self, frame: av.VideoFrame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        """Encode a frame of any size and format into RTP payloads and their timestamp (90 kHz)."""
        timestamp = convert_timebase(frame.pts, frame.time_base, VIDEO_TIME_BASE)
        frame = to_yuv420p(frame, self._reformatter, (frame.width, frame.height))
        if self._on_colours is not None:
            self._on_colours(Colours.of(frame))
        if self.codec is None or (self.codec.width, self.codec.height) != (frame.width, frame.height):
            self._rates = bitrates(frame.width, frame.height, *self._allowed)
            self.codec = self._open(frame.width, frame.height)
        elif self._hysteresis.rebuild(self.codec.bit_rate or 0, self.target_bitrate):
            self.codec = self._open(frame.width, frame.height)
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        data = b"".join(bytes(packet) for packet in self.codec.encode(frame))
        payloads = self._packetize(data, self.picture_id)
        self.picture_id = (self.picture_id + 1) % (1 << 15)
        return payloads, timestamp

    def _open(self, width: int, height: int) -> VideoCodecContext:
        self._hysteresis.built()
        bitrate = str(self.target_bitrate)
        codec = av.CodecContext.create("libvpx", "w")
        codec.width, codec.height = width, height
        codec.pix_fmt = "yuv420p"
        codec.framerate = Fraction(FRAME_RATE, 1)
        codec.time_base = VIDEO_TIME_BASE
        codec.gop_size = KEYFRAME_DISTANCE
        codec.thread_count = threads(width * height, usable_cores())
        codec.bit_rate = self.target_bitrate
        codec.qmin, codec.qmax = 2, 56
        codec.options = {
            "deadline": "realtime",
            "cpu-used": VP8_SPEED[width * height > LARGE_PIXELS],
            "lag-in-frames": "0",
            "error-resilient": "1",
            "noise-sensitivity": "0",
            "static-thresh": "1",
            "minrate": bitrate,  # minrate = maxrate = bitrate: constant bitrate
            "maxrate": bitrate,
            "bufsize": bitrate,  # one second
            "undershoot-pct": "100",
            "overshoot-pct": "15",
        }
        return codec


def use_encoder(sender: RTCRtpSender, encoder: BitrateTarget) -> None:
    """Give a video sender that has not started one of our encoders."""
    sender._RTCRtpSender__encoder = encoder


def threads(pixels: int, cpus: int) -> int:
    """Encoder threads: small pictures gain nothing from more, and the networks need the cores."""
    if pixels <= LARGE_PIXELS or cpus < 4:
        return 1
    return 2 if cpus < 8 else 4


def to_yuv420p(frame: av.VideoFrame, reformatter: VideoReformatter, size: tuple[int, int]) -> av.VideoFrame:
    """The frame as yuv420p; the very frame if it is that already.

    Args:
        frame: any size and format.
        reformatter: one per stream; every new one costs memory that is never given back.
        size: width and height wanted. libx264 takes even ones only.
    """
    width, height = size
    if (width, height, "yuv420p") == (frame.width, frame.height, frame.format.name):
        return frame
    return reformatter.reformat(frame, width=width, height=height, format="yuv420p")
