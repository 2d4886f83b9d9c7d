"""Ray Serve on three nodes: placement, kill -9, scaling, updates, viewers. Minutes: `make cluster-test` runs it."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from aiortc import RTCSessionDescription

from tests.signaling.cluster.machines import Machines, running
from tests.signaling.cluster.visitor import Visitor
from tests.signaling.conftest import SDP, Peer

ASKED_FOR = bool(os.environ.get("LATENTCAM_CLUSTER_TESTS"))
if ASKED_FOR:
    pytest.importorskip("ray.serve")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not ASKED_FOR, reason="takes minutes: make cluster-test"),
    pytest.mark.filterwarnings("default"),  # Ray's own
]

Record = Callable[[str, object], None]

PATIENCE_S = 300.0
"""Only tells a hang from a busy machine."""
MOVED_S = 2.0
"""A peer that is told to move is back within this time."""
KILLED_S = 6.0
"""A peer of a replica that was killed is back within this time."""
CONNECTED_S = 2.0
"""A machine at rest connects a peer within this time; one that takes longer is busy, and is given so much more."""


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with running() as made:
        made.deploy()
        ends_at = time.monotonic() + PATIENCE_S
        while not made.settled():
            assert time.monotonic() < ends_at, "the application does not start"
            time.sleep(1)
        yield made


@asynccontextmanager
async def visitors(machines: Machines, count: int, **of_each: Any) -> AsyncIterator[list[Visitor]]:
    async with httpx.AsyncClient(base_url=machines.url, timeout=60) as http:
        there = [Visitor(http, **of_each) for _ in range(count)]
        try:
            await asyncio.gather(*(one.come() for one in there))
            yield there
        finally:
            await asyncio.gather(*(one.leave() for one in there))


async def until(condition: Callable[[], Any], what: str) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < ends_at, what
        await asyncio.sleep(0.5)


def places_of(there: list[Visitor]) -> list[int]:
    return sorted(Counter(one.replica for one in there).values())


async def test_twelve_sessions_are_placed_evenly(machines: Machines) -> None:
    async with visitors(machines, 12, settings={"controls": {"brightness": 150}}) as there:
        assert len({one.replica for one in there}) == 3
        assert all(3 <= count <= 5 for count in places_of(there)), places_of(there)
        assert all(one.brightness > 130 for one in there)
        assert sum(figures["sessions"] for figures in await asyncio.to_thread(machines.figures)) == 12


async def test_viewers_find_a_stream_through_every_ingress(machines: Machines) -> None:
    async with visitors(machines, 1, stream="talk") as [sender]:
        viewers = []
        for _ in range(4):  # each by a connection of its own: Serve spreads them
            async with httpx.AsyncClient(base_url=machines.url, timeout=60) as http:
                viewer = Peer(http)
                viewers.append(viewer)
                for transceiver in viewer.connection.getTransceivers():
                    transceiver.direction = "recvonly"
                answer = await http.post("/whep", params={"stream": "talk"}, content=await viewer.offer(), headers=SDP)
                assert answer.status_code == 201, answer.text
                assert answer.headers["location"].startswith(f"/whep/{sender.replica}-")
                await viewer.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
                await viewer.until(lambda viewer=viewer: viewer.frames)  # type: ignore[misc]
                offer = await Peer(http).offer()
                assert (
                    await http.post("/whip", params={"stream": "talk"}, content=offer, headers=SDP)
                ).status_code == 409
                assert (await http.delete(answer.headers["location"])).status_code == 200
        for viewer in viewers:
            await viewer.close()


async def test_a_killed_replica_costs_its_peers_seconds(machines: Machines, record_property: Record) -> None:
    async with visitors(machines, 6, settings={"controls": {"brightness": 150}}) as there:
        killed = there[0].replica
        hit = [one for one in there if one.replica == killed]
        machines.kill("Filter", killed)
        await until(lambda: all(one.gaps for one in hit), "the peers do not come back")
        assert all(one.replica != killed and one.brightness > 130 for one in hit)
        record_property("gaps", [round(one.gaps[0], 2) for one in hit])
        busy = max(0.0, max(one.came_in for one in there) - CONNECTED_S)
        assert max(one.gaps[0] for one in hit) <= KILLED_S + busy, [one.told() for one in hit]
        assert all(not one.gaps for one in there if one not in hit)
    await until(machines.settled, "the replica is not replaced")


async def test_an_ingress_that_dies_costs_no_session(machines: Machines) -> None:
    async with visitors(machines, 3) as there:
        before = await asyncio.to_thread(machines.processes, "Ingress")
        for ingress in before:
            machines.kill("Ingress", ingress)
        await until(
            lambda: before.keys().isdisjoint(machines.processes("Ingress")) and machines.settled(),
            "the ingresses are not replaced",
        )
        seen = [one.seen_at for one in there]
        await until(lambda: all(one.seen_at > at for one, at in zip(there, seen, strict=True)), "no frames come")
        assert all(not one.gaps for one in there)
        assert (await there[0].http.options(there[0].peer.location)).status_code == 204  # type: ignore[union-attr]


async def test_scaling_down_and_up_moves_peers_with_their_photos(machines: Machines, record_property: Record) -> None:
    async with httpx.AsyncClient(base_url=machines.url, timeout=120) as http:
        picture = cv2.imencode(".png", np.full((64, 64, 3), 150, np.uint8))[1].tobytes()
        read = await http.post(
            "/photos", params={"editor": "embedded"}, content=picture, headers={"content-type": "image/png"}
        )
        assert read.status_code == 200, read.text
    async with visitors(machines, 6, settings={"controls": read.json()["controls"]}) as there:
        assert all(one.brightness > 130 for one in there)
        before = [one.replica for one in there]
        machines.deploy(replicas=1)
        await until(lambda: len(machines.figures()) == 1 and machines.settled(), "it does not scale down")
        moved = [one for one, replica in zip(there, before, strict=True) if one.replica != replica]
        assert len({one.replica for one in there}) == 1
        assert all(one.moves == 1 for one in moved), [one.told() for one in moved]
        assert len(moved) >= 3
        assert all(one.brightness > 130 for one in there)
        record_property("gaps", [round(one.gaps[0], 2) for one in moved])
        assert max(one.gaps[0] for one in moved) <= MOVED_S, [one.told() for one in moved]
        machines.deploy(replicas=3)
        await until(lambda: len(machines.figures()) == 3 and machines.settled(), "it does not scale up")
        async with visitors(machines, 2) as later:
            assert {one.replica for one in later}.isdisjoint({one.replica for one in there})


async def test_an_update_of_all_replicas_moves_everybody_once(machines: Machines, record_property: Record) -> None:
    async with visitors(machines, 6, settings={"controls": {"brightness": 150}}) as there:
        before = {figures["version"] for figures in await asyncio.to_thread(machines.figures)}
        machines.deploy(idle_timeout=301, surge=34)  # one after the other, as shipped
        await until(
            lambda: before.isdisjoint({one["version"] for one in machines.figures()}) and machines.settled(),
            "the update does not end",
        )
        await asyncio.sleep(1)
        assert [one.moves for one in there] == [1] * 6, [one.told() for one in there]
        record_property("gaps", [round(one.gaps[0], 2) for one in there])
        assert max(one.gaps[0] for one in there) <= MOVED_S, [one.told() for one in there]
        assert all(len(one.gaps) == 1 and one.brightness > 130 for one in there), [one.told() for one in there]
