"""A cluster in one process: ingresses, replicas and a directory, without Ray, with real media on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from signaling.cluster.directory import Directory
from signaling.cluster.forwarding import Answer, Forwarded
from signaling.cluster.gateway import ReplicaLost, Reply
from signaling.cluster.ingress import FILES_EACH, UPLOADS
from signaling.cluster.placement import Figures
from signaling.cluster.replica import NoDirectory, Replica
from signaling.sessions import Session
from tests.signaling.cluster.standins import Chosen, Service, service
from tests.signaling.cluster.visitor import Visitor
from tests.signaling.conftest import SDP, Peer, until

pytestmark = pytest.mark.anyio


async def offer(http: httpx.AsyncClient, peers: list[Peer], **query: str) -> httpx.Response:
    peers.append(Peer(http))
    return await http.post("/whip", params=query, content=await peers[-1].offer(), headers=SDP)


async def test_sessions_are_placed_evenly_by_ingresses_that_do_not_know_of_each_other() -> None:
    peers: list[Peer] = []
    async with service() as cluster:
        answers = await asyncio.gather(*(offer(cluster.http[number % 2], peers) for number in range(6)))
        assert [answer.status_code for answer in answers] == [201] * 6
        assert cluster.sessions() == {"r0": 2, "r1": 2, "r2": 2}
        for answer in answers:
            location = answer.headers["location"]
            assert (await cluster.http[1].delete(location)).status_code == 200  # through another ingress as well
        await until(lambda: not any(cluster.sessions().values()))
        gone = answers[0].headers["location"]
        assert (await cluster.http[0].delete(gone)).status_code == 404
        assert (await cluster.http[0].options(gone)).status_code == 404
    for peer in peers:
        await peer.close()


async def test_when_all_are_full_the_last_answer_is_503() -> None:
    peers: list[Peer] = []
    async with service(2, max_sessions=1) as cluster:
        statuses = [(await offer(cluster.http[number % 2], peers)).status_code for number in range(3)]
        assert statuses == [201, 201, 503]
    for peer in peers:
        await peer.close()


async def test_a_viewer_finds_a_named_stream_and_its_name_is_taken_once() -> None:
    peers: list[Peer] = []
    async with service() as cluster:
        opened = await offer(cluster.http[0], peers, stream="talk")
        assert opened.status_code == 201
        assert (await offer(cluster.http[1], peers, stream="talk")).status_code == 409
        await peers[0].connection.setRemoteDescription(_answer(opened))
        viewer = Peer(cluster.http[1])
        peers.append(viewer)
        for transceiver in viewer.connection.getTransceivers():
            transceiver.direction = "recvonly"
        body = await viewer.offer()
        watching = await cluster.http[1].post("/whep", params={"stream": "talk"}, content=body, headers=SDP)
        assert watching.status_code == 201
        replica = opened.headers["location"].rpartition("/")[2].partition("-")[0]
        assert watching.headers["location"].startswith(f"/whep/{replica}-")
        await viewer.connection.setRemoteDescription(_answer(watching))
        await until(lambda: viewer.frames)
        nobody = await cluster.http[1].post("/whep", params={"stream": "other"}, content=body, headers=SDP)
        assert nobody.status_code == 404
        assert (await cluster.http[0].delete(watching.headers["location"])).status_code == 200
        assert (await cluster.http[0].delete(opened.headers["location"])).status_code == 200
        await until(lambda: not any(cluster.sessions().values()))
        await _freed(cluster, "talk")
    for peer in peers:
        await peer.close()


async def test_a_replica_that_drains_moves_its_peers_with_their_settings_and_photos() -> None:
    async with service(2) as cluster:
        photo = await _photo_at(cluster, "r0")
        visitor = Visitor(cluster.http[0], {"controls": {"photo": photo}}, stream="talk")
        await visitor.come()
        assert visitor.brightness > 150
        first = visitor.replica
        leaving = cluster.running.pop(first)
        assert leaving is not None
        draining = asyncio.create_task(leaving.drain())
        await until(lambda: visitor.gaps)
        assert visitor.replica != first
        assert visitor.brightness > 150
        assert visitor.moves == 1
        assert visitor.gaps[0] < 2
        await draining
        assert await cluster.directory.find("talk") == visitor.replica
        await visitor.leave()


async def test_a_replica_that_is_killed_is_noticed_by_asking_and_another_one_takes_the_session() -> None:
    peers: list[Peer] = []
    async with service(2) as cluster:
        opened = await offer(cluster.http[0], peers)
        location = opened.headers["location"]
        assert (await cluster.http[1].options(location)).status_code == 204
        killed = location.rpartition("/")[2].partition("-")[0]
        dead, cluster.running[killed] = cluster.running[killed], None
        assert (await cluster.http[1].options(location)).status_code == 404
        again = [(await offer(http, peers)).headers["location"] for http in cluster.http]
        assert not any(f"/{killed}-" in one for one in again)
        assert dead is not None
        await dead.drain(0)
    for peer in peers:
        await peer.close()


async def test_a_replica_that_says_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.cluster.gateway.SLOT_S", 0.05)
    monkeypatch.setattr("signaling.cluster.gateway.CHOICE_S", 0.1)
    peers: list[Peer] = []
    async with service(2) as cluster:
        opened = await offer(cluster.http[0], peers)
        location = opened.headers["location"]
        cluster.silent.add(location.rpartition("/")[2].partition("-")[0])
        assert (await cluster.http[1].options(location)).status_code == 503
        again = [(await offer(http, peers)).headers["location"] for http in cluster.http]
        assert not any(f"/{silent}-" in one for one in again for silent in cluster.silent)
        assert (await cluster.http[1].get("/capabilities")).status_code == 200
        cluster.silent.update(cluster.running)
        assert (await offer(cluster.http[0], peers)).status_code == 503
        for peer in peers:
            await peer.close()


async def test_a_replica_that_comes_later_gets_photos_that_others_read() -> None:
    async with service(1) as cluster:
        photo = await _photo_at(cluster, "r0")
        await cluster.add("r1")
        look = await asyncio.to_thread(cluster.runtimes["r1"].look, _defaults(), {"controls": {"photo": photo}})
        assert look.settings.controls["brightness"] == 200


async def test_a_directory_that_starts_anew_is_told_everything_again(monkeypatch: pytest.MonkeyPatch) -> None:
    peers: list[Peer] = []
    monkeypatch.setattr("signaling.cluster.replica.REPORT_S", 0.02)
    async with service(1) as cluster:
        photo = await _photo_at(cluster, "r0")
        assert (await offer(cluster.http[0], peers, stream="talk")).status_code == 201
        cluster.directory.__init__()  # type: ignore[misc]
        assert await cluster.directory.code("embedded", photo) is None
        await _told(cluster, "talk", "r0")
        assert await cluster.directory.code("embedded", photo) is not None
    for peer in peers:
        await peer.close()


async def test_without_a_directory_only_named_streams_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: Any) -> Any:
        raise NoDirectory

    peers: list[Peer] = []
    async with service(1) as cluster:
        for method in ("claim", "report", "release", "find"):
            monkeypatch.setattr(Directory, method, silent)
        assert (await offer(cluster.http[0], peers, stream="talk")).status_code == 503
        assert (await offer(cluster.http[0], peers)).status_code == 201
    for peer in peers:
        await peer.close()


async def test_the_page_and_the_capabilities_come_from_any_ingress() -> None:
    async with service(1) as cluster:
        page = await cluster.http[0].get("/")
        assert page.status_code == 200
        assert "content-security-policy" in page.headers
        assert (await cluster.http[1].get("/capabilities")).json()["limits"]["max_sessions"] == 4
        assert (await cluster.http[1].get("/openapi.json")).status_code == 200
        assert (await cluster.http[1].get("/healthz")).status_code == 200
        assert (await cluster.http[1].get("/weights/x")).status_code == 404  # a download would reach one node only


async def test_strangers_are_refused_at_the_ingress() -> None:
    async with service(1, token="long enough token") as cluster:
        http = cluster.http[0]
        assert (await http.get("/capabilities")).status_code == 401
        assert (await http.post("/whip", content="v=0", headers=SDP)).status_code == 401
        key = {"authorization": "Bearer long enough token"}
        assert (await http.get("/capabilities", headers=key)).status_code == 200
        assert (await http.get("/capabilities", headers={**key, "origin": "http://evil.example"})).status_code == 403
        assert (await http.get("/capabilities", headers={**key, "host": "evil.example"})).status_code == 403
        assert (await http.post("/whip", content=b"v" * 70_000, headers={**key, **SDP})).status_code == 413
        assert (await http.post("/whip", content="v=0", headers={**key, **SDP})).status_code == 400
        for path in ("/whip/r9-abc", "/whip/abc", "/whip/r0-abc", "/whip/r0.a.b", "/locks/abc?session=r9-abc"):
            assert (await http.delete(path, headers=key)).status_code == 404, path


async def test_uploads_and_offers_have_more_time_than_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Replica.answer

    async def slowly(self: Replica, request: Forwarded, believed: int | None = None) -> Any:
        await asyncio.sleep(0.3)
        return await answer(self, request, believed)

    monkeypatch.setattr(Replica, "answer", slowly)
    monkeypatch.setattr("signaling.cluster.ingress.ANSWER_S", 0.1)
    async with service(1) as cluster:
        await cluster.directory.claim("talk", "r0")
        http, lock = cluster.http[0], "0" * 32
        taken = await http.post("/locks", params={"session": "r0-abc", "editor": "e4e"}, content=b"a photo")
        assert (taken.status_code, taken.json()["detail"]) == (404, "there is no such session")
        assert (await http.post("/whep", params={"stream": "talk"}, content="v=0", headers=SDP)).status_code == 400
        assert (await http.get(f"/locks/{lock}", params={"session": "r0-abc"})).status_code == 503
        assert (await http.get("/whep/claim", params={"stream": "talk"})).status_code == 503


async def test_one_client_does_not_take_all_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.photos.WAIT_S", 0.3)

    async def trickle() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with service(1) as cluster:
        far = httpx.ASGITransport(cluster.apps[0], client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=far, base_url="http://127.0.0.1:8080") as slow:
            held = [
                asyncio.create_task(slow.post("/photos?editor=embedded", content=trickle())) for _ in range(UPLOADS)
            ]
            await asyncio.sleep(0.1)
            assert (await cluster.http[0].post("/photos?editor=embedded", content=b"x")).status_code != 503
            polled = await slow.get("/locks/" + "0" * 32, params={"session": "r0-abc"})
            assert polled.status_code == 404, "what sends no body waits for no upload"
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [("POST", "/whip", 2), ("GET", "/capabilities", 2), ("POST", "/photos", 1), ("POST", "/marks", 1)],
)
async def test_a_request_that_kills_its_replica_is_not_sent_to_all(
    monkeypatch: pytest.MonkeyPatch, method: str, path: str, sent: int
) -> None:
    killed: list[str] = []

    async def die(self: Chosen, request: Forwarded, believed: int | None) -> Any:
        killed.append(self.replica)
        raise ReplicaLost

    monkeypatch.setattr(Chosen, "send", die)
    async with service(4) as cluster:
        answer = await cluster.http[0].request(method, path, content=b"x", headers=SDP)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert len(set(killed)) == len(killed) == sent


async def test_a_viewer_that_kills_its_replica_is_sent_to_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[str] = []

    async def die(self: Chosen, request: Forwarded, believed: int | None) -> Any:
        killed.append(self.replica)
        raise ReplicaLost

    monkeypatch.setattr(Chosen, "send", die)
    async with service(4) as cluster:
        await cluster.directory.claim("talk", "r0")
        answer = await cluster.http[0].post("/whep", params={"stream": "talk"}, content="v=0", headers=SDP)
        assert (answer.status_code, len(killed)) == (503, 2)


async def test_an_upload_holds_its_turn_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.photos.WAIT_S", 0.1)
    let, held = asyncio.Event(), 0

    async def wait(self: Replica, request: Forwarded, believed: int | None = None) -> Reply:
        nonlocal held
        held += 1
        await let.wait()
        return Reply(Answer(200, (), b""), {})

    monkeypatch.setattr(Replica, "answer", wait)
    async with service(1) as cluster:
        post = cluster.http[0].post
        first = [asyncio.create_task(post("/marks", content=b"x")) for _ in range(FILES_EACH)]
        await until(lambda: held == FILES_EACH)
        assert (await post("/marks", content=b"x")).status_code == 503
        photo = asyncio.create_task(post("/photos", params={"editor": "embedded"}, content=b"x"))
        await until(lambda: held == FILES_EACH + 1)  # long work on files keeps no photo out
        let.set()
        assert [(await one).status_code for one in (*first, photo)] == [200] * (FILES_EACH + 1)
        assert (await post("/marks", content=b"x")).status_code == 200
        assert (await post("/marks", content=_unread())).status_code == 429


async def _unread() -> AsyncIterator[bytes]:
    for part in (b"never", b"read"):
        await asyncio.Event().wait()
        yield part


async def test_who_connects_while_a_replica_drains_is_told_to_move() -> None:
    async with service(1) as cluster:
        peer, viewer = Peer(cluster.http[0]), Peer(cluster.http[0])
        opened = await cluster.http[0].post("/whip", params={"stream": "talk"}, content=await peer.offer(), headers=SDP)
        for transceiver in viewer.connection.getTransceivers():
            transceiver.direction = "recvonly"
        body = await viewer.offer()
        watching = await cluster.http[0].post("/whep", params={"stream": "talk"}, content=body, headers=SDP)
        replica = cluster.running.pop("r0")
        assert replica is not None
        draining = asyncio.create_task(replica.drain())
        await until(lambda: replica.figures().places == 0)
        await asyncio.sleep(0)  # it has told those who are connected
        for each, answer in ((peer, opened), (viewer, watching)):
            await each.connection.setRemoteDescription(_answer(answer))
        await peer.message("bye", reason="moving")
        await viewer.message("bye", reason="moving")
        for each in (peer, viewer):
            await each.close()
        await draining


async def test_a_replica_that_drains_takes_nobody_while_the_directory_takes_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = asyncio.Event()

    async def slowly(*_: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with service(1) as cluster:
        replica = cluster.running.pop("r0")
        assert replica is not None
        with monkeypatch.context() as patch:
            patch.setattr(Directory, "release", slowly)
            draining = asyncio.create_task(replica.drain(0))
            await asked.wait()
            assert replica.figures().places == 0
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
        await replica.drain(0)


async def test_a_session_that_is_being_opened_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    let = asyncio.Event()
    answer = Session.answer

    async def wait(self: Session, offer: str, patch: Any) -> str:
        await let.wait()
        return await answer(self, offer, patch)

    monkeypatch.setattr(Session, "answer", wait)
    peers: list[Peer] = []
    async with service(1) as cluster:
        replica = cluster.running["r0"]
        assert replica is not None
        opening = asyncio.create_task(offer(cluster.http[0], peers))
        await until(lambda: replica.figures().sessions)
        await until(lambda: len(list(replica._sessions)))
        assert replica.figures().sessions == 1
        let.set()
        assert (await opening).status_code == 201
        assert replica.figures().sessions == 1
    for peer in peers:
        await peer.close()


async def test_figures_say_what_a_replica_has() -> None:
    peers: list[Peer] = []
    async with service(1, max_sessions=3) as cluster:
        replica = cluster.running["r0"]
        assert replica is not None
        assert replica.figures().free == 1
        await offer(cluster.http[0], peers)
        said = replica.figures()
        assert (said.opened, said.sessions, said.places) == (1, 1, 2)
        assert 0.5 < said.free < 1
        assert Figures.read(json.loads(json.dumps(said.written()))) == said
        await replica.check_health()
        stale = await replica.answer(Forwarded("POST", "http", "/whip", "", ()), believed=0)
        assert stale.answer is None
    for peer in peers:
        await peer.close()


def _answer(response: httpx.Response) -> Any:
    from aiortc import RTCSessionDescription  # noqa: PLC0415

    return RTCSessionDescription(response.text, "answer")


def _defaults() -> Any:
    from stream.settings import Settings  # noqa: PLC0415

    return Settings()


async def _photo_at(cluster: Service, replica: str) -> str:
    """Have a photo read at a replica, as `POST /photos` does. Returns its id."""
    import numpy as np  # noqa: PLC0415

    runtime = cluster.runtimes[replica]
    photo = runtime.references.keep(np.array([200], np.float32))
    for editor, id, code in runtime.photo_codes():
        await cluster.directory.keep(editor, id, code)
    return photo


async def _freed(cluster: Service, name: str) -> None:
    while await cluster.directory.find(name) is not None:
        await asyncio.sleep(0.02)


async def _told(cluster: Service, name: str, replica: str) -> None:
    while await cluster.directory.find(name) != replica:
        await asyncio.sleep(0.02)
