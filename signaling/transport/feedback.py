"""Tell the peer when each of its packets arrived, for its own congestion control (transport-wide feedback).

aiortc judges for the peer instead, from the video's packets alone, and tells it a bitrate (REMB). A browser that gets
the arrival times (draft-holmer-rmcat-transport-wide-cc-extensions-01) runs its own control on them, over sound, picture
and retransmissions together, probes for more room after a narrow time, and paces what it sends.
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiortc import RTCDtlsTransport, RTCRtpTransceiver
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters
from aiortc.rtp import RTCP_RTPFB, RtpPacket

from signaling.transport.sections import section_of

URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
NAME = "transport-cc"
FORMAT = 15
"""Feedback message type of RTCP's transport layer feedback."""
TICKS_A_SECOND = 4000
"""Arrival times are told in steps of 0.25 ms."""
REFERENCE_TICKS = 256
"""The time that a message's first arrival is relative to comes in steps of 64 ms."""
FURTHEST_TICKS = (1 << 15) - 1
"""Between two neighbours of a message."""
NOT_RECEIVED, SMALL, LARGE = 0, 1, 2
"""Status of a packet: lost or late, or told by a delta of one byte or of two."""
LONGEST_RUN = (1 << 13) - 1
"""Packets of one run length chunk."""
VECTOR = 7
"""Packets of one status vector chunk with two bits each."""
EVERY_S = 0.1
"""Between two messages, while packets come."""
KEPT_S = 0.5
"""For which an arrival is remembered: it is told again where an earlier packet came after it."""
MOST_TOLD = 256
"""Arrivals of one message, so that it fits into a packet."""
MOST_KEPT = 4096
MOST_STATUSES = 1 << 15
"""Packets of one message, lost ones among them."""


