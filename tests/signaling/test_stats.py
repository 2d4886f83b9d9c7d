"""Rates, percentiles, bitrates."""

from __future__ import annotations

import pytest

from signaling.stats import Bitrate, Durations, Percentiles, Rate, percentiles


def test_percentiles() -> None:
    assert percentiles([3.0]) == Percentiles(p50=3, p95=3)
    assert percentiles(list(range(101, 0, -1))) == Percentiles(p50=51, p95=96)


def test_durations_forget() -> None:
    now = [0.0]
    durations = Durations(lambda: now[0])
    assert durations.of("track") is None
    durations.add("track", 1000)
    durations.add("render", 20)
    now[0] = 6
    durations.add("track", 1)
    assert durations.all() == {"track": Percentiles(p50=1, p95=1)}
    assert durations.of("render") is None


def test_rates() -> None:
    now = [0.0]
    rate = Rate(lambda: now[0])
    for i in range(90):
        now[0] = i / 30
        rate.count()
    assert rate.value() == pytest.approx(30, abs=1)
    now[0] += 10
    assert rate.value() == 0


def test_bitrates() -> None:
    now = [0.0]
    bitrate = Bitrate(lambda: now[0])
    now[0] = 2
    assert bitrate.since_last(1000) == 4000
    assert bitrate.since_last(1000) == 0
    now[0] = 3
    assert bitrate.since_last(2000) == 8000


def test_means_count_what_is_mostly_nothing() -> None:
    now = 0.0
    durations = Durations(lambda: now)
    for _ in range(9):
        durations.add("hair", 0.0)
    durations.add("hair", 50.0)
    assert durations.means() == {"hair": 5.0}
    now = 100.0
    assert durations.means() == {}
