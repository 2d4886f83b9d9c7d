"""All packets that have come are read in one turn of the event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
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
    ice = transport._connection

    def take(data: bytes, component: int) -> None:
        if not got:
            asyncio.get_running_loop().call_soon(lambda: after_a_turn.append(len(got)))
        got.append(data)

    monkeypatch.setattr(ice, "data_received", take)
    await connection.setLocalDescription(await connection.createOffer())
    address: Any = ice._protocols[0].transport.get_extra_info("sockname")[:2]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        sent = [bytes([200, number]) for number in range(arrivals.AT_ONCE + 10)]
        for packet in sent:
            peer.sendto(packet, address)
        await until(lambda: len(got) == len(sent))
    assert after_a_turn == [arrivals.AT_ONCE], "but others get their turn as well"
    assert got == sent
    await connection.close()
