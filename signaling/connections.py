"""HTTP connections of strangers: in bounded number, with bounded time to say what they want and to take the answer.

uvicorn waits for the headers of a request, and for an answer to be read, for as long as the connection lasts.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import h11
from starlette.datastructures import Address
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_remote_addr

from signaling.access import client_name
from signaling.logs import limited

logger = limited(__name__)

HEADERS_S = 10.0
"""For the headers of a request, from the connection's beginning or the request's first byte, and for the rest of a body
whose request was answered already."""
HANDSHAKE_S = 10.0
"""For the TLS handshake, from the connection's beginning, and for the client's part in ending TLS."""
ANSWER_S = 30.0
LEAST_TAKEN = 32 * 1024
"""Bytes of an answer that wait for the client: it takes as many within `ANSWER_S`, or all of them."""
MOST_IN_ADVANCE = 64 * 1024
"""Bytes that the system keeps of what it has not sent yet: beside megabytes, a slow client seems to take none."""
MOST_HEADERS = 16 * 1024
"""Bytes of the headers of a request, the path and query included."""
PART = 4 * 1024
"""Bytes of headers that are looked at together."""
MOST_CONNECTIONS = 512
MOST_OF_A_CLIENT = 64
"""Connections of one address (`access.client_name`); this machine's own, such as those of a proxy, are not counted."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with limits; a connection beyond them is closed without an answer.

    Args:
        arguments, named: uvicorn's.
        refused: called for each request that is malformed, too large or late, each connection too many, and each
            answer that is not taken.

    Attributes:
        below: what carries the TLS of this connection, if it has TLS.
    """

    below: asyncio.Transport | None = None

    def __init__(self, *arguments: Any, refused: Callable[[], None] = lambda: None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._refused = refused
        self._deadline: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Writing pauses while anything waits for the client: what is sent meanwhile is what the client takes.
        _keep_little(transport)
        if self.below is None:
            transport.set_write_buffer_limits(high=0)
        else:
            self.below.set_write_buffer_limits(high=0)
            transport.set_write_buffer_limits(high=1, low=0)  # TLS pauses at the limit, not beyond it
        if too_many(self.connections, self):
            self._refused()
            transport.abort()
        else:
            self._deadline = self.loop.call_later(HEADERS_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_taking()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_taking()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch_taking()

    def data_received(self, data: bytes) -> None:
        # h11 measures headers that have not ended: large ones that come at once are shown to it in parts
        while self.conn.their_state is h11.IDLE and len(data) > PART and not self.transport.is_closing():
            super().data_received(data[:PART])
            data = data[PART:]
        if not self.transport.is_closing():
            super().data_received(data)
        self._wait_or_not()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_or_not()
        self._watch_taking()

    def _wait_or_not(self) -> None:
        answered = self.cycle is not None and self.cycle.response_complete
        waiting = self.conn.their_state is h11.IDLE or (self.conn.their_state is h11.SEND_BODY and answered)
        if not waiting:
            self._stop_waiting()
        elif self._deadline is None and not self.transport.is_closing() and not self._kept_alive():
            self._deadline = self.loop.call_later(HEADERS_S, self._give_up)

    def _kept_alive(self) -> bool:
        """Whether nothing of a next request came, for which uvicorn has a time of its own."""
        return self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is not None

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self._refused()
        self.transport.abort()

    def _watch_taking(self) -> None:
        """Give the client its time for what waits now, if anything does."""
        self._stop_taking()
        self._unsent = self._waiting_bytes()
        if self._unsent:
            self._taking = self.loop.call_later(ANSWER_S, self._check_taking)

    def _check_taking(self) -> None:
        self._taking = None
        left = self._waiting_bytes()
        if left and self._unsent - left < LEAST_TAKEN:
            self._give_up()
        else:
            self._watch_taking()

    def _stop_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _waiting_bytes(self) -> int:
        below = 0 if self.below is None else self.below.get_write_buffer_size()
        return self.transport.get_write_buffer_size() + below

    def send_400_response(self, msg: str) -> None:
        self._refused()
        super().send_400_response(msg)


class Handshake(asyncio.Protocol):
    """TLS before a `PatientProtocol`, which counts and is timed from the moment that the connection is accepted.

    A TLS server of asyncio tells its protocol of a connection after the handshake, and never of a silent one.

    Args:
        inner: gets the connection once the handshake is done.
        context: of the server, with its certificate.
        refused: called for each handshake that is late, and each connection too many.
    """

    def __init__(self, inner: PatientProtocol, context: ssl.SSLContext, refused: Callable[[], None]) -> None:
        self.client: tuple[str, int] | None = None
        self._inner = inner
        self._connections: set[Any] = inner.connections
        self._context = context
        self._refused = refused
        self._early = bytearray()
        self._done = self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.client = get_remote_addr(transport)
        self._transport = transport
        self._connections.add(self)  # which also has uvicorn end it with the server
        if too_many(self._connections, self):
            self._refused()
            self._give_up()
        else:
            transport.pause_reading()  # until TLS is there to read
            self._task = asyncio.get_running_loop().create_task(self._shake())

    def data_received(self, data: bytes) -> None:
        self._early += data  # came with the end of the handshake

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._connections.discard(self)
        if self._done:
            self._inner.connection_lost(exc)

    def shutdown(self) -> None:
        """Called by uvicorn when the server stops."""
        self._give_up()

    async def _shake(self) -> None:
        loop = asyncio.get_running_loop()
        secure: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                secure = await loop.start_tls(
                    self._transport, self, self._context, server_side=True, ssl_shutdown_timeout=HANDSHAKE_S
                )
        except TimeoutError:
            self._refused()
        except OSError:
            pass  # the client does not trust the certificate, has gone, or speaks no TLS
        if secure is None or self._lost:
            self._give_up()
            return
        self._connections.discard(self)
        self._done = True
        secure.set_protocol(self._inner)
        self._inner.below = self._transport
        self._inner.connection_made(secure)
        if self._early:
            self._inner.data_received(bytes(self._early))

    def _give_up(self) -> None:
        self._connections.discard(self)
        self._transport.abort()


def too_many(connections: Collection[Any], protocol: Any) -> bool:
    """Whether a connection is beyond what all clients, or its own, may have.

    Args:
        connections: of the server, this one among them, each with its `client`.
        protocol: of the connection.
    """
    if len(connections) > MOST_CONNECTIONS:
        logger.warning("more than %d HTTP connections: further ones are closed", MOST_CONNECTIONS)
        return True
    name = _client(protocol)
    if name and sum(_client(other) == name for other in connections) > MOST_OF_A_CLIENT:
        logger.warning("more than %d HTTP connections from one address: further ones are closed", MOST_OF_A_CLIENT)
        return True
    return False


def _keep_little(transport: asyncio.Transport) -> None:
    """Have the system keep at most `MOST_IN_ADVANCE` unsent bytes of a connection, where it can (Linux, macOS)."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    connection = transport.get_extra_info("socket")
    if option is not None and connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, MOST_IN_ADVANCE)


def _client(protocol: Any) -> str:
    """Who to count; "" for this machine."""
    host = protocol.client[0] if protocol.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    return "" if address.is_loopback else client_name(Address(host, 0))
