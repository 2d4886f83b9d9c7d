"""STUN and TURN servers, and which addresses are offered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCPeerConnection
from pydantic import ValidationError

from signaling import ice
from signaling.settings import IceServer, ServerSettings
from signaling.transport import gatherer

TURN = IceServer(urls=["turn:t.example:3478?transport=udp"], username="u", credential="c")


def test_no_server_is_asked_unless_one_is_set() -> None:
    assert ice.configuration([]).iceServers == []
    (server,) = ice.configuration([TURN]).iceServers
    assert (server.urls, server.username, server.credential) == (TURN.urls, "u", "c")


def test_links() -> None:
    stun = IceServer(urls=["stun:s.example", "stun:s2.example"])
    assert ice.links([stun, TURN]) == [
        '<stun:s.example>; rel="ice-server"',
        '<stun:s2.example>; rel="ice-server"',
        '<turn:t.example:3478?transport=udp>; rel="ice-server"; username="u"; credential="c"; '
        'credential-type="password"',
    ]


SECRET = "shared with coturn"


def test_a_secret_becomes_a_login_that_expires() -> None:
    stun = IceServer(urls=["stun:s.example"])
    shared = IceServer(urls=["turn:t.example", "turns:t.example"], secret=SECRET)
    first, second, third = ice.with_login([stun, shared, TURN], lifetime=600, now=1_800_000_000.9)
    assert (first, third) == (stun, TURN)
    assert second.username == "1800000600"
    key = hmac.new(SECRET.encode(), b"1800000600", hashlib.sha1).digest()
    assert second.credential == base64.b64encode(key).decode()
    assert second.secret is None
    assert SECRET not in repr(shared)


@pytest.mark.parametrize(
    "fields",
    [
        {"urls": ["turn:t.example"], "secret": "too short"},
        {"urls": ["turn:t.example"], "secret": SECRET, "username": "u"},
        {"urls": ["stun:t.example"], "secret": SECRET},
    ],
)
def test_a_secret_is_for_turn_alone(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IceServer(**fields)


@pytest.mark.anyio
async def test_nobody_is_told_the_secret(serve: Any) -> None:
    async with serve(ice_servers=[{"urls": ["turn:127.0.0.1:9"], "secret": SECRET}], turn_lifetime=60) as server:
        told = await server.http.get("/capabilities")
        (turn,) = told.json()["iceServers"]
        links = (await server.http.options("/whip")).headers["link"]
        for text in (told.text, links):
            assert SECRET not in text
        assert turn.keys() == {"urls", "username", "credential"}
        assert 0 <= time.time() + 60 - int(turn["username"]) < 30
        assert 'credential-type="password"' in links


@pytest.fixture
def coturn(tmp_path: Path) -> Iterator[int]:
    """The port of a TURN server on loopback that shares `SECRET`."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("needs coturn's turnserver")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        [program, "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--no-tls",
         "--no-dtls", "--no-cli", "--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=latentcam",
         "--no-tcp", "--no-software-attribute", "--allow-loopback-peers", f"--pidfile={tmp_path}/pid",
         "--log-file=stdout", f"--userdb={tmp_path}/db"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield port
        finally:
            process.kill()


@pytest.mark.anyio
async def test_coturn_takes_the_login_until_it_has_expired(coturn: int) -> None:
    shared = IceServer(urls=[f"turn:127.0.0.1:{coturn}"], secret=SECRET)

    async def relayed(now: float) -> bool:
        connection = RTCPeerConnection(ice.configuration(ice.with_login([shared], 600, now)))
        connection.createDataChannel("control")
        gatherer.offer_addresses(connection, ServerSettings())
        await connection.setLocalDescription(await connection.createOffer())
        found = " typ relay" in connection.localDescription.sdp
        await connection.close()
        return found

    for _ in range(20):  # until it listens
        if await relayed(time.time()):
            break
    else:
        pytest.fail("coturn never took the login")
    assert not await relayed(time.time() - 700)


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ({}, ["127.0.0.1", "10.0.0.5", "fd00::5"]),
        ({"loopback_candidates": False}, ["10.0.0.5", "fd00::5"]),
        ({"host": "0.0.0.0", "insecure": True}, ["10.0.0.5", "fd00::5"]),
        ({"bind_addresses": ["10.0.0.9"]}, ["10.0.0.9"]),
    ],
)
def test_addresses(settings: dict[str, Any], chosen: list[str]) -> None:
    assert gatherer.chosen_addresses(["10.0.0.5", "fd00::5"], ServerSettings(**settings)) == chosen


@pytest.mark.anyio
@pytest.mark.parametrize("loopback", [True, False])
async def test_loopback_is_gathered_when_wanted(loopback: bool) -> None:
    connection = RTCPeerConnection(ice.configuration([]))
    connection.createDataChannel("control")
    gatherer.offer_addresses(connection, ServerSettings(loopback_candidates=loopback))
    await connection.setLocalDescription(await connection.createOffer())
    assert (" 127.0.0.1 " in connection.localDescription.sdp) is loopback
    await connection.close()


@pytest.mark.anyio
async def test_media_stays_on_its_ports(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        first = port - 2 if port > 60000 else port
        settings = ServerSettings(bind_addresses="127.0.0.1", media_ports=f"{first}-{first + 2}")
        connections, sdps = [], []
        for _ in range(3):
            connection = RTCPeerConnection(ice.configuration([]))
            connection.createDataChannel("control")
            gatherer.offer_addresses(connection, settings)
            await connection.setLocalDescription(await connection.createOffer())
            connections.append(connection)
            sdps.append(connection.localDescription.sdp)
        found = [int(number) for sdp in sdps for number in re.findall(r"127\.0\.0\.1 (\d+) typ host", sdp)]
        assert set(found) <= set(range(first, first + 3)) - {port}
        assert len(found) == len(set(found)) > 0
        assert "media_ports" in caplog.text, "three peers do not fit on two ports"
        for connection in connections:
            await connection.close()


def test_the_advertised_address_replaces_those_of_its_family() -> None:
    sdp = (
        "c=IN IP4 10.0.0.5\r\n"
        "a=candidate:1 1 udp 2130706431 10.0.0.5 40000 typ host\r\n"
        "a=candidate:2 1 udp 2130706431 fd00::5 40001 typ host\r\n"
        "a=candidate:3 1 udp 1694498815 198.51.100.7 40002 typ srflx raddr 10.0.0.5 rport 40000\r\n"
    )
    assert ice.advertise(sdp, None) == sdp
    assert ice.advertise(sdp, "203.0.113.9") == sdp.replace("10.0.0.5 40000 typ", "203.0.113.9 40000 typ")
    assert ice.advertise(sdp, "2001:db8::9") == sdp.replace("fd00::5", "2001:db8::9")
