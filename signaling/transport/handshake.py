"""Let a peer leave while it is still connecting.

aiortc goes on with a connection that was closed in the middle of its handshakes, and leaves an exception that nobody
can catch: it appears in the log as an error of the server.
"""

from __future__ import annotations

from aiortc import RTCIceParameters, RTCIceTransport


def start_unless_closed(transport: RTCIceTransport) -> None:
    """Make an ICE transport that was closed refuse to start without an exception."""
    start = transport.start

    async def guarded(remote: RTCIceParameters) -> None:
        if transport.state != "closed":
            await start(remote)

    transport.start = guarded
