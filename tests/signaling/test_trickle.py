"""Candidates that come late, and ICE restarts: RFC 9725 section 4.3, RFC 8840."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signaling.offers import BadOffer, Fragment, read_fragment
from signaling.transport.gatherer import transports
from signaling.transport.probes import read_counters
from signaling.transport.restart import Restart, local_candidates, local_credentials
from tests.signaling.test_whep import Player

pytestmark = pytest.mark.anyio

FRAGMENT = "application/trickle-ice-sdpfrag"
OWN = "1 1 udp 2130706431 10.0.0.5 40000 typ host"
NEW = "newname", "n" * 22


def headers(match: str | None) -> dict[str, str]:
    return {"content-type": FRAGMENT, **({"if-match": match} if match is not None else {})}


def fragment_of(peer: Any, credentials: tuple[str, str] | None = None) -> str:
    username, password = credentials or local_credentials(peer.connection)
    lines = [f"a=ice-ufrag:{username}", f"a=ice-pwd:{password}", "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0"]
    lines += [f"a=candidate:{candidate}" for candidate in local_candidates(peer.connection)]
    return "\r\n".join([*lines, "a=end-of-candidates", ""])


async def test_candidates_may_come_after_the_offer(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        whole = await peer.offer()

        async def bare() -> str:
            lines = [line for line in whole.split("\r\n") if not line.startswith(("a=candidate", "a=end-of"))]
            return "\r\n".join(lines)

        peer.offer = bare
        response = await peer.call()
        tag = response.headers["etag"]
        assert response.headers["accept-patch"] == FRAGMENT
        sent = await server.http.patch(peer.location, content=fragment_of(peer), headers=headers(tag))
        assert sent.status_code == 204, sent.text
        await peer.until(lambda: len(peer.frames) > 5)


@pytest.mark.parametrize(
    ("match", "status"),
    [
        ("{tag}", 204),
        ("  {tag}  ", 204),
        ('"other", {tag}', 204),
        ('{tag},, W/"other"', 204),
        ("W/{tag}", 412),
        ('"a", "b"', 412),
        ('*, "b"', 412),
        ("", 428),
    ],
)
async def test_an_ice_session_is_matched_as_http_says(serve: Any, match: str, status: int) -> None:
    async with serve() as server:
        peer = server.peer()
        tag = (await peer.call()).headers["etag"]
        sent = headers(match.format(tag=tag))
        assert (await server.http.patch(peer.location, content="", headers=sent)).status_code == status


async def nothing(*_: Any) -> None:
    """A way to nowhere."""


async def restart_client(peer: Any) -> tuple[Restart, str]:
    """The client's side of a restart on another network: its sockets are new, the old ones are dead.

    Returns:
        What goes on checking, and the fragment to send.
    """
    (transport,) = transports(peer.connection)
    ice = transport._connection
    old = list(ice._protocols)
    ice._protocols.clear()
    ice._local_candidates = await ice.get_component_candidates(1, ["127.0.0.1"])
    ice.data_received_before = ice.data_received
    for protocol in old:
        ice.protocol_lost_before, ice.protocol_lost = ice.protocol_lost, lambda _: None
        # What is sent into a dead network is lost: aiortc's sender would end with the error of a closed socket.
        protocol.send_data, protocol.send_stun = nothing, lambda *_: None
        protocol.transport.abort()
    # The server checks as soon as it has the fragment: a check that finds the old password here counts as failed.
    ice._local_username, ice._local_password = NEW
    return Restart(), fragment_of(peer, NEW)


async def test_ice_is_restarted_and_the_session_goes_on(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        first = (await peer.call()).headers["etag"]
        await peer.message("hello")
        peer.send(id=1, type="settings", settings={"controls": {"brightness": 150}})
        await peer.message("settings", id=1)
        await peer.until(lambda: len(peer.frames) > 10)
        restart, offered = await restart_client(peer)
        response = await server.http.patch(peer.location, content=offered, headers=headers("*"))
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == FRAGMENT
        assert response.headers["etag"] not in ("", first)
        told = read_fragment(response.text)
        await restart.begin(peer.connection, told.username, told.password, list(told.candidates))
        (transport,) = transports(peer.connection)
        transport._connection._local_username, transport._connection._local_password = NEW
        # aiortc's own buffer of the client may wait for what was lost on the dead way: packets count, not frames.
        received, edited = read_counters(peer.connection).packets_in, len(server.runtime.pipelines[0].sizes)
        await peer.until(lambda: len(server.runtime.pipelines[0].sizes) > edited + 20)
        await peer.until(lambda: read_counters(peer.connection).packets_in > received + 20)
        (session,) = server.app.state.sessions._sessions.values()
        assert session._video.look.settings.controls == {"brightness": 150}
        assert len(server.runtime.pipelines) == 1
        stale = await server.http.patch(peer.location, content=fragment_of(peer), headers=headers(first))
        assert stale.status_code == 412
        restart.stop()


async def test_a_viewer_may_restart_ice_as_often_as_its_network_changes(serve: Any, until: Any) -> None:
    """The answer to the first restart is lost; the second one, of a moment later, is what holds."""
    async with serve() as server:
        sender = server.peer()
        assert (await sender.call(stream="studio")).status_code == 201
        viewer = Player(server)
        tag = (await viewer.call("studio")).headers["etag"]
        assert (await server.http.options(viewer.location)).headers["allow"] == "PATCH, DELETE, OPTIONS"
        trickled = await server.http.patch(viewer.location, content=fragment_of(viewer), headers=headers(tag))
        assert trickled.status_code == 204
        await until(lambda: len(viewer.frames) > 5)
        restart, offered = await restart_client(viewer)
        lost = fragment_of(viewer, ("lostname", "l" * 22))
        tags = [tag]
        for content in (lost, offered):
            response = await server.http.patch(viewer.location, content=content, headers=headers("*"))
            assert response.status_code == 200, response.text
            tags.append(response.headers["etag"])
        assert len(set(tags)) == 3
        told = read_fragment(response.text)
        await restart.begin(viewer.connection, told.username, told.password, list(told.candidates))
        (transport,) = transports(viewer.connection)
        transport._connection._local_username, transport._connection._local_password = NEW
        received = read_counters(viewer.connection).packets_in
        await until(lambda: read_counters(viewer.connection).packets_in > received + 20)
        assert server.viewers == 1
        restart.stop()


@pytest.mark.parametrize(
    ("match", "kind", "body", "status", "said"),
    [
        (None, FRAGMENT, "", 428, "If-Match is missing"),
        ('"other"', FRAGMENT, "", 412, "restarts ICE"),
        ("*", "application/sdp", "", 415, FRAGMENT),
        ("*", FRAGMENT, "", 400, "needs a=ice-ufrag and a=ice-pwd"),
        ("*", FRAGMENT, "a=candidate:1 2\r\n", 400, "malformed fragment: line 1"),
        ("*", FRAGMENT, b"\xff", 400, "UTF-8"),
        ("tag", FRAGMENT, "a=ice-ufrag:other\r\n", 400, "to restart ICE"),
        ("tag", FRAGMENT, "".join(f"a=candidate:{OWN.replace('40000', str(i))}\r\n" for i in range(70)), 400, "64"),
        ("*", FRAGMENT, "x" * 70_000, 413, "65536"),
    ],
)
async def test_what_is_no_fragment_is_refused_in_words(  # noqa: PLR0917
    serve: Any, match: str | None, kind: str, body: str | bytes, status: int, said: str
) -> None:
    async with serve() as server:
        peer = server.peer()
        tag = (await peer.call()).headers["etag"]
        sent = {**headers(tag if match == "tag" else match), "content-type": kind}
        response = await server.http.patch(peer.location, content=body, headers=sent)
        assert response.status_code == status, response.text
        assert said in response.json()["detail"]
        if status == 415:
            assert response.headers["accept-patch"] == FRAGMENT
        assert server.sessions == 1


@pytest.mark.parametrize("path", ["/whip", "/whep"])
async def test_sessions_say_what_can_be_done_with_them(serve: Any, path: str) -> None:
    async with serve() as server:
        if path == "/whip":
            peer = server.peer()
            await peer.call()
            options = await server.http.options(peer.location)
            assert options.status_code == 204
            assert options.headers["allow"] == "PATCH, DELETE, OPTIONS"
            assert options.headers["accept-patch"] == FRAGMENT
        options = await server.http.options(f"{path}/any")
        assert options.status_code == 404
        missing = await server.http.patch(f"{path}/any", content="", headers=headers("*"))
        assert missing.status_code == 404
        wrong = await server.http.put(f"{path}/any")
        assert wrong.status_code == 405
        assert wrong.headers["allow"] == "PATCH, DELETE, OPTIONS"


def test_a_fragment_is_read() -> None:
    said = read_fragment(
        "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=group:BUNDLE 0 1\r\n"
        f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:{OWN}\r\na=end-of-candidates\r\n"
        f"m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:1\r\na=ice-ufrag:abcd\r\na=candidate:{OWN} generation 0\r\n"
        "a=candidate:2 1 udp 2130706431 0f2a-4c.local 40000 typ host\r\n"
        "a=candidate:3 1 tcp 2130706431 10.0.0.5 9 typ host tcptype active\r\n"
    )
    assert said == Fragment("abcd", "abcdefghijklmnopqrstuv", (OWN,))
    with pytest.raises(BadOffer, match="said twice"):
        read_fragment("a=ice-ufrag:abcd\r\na=ice-ufrag:efgh\r\n")
    with pytest.raises(BadOffer, match="more than 2000 lines"):
        read_fragment("a=x\r\n" * 3000)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.sampled_from("a=ice-ufrgpwdcandte:01 .\r\n\x00é~"), max_size=200))
def test_whatever_comes_is_a_fragment_or_refused(text: str) -> None:
    with contextlib.suppress(BadOffer):
        assert len(read_fragment(text).candidates) <= 64
