"""Locks over HTTP: who may ask, what is refused, and that they end with their session."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from stream.locks import Lock, Locks, LocksBusy, LocksKept
from stream.photos import PhotoError
from stream.settings import Settings, SettingsError
from tests.signaling.conftest import FakeRuntime

pytestmark = pytest.mark.anyio

JPEG = cv2.imencode(".jpg", np.zeros((80, 80, 3), np.uint8))[1].tobytes()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session "me" is there."""
    peer = "signaling.sessions.Sessions.peer"
    monkeypatch.setattr("stream.photos.decode", lambda data: np.zeros((80, 80, 3), np.uint8))
    monkeypatch.setattr(peer, lambda self, id, grant=None: SimpleNamespace() if id == "me" else None)


def start(runtime: Any, session: str, editor: str, photo: Any) -> Lock:
    locks: Locks = runtime.locks
    return locks.start(session, editor, lambda step: np.ones(4, np.float32))


async def test_a_snapshot_becomes_a_lock(serve: Any, known: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.snapshots.start", start)
    async with serve() as server:
        answer = await server.http.post("/locks", params={"editor": "e4e", "session": "me"}, content=JPEG)
        assert answer.status_code == 202
        told = answer.json()
        assert told.keys() == {"id", "editor", "state", "step", "steps", "error"}
        for _ in range(500):
            told = (await server.http.get(f"/locks/{told['id']}")).json()
            if told["state"] == "done":
                break
            await asyncio.sleep(0.01)
        assert told["state"] == "done"
        assert told["id"] in server.runtime.locks
        assert (await server.http.delete(f"/locks/{told['id']}")).status_code == 204
        assert (await server.http.get(f"/locks/{told['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SettingsError("editor", "hair moves no latent"), 400),
        (PhotoError("no face in this photo"), 422),
        (LocksBusy(), 503),
        (LocksKept(), 409),
    ],
)
async def test_what_is_refused(
    error: Exception, status: int, serve: Any, known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("stream.snapshots.start", refuse)
    async with serve() as server:
        answer = await server.http.post("/locks", params={"editor": "e4e", "session": "me"}, content=JPEG)
        assert answer.status_code == status


async def test_a_lock_needs_a_session_of_its_own(serve: Any, known: None) -> None:
    async with serve() as server:
        post = server.http.post
        assert (await post("/locks", params={"editor": "e4e", "session": "other"}, content=JPEG)).status_code == 404
        assert (await post("/locks", params={"editor": "../x", "session": "me"}, content=JPEG)).status_code == 422
        assert (await server.http.get("/locks/abc")).status_code == 422
        assert (await server.http.get(f"/locks/{'0' * 32}")).status_code == 404


async def test_a_lock_is_its_sessions_own(serve: Any, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[one]\ntoken = "a token for one"\n[two]\ntoken = "a token for two"\n')
    one, two = ({"authorization": f"Bearer a token for {name}"} for name in ("one", "two"))
    async with serve(tokens=tokens) as server:
        peer = server.peer()
        await peer.call(one)
        lock = start(server.runtime, peer.location.rpartition("/")[2], "e4e", None)
        http = server.http
        assert (await http.get(f"/locks/{lock.id}", headers=two)).status_code == 404
        assert (await http.delete(f"/locks/{lock.id}", headers=two)).status_code == 404
        assert (await http.get(f"/locks/{lock.id}", headers=one)).json()["id"] == lock.id
        assert (await http.delete(f"/locks/{lock.id}", headers=one)).status_code == 204
        assert server.runtime.locks.get(lock.id) is None


async def test_settings_are_checked_for_the_session_that_asks(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    look = FakeRuntime.look

    def noted(self: FakeRuntime, settings: Settings, patch: dict[str, Any], session: str = "") -> Any:
        asked.append(session)
        return look(self, settings, patch, session)

    monkeypatch.setattr(FakeRuntime, "look", noted)
    async with serve() as server:
        peer = server.peer()
        await peer.call()
        await peer.message("hello")
        peer.send(type="settings", id=1, settings={"smoothing": 0.3})
        await peer.message("settings", id=1)
        assert asked == [peer.location.rpartition("/")[2]] * 2


async def test_snapshots_have_the_limits_of_photos(serve: Any, known: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.photos.UPLOADS", 0)
    monkeypatch.setattr("signaling.photos.WAIT_S", 0.01)
    async with serve() as server:
        answer = await server.http.post("/locks", params={"editor": "e4e", "session": "me"}, content=JPEG)
        assert answer.status_code == 503
        assert "busy" in answer.json()["detail"]
        for _ in range(4):
            answer = await server.http.post("/locks", params={"editor": "e4e", "session": "me"}, content=JPEG)
        assert answer.status_code == 429
