"""Connections that say nothing, or say it slowly, are closed; honest ones are served beside them."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from signaling import connections, lan
from signaling.connections import MOST_HEADERS, too_many
from signaling.serving import Config
from tests.signaling.conftest import until

pytestmark = pytest.mark.anyio

SOON_S = 0.3


LARGE = 16 << 20  # bytes: more than sockets take in


class Listening(int):
    """A port, with its server and what it refused."""

    server: uvicorn.Server
    refused: list[None]


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        while scope["path"] != "/refused" and (await receive()).get("more_body"):
            pass
        parts = [b"ok"]
        if scope["path"] == "/large":
            parts = [bytes(LARGE)]
        elif scope["path"] == "/parts":
            parts = [bytes(1 << 16)] * (LARGE >> 16)
        length = sum(len(part) for part in parts)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(length).encode())]}
        )
        for number, part in enumerate(parts, start=1):
            await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})


@asynccontextmanager
async def listening(certificate: lan.Files | None = None) -> AsyncIterator[Listening]:
    refused: list[None] = []
    config = Config(
        app,
        host="127.0.0.1",
        port=0,
        refused=lambda: refused.append(None),
        ssl_certfile=certificate and certificate.cert,
        ssl_keyfile=certificate and certificate.key,
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
    found = Listening(server.servers[0].sockets[0].getsockname()[1])
    found.server, found.refused = server, refused
    try:
        yield found
    finally:
        server.should_exit = True
        await serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> lan.Files:
    """A server's certificate and key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(lan.VARIABLE, str(tmp_path_factory.mktemp("state")))
        found = lan.files()
    found.folder.mkdir(parents=True)
    lan.make_certificate(found, [ip_address("127.0.0.1")], datetime.now(UTC))
    return found


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


def test_one_client_has_some_of_them() -> None:
    def connection(host: str | None) -> Any:
        return SimpleNamespace(client=(host, 1) if host else None)

    def beside(host: str, *others: str | None) -> bool:
        protocol = connection(host)
        return too_many([protocol, *map(connection, others)], protocol)

    many = [f"2001:db8::{i}" for i in range(70)]
    assert beside("2001:db8::1", *many)
    assert not beside("2001:db8:0:1::1", *many)
    assert not beside("127.0.0.1", *["127.0.0.1"] * 70, None)


def trusting(certificate: lan.Files) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate.ca)


async def test_whoever_says_nothing_in_place_of_a_tls_handshake_is_closed(
    certificate: lan.Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_S", SOON_S)
    async with listening(certificate) as port:
        for said in (b"", b"\x16\x03\x01", REQUEST):
            reader, writer = await connect(port)
            writer.write(said)
            await closed(reader)
            writer.close()
        await gone(port)
        assert len(port.refused) == 2, "what is no handshake at all fails by itself"


async def test_connections_in_the_tls_handshake_are_bounded(
    certificate: lan.Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 5)
    async with listening(certificate) as port:
        served = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(certificate))
        silent = [await connect(port) for _ in range(4)]
        await until(lambda: len(port.server.server_state.connections) == 5)
        for _ in range(3):
            reader, writer = await connect(port)
            assert await closed(reader) == b""
            writer.close()
        assert len(port.refused) == 3
        served[1].write(REQUEST)
        assert b"200 OK" in await served[0].readuntil(b"ok")
        silent[0][1].close()
        await until(lambda: len(port.server.server_state.connections) == 4)
        late = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(certificate))
        for _, writer in (served, late, *silent):
            writer.close()


async def test_one_client_has_some_of_the_tls_handshakes(
    certificate: lan.Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_A_CLIENT", 2)
    monkeypatch.setattr(connections, "_client", lambda protocol: protocol.client[0])  # this machine's count as well
    async with listening(certificate) as port:
        silent = [await connect(port) for _ in range(2)]
        await until(lambda: len(port.server.server_state.connections) == 2)
        reader, writer = await connect(port)
        assert await closed(reader) == b""
        for _, each in (*silent, (reader, writer)):
            each.close()


async def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(certificate: lan.Files) -> None:
    """In TLS 1.3 a client sends it at once: it may be in the segment that ends the handshake."""
    async with listening(certificate) as port:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trusting(certificate).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        reader, writer = await connect(port)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(1 << 16))
        client.write(REQUEST)
        writer.write(outgoing.read())
        said = b""
        while not said.endswith(b"ok"):
            async with asyncio.timeout(20):
                incoming.write(await reader.read(1 << 16))
            try:
                said += client.read()
            except ssl.SSLWantReadError:
                continue
        assert b"200 OK" in said
        writer.transport.abort()


async def test_a_server_that_stops_waits_for_no_handshake(certificate: lan.Files) -> None:
    async with listening(certificate) as port:
        reader, writer = await connect(port)
        await until(lambda: port.server.server_state.connections)
    assert await closed(reader) == b""
    writer.close()


def narrow() -> socket.socket:
    """A client that takes little in advance."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    return made


async def gone(port: Listening) -> None:
    """Wait until the server has no connection."""
    await until(lambda: not port.server.server_state.connections)


@pytest.mark.parametrize("request_line", ["GET /parts", "GET /large", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /parts"])
async def test_an_answer_that_nobody_takes_is_given_up(request_line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", SOON_S)
    async with listening() as port:
        with narrow() as client:
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            asked = f"{request_line} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            await asyncio.get_running_loop().sock_sendall(client, 3 * asked)
            await until(lambda: port.server.server_state.connections)
            await gone(port)
            assert len(port.refused) == 1


async def test_an_answer_over_tls_that_nobody_takes_is_given_up(
    certificate: lan.Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", SOON_S)
    async with listening(certificate) as port:
        for path in (b"/parts", b"/large"):
            client = narrow()
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(
                sock=client, ssl=trusting(certificate), server_hostname="127.0.0.1", limit=4096
            )
            writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readline()
            await gone(port)
            writer.transport.abort()
        assert len(port.refused) == 2


async def test_a_client_that_takes_its_answer_slowly_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", 2 * SOON_S)
    monkeypatch.setattr(connections, "LEAST_TAKEN", 1)
    loop = asyncio.get_running_loop()
    async with listening() as port:
        with narrow() as client:
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            ends_at = loop.time() + 5 * SOON_S
            while loop.time() < ends_at:
                assert await loop.sock_recv(client, 1 << 13)
                await asyncio.sleep(SOON_S / 30)
            assert not port.refused
            assert port.server.server_state.connections
