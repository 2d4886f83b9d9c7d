"""What a connected peer may send beside its media's pixels: malformed packets are counted, not passed on.

aiortc asserts what its peers do. An assertion that fails, or any other error on malformed SCTP, ends the task that
reads the connection, with a traceback for every stranger who tries. And a few valid packets cost it seconds on the
event loop: acknowledged gaps are counted number by number, and pieces that wait for others are gone over with each new
one.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from typing import Any

from aiortc import RTCDtlsTransport, RTCSctpTransport

from signaling.logs import limited

logger = limited(__name__)

MOST_REFUSED = 1000  # packets and chunks; then the peer is flooding
MOST_AHEAD = 16_384  # transmission sequence numbers between the last one in order and the newest
MOST_MISORDERED = 1024  # chunks that came before an earlier one
MOST_WAITING = 2048  # chunks of one stream that wait for the rest of a message; the longest message has 55
MOST_STREAMS = 1024  # as many as browsers use
MOST_CHANNELS = 32  # open at the same time; the page opens one
MOST_SSRCS = 64  # of one connection; simulcast with retransmissions and sound has eight
MOST_GAPS = 4096  # sequence numbers acknowledged out of order in one packet
DCEP, DCEP_OPEN = 50, 3  # RFC 8832

MALFORMED = (
    AssertionError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NameError,
    ArithmeticError,
    struct.error,
)


class Intake:
    """Counts what is refused on one connection.

    Attributes:
        refused: packets and chunks that were malformed or beyond a limit.
    """

    def __init__(self) -> None:
        self.refused = 0

    @property
    def flooding(self) -> bool:
        """Whether the peer sends so much that is refused that it is better ended."""
        return self.refused > MOST_REFUSED

    def refuse(self, what: str, weight: int = 1) -> None:
        """Count something refused; `weight` of it at once."""
        self.refused += weight
        logger.info("a peer sent %s", what)

    def shield(self, owner: Any, method: str) -> None:
        """Refuse what makes an object's method raise as malformed data do."""
        handle: Callable[..., Awaitable[None]] = getattr(owner, method)

        async def shielded(*arguments: Any, **named: Any) -> None:
            try:
                await handle(*arguments, **named)
            except MALFORMED as error:
                self.refuse(f"something malformed ({method}: {type(error).__name__}: {error})")

        setattr(owner, method, shielded)

    def guard_media(self, transport: RTCDtlsTransport) -> None:
        """Guard RTP and RTCP of a transport, and the tables that have a row for each SSRC."""
        router = transport._rtp_router
        route = router.route_rtp

        def route_known(packet: Any) -> Any:
            if packet.ssrc not in router.ssrc_table and len(router.ssrc_table) >= MOST_SSRCS:
                self.refuse(f"packets of more than {MOST_SSRCS} SSRCs")
                return None
            return route(packet)

        router.route_rtp = route_known
        self.shield(transport, "_handle_rtp_data")
        self.shield(transport, "_handle_rtcp_data")

    def guard_channels(self, sctp: RTCSctpTransport) -> None:
        """Guard the data channels of a connection that has not started."""
        self._limit(sctp, "_receive_data_chunk", lambda chunk: self._data_refusal(sctp, chunk))
        self._limit(sctp, "_receive_sack_chunk", lambda chunk: _sack_refusal(sctp, chunk))
        self._limit(sctp, "_receive_forward_tsn_chunk", lambda chunk: _forward_refusal(sctp, chunk))
        receive = sctp._data_channel_receive

        async def receive_message(stream_id: int, protocol: int, data: bytes) -> None:
            refusal = _open_refusal(sctp, stream_id) if protocol == DCEP and data[:1] == bytes([DCEP_OPEN]) else None
            if refusal is not None:
                self.refuse(refusal)
            else:
                await receive(stream_id, protocol, data)

        sctp._data_channel_receive = receive_message
        self.shield(sctp, "_data_channel_receive")
        self.shield(sctp, "_handle_data")

    def _limit(self, sctp: RTCSctpTransport, method: str, refusal: Callable[[Any], str | None]) -> None:
        handle: Callable[[Any], Awaitable[None]] = getattr(sctp, method)

        async def limited_handle(chunk: Any) -> None:
            why = refusal(chunk)
            if why is None:
                await handle(chunk)
            else:
                self.refuse(why)

        setattr(sctp, method, limited_handle)

    def _data_refusal(self, sctp: RTCSctpTransport, chunk: Any) -> str | None:
        if sctp._last_received_tsn is None:
            return "data before its association"
        if chunk.stream_id >= MOST_STREAMS:
            return f"data on a stream beyond {MOST_STREAMS}"
        ahead = (chunk.tsn - sctp._last_received_tsn) % (1 << 32)
        if 1 < ahead < 1 << 31 and (ahead > MOST_AHEAD or len(sctp._sack_misordered) >= MOST_MISORDERED):
            return "data too far ahead of what is missing"
        stream = sctp._inbound_streams.get(chunk.stream_id)
        if stream is not None and len(stream.reassembly) >= MOST_WAITING:
            self.refused += MOST_REFUSED
            return "a message in too many pieces"
        return None


def _sack_refusal(sctp: RTCSctpTransport, chunk: Any) -> str | None:
    if (chunk.cumulative_tsn - sctp._local_tsn) % (1 << 32) < 1 << 31:
        return "an acknowledgement of what was not sent"
    if any(end < start for start, end in chunk.gaps):
        return "an acknowledged gap that ends before it begins"
    if sum(end - start + 1 for start, end in chunk.gaps) > MOST_GAPS:
        return "too many acknowledged gaps"
    return None


def _forward_refusal(sctp: RTCSctpTransport, chunk: Any) -> str | None:
    if sctp._last_received_tsn is None:
        return "data before its association"
    if MOST_AHEAD < (chunk.cumulative_tsn - sctp._last_received_tsn) % (1 << 32) < 1 << 31:
        return "a skip of too many data"
    if any(stream_id >= MOST_STREAMS for stream_id, _ in chunk.streams):
        return f"data on a stream beyond {MOST_STREAMS}"
    return None


def _open_refusal(sctp: RTCSctpTransport, stream_id: int) -> str | None:
    if stream_id in sctp._data_channels:
        return "a data channel on a stream that has one"
    if len(sctp._data_channels) >= MOST_CHANNELS:
        return f"more than {MOST_CHANNELS} data channels"
    return None
