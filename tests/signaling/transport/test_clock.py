"""The moment of capture, from sender reports."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from signaling.transport.clock import NTP_UNIT, CaptureClock
from signaling.transport.sources import Timeline


def frame(pts: int) -> av.VideoFrame:
    made = av.VideoFrame(16, 16)
    made.pts, made.time_base = pts, Fraction(1, 90_000)
    return made


def test_a_frame_is_dated_by_the_newest_report() -> None:
    timeline = Timeline(90_000)
    start = (1 << 32) - 45_000  # half a second before the timestamps wrap
    clock = CaptureClock(timeline.raw)
    assert clock.captured_at(frame(0)) is None
    mapped = [timeline.map((start + 3000 * i) % (1 << 32)) for i in range(30)]
    assert clock.captured_at(frame(mapped[-1])) is None
    clock.report(1000 * NTP_UNIT, start)
    dates = [clock.captured_at(frame(pts)) for pts in mapped]
    assert dates == pytest.approx([1000 + i / 30 for i in range(30)])
    clock.report(2000 * NTP_UNIT + NTP_UNIT // 2, (start + 3000 * 29) % (1 << 32))
    assert clock.captured_at(frame(mapped[-1])) == pytest.approx(2000.5)


def test_a_stream_that_follows_another_is_dated_by_its_own_report() -> None:
    timeline = Timeline(90_000)
    timeline.map(77)
    timeline.begin()
    timeline.now = 500
    mapped = timeline.map(4_000_000_000)
    clock = CaptureClock(timeline.raw)
    clock.report(9 * NTP_UNIT, 4_000_000_000)
    assert clock.captured_at(frame(mapped)) == pytest.approx(9)
