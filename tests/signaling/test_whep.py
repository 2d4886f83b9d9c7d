"""Watching the edited video of somebody else's session."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.settings import ServerSettings
from signaling.transport import gatherer
from signaling.transport.handshake import leave_quietly
from stream.mark.claims import verify
from stream.mark.identity import Identity

pytestmark = pytest.mark.anyio

SDP = {"content-type": "application/sdp"}


class Player:
    """A WHEP client."""

    def __init__(self, server: Any, audio: str = "") -> None:
        self.http = server.http
        server.peers.append(self)  # which closes it in the end
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTransceiver("video", direction="recvonly")
        if audio:
            self.connection.addTransceiver("audio", direction=audio)
        self.connection.on("track", lambda track: self.tasks.append(asyncio.create_task(self._keep(track))))
        self.tasks: list[Any] = []
        self.frames: list[Any] = []
        self.sounds: list[Any] = []
        self.location = ""

    async def _keep(self, track: Any) -> None:
        try:
            while True:
                (self.frames if track.kind == "video" else self.sounds).append(await track.recv())
        except MediaStreamError:
            pass

    async def close(self) -> None:
        await self.connection.close()

    async def call(self, stream: str, headers: Mapping[str, str] = SDP) -> Any:
        gatherer.offer_addresses(self.connection, ServerSettings())
        leave_quietly(self.connection)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        response = await self.http.post(
            f"/whep?stream={stream}", content=self.connection.localDescription.sdp, headers={**SDP, **headers}
        )
        if response.status_code == 201:
            self.location = response.headers["location"]
            await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        return response


def brightness(frame: Any) -> float:
    return float(frame.to_ndarray(format="bgr24").mean())


async def test_viewers_see_what_a_sender_that_does_not_watch_sends(serve: Any, until: Any) -> None:
    async with serve(max_viewers=2) as server:
        sender = server.peer()
        sender.connection.getTransceivers()[0].direction = "sendonly"
        assert (await sender.call(stream="studio")).status_code == 201
        await sender.message("hello")
        sender.send(type="settings", id=1, settings={"controls": {"brightness": 180}})

        viewers = [Player(server) for _ in range(3)]
        assert [(await viewer.call("studio")).status_code for viewer in viewers] == [201, 201, 503]
        for viewer in viewers[:2]:
            await until(lambda viewer=viewer: viewer.frames and abs(brightness(viewer.frames[-1]) - 180) < 8)
        assert not sender.frames

        assert (await server.http.delete(viewers[0].location)).status_code == 200
        await until(lambda: server.viewers == 1)
        count = len(viewers[1].frames)
        await until(lambda: len(viewers[1].frames) > count + 5)
        assert server.sessions == 1

        await server.http.delete(sender.location)
        await until(lambda: server.viewers == 0 and server.sessions == 0)


async def test_an_edited_stream_says_so_signed(serve: Any, until: Any) -> None:
    async with serve() as server:
        identity = server.runtime.identity = Identity.of(Ed25519PrivateKey.generate())
        sender = server.peer()
        assert (await sender.call(stream="studio")).status_code == 201
        await sender.message("hello")
        player = Player(server)
        answer = await player.call("studio")
        [link] = [link for link in answer.headers.get_list("link") if "application/cose" in link]
        assert link == '</whep/claim?stream=studio>; rel="describedby"; type="application/cose"'
        address = link[1 : link.index(">")]
        assert (await server.http.get(address)).status_code == 204  # nothing is edited yet
        sender.send(type="settings", id=1, settings={"controls": {"brightness": 180}})
        said = await sender.message("claim")
        claim = verify(b64decode(said["claim"]))
        assert set(claim.kinds) == {"age"}
        assert claim.public == identity.public
        response = await server.http.get(address)
        assert response.headers["content-type"] == "application/cose"
        assert verify(response.content).public == identity.public
        await until(lambda: player.frames)
        assert (await server.http.get("/whep/claim?stream=nobody")).status_code == 404


async def test_viewers_hear_what_is_sent(serve: Any, until: Any) -> None:
    async with serve() as server:
        sender = server.peer(audio=True)
        assert (await sender.call(stream="a")).status_code == 201
        viewers = [Player(server, audio="recvonly"), Player(server, audio="recvonly"), Player(server)]
        assert [(await viewer.call("a")).status_code for viewer in viewers] == [201, 201, 201]
        for listener in (sender, *viewers[:2]):
            await until(lambda listener=listener: len(listener.sounds) > 10)
        await until(lambda: viewers[2].frames)
        (session,) = server.app.state.sessions._sessions.values()
        assert len(session._audio._listeners) == 3
        await server.http.delete(viewers[0].location)
        await until(lambda: server.viewers == 2)
        assert len(session._audio._listeners) == 2
        count = len(viewers[1].sounds)
        await until(lambda: len(viewers[1].sounds) > count + 10)


async def test_a_session_without_sound_can_be_watched_by_who_asks_for_it(serve: Any, until: Any) -> None:
    async with serve() as server:
        await server.peer().call(stream="a")
        viewer = Player(server, audio="recvonly")
        assert (await viewer.call("a")).status_code == 201
        await until(lambda: viewer.frames)


async def test_viewers_may_not_send(serve: Any) -> None:
    """Nobody would take in what they send, and it would pile up."""
    async with serve() as server:
        await server.peer().call(stream="a")
        refused = await Player(server, audio="sendrecv").call("a")
        assert refused.status_code == 400
        assert "audio is sendrecv" in refused.json()["detail"]


async def test_a_viewer_that_hangs_up_gives_its_place_back(serve: Any, until: Any) -> None:
    async with serve() as server:
        sender = server.peer()
        await sender.call(stream="a")
        viewer = Player(server)
        await viewer.call("a")
        await until(lambda: viewer.frames)
        await viewer.connection.close()
        await until(lambda: server.viewers == 0)
        assert server.sessions == 1


async def test_what_cannot_be_watched_is_refused_in_words(serve: Any) -> None:
    async with serve() as server:
        sender = server.peer()
        await sender.call(stream="a")
        viewer = Player(server)
        missing = await viewer.call("b")
        assert (missing.status_code, "'b'" in missing.json()["detail"]) == (404, True)
        assert (await server.http.post("/whep?stream=a", content="v=0", headers=SDP)).status_code == 400
        assert (await server.http.post("/whep?stream=a", content="v=0")).status_code == 415
        assert (await server.http.post("/whep", content="v=0", headers=SDP)).status_code == 422
        assert (await server.http.post("/whep?stream=..%2Fa", content="v=0", headers=SDP)).status_code == 422
        both = await server.http.post("/whep?stream=a", content=await server.peer().offer(), headers=SDP)
        assert "recvonly" in both.json()["detail"]
        assert (await server.http.delete("/whep/any")).status_code == 404
        assert (await server.http.put("/whep/any")).status_code == 405
        assert (await server.http.options("/whep")).headers["accept-post"] == "application/sdp"


@pytest.mark.parametrize("ending", ["deleted", "shutdown"])
async def test_a_viewer_is_told_that_the_video_has_ended(serve: Any, until: Any, ending: str) -> None:
    """Browsers take no notice of an RTCP BYE, and showed the last face for ten seconds."""
    async with serve() as server:
        sender = server.peer()
        await sender.call(stream="a")
        viewer = Player(server)
        told: list[Any] = []
        channel = viewer.connection.createDataChannel("control")
        channel.on("message", lambda text: told.append(json.loads(text)))
        other = viewer.connection.createDataChannel("chat")
        assert (await viewer.call("a")).status_code == 201
        await until(lambda: viewer.frames and channel.readyState == "open" and other.readyState == "closed")
        channel.send("not heard")
        if ending == "deleted":
            await server.http.delete(sender.location)
        else:
            await server.app.state.sessions.close()
        await until(lambda: told)
        assert told == [{"v": 1, "type": "bye", "reason": "ended", "detail": None}]


async def test_a_name_is_used_once(serve: Any, until: Any) -> None:
    async with serve() as server:
        first, second = server.peer(), server.peer()
        assert (await first.call(stream="a")).status_code == 201
        assert (await second.call(stream="a")).status_code == 409
        await server.http.delete(first.location)
        await until(lambda: server.sessions == 0)
        assert (await server.peer().call(stream="a")).status_code == 201


async def test_viewers_need_the_token(serve: Any) -> None:
    async with serve(token="a secret token") as server:
        assert (await Player(server).call("a")).status_code == 401
