"""Files whose marks a client asks for: what is answered, what is refused, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from signaling import marks, photos

pytestmark = pytest.mark.anyio

GREY = cv2.imencode(".png", np.full((80, 120, 3), 127, np.uint8))[1].tobytes()


async def test_a_file_is_examined_and_not_kept(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with serve() as server:
        answer = (await server.http.post("/marks", content=GREY, timeout=120)).json()
        assert (answer["kind"], answer["found"], answer["frames"]) == ("picture", False, 1)
        assert answer["words"][0].startswith("No face was found")
        assert answer["source"] == ""
        refused = await server.http.post("/marks", content=b"hello " * 50, timeout=120)
        assert refused.status_code == 422
        assert "this file is neither a picture nor a video" in refused.json()["detail"]
        assert str(tmp_path) not in refused.text
    assert not list(tmp_path.iterdir())


async def test_what_a_stranger_may_send_is_bounded(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MAX_BYTES", 1000)
    async with serve(token="a token of some length") as server:
        assert (await server.http.post("/marks", content=GREY)).status_code == 401
        own = {"authorization": "Bearer a token of some length"}
        codes = [(await server.http.post("/marks", content=bytes(1001), headers=own)).status_code for _ in range(6)]
        assert codes[:4] == [413] * 4
        assert codes[-1] == 429


async def test_a_file_that_takes_too_long_is_given_up(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "WALL_S", 0.01)
    async with serve() as server:
        answer = await server.http.post("/marks", content=GREY)
        assert (answer.status_code, "too long" in answer.text) == (503, True)


async def test_a_file_that_comes_slowly_keeps_nobody_else_waiting(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "WAIT_S", 0.3)
    async with serve() as server:
        far = httpx.ASGITransport(server.app, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=far, base_url="http://127.0.0.1:8080") as slow:
            held = asyncio.create_task(slow.post("/marks", content=trickle()))
            await asyncio.sleep(0.1)
            assert (await slow.post("/marks", content=GREY)).status_code == 503, "one of an address at a time"
            assert (await server.http.post("/marks", content=GREY, timeout=120)).status_code == 200
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)


async def trickle() -> AsyncIterator[bytes]:
    """A body that never ends."""
    yield b"x"
    await asyncio.Event().wait()
