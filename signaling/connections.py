"""HTTP connections of strangers: in bounded number, with bounded time to say what they want.

uvicorn waits for the headers of a request for as long as the connection lasts.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any

import h11
from starlette.datastructures import Address
from uvicorn.protocols.http.h11_impl import H11Protocol

from signaling.access import client_name
from signaling.logs import limited

logger = limited(__name__)

HEADERS_S = 10.0
"""For the headers of a request, from the connection's beginning or the request's first byte, and for the rest of a body
whose request was answered already."""
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
        refused: called for each request that is malformed, too large or late, and each connection too many.
    """

    def __init__(self, *arguments: Any, refused: Callable[[], None] = lambda: None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._refused = refused
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._too_many():
            self._refused()
            transport.abort()
        else:
            self._deadline = self.loop.call_later(HEADERS_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

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

    def send_400_response(self, msg: str) -> None:
        self._refused()
        super().send_400_response(msg)

    def _too_many(self) -> bool:
        if len(self.connections) > MOST_CONNECTIONS:
            logger.warning("more than %d HTTP connections: further ones are closed", MOST_CONNECTIONS)
            return True
        name = _client(self)
        if not name:
            return False
        if sum(_client(other) == name for other in self.connections) > MOST_OF_A_CLIENT:
            logger.warning("more than %d HTTP connections from one address: further ones are closed", MOST_OF_A_CLIENT)
            return True
        return False


def _client(protocol: Any) -> str:
    """Who to count; "" for this machine."""
    host = protocol.client[0] if protocol.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    return "" if address.is_loopback else client_name(Address(host, 0))
