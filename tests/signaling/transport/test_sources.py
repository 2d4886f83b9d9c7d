"""One stream is shown of those that a peer sends for one video, and it is the best one that arrives."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from aiortc.rtp import RtpPacket

from signaling.transport.jitter import FrameBuffer
from signaling.transport.sources import LIMITS, Repairs, Sources, Timeline, accept_layers, repairs_of

VP8 = 97
NAMES = {VP8: "VP8"}
FRAME_MS = 33
SIZES = {11: (960, 540), 22: (480, 270), 33: (240, 136)}


def packet(ssrc: int, number: int, *, key: bool, size: tuple[int, int], first: bool = True) -> RtpPacket:
    made = RtpPacket(payload_type=VP8, sequence_number=number % 65536, timestamp=number * 3000 % (1 << 32), marker=1)
    made.ssrc = ssrc
    width, height = size
    head = b"\0\0\0\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") if key else b"\x01"
    made.payload = bytes([0x10 if first else 0]) + head + b"x"
    made._data = made.payload[1:]
    return made


class Sender:
    """Sends a frame of a packet for every living layer, and key frames when asked."""

    def __init__(self, sources: Sources, sizes: dict[int, tuple[int, int]] = SIZES) -> None:
        self.sources, self.sizes = sources, sizes
        self.now, self.number = 1000, 0
        self.keys = set(sizes)
        self.shown: list[tuple[int, int]] = []  # when, SSRC
        self.fresh: list[int] = []
        self.asked: list[int] = []

    def run(self, ms: int, alive: Any = None, lossy: int | None = None) -> None:
        alive = self.sizes if alive is None else alive
        rng = random.Random(1)
        for _ in range(ms // FRAME_MS):
            self.now += FRAME_MS
            self.number += 1
            for ssrc in alive:
                if ssrc == lossy and rng.random() < 0.4:
                    continue
                sent = packet(ssrc, self.number, key=ssrc in self.keys, size=self.sizes[ssrc])
                self.keys.discard(ssrc)
                verdict = self.sources.take(sent, self.now)
                if verdict.taken:
                    self.shown.append((self.now, ssrc))
                if verdict.fresh:
                    self.fresh.append(ssrc)
                    self.keys.add(ssrc)  # the buffer asks for one when it has none
                if verdict.ask is not None:
                    self.asked.append(verdict.ask)
                    self.keys.add(verdict.ask)


@pytest.mark.parametrize("order", [[11, 22, 33], [33, 22, 11]])
def test_the_largest_layer_is_shown_and_no_packet_of_the_others(order: list[int]) -> None:
    sender = Sender(Sources(NAMES), {ssrc: SIZES[ssrc] for ssrc in order})
    sender.run(3000)
    assert {ssrc for _, ssrc in sender.shown[3:]} == {11}
    assert sender.sources.left_out >= 170
    assert sender.asked == []
    assert sender.sources.taken is not None
    assert "960x540" in sender.sources.taken.name


def test_the_next_layer_is_shown_when_the_largest_stops_and_the_largest_when_it_is_back() -> None:
    sender = Sender(Sources(NAMES))
    sender.run(3000)
    stopped = sender.now
    sender.run(3000, alive=[22, 33])
    assert sender.fresh[-1] == 22
    assert 33 not in sender.fresh
    switched = next(now for now, ssrc in sender.shown if ssrc == 22)
    assert LIMITS.silence_ms <= switched - stopped <= LIMITS.silence_ms + 2 * FRAME_MS
    sender.run(4000)
    assert sender.asked == [11]  # one key frame, when it came whole for a while
    assert sender.shown[-1][1] == 11
    times = [now for now, _ in sender.shown]
    gaps = [after - before for before, after in itertools.pairwise(times) if after > switched]
    assert max(gaps) == FRAME_MS  # the way back up costs no picture


def test_a_layer_that_comes_in_pieces_is_left_for_a_while() -> None:
    sender = Sender(Sources(NAMES))
    sender.run(2000)
    sender.run(4000, lossy=11)
    assert sender.shown[-1][1] == 22
    left = next(now for now, ssrc in sender.shown if ssrc == 22 and now > 2000)
    sender.run(15_000)
    back = next(now for now, ssrc in sender.shown if ssrc == 11 and now > left)
    assert back - left >= LIMITS.retry_ms


def test_a_single_stream_that_comes_in_pieces_is_shown_all_the_same() -> None:
    sender = Sender(Sources(NAMES), {11: (960, 540)})
    sender.run(5000, lossy=11)
    assert sender.sources.left_out == 0


def test_a_sender_that_starts_anew_is_followed_at_its_key_frame() -> None:
    sender = Sender(Sources(NAMES), {11: (640, 480), 12: (640, 480)})
    sender.run(2000, alive=[11])
    sender.now += LIMITS.restart_ms
    began = sender.now
    sender.run(300, alive=[12])
    assert sender.fresh == [11, 12]
    assert next(now for now, ssrc in sender.shown if ssrc == 12) - began <= 2 * FRAME_MS


def test_of_two_alike_the_first_one_stays() -> None:
    sender = Sender(Sources(NAMES), {11: (640, 480), 12: (640, 480)})
    sender.run(4000)
    assert {ssrc for _, ssrc in sender.shown} == {11}
    assert sender.asked == []


def test_a_screen_with_a_frame_a_second_is_not_taken_for_one_that_stopped() -> None:
    sources = Sources(NAMES)
    shown = []
    for i in range(20):
        for at, ssrc in enumerate((33, 22, 11)):
            now = 1000 * i + 10 * at
            verdict = sources.take(packet(ssrc, i, key=i == 0, size=SIZES[ssrc]), now)
            shown += [ssrc] if verdict.taken else []
    assert set(shown[6:]) == {11}


def test_strangers_cannot_fill_the_memory() -> None:
    sources = Sources(NAMES)
    for ssrc in range(10_000):
        sources.take(packet(ssrc, 1, key=True, size=(64, 64)), 5)
    assert len(sources) == LIMITS.sources


def rtx(ssrc: int, number: int, rid: str | None = None) -> RtpPacket:
    made = RtpPacket(payload_type=98, sequence_number=1, timestamp=0)
    made.ssrc, made.payload = ssrc, number.to_bytes(2, "big") + b"x"
    made.extensions.repaired_rtp_stream_id = rid
    return made


def test_retransmissions_find_their_stream() -> None:
    sources = Sources(NAMES)
    first = packet(11, 1, key=True, size=(64, 64))
    first.extensions.rtp_stream_id = "h"
    sources.take(first, 0)
    assert Repairs({5: 11}).original(rtx(5, 7), sources, set()) == 11
    assert Repairs().original(rtx(5, 7, "h"), sources, set()) == 11
    assert Repairs().original(rtx(5, 7, "other"), sources, {7}) is None
    assert Repairs().original(rtx(5, 7), sources, set()) is None
    learnt = Repairs()
    assert learnt.original(rtx(5, 7), sources, {7}) == 11  # it asked for this very packet
    assert learnt.original(rtx(5, 8), sources, set()) == 11
    assert repairs_of("m=video\r\na=ssrc-group:FID 11 5\r\na=ssrc-group:SIM 1 2\r\n").pairs == {5: 11}


def test_time_goes_on_from_one_stream_to_the_next() -> None:
    timeline = Timeline(90_000)

    def at(now: int, timestamp: int) -> int:
        timeline.now = now
        return timeline.map(timestamp % (1 << 32))

    assert at(0, 77_000) == 0
    assert at(33, 80_000) == 3000
    timeline.begin()
    assert at(133, 4_000_000_000) == 3000 + 9000
    assert at(166, 4_000_003_000) == 15_000
    assert at(199, 5) == 15_000 + 33 * 90  # a jump on the same SSRC
    assert at(232, 6005) == at(232, 6005) == 15_000 + 33 * 90 + 6000
    assert at(240, 3005) == 15_000 + 33 * 90 + 3000  # a B-frame
    wrapping = Timeline(90_000)
    assert [wrapping.map(stamp % (1 << 32)) for stamp in ((1 << 32) - 3000, 0, 3000)] == [0, 3000, 6000]


def test_a_buffer_that_begins_anew_takes_any_number() -> None:
    buffer = FrameBuffer(NAMES, 1920 * 1080)
    assert buffer.add(packet(11, 40_000, key=True, size=(64, 64)))[1] is not None
    buffer.restart()
    assert buffer.add(packet(12, 39_990, key=True, size=(64, 64)))[1] is not None


ANSWER = "v=0\r\nm=audio 9 X 96\r\na=mid:0\r\nm=video 9 X 97\r\na=mid:1\r\n"
OFFER = ANSWER + "a=rid:0 send\r\na=rid:1 send\r\na=simulcast:send 0;1\r\n"


def test_the_answer_takes_every_layer_that_is_offered() -> None:
    taken = accept_layers(OFFER, ANSWER)
    assert taken == ANSWER + "a=rid:0 recv\r\na=rid:1 recv\r\na=simulcast:recv 0;1\r\n"
    assert accept_layers(ANSWER, ANSWER) == ANSWER
