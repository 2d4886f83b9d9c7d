"""Sockets that candidates are gathered on are closed with their connection, however early it ends."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from signaling.settings import ServerSettings
from signaling.transport import gatherer

pytestmark = pytest.mark.anyio

SETTINGS = [
    ServerSettings(bind_addresses=["127.0.0.1", "127.0.0.2", "127.0.0.3"]),
    ServerSettings(bind_addresses=["127.0.0.1", "127.0.0.2", "127.0.0.3"], media_ports="40000-49999"),
]


def connect(settings: ServerSettings) -> RTCPeerConnection:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.createDataChannel("control")
    gatherer.offer_addresses(connection, settings)
    return connection


@pytest.mark.parametrize("settings", SETTINGS, ids=["any port", "some ports"])
@pytest.mark.parametrize("turns", range(2, 12))
async def test_who_is_cancelled_while_gathering_leaves_no_socket(
    opened: list[asyncio.BaseTransport], settings: ServerSettings, turns: int
) -> None:
    connection = connect(settings)
    gathering = asyncio.ensure_future(connection.setLocalDescription(await connection.createOffer()))
    while not opened:
        await asyncio.sleep(0)
    for _ in range(turns):
        await asyncio.sleep(0)
    gathering.cancel()
    await asyncio.gather(gathering, return_exceptions=True)
    await connection.close()
    assert opened
    assert all(transport.is_closing() for transport in opened)


@pytest.mark.parametrize("settings", SETTINGS, ids=["any port", "some ports"])
async def test_who_is_closed_while_gathering_leaves_no_socket(
    opened: list[asyncio.BaseTransport], settings: ServerSettings
) -> None:
    connection = connect(settings)
    gathering = asyncio.ensure_future(connection.setLocalDescription(await connection.createOffer()))
    while not opened:
        await asyncio.sleep(0)
    await connection.close()
    await asyncio.gather(gathering, return_exceptions=True)
    assert all(transport.is_closing() for transport in opened)
