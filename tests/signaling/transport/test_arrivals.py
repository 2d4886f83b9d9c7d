"""All packets that have come are read in one turn of the event loop."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from aioice import ice, turn
from aiortc import RTCConfiguration, RTCPeerConnection

from signaling.settings import ServerSettings
from signaling.transport import arrivals, gatherer
from tests.signaling.conftest import until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("ports", [None, "40000-49999"])
async def test_what_waits_is_read_in_one_turn(monkeypatch: pytest.MonkeyPatch, ports: str | None) -> None:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.createDataChannel("control")
    gatherer.offer_addresses(connection, ServerSettings(media_ports=ports))
    got: list[bytes] = []
    after_a_turn: list[int] = []
    [transport] = gatherer.transports(connection)
    gathered = transport._connection

    def take(data: bytes, component: int) -> None:
        if not got:
            asyncio.get_running_loop().call_soon(lambda: after_a_turn.append(len(got)))
        got.append(data)

    monkeypatch.setattr(gathered, "data_received", take)
    await connection.setLocalDescription(await connection.createOffer())
    address: Any = gathered._protocols[0].transport.get_extra_info("sockname")[:2]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        sent = [bytes([200, number]) for number in range(arrivals.AT_ONCE + 10)]
        for packet in sent:
            peer.sendto(packet, address)
        await until(lambda: len(got) == len(sent))
    assert after_a_turn == [arrivals.AT_ONCE], "but others get their turn as well"
    assert got == sent
    await connection.close()


async def test_packets_that_nobody_reads_yet_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_WAITING", 5)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.createDataChannel("control")
    gatherer.offer_addresses(connection, ServerSettings())
    await connection.setLocalDescription(await connection.createOffer())
    [transport] = gatherer.transports(connection)
    gathered = transport._connection
    for number in range(20):
        gathered._protocols[0].datagram_received(bytes([200, number]), ("127.0.0.1", 9))
    assert gathered._queue.qsize() == 5
    await connection.close()


async def test_what_a_relay_sends_is_read_in_one_turn() -> None:
    loop = asyncio.get_running_loop()
    got: list[bytes] = []
    after_a_turn: list[int] = []

    class Client(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            if not got:
                loop.call_soon(lambda: after_a_turn.append(len(got)))
            got.append(data)

    opened, client = await loop.create_datagram_endpoint(Client, local_addr=("127.0.0.1", 0))
    relayed = turn.TurnTransport(client)  # type: ignore[arg-type]
    connection = ice.Connection(ice_controlling=False)
    connection._protocols.append(SimpleNamespace(transport=relayed))  # type: ignore[arg-type]
    arrivals.read_all(connection)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for number in range(10):
            peer.sendto(bytes([number]), opened.get_extra_info("sockname"))
        await until(lambda: len(got) == 10)
    assert after_a_turn == [10]
    opened.close()
