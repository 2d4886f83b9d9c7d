"""A connection that is closed while it connects leaves nothing behind."""

from __future__ import annotations

import pytest
from aiortc import RTCIceGatherer, RTCIceParameters, RTCIceTransport
from aiortc.exceptions import InvalidStateError

from signaling.transport.handshake import start_unless_closed

pytestmark = pytest.mark.anyio


async def test_a_closed_transport_does_not_start() -> None:
    transport = RTCIceTransport(RTCIceGatherer(iceServers=[]))
    await transport.stop()
    with pytest.raises(InvalidStateError):
        await transport.start(RTCIceParameters("abcd", "abcdefghijklmnopqrstuv"))
    start_unless_closed(transport)
    await transport.start(RTCIceParameters("abcd", "abcdefghijklmnopqrstuv"))
    assert transport.state == "closed"