def pack(sender: int, media: int, base: int, arrivals: dict[int, int], count: int) -> bytes:
    """A feedback message, complete with its RTCP header.

    Args:
        sender: SSRC of who tells.
        media: SSRC of the stream that it is about, whichever: it is about all of the transport.
        base: first packet, counted on beyond 16 bits.
        arrivals: ticks (0.25 ms of any clock) per packet that came, from `base` on; each is within 8 s of the one
            before. The message ends with the last of them.
        count: of the messages so far.
    """
    numbers = sorted(arrivals)
    last = numbers[-1]
    reference = arrivals[numbers[0]] // REFERENCE_TICKS
    before = reference * REFERENCE_TICKS
    deltas = bytearray()
    statuses = dict[int, int]()
    for number in numbers:
        delta = arrivals[number] - before
        before = arrivals[number]
        small = 0 <= delta <= 255
        statuses[number] = SMALL if small else LARGE
        deltas += struct.pack("!B", delta) if small else struct.pack("!h", delta)
    chunks = b"".join(struct.pack("!H", chunk) for chunk in _chunks(base, last, statuses))
    head = struct.pack(
        "!LLHHL", sender, media, base & 0xFFFF, last - base + 1, (reference & 0xFFFFFF) << 8 | count & 255
    )
    body = head + chunks + deltas
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes([padding])
    first = 2 << 6 | bool(padding) << 5 | FORMAT
    return struct.pack("!BBH", first, RTCP_RTPFB, len(body) // 4) + body


def _chunks(base: int, last: int, statuses: dict[int, int]) -> Iterable[int]:
    """Runs where at least as many packets are alike as a vector has, vectors elsewhere."""
    number = base
    while number <= last:
        status = statuses.get(number, NOT_RECEIVED)
        run = 1
        while run < LONGEST_RUN and number + run <= last and statuses.get(number + run, NOT_RECEIVED) == status:
            run += 1
        if run >= VECTOR or number + run > last:
            yield status << 13 | run
            number += run
            continue
        chunk = 3 << 14
        for place in range(VECTOR):
            chunk |= statuses.get(number + place, NOT_RECEIVED) << 2 * (VECTOR - 1 - place)
        yield chunk
        number += VECTOR


class Arrivals:
    """Collects when packets came, and says what is to be told. It has no clock of its own.

    Attributes:
        count: messages so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._kept: dict[int, int] = {}
        self._new: set[int] = set()
        self._newest: int | None = None
        self._next: int | None = None
        self._told_at: int | None = None

    def add(self, number: int, now: int) -> None:
        """Take a packet.

        Args:
            number: its transport-wide sequence number, 16 bits.
            now: ticks.
        """
        if self._newest is None:
            self._newest = number
            self._told_at = now
        number = self._newest + (number - self._newest + (1 << 15)) % (1 << 16) - (1 << 15)
        if number < 0 or number in self._kept or len(self._kept) >= MOST_KEPT:
            return
        self._newest = max(self._newest, number)
        self._kept[number] = now
        self._new.add(number)

    def due(self, now: int) -> bool:
        """Whether a message is to be sent."""
        return bool(self._new) and self._told_at is not None and now - self._told_at >= EVERY_S * TICKS_A_SECOND

    def messages(self, sender: int, media: int, now: int) -> list[bytes]:
        """What came since the last time, and what is missing in between; arguments as for `pack`."""
        if not self._new:
            return []
        self._told_at = now
        base = min(self._new) if self._next is None else min(*self._new, self._next)
        last = max(self._new)
        base = max(base, last - MOST_STATUSES + 1)
        told = sorted(number for number in self._kept if base <= number <= last)
        out = []
        for part in self._parts(told):
            arrivals = {number: self._kept[number] for number in part}
            out.append(pack(sender, media, base, arrivals, self.count))
            self.count += 1
            base = part[-1] + 1
        self._next = last + 1 if self._next is None else max(self._next, last + 1)
        self._new.clear()
        oldest = now - int(KEPT_S * TICKS_A_SECOND)
        self._kept = {number: at for number, at in self._kept.items() if at >= oldest}
        return out

    def _parts(self, numbers: list[int]) -> Iterable[list[int]]:
        """What one message has room for, and no two neighbours that are too far apart in time for its deltas."""
        part: list[int] = []
        for number in numbers:
            if part and (len(part) >= MOST_TOLD or abs(self._kept[number] - self._kept[part[-1]]) > FURTHEST_TICKS):
                yield part
                part = []
            part.append(number)
        yield part


def agree(offer: str, transceiver: RTCRtpTransceiver) -> bool:
    """Answer a video that comes in that arrival times will be told, where the offer asks for them. Before the answer.

    Returns:
        Whether the video comes in, and its section of the offer asks for arrival times.
    """
    section = section_of(offer, transceiver.mid)
    number = re.search(rf"(?m)^a=extmap:(\d+)(?:/\S+)? {re.escape(URI)}\s*$", section)
    types = re.findall(rf"(?m)^a=rtcp-fb:(\d+|\*) {NAME}\s*$", section)
    if number is None or not types or re.search(r"(?m)^a=(recvonly|inactive)\s*$", section):
        return False
    transceiver._headerExtensions.append(RTCRtpHeaderExtensionParameters(id=int(number[1]), uri=URI))
    for codec in transceiver._codecs:
        if "*" in types or str(codec.payloadType) in types:
            codec.rtcpFeedback.append(RTCRtcpFeedback(type=NAME))
    return True


def tell_arrivals(transport: RTCDtlsTransport, sender: int, clock: Callable[[], float] = time.perf_counter) -> Arrivals:
    """Tell the peer when its packets come. Call it once for a transport, before it has started.

    A message goes out with the first packet that comes `EVERY_S` after the last one: where none come, there is nothing
    to tell.

    Args:
        transport: that the peer's media come on.
        sender: SSRC of a stream of ours.
        clock: seconds.
    """
    arrivals = Arrivals()
    route = transport._rtp_router.route_rtp
    handle: Callable[..., Awaitable[None]] = transport._handle_rtp_data
    waiting: list[bytes] = []

    def route_noted(packet: RtpPacket) -> Any:
        number = packet.extensions.transport_sequence_number
        if number is not None:
            now = int(clock() * TICKS_A_SECOND)
            arrivals.add(number, now)
            if arrivals.due(now):
                waiting.extend(arrivals.messages(sender, packet.ssrc, now))
        return route(packet)

    async def handle_and_tell(data: bytes, **named: Any) -> None:
        await handle(data, **named)
        while waiting:
            message = waiting.pop(0)
            try:
                await transport._send_rtp(message)
            except ConnectionError:
                waiting.clear()

    transport._rtp_router.route_rtp = route_noted
    transport._handle_rtp_data = handle_and_tell
    return arrivals


class NoEstimator:
    """Stands in for aiortc's estimate of the way in, where the peer makes its own."""

    def add(self, **packet: int) -> None:
        """Take a packet; there is nothing to tell."""
