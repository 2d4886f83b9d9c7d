"""Arrival times as transport-wide feedback: the format, and what is told when."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.transport import feedback
from signaling.transport.feedback import Arrivals, pack


def parse(data: bytes) -> tuple[int, list[int | None], int]:
    """(base, arrival ticks or None per packet, count) of a message, read anew from the draft, section 3.1."""
    first, kind, length = struct.unpack("!BBH", data[:4])
    assert (first >> 6, first & 31, kind, len(data)) == (2, 15, 205, 4 * length + 4)
    body = data[4 : len(data) - (data[-1] if first & 32 else 0)]
    _, _, base, count, last = struct.unpack("!LLHHL", body[:16])
    reference, number = last >> 8, last & 255
    at, statuses = 16, list[int]()
    while len(statuses) < count:
        (chunk,) = struct.unpack("!H", body[at : at + 2])
        at += 2
        if not chunk >> 15:
            statuses += [chunk >> 13] * (chunk & 0x1FFF)
        elif chunk >> 14 & 1:
            statuses += [chunk >> shift & 3 for shift in range(12, -2, -2)]
        else:
            statuses += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    times: list[int | None] = []
    now = 256 * reference
    for status in statuses[:count]:
        if status == 0:
            times.append(None)
            continue
        size = {1: "!B", 2: "!h"}[status]
        now += struct.unpack_from(size, body, at)[0]
        at += struct.calcsize(size)
        times.append(now)
    assert at == len(body), "nothing is left over"
    assert not any(statuses[count:])
    return base, times, number


@st.composite
def told(draw: Any) -> tuple[int, list[int | None]]:
    times: list[int | None] = [draw(st.integers(0, 1 << 30))]
    now = times[0]
    runs = st.tuples(
        st.integers(1, 30), st.one_of(st.none(), st.integers(0, 255), st.integers(-(1 << 15), (1 << 15) - 1))
    )
    for length, delta in draw(st.lists(runs, max_size=12)):
        for _ in range(length):
            if delta is None or now + delta < 0:
                times.append(None)
            else:
                now += delta
                times.append(now)
    now_or_none = [index for index, value in enumerate(times) if value is not None]
    return draw(st.integers(0, 0xFFFF)), times[: now_or_none[-1] + 1]


@given(told(), st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_a_message_says_what_was_told(what: tuple[int, list[int | None]], count: int) -> None:
    base, times = what
    arrivals = {base + index: time for index, time in enumerate(times) if time is not None}
    data = pack(1, 2, base, arrivals, count)
    assert parse(data) == (base, times, count & 255)
    assert struct.unpack_from("!LL", data, 4) == (1, 2)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 5000)), min_size=1, max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_order_of_packets_makes_readable_messages(packets: list[tuple[int, int]]) -> None:
    """A stranger chooses the numbers."""
    arrivals, now = Arrivals(), 0
    for number, later in packets:
        now += later
        arrivals.add(number, now)
        if arrivals.due(now):
            for message in arrivals.messages(1, 2, now):
                parse(message)
                assert len(message) <= 1200


def test_lost_packets_are_told_once_and_late_ones_after_all() -> None:
    arrivals = Arrivals()
    for number in (65533, 65534, 1):
        arrivals.add(number, 1000)
    assert not arrivals.due(1000)
    assert arrivals.due(1400)
    [first] = arrivals.messages(1, 2, 1400)
    assert parse(first) == (65533, [1000, 1000, None, None, 1000], 0)
    assert not arrivals.due(9999), "there is nothing new"
    arrivals.add(4, 1500)
    arrivals.add(65535, 1510)  # sent again, or another way
    [second] = arrivals.messages(1, 2, 1900)
    assert parse(second) == (65535, [1510, None, 1000, None, None, 1500], 1)


def test_a_long_silence_begins_another_message() -> None:
    arrivals = Arrivals()
    arrivals.add(7, 0)
    arrivals.add(8, 100_000)
    messages = arrivals.messages(1, 2, 100_000)
    assert [parse(message)[:2] for message in messages] == [(7, [0]), (8, [100_000])]


def test_a_packet_that_comes_twice_is_told_once() -> None:
    arrivals = Arrivals()
    arrivals.add(7, 10)
    arrivals.add(7, 90)
    [message] = arrivals.messages(1, 2, 500)
    assert parse(message)[1] == [10]


@pytest.mark.anyio
async def test_a_transport_tells_its_peer() -> None:
    sent: list[bytes] = []
    routed: list[int] = []
    now = [0.0]

    class Packet:
        ssrc = 9

        def __init__(self, number: int | None) -> None:
            self.extensions = type("Extensions", (), {"transport_sequence_number": number})

    class Router:
        def route_rtp(self, packet: Any) -> None:
            routed.append(packet.extensions.transport_sequence_number)

    class Transport:
        _rtp_router = Router()

        async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
            self._rtp_router.route_rtp(Packet(data[0] or None))

        async def _send_rtp(self, data: bytes) -> None:
            if now[0] > 0.9:
                raise ConnectionError
            sent.append(data)

    transport: Any = Transport()
    feedback.tell_arrivals(transport, 5, lambda: now[0])
    for number in range(12):
        now[0] = 0.05 * number
        await transport._handle_rtp_data(bytes([number]), arrival_time_ms=0)
    assert routed == [None, *range(1, 12)]
    assert [parse(data)[0] for data in sent] == [1, 4, 6, 8, 10]
    assert [len(parse(data)[1]) for data in sent] == [3, 2, 2, 2, 2]
    now[0] = 5
    await transport._handle_rtp_data(bytes([20]), arrival_time_ms=0)
