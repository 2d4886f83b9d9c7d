"""Photos over HTTP: limits and refusals; what is made of a photo is tested in tests/stream/test_photos.py."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import Any

import cv2
import httpx
import numpy as np
import PIL.Image
import pytest

from signaling import photos
from signaling.tokens import Grant
from signaling.whip import require_token
from stream.photos import PhotoError
from stream.thumbnails import Thumbnail

pytestmark = pytest.mark.anyio

JPEG = cv2.imencode(".jpg", np.zeros((80, 80, 3), np.uint8))[1].tobytes()


async def test_controls_of_a_photo(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.photos.controls_of_photo", lambda runtime, editor, photo: {"side": photo.shape[0]})
    async with serve() as server:
        answer = await server.http.post("/photos", params={"editor": "hair"}, content=JPEG)
        assert answer.json() == {"controls": {"side": 80}}


async def test_a_strip_is_a_jpeg_that_nobody_keeps(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def lifespan(runtime: Any, photo: Any, patch: Any, control: str) -> Any:
        asked.append((patch, control))
        return photo

    monkeypatch.setattr("stream.strip.lifespan", lifespan)
    async with serve() as server:
        answer = await server.http.post("/strip", params={"settings": '{"editor": "lats"}'}, content=JPEG)
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content[:2] == b"\xff\xd8"
    assert asked == [({"editor": "lats"}, "")]


async def test_looks_are_those_of_the_editors_that_a_token_may_use(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def draw(runtime: Any, photo: Any, editors: Any) -> Any:
        asked.append(editors)
        return [Thumbnail("", "Original", {}), Thumbnail("hair", "Red", {})], photo

    monkeypatch.setattr("stream.thumbnails.draw_thumbnails", draw)
    granted = Grant(name="eve", editors=frozenset({"hair"}))
    async with serve() as server:
        assert len((await server.http.post("/looks", content=JPEG)).json()["looks"]) == 2
        server.app.dependency_overrides[require_token] = lambda: granted
        assert len((await server.http.post("/looks", content=JPEG)).json()["looks"]) == 2
    assert asked == [None, granted.editors]


async def test_what_is_refused(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_face(*_: object) -> None:
        raise PhotoError("no face in this photo")

    monkeypatch.setattr("stream.strip.lifespan", no_face)
    async with serve() as server:
        post = server.http.post
        assert (await post("/strip", content=b"<svg/>")).json()["detail"] == "this is no JPEG, PNG or WebP picture"
        assert (await post("/strip", content=JPEG)).status_code == 422
        assert (await post("/strip", content=b"x" * (photos.MAX_BYTES + 1))).status_code == 413
        assert (await post("/strip", params={"settings": "[]"}, content=JPEG)).status_code == 400
        assert (await post("/photos", params={"editor": "../x"}, content=JPEG)).status_code == 422
        foreign = await post("/strip", content=JPEG, headers={"origin": "https://evil.test"})
        assert foreign.status_code == 403
    async with serve(token="a secret token") as server:
        assert (await server.http.post("/strip", content=JPEG)).status_code == 401
        assert (await server.http.post("/photos", params={"editor": "hair"}, content=JPEG)).status_code == 401


async def test_one_client_does_not_take_all_the_time(serve: Any) -> None:
    async with serve() as server:
        codes = [
            (await server.http.post("/strip", content=b"")).status_code for _ in range(int(photos.PHOTO_BURST) + 1)
        ]
    assert codes[-1] == 429
    assert set(codes[:-1]) == {422}


async def test_one_slow_photo_does_not_block_those_of_others(
    serve: Any, monkeypatch: pytest.MonkeyPatch, longest_pause: Any
) -> None:
    """One person's photo takes its decoder for as long as it may; the others have theirs."""
    held, release = threading.Event(), threading.Event()

    def decode(data: bytes) -> Any:
        if data == b"slow":
            held.set()
            assert release.wait(30)
        return np.zeros((80, 80, 3), np.uint8)

    monkeypatch.setattr("stream.photos.decode", decode)
    monkeypatch.setattr("stream.photos.controls_of_photo", lambda runtime, editor, photo: {"side": photo.shape[0]})
    async with serve() as server:
        other = httpx.ASGITransport(server.app, client=("10.0.0.9", 1))
        slow = httpx.AsyncClient(transport=other, base_url="http://127.0.0.1")
        async with slow, longest_pause() as pauses:
            posts = [asyncio.create_task(slow.post("/photos?editor=hair", content=b"slow")) for _ in range(5)]
            try:
                await asyncio.get_running_loop().run_in_executor(None, held.wait)
                for _ in range(3):
                    answer = await server.http.post("/photos?editor=hair", content=JPEG)
                    assert answer.json() == {"controls": {"side": 80}}
            finally:
                release.set()
            assert {post.status_code for post in await asyncio.gather(*posts)} == {200}
    assert pauses.longest < pauses.most


async def test_a_photo_that_takes_too_long_is_refused_and_the_loop_goes_on(serve: Any, longest_pause: Any) -> None:
    file = io.BytesIO()
    PIL.Image.new("RGB", (1200, 1000)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    scan = data[data.rindex(b"\xff\xda") : data.rindex(b"\xff\xd9")]
    async with serve() as server:
        async with longest_pause() as pauses:
            answer = await server.http.post("/strip", content=data[:-2] + scan * 1000 + b"\xff\xd9")
        assert answer.status_code == 422
        assert "too long" in answer.json()["detail"]
        assert (await server.http.post("/strip", content=b"<svg/>")).status_code == 422
    assert pauses.longest < pauses.most
