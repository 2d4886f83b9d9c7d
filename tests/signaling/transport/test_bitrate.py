"""Bitrates per picture size, and hysteresis."""

from __future__ import annotations

import time

import pytest
from aiortc.rate import RemoteBitrateEstimator

from signaling.transport.bitrate import Hysteresis, bitrates
from signaling.transport.uplink import FlooredEstimator


@pytest.mark.parametrize(
    ("size", "least", "most"),
    [((320, 240), 300_000, 700_000), ((640, 480), 900_000, 1_500_000), ((1280, 720), 3_000_000, 3_000_000)],
)
def test_a_larger_picture_starts_with_more(size: tuple[int, int], least: int, most: int) -> None:
    rates = bitrates(*size, floor=100_000, ceiling=10_000_000)
    assert least <= rates.start <= most
    assert rates.floor < rates.start < rates.ceiling
    assert rates.clamp(1) == rates.floor
    assert rates.clamp(10**9) == rates.ceiling


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (7680, 4320)])
@pytest.mark.parametrize("allowed", [(50_000, 50_000), (300_000, 6_000_000), (5_000_000, 6_000_000)])
def test_the_operators_limits_hold(size: tuple[int, int], allowed: tuple[int, int]) -> None:
    floor, ceiling = allowed
    rates = bitrates(*size, floor=floor, ceiling=ceiling)
    assert floor <= rates.floor <= rates.start <= rates.ceiling <= ceiling


def test_hysteresis() -> None:
    now = [0.0]
    hysteresis = Hysteresis(lambda: now[0])
    now[0] = 0.5
    assert not hysteresis.rebuild(1_000_000, 100_000)
    now[0] = 1.5
    assert hysteresis.rebuild(1_000_000, 700_000)
    assert not hysteresis.rebuild(1_000_000, 800_000)
    assert not hysteresis.rebuild(1_000_000, 2_000_000)
    now[0] = 6
    assert hysteresis.rebuild(1_000_000, 2_000_000)
    assert not hysteresis.rebuild(1_000_000, 1_200_000)
    hysteresis.built()
    assert not hysteresis.rebuild(1_000_000, 2_000_000)


class Sinking:
    """An estimator that finds less and less."""

    def __init__(self) -> None:
        self.rate_control = self
        self.current_bitrate = 1_000_000

    def add(self, **packet: int) -> tuple[int, list[int]]:
        self.current_bitrate //= 2
        return self.current_bitrate, [7]


def test_the_uplink_keeps_a_floor_and_recovers_from_there() -> None:
    sinking = Sinking()
    estimator = FlooredEstimator(sinking, 300_000)
    told = [estimator.add(arrival_time_ms=0, abs_send_time=0, payload_size=0, ssrc=7) for _ in range(4)]
    assert told == [(500_000, [7]), (300_000, [7]), (300_000, [7]), (300_000, [7])]
    assert sinking.current_bitrate == 300_000


def test_a_pause_of_a_night_costs_nothing() -> None:
    """aiortc goes over a pause millisecond by millisecond: a minute of processor time for a day."""
    estimator = FlooredEstimator(RemoteBitrateEstimator(), 300_000)
    began = time.process_time()
    for day in range(-2, 3):
        for packet in range(50):
            estimator.add(86_400_000 * day + 20 * packet, abs_send_time=packet << 13, payload_size=1000, ssrc=7)
    assert time.process_time() - began < 2
