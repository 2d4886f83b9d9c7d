"""Connections that say nothing, or say it slowly, are closed; honest ones are served beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from signaling import connections
from signaling.connections import MOST_HEADERS, PatientProtocol

pytestmark = pytest.mark.anyio

SOON_S = 0.3


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            while scope["path"] != "/refused" and (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=PatientProtocol,
        log_config=None,
        lifespan="off",
        h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def closed(reader: asyncio.StreamReader, within: float = 20) -> bytes:
    """What comes until the server closes the connection."""
    try:
        async with asyncio.timeout(within):
            return await reader.read()
    except ConnectionResetError:
        return b""


REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", REQUEST + REQUEST[:9]])
async def test_whoever_does_not_finish_its_headers_is_closed(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", SOON_S)
    async with listening() as port:
        reader, writer = await connect(port)
        writer.write(said)
        assert (await closed(reader)).count(b"200 OK") == said.count(b"\r\n\r\n")
        writer.close()


async def test_single_bytes_do_not_buy_time(monkeypatch: pytest.MonkeyPatch, longest_pause: Any) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", SOON_S)
    async with listening() as port, longest_pause() as pauses:
        reader, writer = await connect(port)
        ended = asyncio.create_task(closed(reader))
        for byte in b"GET / HTTP/1.1\r\n" + b"x" * 500:
            writer.write(bytes([byte]))
            await asyncio.sleep(SOON_S / 20)
            if ended.done():
                break
        else:
            pytest.fail("the connection was never closed")
        await ended
        writer.close()
    assert pauses.longest < pauses.most


async def test_a_body_and_a_kept_connection_have_their_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", SOON_S)
    async with listening() as port:
        reader, writer = await connect(port)
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
            await asyncio.sleep(2 * SOON_S)
            writer.write(b"y")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(2 * SOON_S)
        writer.close()


async def test_a_body_that_nobody_wants_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADERS_S", SOON_S)
    async with listening() as port:
        reader, writer = await connect(port)
        writer.write(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx")
        ended = asyncio.create_task(closed(reader))
        for _ in range(100):
            await asyncio.sleep(SOON_S / 20)
            if ended.done():
                break
            writer.write(b"x")
        else:
            pytest.fail("the connection was never closed")
        answer = await ended
        assert not answer or b"200 OK" in answer  # a reset may lose it
        writer.close()


async def test_headers_have_a_size(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as port:
        reader, writer = await connect(port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * MOST_HEADERS)
        assert (await closed(reader)).startswith((b"HTTP/1.1 4", b""))
        writer.close()


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 5)
    async with listening() as port:
        held = [await connect(port) for _ in range(5)]
        await asyncio.sleep(0.1)
        for _ in range(40):
            reader, writer = await connect(port)
            assert await closed(reader) == b""
            writer.close()
        held[0][1].write(REQUEST)
        assert b"200 OK" in await held[0][0].readuntil(b"ok")
        for _, writer in held:
            writer.close()
    assert 0 < len([record for record in caplog.records if record.levelno == logging.WARNING]) <= 10


def test_one_client_has_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(host: str | None) -> PatientProtocol:
        connection = PatientProtocol.__new__(PatientProtocol)
        connection.client = (host, 1) if host else None
        return connection

    protocol = PatientProtocol.__new__(PatientProtocol)
    protocol.client = ("2001:db8::1", 1)
    protocol.connections = {protocol, *(other(f"2001:db8::{i}") for i in range(70))}
    assert protocol._too_many()
    protocol.client = ("2001:db8:0:1::1", 1)
    assert not protocol._too_many()
    protocol.client = ("127.0.0.1", 1)
    protocol.connections = {protocol, *(other("127.0.0.1") for _ in range(70)), other(None)}
    assert not protocol._too_many()
