"""Malformed SCTP and data channel messages of a connected peer: no traceback, no stall, and its own channel goes on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import struct
from typing import Any

import pytest
from aiortc.rtcsctptransport import DataChunk, ForwardTsnChunk, SackChunk, serialize_packet, tsn_plus_one
from aiortc.utils import uint32_add

from signaling.transport.intake import MOST_CHANNELS, MOST_REFUSED, Intake

pytestmark = pytest.mark.anyio

DCEP, STRING = 50, 51


class Raw:
    """Bytes in the place of a chunk."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __bytes__(self) -> bytes:
        return self.data


async def connected(server: Any) -> Any:
    peer = server.peer()
    Intake().guard_channels(peer.connection.sctp)  # it is told of channels that it does not know
    assert (await peer.call()).status_code == 201
    await peer.message("hello")
    return peer


def intake(server: Any) -> Any:
    (session,) = server.app.state.sessions._sessions.values()
    return session.peer._tuned.intake


async def answers(peer: Any, id: int) -> None:
    peer.send(type="ping", id=id, t=1)
    await peer.message("pong", id=id)


async def pace() -> None:
    """Let the server read before its socket's buffer is full: it takes one datagram a turn."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def dcep_open(label: bytes, length: int | None = None) -> bytes:
    return struct.pack("!BBHLHH", 3, 0, 0, 0, len(label) if length is None else length, 0) + label


async def test_a_channel_survives_bad_messages_on_its_stream(
    serve: Any, longest_pause: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serve() as server:
        peer = await connected(server)
        sctp, stream = peer.connection.sctp, peer.channel.id
        async with longest_pause() as pauses:
            for other in (stream, 20, 22):
                for data in (
                    dcep_open(b"control"),
                    dcep_open(b"\xff\xfe"),
                    dcep_open(b"x", 60_000),
                    b"\x02",
                    b"\x03",
                    b"\x63",
                    b"\x03" * 11,
                ):
                    await sctp._send(other, DCEP, data)
                await sctp._send(other, STRING, b"\xff\xff")
                await sctp._send(other, 99, b"?")
            await answers(peer, 1)
        assert intake(server).refused >= 6
        assert server.sessions == 1
        assert pauses.longest < pauses.most
    assert not [record for record in caplog.records if record.levelno > logging.INFO or record.exc_info]


async def test_malformed_packets_are_counted_without_tracebacks(
    serve: Any, longest_pause: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rng = random.Random(4)
    async with serve() as server:
        peer = await connected(server)
        sctp = peer.connection.sctp
        async with longest_pause() as pauses:
            for _ in range(400):
                kind = rng.choice([0, 3, 4, 9, 10, 130, 192, 255])  # all but those that end or begin an association
                body = rng.randbytes(rng.choice([0, 1, 3, 4, 7, 8, 12, 13, 40]))
                if kind == 0 and len(body) >= 4:
                    body = struct.pack("!L", sctp._local_tsn + rng.randrange(3, 1 << 31) & 0xFFFFFFFF) + body[4:]
                if kind == 192:
                    body = body[:3]  # longer ones say that all data have come
                data = struct.pack("!BBH", kind, rng.randrange(256), 4 + len(body)) + body + b"\0" * (-len(body) % 4)
                await sctp._send_chunk(Raw(data))
                await pace()
            await answers(peer, 1)
        assert 0 < intake(server).refused <= MOST_REFUSED
        assert pauses.longest < pauses.most
    lines = [record for record in caplog.records if record.name.startswith(("signaling", "aiortc", "asyncio"))]
    assert not [record for record in lines if record.levelno > logging.INFO or record.exc_info]
    assert len(lines) < 60


async def test_acknowledged_gaps_cost_no_time(serve: Any, longest_pause: Any) -> None:
    """One packet of 1.5 kB names 23 million sequence numbers."""
    async with serve() as server:
        peer = await connected(server)
        sack = SackChunk()
        sack.cumulative_tsn = peer.connection.sctp._last_received_tsn
        sack.advertised_rwnd = 1 << 20
        sack.gaps = [(1, 65_535)] * 350
        async with longest_pause() as pauses:
            await peer.connection.sctp._send_chunk(sack)
            await answers(peer, 1)
        assert pauses.longest < pauses.most


@pytest.mark.parametrize("gap", [2, 20_000])
async def test_data_that_wait_for_others_cost_little(serve: Any, longest_pause: Any, gap: int) -> None:
    async with serve() as server:
        peer = await connected(server)
        sctp = peer.connection.sctp
        async with longest_pause() as pauses:
            for i in range(3000):
                chunk = DataChunk(flags=3)
                chunk.tsn, chunk.stream_id = uint32_add(sctp._local_tsn, 1 + gap * i), i % 7
                chunk.protocol, chunk.user_data = STRING, b"x"
                try:
                    await sctp._send_chunk(chunk)
                except ConnectionError:
                    break  # the server has had enough
                await pace()
            await peer.until(lambda: server.sessions == 0 or intake(server).refused > 100)
        assert pauses.longest < pauses.most


async def test_a_message_without_end_ends_the_session(serve: Any, longest_pause: Any) -> None:
    async with serve() as server:
        peer = await connected(server)
        sctp = peer.connection.sctp
        async with longest_pause() as pauses:
            tsn = sctp._local_tsn
            for i in range(2500):
                chunk = DataChunk(flags=2 if i == 0 else 0)
                chunk.tsn, chunk.stream_id, chunk.protocol, chunk.user_data = tsn, 5, STRING, b"x"
                tsn = tsn_plus_one(tsn)
                with contextlib.suppress(ConnectionError):  # the server has had enough
                    await sctp._send_chunk(chunk)
                await pace()
            await peer.until(lambda: server.sessions == 0)
        assert pauses.longest < pauses.most


async def test_streams_and_channels_are_bounded(serve: Any) -> None:
    async with serve() as server:
        peer = await connected(server)
        sctp = peer.connection.sctp
        forward = ForwardTsnChunk()
        forward.cumulative_tsn = uint32_add(sctp._local_tsn, 5)
        forward.streams = [(i, 1) for i in range(4000)]
        await sctp._send_chunk(forward)
        for i in range(100):
            await sctp._send(100 + i, DCEP, dcep_open(b"other"))
        await answers(peer, 1)
        (session,) = server.app.state.sessions._sessions.values()
        assert len(session.peer.connection.sctp._inbound_streams) < 200
        assert len(session.peer.connection.sctp._data_channels) <= MOST_CHANNELS


def test_the_wire_format_of_the_tests_is_aiortcs() -> None:
    assert serialize_packet(5000, 5000, 1, Raw(b"\x0a\0\0\4"))[12:] == b"\x0a\0\0\4"
