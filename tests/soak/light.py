"""Peers that cost nearly nothing: video that was encoded before, and answers of which the first few are decoded only.

Many of them fit beside a server on the same machine. The delay of a frame is the time from handing it to the sender
until its last packet is back: clips carry a counter (`tests.e2e.fake_camera`), which tells once how the timestamps of
what comes back belong to those of what was sent.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCRtpSender, rtcrtpreceiver
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from tests.e2e import fake_camera
from tests.signaling.conftest import Peer

FPS = 30
GROUP = 30
"""Pictures from one key frame to the next."""
LOOP = 300
BITRATE = 1_200_000
GLANCES = 12
"""Frames whose counter is read before the decoder rests."""
CLOCK = 90_000
STATS_EVERY_S = 1.0


@dataclass(slots=True)
class Seen:
    """What one session got in a span of time.

    Attributes:
        times: of frames that came back, in seconds, in order.
        delays: milliseconds from sent to back, by frame; nan where the frame cannot be told.
        edits: a second, by the server's own account.
    """

    times: Sequence[float]
    delays: Sequence[float]
    edits: float = 0.0


@cache
def clip(width: int, height: int) -> tuple[av.Packet[Any], ...]:
    """A moving face with a counter, as H.264 packets that loop."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base, codec.framerate, codec.gop_size = Fraction(1, FPS), Fraction(FPS), GROUP
    codec.bit_rate, codec.profile = BITRATE, "Baseline"
    codec.options = {"preset": "veryfast", "tune": "zerolatency", "sc_threshold": "0", "forced-idr": "1"}
    scene = fake_camera.astronaut()
    packets: list[av.Packet[Any]] = []
    for index in range(LOOP):
        picture = fake_camera.frame(width, height, scene, index, LOOP)
        fake_camera.draw_counter(picture, index)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        packets += codec.encode(frame)
    packets += codec.encode(None)
    assert len(packets) == LOOP
    assert all(packet.is_keyframe for packet in packets[::GROUP])
    return tuple(packets)


def read_counter(picture: NDArray[np.uint8]) -> int | None:
    """The number that `fake_camera.draw_counter` drew into a BGR picture; None where it cannot be read."""
    side = fake_camera.BLOCK * picture.shape[1]
    bits = [int(picture[round(side / 2), round((place + 0.5) * side), 2] > 145) for place in range(fake_camera.BLOCKS)]
    *number, parity = bits
    return sum(bit << place for place, bit in enumerate(number)) if sum(number) % 2 == parity else None


