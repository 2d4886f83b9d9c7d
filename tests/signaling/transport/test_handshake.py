"""A connection that is closed while it connects leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from signaling.settings import ServerSettings
from signaling.transport import gatherer
from signaling.transport.handshake import leave_quietly

pytestmark = pytest.mark.anyio


async def left_behind(quietly: bool) -> list[Any]:
    """Close a connection at the moment its checks begin. Returns what the event loop complains about."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context.get("exception")))
    peers = [RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2)]
    peers[0].createDataChannel("control")
    for peer in peers:
        leave_quietly(peer)
    if not quietly:
        del peers[1]._RTCPeerConnection__connect
    gatherer.offer_addresses(peers[0], ServerSettings())
    await peers[0].setLocalDescription(await peers[0].createOffer())
    await peers[1].setRemoteDescription(peers[0].localDescription)
    gatherer.offer_addresses(peers[1], ServerSettings())
    await peers[1].setLocalDescription(await peers[1].createAnswer())
    (transport,) = gatherer.transports(peers[1])
    await transport.stop()
    for peer in peers:
        await peer.close()
    await asyncio.sleep(0.1)
    gc.collect()
    return complaints


async def test_a_closed_connection_gives_up() -> None:
    assert await left_behind(quietly=True) == []


async def test_aiortc_does_not() -> None:
    assert len(await left_behind(quietly=False)) == 1
