"""This machine's own camera, edited into a virtual camera and steered by pages without a camera of theirs."""

from __future__ import annotations

import argparse
import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import httpx
import numpy as np
import pytest
from aiortc import RTCSessionDescription

from models.arrays import Image
from signaling import camera_page, local_camera, virtual_camera
from signaling.app import create_app
from signaling.local_camera import CameraTrack, LocalCamera
from signaling.screen import Screen
from signaling.serving import Server, config_of
from signaling.settings import ServerSettings
from signaling.video import VideoFilter
from stream import camera
from stream.camera import CameraError
from stream.command_line import CommandError
from stream.look import Look
from stream.settings import Settings
from tests.signaling.conftest import SDP, FakeRuntime, Peer, until
from tests.signaling.test_virtual_camera import Sink

SIZE = 320, 180


class Lens:
    """A camera of grey frames, until it is told to end or to hang."""

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        self.picture = np.full((size[1], size[0], 3), 60, np.uint8)
        self.ended = threading.Event()
        self.hangs = threading.Event()

    def read(self) -> tuple[bool, Image | None]:
        while self.hangs.is_set() and not self.ended.is_set():
            time.sleep(0.01)
        time.sleep(0.02)
        return (False, None) if self.ended.is_set() else (True, self.picture)


class Page(Peer):
    """A page that steers: it receives, and has no camera."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http)
        [transceiver] = self.connection.getTransceivers()
        transceiver.direction = "recvonly"
        transceiver.sender.replaceTrack(None)

    async def steer(self, **headers: str) -> httpx.Response:
        response = await self.http.post("/steer", content=await self.offer(), headers={**SDP, **headers})
        if response.status_code == 201:
            self.location = response.headers["location"]
            await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        return response


class Steered:
    """A camera with its virtual camera and its page, running."""

    def __init__(self, lens: Lens, sink: Sink, http: httpx.AsyncClient, task: asyncio.Task[None]) -> None:
        self.lens, self.sink, self.http, self.task = lens, sink, http, task
        self.pages: list[Page] = []

    def page(self) -> Page:
        self.pages.append(Page(self.http))
        return self.pages[-1]


@asynccontextmanager
async def steered(**settings: Any) -> AsyncIterator[Steered]:
    runtime, lens, sink = FakeRuntime(), Lens(), Sink()
    video = VideoFilter(runtime.video_pipeline(), Look(Settings(), ()), 1920 * 1088)  # type: ignore[arg-type]
    chosen = ServerSettings(port=0, **settings)
    app = create_app(chosen, runtime, camera=LocalCamera(video, "camera 0, shown by a stand-in"))  # type: ignore[arg-type]
    said: list[str] = []
    server = Server(config_of(chosen, app), say=said.append)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    screen = Screen(sink, SIZE)
    task = asyncio.create_task(camera_page.run(lens, video, screen, server))
    await until(lambda: said or task.done())
    async with httpx.AsyncClient(base_url=said[0]) as http:
        running = Steered(lens, sink, http, task)
        try:
            yield running
        finally:
            for page in running.pages:
                await page.close()
            lens.ended.set()
            await asyncio.wait([task])
            screen.close()


@pytest.mark.anyio
async def test_a_page_without_a_camera_steers_the_camera_and_sees_it() -> None:
    async with steered() as running:
        await until(lambda: running.sink.shows(60))
        capabilities = (await running.http.get("/capabilities")).json()
        assert capabilities["steers"] == "camera 0, shown by a stand-in"
        page, other = running.page(), running.page()
        assert (await page.steer()).status_code == 201
        assert (await other.steer()).status_code == 201
        assert (await page.message("hello"))["settings"]["editor"] == "embedded"
        await other.message("hello")
        await until(lambda: page.frames)
        page.send(type="settings", id=7, settings={"controls": {"brightness": 180}})
        await page.message("settings", id=7)
        await until(lambda: running.sink.shows(180))
        told = await other.message("settings")
        assert told["settings"]["controls"] == {"brightness": 180}, "other pages are told"
        page.send(type="stats", every=0.2)
        stats = await page.message("stats")
        assert stats["size"] == list(SIZE)
        await until(lambda: any(each["type"] == "stats" and each["fps_out"] > 0 for each in page.messages))
        assert (await running.http.delete(page.location)).status_code == 200
        running.lens.picture = np.full_like(running.lens.picture, 90)
        before = len(running.sink.frames)
        await until(lambda: len(running.sink.frames) > before + 3)
        assert running.sink.shows(180), "the camera goes on without its page"
        running.lens.ended.set()
        await running.task


@pytest.mark.anyio
async def test_a_steered_camera_takes_no_other_video() -> None:
    async with steered() as running:
        page = running.page()
        assert (await running.http.post("/whip", content=await page.offer(), headers=SDP)).status_code in (404, 405)


@pytest.mark.anyio
async def test_a_server_without_a_camera_is_not_steered(serve: Any) -> None:
    async with serve() as server:
        page = Page(server.http)
        assert (await page.steer()).status_code in (404, 405)
        assert (await server.http.get("/capabilities")).json()["steers"] == ""
        await page.close()


@pytest.mark.anyio
async def test_a_token_is_asked_for() -> None:
    async with steered(token="a long enough token") as running:
        page = running.page()
        assert (await page.steer()).status_code == 401
        assert (await page.steer(authorization="Bearer a long enough token")).status_code == 201


@pytest.mark.anyio
async def test_a_camera_that_falls_silent_ends_it_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async with steered() as running:
        await until(lambda: running.sink.shows(60))
        monkeypatch.setattr(local_camera, "CAMERA_SILENT_S", 0.1)
        running.lens.hangs.set()
        await asyncio.wait([running.task], timeout=10)
        running.lens.ended.set()
        with pytest.raises(CameraError, match="no picture for"):
            await running.task


@pytest.mark.anyio
async def test_a_virtual_camera_that_is_removed_ends_it_in_words() -> None:
    async with steered() as running:
        await until(lambda: running.sink.shows(60))

        def send(frame: Image) -> None:
            raise RuntimeError("Error: no such device")

        running.sink.send = send  # type: ignore[method-assign]
        await asyncio.wait([running.task], timeout=10)
        assert running.task.done()
        with pytest.raises(CameraError, match="takes no more pictures"):
            await running.task


def arguments(*words: str) -> argparse.Namespace:
    return camera._parser().parse_args(list(words))


def test_a_port_that_nobody_chose_gives_way() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(camera, "PAGE_PORT", port)
            assert camera_page.page_settings(arguments()).port == 0
        with pytest.raises(CommandError, match="is in use"):
            camera_page.page_settings(arguments("--port", str(port)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "needs a token and TLS"),
        (["--token", "short"], "token"),
        (["--port", "70000"], "port"),
        (["--tls-cert", "gone.pem"], "there is no such file"),
    ],
)
def test_what_cannot_be_served_is_said_before_the_camera_is_opened(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(arguments: Any) -> Any:
        raise AssertionError("the camera was opened")

    monkeypatch.setattr(camera, "open_devices", never)
    assert virtual_camera.main(words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_the_token_is_in_the_address_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    camera_page.say("http://127.0.0.1:1", ServerSettings(token="a long enough token"))
    assert capsys.readouterr().out == "steer it at http://127.0.0.1:1/#token=a%20long%20enough%20token\n"


@pytest.mark.anyio
async def test_frames_come_as_the_camera_gave_them() -> None:
    lens = Lens()
    track = CameraTrack(lens)
    frame = await track.recv()
    assert isinstance(frame, av.VideoFrame)
    assert (frame.format.name, frame.width, frame.height) == ("bgr24", *SIZE)
    np.testing.assert_array_equal(frame.to_ndarray(), lens.picture)
    later = await track.recv()
    assert later.time > frame.time
    lens.ended.set()
    track.stop()
    track.join()
