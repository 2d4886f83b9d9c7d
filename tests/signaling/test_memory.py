"""What a peer leaves behind when it is gone: nothing, however it went."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from aiortc import RTCPeerConnection

from signaling import memory, peer
from signaling.sessions import Sessions
from tests.signaling.conftest import SDP, Camera, Peer, until
from tests.signaling.test_steering import steered
from tests.signaling.test_whep import Player
from tests.soak.peers import vanish

pytestmark = pytest.mark.anyio

DTLS = range(20, 64)
"""First bytes of its packets (RFC 7983)."""


HEAPS_SCRIPT = """
import ctypes, threading
from signaling import memory
limited = {limited} and memory.few_heaps()
started, done = threading.Barrier(13), threading.Event()
def use():
    kept = [bytearray(2000) for _ in range(50)]
    started.wait()
    done.wait()
threads = [threading.Thread(target=use) for _ in range(12)]
for each in threads: each.start()
started.wait()
ctypes.CDLL(None).malloc_stats()
done.set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="an option of glibc")
def test_many_threads_share_few_heaps() -> None:
    """What the C library says of its heaps, in a process of its own: the option cannot be taken back."""
    counts = []
    for limited in (False, True):
        script = HEAPS_SCRIPT.format(limited=limited)
        environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
        told = subprocess.run(
            [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True, timeout=60
        )
        counts.append(told.stderr.count("Arena "))
    if not counts[0]:
        pytest.skip("another C library")
    assert counts[1] <= memory.HEAPS < counts[0]


@pytest.fixture
def no_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing but counts of references frees an object."""
    monkeypatch.setattr(memory, "AFTER_S", 600.0)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held_by(served: Any) -> dict[str, weakref.ref[Any]]:
    """What a session or viewer holds that is large."""
    connection = served.peer.connection
    found = {"itself": served, "connection": connection}
    for number, sender in enumerate(connection.getSenders()):
        found |= {f"encoder {number}": sender._RTCRtpSender__encoder, f"track {number}": sender.track}
    return {name: weakref.ref(held) for name, held in found.items() if held is not None}


def alive(held: dict[str, weakref.ref[Any]]) -> list[str]:
    return [name for name, one in held.items() if one() is not None]


async def leave(one: Peer, how: str) -> None:
    if how == "killed":
        vanish(one)
    elif how == "killed without a channel":
        one.channel.close()
        await until(lambda: one.channel.readyState == "closed")
        vanish(one)
    elif how == "hung up":
        await one.connection.close()
    else:
        await one.http.delete(one.location)


@pytest.mark.parametrize("how", ["killed", "killed without a channel", "hung up", "deleted"])
@pytest.mark.usefixtures("no_collector")
async def test_a_session_that_ends_frees_its_pictures_at_once(serve: Any, how: str) -> None:
    async with serve(silence_timeout=0.5) as server:
        one = server.peer(audio=True)
        await one.call()
        await one.message("hello")
        await until(lambda: len(one.frames) > 3 and one.sounds)
        [session] = server.app.state.sessions
        held = held_by(session) | {
            "filter": weakref.ref(session._video),
            "channel": weakref.ref(session._channel),
            "pipeline": weakref.ref(server.runtime.pipelines.pop()),
        }
        connection = session.peer.connection
        del session
        assert "encoder 0" in held
        await leave(one, how)
        await until(lambda: server.sessions == 0)
        await until(lambda: connection.connectionState == "closed", 10)
        await until(lambda: set(alive(held)) <= {"connection"}, 10)


@pytest.mark.usefixtures("no_collector")
async def test_a_viewer_that_is_killed_frees_its_pictures_at_once(serve: Any) -> None:
    async with serve(silence_timeout=0.5) as server:
        sender = server.peer()
        await sender.call(stream="watched")
        player = Player(server)
        await player.call("watched")
        await until(lambda: player.frames)
        [viewer] = server.app.state.sessions._viewers.values()
        held = held_by(viewer)
        del viewer
        vanish(player)  # type: ignore[arg-type]
        await until(lambda: server.viewers == 0)
        await until(lambda: set(alive(held)) <= {"connection"}, 10)
        assert server.sessions == 1


@pytest.mark.usefixtures("no_collector")
async def test_a_page_that_steers_and_is_killed_frees_its_pictures_at_once() -> None:
    async with steered(silence_timeout=0.5) as running:
        page = running.page()
        await page.steer()
        await page.message("hello")
        await until(lambda: page.frames)
        sessions = next(one for one in gc.get_objects() if isinstance(one, Sessions) and one.viewers)
        [viewer] = sessions._viewers.values()
        held = held_by(viewer)
        del viewer
        vanish(page)
        await until(lambda: not sessions.viewers)
        await until(lambda: set(alive(held)) <= {"connection"}, 10)


def break_off(one: Peer, after: int) -> None:
    """Send so many packets of the DTLS connection, and then nothing at all."""
    transport = one.connection.getTransceivers()[0].receiver.transport.transport
    send, sent = transport._send, 0

    async def send_some(data: bytes) -> None:
        nonlocal sent
        sent += data[0] in DTLS
        if sent <= after:
            await send(data)
        else:
            transport._connection.send = transport._send = nowhere
            for protocol in transport._connection._protocols:
                protocol.transport.sendto = lambda *_: None

    async def nowhere(data: bytes) -> None:
        pass

    transport._send = send_some


@pytest.mark.parametrize("stage", ["absent", 0, 1, 2, 4])
async def test_a_peer_that_breaks_off_leaves_no_task_and_no_object(
    serve: Any, caplog: pytest.LogCaptureFixture, stage: int | str
) -> None:
    async with serve(silence_timeout=0.4, connect_timeout=0.4) as server:
        one = Peer(server.http, Camera())
        before = asyncio.all_tasks()
        if stage == "absent":
            await server.http.post("/whip", content=await one.offer(), headers=SDP)
        else:
            break_off(one, int(stage))
            await one.call()
        [session] = server.app.state.sessions
        held = held_by(session)
        del session
        await until(lambda: server.sessions == 0)

        def nothing_left() -> bool:
            gc.collect()
            return not alive(held)

        await until(nothing_left, 10)
        await one.close()
        await until(lambda: not [task for task in asyncio.all_tasks() - before if "Peer._keep" not in str(task)], 10)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_is_left_of_a_connection_is_collected(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own collector may take its time; here it is off."""
    trims: list[int] = []
    monkeypatch.setattr(memory, "give_back", lambda: trims.append(1))
    gc.collect()
    gc.disable()
    try:
        async with serve(silence_timeout=0.5) as server:
            one = server.peer()
            await one.call()
            await until(lambda: one.frames)
            [session] = server.app.state.sessions
            held = held_by(session)
            del session
            vanish(one)
            await until(lambda: server.sessions == 0)
            await until(lambda: trims and not alive(held), 10)
    finally:
        gc.enable()


def test_free_memory_can_be_given_back() -> None:
    memory.give_back()


async def test_a_connection_that_takes_long_to_close_is_closed_in_the_end(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TURN server that is gone does not answer the last request."""
    monkeypatch.setattr(peer, "CLOSE_S", 0.05)
    answered = asyncio.Event()

    class Relay:
        async def close(self) -> None:
            await answered.wait()

    async with serve() as server:
        one = server.peer()
        await one.call()
        await until(lambda: one.frames)
        [session] = server.app.state.sessions
        connection: RTCPeerConnection = session.peer.connection
        protocols = connection.getTransceivers()[0].receiver.transport.transport._connection._protocols
        own = [protocol.transport for protocol in protocols]
        protocols.insert(0, Relay())
        await server.http.delete(one.location)
        await until(lambda: server.sessions == 0)
        answered.set()
        await until(lambda: all(transport.is_closing() for transport in own), 10)
        await until(lambda: connection.connectionState == "closed", 10)
