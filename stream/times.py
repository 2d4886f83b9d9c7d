"""When decoded frames are shown: increasing times, whatever a file says."""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import Any

import av

WITHOUT_TIMES = frozenset({"avi"})
"""Formats that store no times of presentation. FFmpeg makes some up, in the order of decoding."""
UNKNOWN_BASE = Fraction(1, 1000)


class FrameTimes:
    """Gives the frames of one stream times that increase.

    A format without times of presentation stores pictures at even intervals, so that the k-th picture that is shown has
    the k-th time of decoding. Others keep their times; one that is missing, or does not increase, is counted on from
    the one before.

    Args:
        container: name of the demuxer.
        rate: frames a second, where a time has to be counted.
    """

    def __init__(self, container: str, rate: Fraction) -> None:
        self._by_packets = bool(WITHOUT_TIMES & set(container.split(",")))
        self._rate = rate
        self._open: list[int] = []  # times of decoding that no frame has taken yet, a heap
        self._last: int | None = None

    def take(self, packet: av.Packet[Any]) -> None:
        """See a packet before it is decoded."""
        if self._by_packets and packet.size and packet.dts is not None:
            heapq.heappush(self._open, packet.dts)

    def leave_out(self, packet: av.Packet[Any]) -> None:
        """A packet gave no frame, for it is damaged."""
        if packet.dts in self._open:
            self._open.remove(packet.dts)
            heapq.heapify(self._open)

    def stamp(self, frame: av.VideoFrame) -> None:
        """Set the time of the next frame in the order in which they are shown, in units of its `time_base`."""
        base = frame.time_base or UNKNOWN_BASE
        time = heapq.heappop(self._open) if self._open else frame.pts
        if self._last is None:
            time = time or 0
        elif time is None or time <= self._last:
            time = self._last + max(1, round(1 / (self._rate * base)))
        frame.pts, frame.time_base = time, base
        self._last = time
