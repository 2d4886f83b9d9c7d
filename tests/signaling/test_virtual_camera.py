"""A virtual camera that shows a running session, against a stand-in for the device."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import httpx
import numpy as np
import pytest
from aiortc import RTCPeerConnection

from models.arrays import Image
from signaling import screen as screens
from signaling import virtual_camera
from signaling.screen import Screen
from signaling.virtual_camera import follow
from signaling.watch import AddressError, Refused, SessionAddress
from stream import camera
from stream.camera import CameraError

SIZE = 320, 180
NAME = "0f6e-studio_1"


class Sink:
    """Keeps what it is sent."""

    device = "a stand-in"

    def __init__(self) -> None:
        self.frames: list[Image] = []
        self.sent = threading.Event()

    def send(self, frame: Image) -> None:
        self.frames.append(frame)
        self.sent.set()

    def shows(self, brightness: float) -> bool:
        """Whether the middle of the newest frame is as bright as this: 0..255."""
        return bool(self.frames) and abs(float(self.frames[-1][80:100, 150:170].mean()) - brightness) < 8


@pytest.mark.parametrize(
    ("text", "endpoint", "token"),
    [
        (f"http://127.0.0.1:8080/?view=output&stream={NAME}", f"http://127.0.0.1:8080/whep?stream={NAME}", ""),
        (f"https://me@box:1/a/?stream={NAME}#token=one%20two", f"https://box:1/a/whep?stream={NAME}", "one two"),
        (f"http://[::1]:8080/whep?stream={NAME}", f"http://[::1]:8080/whep?stream={NAME}", ""),
    ],
)
def test_addresses_of_a_session(text: str, endpoint: str, token: str) -> None:
    assert SessionAddress.read(text) == SessionAddress(endpoint, token)
    assert "one" not in repr(SessionAddress.read(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Use in a call"),
        ("studio", "Use in a call"),
        ("file:///?stream=a", "Use in a call"),
        ("http://[::1", "Use in a call"),
        ("http://127.0.0.1:8080/", "names no stream"),
        ("http://127.0.0.1:8080/?stream=../a", "names no stream"),
    ],
)
def test_what_is_no_address_is_refused_in_words(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AddressError, match=said):
        SessionAddress.read(text)
    assert virtual_camera.main(["--from-session", text]) == 1
    assert said in capsys.readouterr().err


def test_the_command_of_the_camera_goes_on_with_a_session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["camera"])
    monkeypatch.delitem(sys.modules, camera.SESSION_COMMAND)
    with pytest.raises(SystemExit) as ended:
        camera.main(["--from-session", "http://127.0.0.1:1/"])
    assert ended.value.code == 1
    assert "names no stream" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--width", "0"], ["--height", "-1"], ["--fps", "nan"], ["--fps", "inf"]])
def test_sizes_that_are_none_are_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        camera.main(["--from-session", "http://127.0.0.1:1/?stream=a", *given])
    assert "number above 0" in capsys.readouterr().err


def test_the_screen_is_black_until_there_is_a_picture() -> None:
    sink = Sink()
    screen = Screen(sink, SIZE)
    assert sink.sent.wait(10)
    screen.close()
    assert sink.frames[0].shape == (SIZE[1], SIZE[0], 3)
    assert not np.any(sink.frames[0])


class Unplugged(Sink):
    """Takes a few pictures, then no more."""

    def send(self, frame: Image) -> None:
        super().send(frame)
        if len(self.frames) > 2:
            raise RuntimeError("Error: no such device")


@pytest.mark.anyio
async def test_a_virtual_camera_that_is_removed_ends_it_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "REPEAT_S", 0.02)
    screen = Screen(Unplugged(), SIZE)
    address = SessionAddress.read(f"http://127.0.0.1:1/?stream={NAME}")
    with pytest.raises(CameraError, match="takes no more pictures: Error: no such device"):
        await asyncio.wait_for(virtual_camera.show_session(address, screen), 60)
    screen.close()


@pytest.mark.anyio
async def test_the_virtual_camera_shows_what_the_page_shows(
    serve: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_camera, "RETRY_S", 0.05)
    sink, said = Sink(), list[str]()
    screen = Screen(sink, SIZE)
    address = SessionAddress.read(f"http://127.0.0.1:8080/?view=output&stream={NAME}")
    async with serve() as server:
        following = asyncio.create_task(follow(server.http, address, screen.show, said.append))
        try:
            await until(lambda: said)
            assert said[0].startswith("nobody sends this stream")
            sender = server.peer()
            assert (await sender.call(stream=NAME)).status_code == 201
            await sender.message("hello")
            sender.send(type="settings", id=1, settings={"controls": {"brightness": 180}})
            await until(lambda: sink.shows(180))
            assert not np.any(sink.frames[-1][:, :20]), "a picture of another shape is shown whole"
            assert said[-1] == "live, 320x240"
            await server.http.delete(sender.location)
            await until(lambda: sink.shows(0) and server.viewers == 0)
            await until(lambda: len(said) > 2)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            screen.close()


@pytest.mark.anyio
async def test_who_is_cancelled_while_closing_leaves_no_socket(
    serve: Any, opened: list[asyncio.BaseTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = asyncio.Event()
    close = RTCPeerConnection.close

    async def say_and_close(self: RTCPeerConnection) -> None:
        closing.set()
        await asyncio.sleep(0)
        await close(self)

    monkeypatch.setattr(RTCPeerConnection, "close", say_and_close)
    async with serve() as server:
        address = SessionAddress.read(f"http://127.0.0.1:8080/?stream={NAME}")
        following = asyncio.create_task(follow(server.http, address, lambda frame: None, lambda line: None))
        await closing.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert following.cancelled()
    assert opened
    assert all(transport.is_closing() for transport in opened)


@pytest.mark.anyio
async def test_a_token_that_is_missing_ends_it(serve: Any) -> None:
    async with serve(token="a long enough token") as server:
        address = SessionAddress.read(f"http://127.0.0.1:8080/?stream={NAME}")
        with pytest.raises(Refused, match="#token="):
            await follow(server.http, address, lambda frame: None, lambda line: None)


@pytest.mark.anyio
async def test_a_server_that_is_away_is_waited_for(until: Any) -> None:
    said = list[str]()

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(away)) as http:
        address = SessionAddress.read(f"http://127.0.0.1:8080/?stream={NAME}")
        following = asyncio.create_task(follow(http, address, lambda frame: None, said.append))
        await until(lambda: said)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert said == ["the server does not answer (refused); waiting"]
