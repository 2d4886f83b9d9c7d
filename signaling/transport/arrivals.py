"""Read all packets that have come, not one of each connection in a turn of the event loop.

asyncio reads one datagram of a socket and goes round. On a machine that has too much to do, a turn takes long, packets
wait in the kernel for tens of seconds, and what they say is as old: a peer that was killed is heard all that time, and
the answers of one that lives come too late for ICE, whose consent to send runs out (RFC 7675). Frames that are too many
are left out behind this, where it is known what they are (`jitter`, `stream.slot`).
"""

from __future__ import annotations

import socket
from typing import Any

from aioice.ice import Connection, StunProtocol

AT_ONCE = 64
"""Packets of one connection, so that others get their turn: a key frame, or 10 ms of work."""
LARGEST = 65_536


def read_all(connection: Connection) -> None:
    """Read all that has come on each socket of a connection that has gathered its candidates."""
    for protocol in connection._protocols:
        opened = getattr(protocol.transport, "_sock", None)  # of asyncio's selector loop; TURN has another transport
        if isinstance(opened, socket.socket):
            _read_all(protocol, opened)


def _read_all(protocol: StunProtocol, opened: socket.socket) -> None:
    receive = protocol.datagram_received

    def receive_all(data: bytes | str, address: tuple[Any, ...]) -> None:
        receive(data, address)
        for _ in range(AT_ONCE - 1):
            try:
                data, address = opened.recvfrom(LARGEST)
            except OSError:  # nothing is left, or the socket was closed; asyncio meets other errors by itself
                return
            receive(data, address)

    protocol.datagram_received = receive_all  # type: ignore[method-assign]
