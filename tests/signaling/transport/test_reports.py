"""Sender reports of sound and picture tell one clock: that of capture."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiortc.rtp import RtcpSenderInfo, RtcpSrPacket

from signaling.transport.clock import NTP_UNIT
from signaling.transport.reports import report_captures

pytestmark = pytest.mark.anyio


class Track:
    def __init__(self) -> None:
        self.captured: float | None = None


class Sender:
    """What is used of aiortc's sender: it sends a frame whose RTP timestamp is `stamp`."""

    def __init__(self) -> None:
        self.track = Track()
        self.reports: list[RtcpSrPacket] = []
        self._RTCRtpSender__rtp_timestamp = 0
        self._RTCRtpSender__lsr = 0
        self.stamp = 0

    async def _next_encoded_frame(self, codec: Any) -> Any:
        return object()

    async def _send_rtcp(self, packets: list[RtcpSrPacket]) -> None:
        self.reports += packets

    async def send(self, captured: float | None, stamp: int) -> None:
        self.track.captured = captured
        await self._next_encoded_frame(None)
        self._RTCRtpSender__rtp_timestamp = stamp

    async def report(self) -> tuple[float, int]:
        """(seconds, RTP timestamp) of the report that goes out."""
        await self._send_rtcp([RtcpSrPacket(1, RtcpSenderInfo(77 << 32, 7, 0, 0))])
        info = self.reports[-1].sender_info
        return info.ntp_timestamp / NTP_UNIT, info.rtp_timestamp


async def test_sound_and_picture_are_dated_by_one_clock() -> None:
    picture, sound = Sender(), Sender()
    report_captures([picture, sound])
    start = time.monotonic()  # a peer whose clock is ours
    assert await picture.report() == (77, 7), "nothing is known yet"
    await picture.send(start - 0.2, 9000)
    await picture.send(start - 0.1, 18_000)
    assert await picture.report() == (77, 7), "one clock of two is worse than none"
    await sound.send(start - 0.30, 960)
    await sound.send(start - 0.28, 1920)
    for sender, captured, stamp in ((picture, start - 0.2, 9000), (sound, start - 0.3, 960)):
        told = await sender.report()
        assert told[0] == pytest.approx(captured, abs=1e-6)
        assert told[1] == stamp, "the frame after may still be leaving"
    assert picture._RTCRtpSender__lsr == picture.reports[-1].sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF


async def test_clocks_that_make_no_sense_are_not_told() -> None:
    picture, sound = Sender(), Sender()
    report_captures([picture, sound])
    for _ in range(2):
        await picture.send(time.monotonic() - 60, 1)
        await sound.send(time.monotonic(), 1)
    assert await picture.report() == (77, 7)


async def test_a_picture_alone_is_left_as_it_is() -> None:
    picture = Sender()
    report_captures([picture])
    for _ in range(2):
        await picture.send(5.0, 1)
    assert await picture.report() == (77, 7)