class LoopTrack(MediaStreamTrack):  # type: ignore[misc]
    """Sends a clip's packets at their times.

    Args:
        packets: of the clip, a key frame first.
        phase: groups of pictures that it begins later in the clip.

    Attributes:
        sent: by the frame's number in the stream: the time when it was handed to the sender.
        first: the clip's number of the first frame.
    """

    kind = "video"

    def __init__(self, packets: tuple[av.Packet[Any], ...], phase: int = 0) -> None:
        super().__init__()
        self._packets = packets
        self.first = phase * GROUP % len(packets)
        self.sent: list[float] = []
        self._began = 0.0

    async def recv(self) -> av.Packet[Any]:
        number = len(self.sent)
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + number / FPS - time.monotonic())
        if self.readyState != "live":
            raise MediaStreamError
        packet = av.Packet(bytes(self._packets[(self.first + number) % len(self._packets)]))
        packet.pts, packet.time_base = number * (CLOCK // FPS), Fraction(1, CLOCK)
        self.sent.append(time.monotonic())
        return packet


class Glance:
    """A decoder that rests after the first pictures (`aiortc.codecs.Decoder`)."""

    def __init__(self, codec: Any) -> None:
        self._decoder = _get_decoder(codec)
        self._left = GLANCES * 4

    def decode(self, encoded: Any) -> list[av.VideoFrame]:
        if self._left > 0:
            self._left -= 1
            return list(self._decoder.decode(encoded))
        return []


_get_decoder = rtcrtpreceiver.get_decoder


@contextmanager
def resting_decoders() -> Iterator[None]:
    """All decoders of this process rest after the first pictures: what a `LightPeer` needs, and no other peer."""
    rtcrtpreceiver.get_decoder = Glance
    try:
        yield
    finally:
        rtcrtpreceiver.get_decoder = _get_decoder


H264 = [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.mimeType == "video/H264"]


class LightPeer(Peer):
    """A peer that sends a clip and notes when frames come back; within `resting_decoders`.

    Args:
        http: of the server.
        packets: of the clip.
        phase: groups of pictures that it begins later in the clip.
        watched: whether frames are to come back; otherwise the session has a name, and nobody watches it.

    Attributes:
        edited: frames that the server has edited, by its own account.
        arrivals: by timestamp of what comes back: the time of its last packet.
    """

    def __init__(
        self, http: httpx.AsyncClient, packets: tuple[av.Packet[Any], ...], phase: int = 0, *, watched: bool = True
    ) -> None:
        self.track = LoopTrack(packets, phase)
        super().__init__(http, self.track)
        self.arrivals: dict[int, float] = {}
        self._origin: int | None = None
        self._offset: int | None = None
        [transceiver] = [one for one in self.connection.getTransceivers() if one.kind == "video"]
        transceiver.setCodecPreferences(H264)
        self._watched = watched
        if not watched:
            transceiver.direction = "sendonly"
        receive = transceiver.receiver._handle_rtp_packet

        async def note(packet: Any, arrival_time_ms: int) -> None:
            if packet.payload and self._origin is None:
                self._origin = packet.timestamp
            if packet.marker:
                self.arrivals.setdefault(packet.timestamp, time.monotonic())
            await receive(packet, arrival_time_ms=arrival_time_ms)

        transceiver.receiver._handle_rtp_packet = note

    @property
    def edited(self) -> int:
        told = (message["edited"] for message in reversed(self.messages) if message["type"] == "stats")
        return next(told, 0)

    async def come(self, settings: dict[str, Any]) -> None:
        """Connect, and have an edit made.

        Raises:
            RuntimeError: the server refuses.
        """
        name = "" if self._watched else "unwatched"
        response = await self.call({"x-forwarded-for": f"10.1.1.{self.track.first // GROUP + 1}"}, stream=name)
        if response.status_code != 201:
            raise RuntimeError(f"status {response.status_code}: {response.text[:200]}")
        await self.message("hello")
        self.send(type="settings", settings=settings)
        self.send(type="stats", every=STATS_EVERY_S)
        if self._watched:
            await self.until(lambda: self._offset is not None)

    async def leave(self) -> None:
        if self.location:
            await self.http.delete(self.location)
        await self.close()

    async def _keep(self, track: MediaStreamTrack, kept: list[Any]) -> None:
        """Read the counters of the few frames that are decoded: they tell which frame a timestamp is of."""
        try:
            while True:
                frame = await track.recv()
                number = read_counter(frame.to_ndarray(format="bgr24"))
                if number is None or self._origin is None or self._offset is not None:
                    continue
                stamp = (self._origin + frame.pts) % 2**32
                ahead = (number - self.track.first) % LOOP
                newest = bisect_right(self.track.sent, self.arrivals.get(stamp, time.monotonic())) - 1
                index = newest - (newest - ahead) % LOOP  # the newest frame with this number that was sent before
                if index >= 0:
                    self._offset = (stamp - index * (CLOCK // FPS)) % 2**32
        except MediaStreamError:
            pass

    def seen(self, since: float, until: float) -> Seen:
        """What came back in a span of time."""
        times, delays = [], []
        for stamp, at in sorted(self.arrivals.items(), key=lambda item: item[1]):
            if not since <= at < until:
                continue
            times.append(at)
            delays.append(self._delay(stamp, at))
        return Seen(times, delays)

    def _delay(self, stamp: int, at: float) -> float:
        """Milliseconds since the frame of a timestamp was sent; nan where there is none."""
        if self._offset is None:
            return float("nan")
        index = round(((stamp - self._offset) % 2**32) / (CLOCK // FPS))
        return 1000 * (at - self.track.sent[index]) if index < len(self.track.sent) else float("nan")
