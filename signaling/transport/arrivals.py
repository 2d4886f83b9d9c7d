"""Read all packets that have come, not one of each connection in a turn of the event loop.

asyncio reads one datagram of a socket and goes round. On a machine that has too much to do, a turn takes long, packets
wait in the kernel for tens of seconds, and what they say is as old: pictures are late, a peer that was killed is heard
all that time, and the answers of one that lives come too late for ICE, whose consent to send runs out (RFC 7675).
Frames that are too many are left out behind this, where it is known what they are (`jitter`, `stream.slot`).
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aioice.ice import Connection

AT_ONCE = 64
"""Packets of one socket, so that others get their turn: a key frame, or 10 ms of work."""
LARGEST = 65_536
MOST_WAITING = 1024
"""Packets that wait for DTLS, which takes them one by one until its handshake is over; strangers may send more."""


def read_all(connection: Connection) -> None:
    """Read all that has come on each socket of a connection that has just gathered its candidates."""
    for protocol in connection._protocols:
        relay = getattr(protocol.transport, "_TurnTransport__inner_protocol", None)
        reader: Any = protocol if relay is None else relay
        opened = getattr(reader.transport, "_sock", None)
        selected = hasattr(reader.transport, "_read_ready")  # Windows' loop has a read under way at any time
        if selected and isinstance(opened, socket.socket) and isinstance(reader, asyncio.DatagramProtocol):
            _read_all(reader, opened)
    take = connection.data_received

    def take_some(data: bytes, component: int) -> None:
        if connection._queue.qsize() < MOST_WAITING:
            take(data, component)

    connection.data_received = take_some  # type: ignore[method-assign]


def _read_all(reader: asyncio.DatagramProtocol, opened: socket.socket) -> None:
    receive = reader.datagram_received

    def receive_all(data: bytes, addr: tuple[Any, ...]) -> None:
        receive(data, addr)
        for _ in range(AT_ONCE - 1):
            try:
                data, addr = opened.recvfrom(LARGEST)
            except OSError:  # nothing is left, the socket was closed, or a peer's port is: media need not know
                return
            receive(data, addr)

    reader.datagram_received = receive_all  # type: ignore[method-assign]
