"""Let every peer shake hands, and leave while it is still connecting.

aiortc goes on with a connection that was closed in the middle of its handshakes, in a task that nobody can reach: what
it then raises appears in the log as an error of the server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiortc import RTCPeerConnection
from aiortc.exceptions import InvalidStateError
from OpenSSL import SSL

from signaling.logs import limited

logger = limited(__name__)

CIPHERS = tuple(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
    for key in ("ECDSA", "RSA")
)
"""OpenSSL's names of aiortc's cipher suites, for certificates of both kinds of key."""


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


def take_rsa(connection: RTCPeerConnection) -> None:
    """Let a peer connection shake hands with peers whose certificate is RSA: GStreamer's is, and older FFmpeg's.

    aiortc offers cipher suites for elliptic curve certificates alone. Call it before the connection starts.
    """
    for certificate in connection._RTCPeerConnection__certificates:
        certificate._create_ssl_context = _with_rsa(certificate._create_ssl_context)


def _with_rsa(create: Callable[..., SSL.Context]) -> Callable[..., SSL.Context]:
    def create_context(*arguments: Any, **named: Any) -> SSL.Context:
        context = create(*arguments, **named)
        context.set_cipher_list(":".join(CIPHERS).encode())
        return context

    return create_context
