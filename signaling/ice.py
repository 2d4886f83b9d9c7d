"""How media reaches the peer: STUN and TURN servers, and the address that the world sees."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import time
from collections.abc import Sequence

from aiortc import RTCConfiguration, RTCIceServer

from signaling.settings import IceServer

HOST_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ \S+ \d+) (\S+) (\d+ typ host)", re.MULTILINE)


def with_login(servers: Sequence[IceServer], lifetime: int, now: float | None = None) -> list[IceServer]:
    """Replace each secret by a login that expires (draft-uberti-behave-turn-rest-00, coturn's use-auth-secret).

    Args:
        servers: of the settings.
        lifetime: seconds that a login holds.
        now: seconds since 1970; None for the present.
    """
    ends_at = str(int((time.time() if now is None else now) + lifetime))
    return [
        server
        if server.secret is None
        else IceServer(
            urls=server.urls, username=ends_at, credential=_password(server.secret.get_secret_value(), ends_at)
        )
        for server in servers
    ]


def _password(secret: str, username: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()).decode()


def configuration(servers: Sequence[IceServer]) -> RTCConfiguration:
    """The peer connection's configuration. The list is always given: aiortc's default is a public STUN server."""
    return RTCConfiguration(
        iceServers=[
            RTCIceServer(urls=list(server.urls), username=server.username, credential=server.credential)
            for server in servers
        ]
    )


def links(servers: Sequence[IceServer]) -> list[str]:
    """`Link` headers that tell a WHIP client the STUN and TURN servers (RFC 9725, section 4.6)."""
    headers: list[str] = []
    for server in servers:
        login = ""
        if server.username is not None and server.credential is not None:
            login = f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
        headers.extend(f'<{url}>; rel="ice-server"{login}' for url in server.urls)
    return headers


def advertise(sdp: str, address: str | None) -> str:
    """Put the address that the world sees into the host candidates of an answer (a router maps it 1:1 to this machine).

    Args:
        sdp: session description.
        address: public IPv4 or IPv6 address; None leaves the description as it is. Candidates of the other family stay.
    """
    if address is None:
        return sdp
    version = ipaddress.ip_address(address).version

    def replace(match: re.Match[str]) -> str:
        same = ipaddress.ip_address(match[2]).version == version
        return f"{match[1]} {address if same else match[2]} {match[3]}"

    return HOST_CANDIDATE.sub(replace, sdp)
