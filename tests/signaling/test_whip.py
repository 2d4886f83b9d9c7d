"""The way in and out: a real WebRTC loop through the app, and everything a client can get wrong."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from signaling import whip

pytestmark = pytest.mark.anyio

SDP = {"content-type": "application/sdp"}


async def test_a_peer_gets_its_video_back_edited_with_its_timestamps(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        response = await peer.call()
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/sdp"
        assert response.headers["location"].startswith("/whip/")
        hello = await peer.message("hello")
        assert hello["settings"]["controls"] == {}
        await peer.until(lambda: len(peer.frames) > 10)
        assert abs(float(peer.frames[-1].to_ndarray(format="bgr24").mean()) - 60) < 6

        peer.send(type="settings", id=7, settings={"controls": {"brightness": 200}})
        now = await peer.message("settings", id=7)
        assert now["settings"]["controls"] == {"brightness": 200}
        await peer.until(lambda: peer.frames[-1].to_ndarray(format="bgr24").mean() > 180)
        times = [frame.pts for frame in peer.frames]
        origins = [sent - times[0] for sent in peer.camera.sent]
        assert any({time + origin for time in times} <= set(peer.camera.sent) for origin in origins)
        assert times == sorted(set(times))

        assert (await server.http.delete(peer.location)).status_code == 200
        await peer.until(lambda: server.sessions == 0)
        assert server.runtime.pipelines[0].closed
        assert (await server.http.delete(peer.location)).status_code == 404


async def test_settings_with_the_offer_hold_from_the_first_frame(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        settings = {"controls": {"brightness": 200}, "lost": "blur"}
        assert (await peer.call(query={"settings": json.dumps(settings)})).status_code == 201
        hello = await peer.message("hello")
        assert hello["settings"]["lost"] == "blur"
        await peer.until(lambda: len(peer.frames) > 5)
        assert all(frame.to_ndarray(format="bgr24").mean() > 180 for frame in peer.frames)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"lost": "explode"}', "lost"),
        ('{"controls": {"brightness": 900}}', "brightness"),
        ('{"editor": "nobody"}', "no such editor"),
        ('{"editor": "broken"}', "cut short"),
        ("[" * 4000, "not"),
    ],
)
async def test_refused_settings_refuse_the_offer(serve: Any, settings: str, reason: str) -> None:
    async with serve() as server:
        response = await server.peer().call(query={"settings": settings})
        assert response.status_code == 400
        assert reason in response.text
        assert server.sessions == 0


async def test_the_answer_is_complete(serve: Any) -> None:
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        assert "a=end-of-candidates" in peer.answer
        assert " 127.0.0.1 " in peer.answer
        assert "x-google-start-bitrate" in peer.answer
        assert "srflx" not in peer.answer


async def test_ice_servers_are_told(serve: Any) -> None:
    async with serve(ice_servers=[{"urls": ["turn:127.0.0.1:9"], "username": "u", "credential": "c"}]) as server:
        options = await server.http.options("/whip")
        assert options.status_code == 204
        assert options.headers["accept-post"] == "application/sdp"
        assert options.headers["link"].startswith('<turn:127.0.0.1:9>; rel="ice-server"; username="u"')
        capabilities = (await server.http.get("/capabilities")).json()
        assert capabilities["iceServers"] == [{"urls": ["turn:127.0.0.1:9"], "username": "u", "credential": "c"}]


async def test_the_advertised_address_is_in_the_answer(serve: Any) -> None:
    async with serve(bind_addresses=["127.0.0.1"], advertised_address="203.0.113.9") as server:
        response = await server.http.post("/whip", content=await server.peer().offer(), headers=SDP)
        hosts = [line for line in response.text.splitlines() if "typ host" in line]
        assert hosts
        assert all(" 203.0.113.9 " in line for line in hosts)


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        ("v=0", {"content-type": "application/json"}, 415, "application/sdp"),
        ("v=0", {"content-type": ""}, 415, "application/sdp"),
        ("", SDP, 400, "v=0"),
        ("hello", SDP, 400, "v=0"),
        ("v=0\r\n", SDP, 400, "no video"),
        (b"v=0\xff", SDP, 400, "UTF-8"),
        ("v=0" + "x" * 70_000, SDP, 413, "65536"),
    ],
)
async def test_what_is_no_offer_is_refused(
    serve: Any, body: str | bytes, headers: dict[str, str], status: int, said: str
) -> None:
    async with serve() as server:
        response = await server.http.post("/whip", content=body, headers=headers)
        assert response.status_code == status
        assert said in response.json()["detail"]
        assert server.runtime.pipelines == []


async def test_an_endless_body_is_not_read_to_its_end(serve: Any) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"v=0" + b"x" * 10_000
            if sent > 1000:
                return

    async with serve() as server:
        response = await server.http.post("/whip", content=endless(), headers=SDP)
        assert response.status_code == 413


async def test_an_offer_without_a_common_codec_is_refused_and_gives_its_place_back(serve: Any) -> None:
    async with serve(max_sessions=1) as server:
        peer = server.peer()
        offer = await peer.offer()
        for name in ("VP8", "H264"):
            offer = offer.replace(f" {name}/90000", " AV1/90000")
        response = await server.http.post("/whip", content=offer, headers=SDP)
        assert response.status_code == 400
        assert "video" in response.json()["detail"]
        assert server.sessions == 0
        await peer.until(lambda: server.runtime.pipelines[0].closed)
        assert (await server.peer().call()).status_code == 201


async def test_mangled_offers_never_break_the_server(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "OFFER_BURST", 1e9)
    rng = random.Random(2)
    async with serve(connect_timeout=0.2) as server:
        lines = (await server.peer(audio=True).offer()).split("\r\n")
        for _ in range(60):
            mangled = [line for line in lines if rng.random() > 0.01]
            for _ in range(rng.randrange(3)):
                i = rng.randrange(len(mangled))
                cut = rng.randrange(len(mangled[i]) + 1)
                mangled[i] = mangled[i][:cut] + rng.choice(["", " ", ":", "-1", "9" * 30]) + mangled[i][cut + 1 :]
            response = await server.http.post("/whip", content="\r\n".join(mangled), headers=SDP)
            assert response.status_code in (201, 400), response.text
            if response.status_code == 201:
                await server.http.delete(response.headers["location"])
                while server.sessions:
                    await asyncio.sleep(0.01)
        assert (await server.peer().call()).status_code == 201


async def test_a_token_is_asked_for(serve: Any) -> None:
    async with serve(token="a secret token") as server:
        peer = server.peer()
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": "a secret token"}):
            response = await peer.http.post("/whip", content="v=0", headers={**SDP, **header})
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
        right = {"authorization": "Bearer a secret token"}
        assert (await peer.call(right)).status_code == 201
        assert (await server.http.delete(peer.location)).status_code == 401
        assert (await server.http.get("/capabilities")).status_code == 401
        assert (await server.http.get("/capabilities", headers=right)).status_code == 200
        assert (await server.http.get("/healthz")).status_code == 200
        assert (await server.http.delete(peer.location, headers=right)).status_code == 200


async def test_other_methods_are_kept_for_later_versions(serve: Any) -> None:
    async with serve() as server:
        for method in ("POST", "GET", "PUT", "HEAD"):
            assert (await server.http.request(method, "/whip/any")).status_code == 405
        assert (await server.http.get("/whip")).status_code == 405
        assert (await server.http.delete("/whip/any")).status_code == 404


async def test_too_many_offers_are_turned_away(serve: Any) -> None:
    async with serve() as server:
        codes = [(await server.http.post("/whip", content="x", headers=SDP)).status_code for _ in range(12)]
        assert codes[:10] == [400] * 10
        assert codes[-1] == 429


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("a=candidate:1 1 udp 1 192.0.2.77 99999 typ host", "a=candidate"),
        ("a=ice-pwd:not a secret\t", "a=ice-pwd"),
        ("c=IN IP4 undotted", "c="),
        ("m=192.0.2.77 9 RTP/SAVPF 96", "media of an unknown kind"),
        ("a=rtcp:9 IN IP4 undotted", "a=rtcp"),
    ],
)
async def test_refused_offers_are_logged_without_what_they_say(
    serve: Any, caplog: pytest.LogCaptureFixture, line: str, name: str
) -> None:
    caplog.set_level("INFO", "signaling.whip")
    sdp = f"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n{line}\r\n"
    async with serve() as server:
        answer = await server.http.post("/whip", content=sdp, headers=SDP)
    assert answer.status_code == 400
    assert line[2:].partition(" ")[0] in answer.text, "the client is told"
    logged = caplog.messages[-1]
    assert logged.endswith(name)
    assert not any(word in logged for word in ("192.0.2.77", "secret", "undotted"))


@pytest.mark.parametrize("path", ["/whip", "/strip"])
async def test_settings_that_are_no_text_are_refused(serve: Any, path: str) -> None:
    async with serve() as server:
        body = await server.peer().offer()
        for settings in ('{"layers":{"\\ud800":{}}}', '{"editor":"\\udfff"}', '{"size":NaN}'):
            answer = await server.http.post(path, params={"settings": settings}, content=body, headers=SDP)
            assert (answer.status_code, answer.json()["detail"]) == (400, "settings: is not JSON")
