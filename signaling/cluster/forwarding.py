"""A request on its way from an ingress to a replica's app, and the answer back. Both are small and whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response

HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"})
"""RFC 9110, section 7.6.1, and the length, which the next hop counts itself."""

PART = 1 << 16
"""Bytes of a body that its app is given at a time."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request.

    Attributes:
        method, scheme, path, query: of its URL, the path without the proxy's prefix.
        headers: without those of the connection.
        body: all of it.
        client: address and port.
    """

    method: str
    scheme: str
    path: str
    query: str
    headers: Headers
    body: bytes | bytearray = b""
    client: tuple[str, int] = ("", 0)

    @classmethod
    def of(cls, request: Request, body: bytes | bytearray) -> Forwarded:
        """A request that an ingress got, with its body."""
        client = ("", 0) if request.client is None else (request.client.host, request.client.port)
        url, headers = request.url, _kept(request.headers.items())
        return cls(request.method, url.scheme, url.path, url.query, headers, body, client)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a replica's app answered."""

    status: int
    headers: Headers
    body: bytes

    def response(self) -> Response:
        """As an ingress sends it on."""
        response = Response(self.body, self.status)
        for name, value in self.headers:
            response.headers.append(name, value)
        return response


async def call(app: Any, request: Forwarded) -> Answer:
    """Have an ASGI app answer a request.

    Args:
        app: whose lifespan is run by somebody else; what it raises becomes a 500.
        request: with a Host header.
    """
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=request.client)
    host = next((value for name, value in request.headers if name == "host"), "localhost")
    url = httpx.URL(
        scheme=request.scheme, host="localhost", raw_path=_raw_path(request)
    )  # the app reads the name from the Host header
    headers = [*((name, value) for name, value in request.headers if name != "host"), ("host", host)]
    length = ("content-length", str(len(request.body)))
    sent = httpx.Request(request.method, url, headers=[*headers, length], stream=_Parts(request.body))
    response = await transport.handle_async_request(sent)
    body = await response.aread()
    return Answer(response.status_code, _kept(response.headers.multi_items()), body)


class _Parts(httpx.AsyncByteStream):
    """A body in parts, each a view of it."""

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = memoryview(body)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for start in range(0, len(self._body), PART):
            yield self._body[start : start + PART]


def _raw_path(request: Forwarded) -> bytes:
    path = httpx.URL(path=request.path).raw_path
    return path + b"?" + request.query.encode() if request.query else path


def _kept(headers: Any) -> Headers:
    return tuple((name.lower(), value) for name, value in headers if name.lower() not in HOP_BY_HOP)
