"""When the peer captured a frame, by its own clock: RTCP sender reports (RFC 3550, section 6.4.1). When packets came.

Sound and picture have timestamps of their own, from random starts; the reports say which moment of one clock each of
them means. aiortc answers the reports and forgets what they say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import av
from aiortc import RTCDtlsTransport, RTCRtpReceiver
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from signaling.transport.sources import Sources, Timeline

NTP_UNIT = 1 << 32  # parts of a second in an NTP timestamp


class CaptureClock:
    """Maps the times of one track's frames to the peer's clock.

    Args:
        raw: gives the RTP timestamp for a frame's `pts`, None while it is not known.
    """

    def __init__(self, raw: Callable[[int], int | None]) -> None:
        self._raw = raw
        self._report: tuple[float, int] | None = None

    def report(self, ntp: int, timestamp: int) -> None:
        """Take a sender report: the same moment as NTP time (32.32 fixed point) and as RTP timestamp."""
        self._report = ntp / NTP_UNIT, timestamp

    def captured_at(self, frame: av.VideoFrame | av.AudioFrame) -> float | None:
        """When a frame was captured, in seconds of the peer's clock; None before the first report."""
        if self._report is None or frame.pts is None or frame.time_base is None:
            return None
        raw = self._raw(frame.pts)
        if raw is None:
            return None
        ntp, timestamp = self._report
        return ntp + ((raw - timestamp + (1 << 31)) % (1 << 32) - (1 << 31)) * float(frame.time_base)


def video_clock(receiver: RTCRtpReceiver, sources: Sources) -> CaptureClock:
    """The clock of a video receiver that shows one of `sources`."""
    timeline: Timeline = receiver._RTCRtpReceiver__timestamp_mapper
    clock = CaptureClock(timeline.raw)
    _listen(receiver, clock, lambda ssrc: sources.taken is not None and ssrc == sources.taken.ssrc)
    return clock


def audio_clock(receiver: RTCRtpReceiver) -> CaptureClock:
    """The clock of an audio receiver."""
    mapper: Any = receiver._RTCRtpReceiver__timestamp_mapper

    def raw(pts: int) -> int | None:
        return None if mapper._origin is None else int(pts + mapper._origin)

    clock = CaptureClock(raw)
    _listen(receiver, clock, lambda _: True)
    return clock


def _listen(receiver: RTCRtpReceiver, clock: CaptureClock, shown: Callable[[int], bool]) -> None:
    handle = receiver._handle_rtcp_packet

    async def handle_report(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket) and shown(packet.ssrc):
            clock.report(packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp)
        await handle(packet)

    receiver._handle_rtcp_packet = handle_report


def steady_arrivals(transport: RTCDtlsTransport) -> None:
    """Time a transport's packets by a clock that nobody sets: aiortc takes the wall clock, which jumps."""
    handle = transport._handle_rtp_data

    async def handle_timed(data: bytes, arrival_time_ms: int) -> None:
        await handle(data, arrival_time_ms=int(time.monotonic() * 1000))

    transport._handle_rtp_data = handle_timed
