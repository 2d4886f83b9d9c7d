"""Reads the counters that aiortc keeps to itself."""

from __future__ import annotations

from typing import NamedTuple

from aiortc import RTCPeerConnection


class Counters(NamedTuple):
    """What the transport of a peer connection has carried so far."""

    packets_in: int
    bytes_in: int
    bytes_out: int


def read_counters(connection: RTCPeerConnection) -> Counters:
    """Counters of the one transport that everything is bundled on."""
    dtls = connection.getTransceivers()[0].receiver.transport
    stats = dtls._get_stats()[dtls._stats_id]
    return Counters(stats.packetsReceived, stats.bytesReceived, stats.bytesSent)


def is_flooded(connection: RTCPeerConnection) -> bool:
    """Whether fragments of data channel messages fill their receive window: aiortc queues what exceeds it."""
    sctp = connection.sctp
    return sctp is not None and sctp._advertised_rwnd <= 0
