"""Let a peer leave while it is still connecting.

aiortc goes on with a connection that was closed in the middle of its handshakes, in a task that nobody can reach: what
it then raises appears in the log as an error of the server.
"""

from __future__ import annotations

from aiortc import RTCPeerConnection
from aiortc.exceptions import InvalidStateError

from signaling.logs import limited

logger = limited(__name__)


def leave_quietly(connection: RTCPeerConnection) -> None:
    """Make a peer connection that has no description yet give up connecting when it was closed."""
    connect = connection._RTCPeerConnection__connect

    async def guarded() -> None:
        try:
            await connect()
        except (ConnectionError, InvalidStateError) as error:
            if connection.signalingState != "closed":
                logger.info("a peer could not connect: %s", error)

    connection._RTCPeerConnection__connect = guarded
