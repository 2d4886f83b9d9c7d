"""A large picture goes out over some time, a small one and sound at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from signaling.transport.pacing import PACE, Pacer, pace


def test_a_picture_of_usual_size_does_not_wait() -> None:
    pacer = Pacer(lambda: 3_000_000)
    for frame in range(60):
        assert [pacer.wait(1200, frame / 30) for _ in range(11)] == [0.0] * 11


def test_a_key_frame_goes_out_at_its_pace() -> None:
    pacer, now = Pacer(lambda: 1_000_000), 0.0
    for _ in range(100):
        wait = pacer.wait(1000, now)
        assert wait <= PACE.longest
        now += wait
    assert now == pytest.approx((100_000 - PACE.burst) / (PACE.factor * 1_000_000 / 8), rel=0.02)


def test_the_pace_follows_the_bitrate() -> None:
    rate = [1_000_000]
    pacer = Pacer(lambda: rate[0])
    pacer.wait(PACE.burst + 2500, 0.0)
    assert pacer.wait(0, 0.0) == pytest.approx(2500 * 8 / 2_500_000)
    rate[0] = 4_000_000
    assert pacer.wait(0, 0.0) == pytest.approx(2500 * 8 / 10_000_000)


@pytest.mark.anyio
async def test_only_the_video_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    slept: list[float] = []

    class Transport:
        async def _send_rtp(self, data: bytes) -> None:
            sent.append(data)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    transport: Any = Transport()
    sender: Any = type("Sender", (), {"_ssrc": 0x01020304})
    pace(transport, sender, lambda: 100_000)
    video, sound = (bytes([0x80, 96, *bytes(6)]) + ssrc + bytes(1200) for ssrc in (b"\1\2\3\4", b"\4\3\2\1"))
    report = bytes([0x80, 200, 0, 6, 1, 2, 3, 4]) + b"\1\2\3\4"
    for _ in range(16):
        await transport._send_rtp(video)
    assert not slept
    await transport._send_rtp(video)
    assert len(slept) == 1
    for data in (sound, report):
        await transport._send_rtp(data)
    assert len(slept) == 1
    assert len(sent) == 19
