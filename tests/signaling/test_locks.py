"""Locks over HTTP: who may ask, what is refused, and that they end with their session."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from stream.locks import Lock, Locks, LocksBusy
from stream.photos import PhotoError
from stream.settings import SettingsError

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
