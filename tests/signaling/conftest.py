"""A stand-in for the stream's runtime, a server in this process, and a WebRTC peer to call it."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any, ClassVar

import av
import httpx
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from pydantic import Field

from engines.batching import Load
from models.editor import AnyEditor, Controls
from models.entry import Entry, LoadEngine
from signaling.app import create_app
from signaling.settings import ServerSettings
from signaling.transport import gatherer
from signaling.transport.handshake import leave_quietly
from stream.frame import Face, Output, Trace
from stream.locks import Locks
from stream.look import Look
from stream.mark.identity import Identity
from stream.networks import EngineInfo
from stream.settings import Settings, SettingsError, checked
from stream.turns import Turns

SDP = {"content-type": "application/sdp"}
TIMEOUT = 60  # only tells a hang from a busy machine


PAUSE_STEP_S = 0.001


class Pauses:
    """What `longest_pause` measures.

    Attributes:
        longest: processor seconds of the longest time between two turns of a task that always wants one.
        most: what tells a fault, which holds the event loop for seconds to minutes, from a slow machine. It is no
            promise of speed.
    """

    most: ClassVar = 0.5

    def __init__(self) -> None:
        self.longest = 0.0


@asynccontextmanager
async def longest_pause() -> AsyncIterator[Pauses]:
    """Measure the event loop's pauses inside of the block, in processor time: other programs do not count.

    Collections of the objects of the whole test run do not count either. `longest` is final after the block.
    """
    pauses = Pauses()
    gc.collect()
    gc.freeze()

    async def watch() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(PAUSE_STEP_S)
            now = time.thread_time()
            pauses.longest = max(pauses.longest, now - before)
            before = now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(2 * PAUSE_STEP_S)
    pauses.longest = 0.0
    try:
        yield pauses
        await asyncio.sleep(2 * PAUSE_STEP_S)
    finally:
        watching.cancel()
        gc.unfreeze()


class FakeControls(Controls):
    brightness: float = Field(0, ge=0, le=200)


def no_editor(load_engine: LoadEngine) -> AnyEditor:
    raise NotImplementedError


class FakePipeline:
    """Adds `brightness` to the frame, after `work_s` seconds. Sees one face, everywhere."""

    def __init__(self, runtime: FakeRuntime) -> None:
        self.runtime = runtime
        self.closed = False
        self.sizes: list[tuple[int, int]] = []
        self.threads: set[int] = set()
        self.load = 0.0

    def process(
        self, frame: av.VideoFrame, look: Look, interval: float = 0.0, waited: float = 0.0
    ) -> tuple[av.VideoFrame, Output]:
        assert not self.closed
        self.threads.add(threading.get_ident())
        if self.runtime.fails is not None:
            raise self.runtime.fails
        time.sleep(self.runtime.work_s)
        self.sizes.append((frame.width, frame.height))
        box = np.array([0, 0, frame.width / 2, frame.height], np.float32)
        face = Face(1, box, np.zeros((5, 2), np.float32), None, 1.0)
        brightness = look.settings.controls.get("brightness", 0)
        image = np.zeros((frame.height, frame.width, 3), np.uint8)
        if not brightness or look.settings.bypass:
            return frame, Output(
                image=image, faces=(face,), edited=frozenset(), regions=(), trace=Trace({"track": 1.5})
            )
        edited = av.VideoFrame.from_ndarray(image + np.uint8(brightness), format="bgr24")
        edited.pts, edited.time_base = frame.pts, frame.time_base
        return edited, Output(
            image=image,
            faces=(face,),
            edited=frozenset({1}),
            regions=(),
            trace=Trace({"track": 1.5, "render": 2.5}),
            kinds=frozenset({"age"}),
        )

    def close(self) -> None:
        self.closed = True


class FakeRuntime:
    """What signaling needs of `stream.runtime.Runtime`."""

    def __init__(self) -> None:
        self.identity: Identity | None = None
        self.locks = Locks()
        self.speeds: dict[str, float] = {}
        self.turns = Turns(64)
        self.work_s = 0.0
        self.fails: Exception | None = None  # what the pipelines raise
        self.pipelines: list[FakePipeline] = []
        row = Entry(
            name="embedded", title="Embedded", description="A test.", controls=lambda: FakeControls, load=no_editor
        )
        self.entries = {"embedded": row}

    def engines(self) -> list[EngineInfo]:
        return []

    def controls_model(self, name: str) -> type[Controls]:
        return self.entries[name].controls()

    def loads(self) -> dict[str, Load]:
        return {"tiny.onnx": Load(queued=1, requests=20, batches=10, dropped=2, busy_s=0.5)}

    def look(self, settings: Settings, patch: Mapping[str, Any], session: str = "") -> Look:
        new = checked(Settings, {**settings.model_dump(), **patch})
        if new.editor not in ("embedded", "broken"):
            raise SettingsError("editor", "there is no such editor", ["embedded", "broken"])
        checked(FakeControls, new.controls, "controls.")
        if new.editor == "broken":
            raise SettingsError("editor", "broken.onnx is cut short; fetch it again")
        return Look(new, ())

    def video_pipeline(self) -> FakePipeline:
        self.pipelines.append(FakePipeline(self))
        return self.pipelines[-1]


class Camera(VideoStreamTrack):  # type: ignore[misc]
    """Grey frames of any size; `size` may change in the middle, `paused` stops it for a while."""

    def __init__(self, size: tuple[int, int] = (320, 240), fps: int = 30) -> None:
        super().__init__()
        self.size = size
        self.paused = False
        self.sent: list[int] = []
        self._fps = fps
        self._started_at = time.monotonic()
        self._next = self._started_at

    async def recv(self) -> av.VideoFrame:
        self._next += 1 / self._fps
        await asyncio.sleep(self._next - time.monotonic())
        while self.paused:
            await asyncio.sleep(0.02)
        if self.readyState != "live":
            raise MediaStreamError
        width, height = self.size
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 60, np.uint8), format="bgr24")
        frame.pts = int((time.monotonic() - self._started_at) * 90_000)
        frame.time_base = Fraction(1, 90_000)
        self.sent.append(frame.pts)
        return frame


class Peer:
    """A WebRTC client of the server's WHIP endpoint."""

    def __init__(self, http: httpx.AsyncClient, track: MediaStreamTrack | None = None, audio: bool = False) -> None:
        self.http = http
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.camera = track or Camera()
        self.messages: list[dict[str, Any]] = []
        self.frames: list[av.VideoFrame] = []
        self.sounds: list[av.AudioFrame] = []
        self.location = ""
        self.answer = ""
        self._tasks: list[asyncio.Task[None]] = []
        self.connection.addTrack(self.camera)
        if audio:
            self.connection.addTrack(AudioStreamTrack())
        self.channel = self.connection.createDataChannel("control")
        self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.connection.on("track", self._watch)

    def _watch(self, track: MediaStreamTrack) -> None:
        kept = self.frames if track.kind == "video" else self.sounds
        self._tasks.append(asyncio.create_task(self._keep(track, kept)))

    async def _keep(self, track: MediaStreamTrack, kept: list[Any]) -> None:
        try:
            while True:
                kept.append(await track.recv())
        except MediaStreamError:
            pass

    async def offer(self) -> str:
        gatherer.offer_addresses(self.connection, ServerSettings())
        leave_quietly(self.connection)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def call(
        self, headers: Mapping[str, str] = {}, stream: str = "", query: Mapping[str, str] = {}
    ) -> httpx.Response:
        query = {**query, **({"stream": stream} if stream else {})}
        response = await self.http.post("/whip", params=query, content=await self.offer(), headers={**SDP, **headers})
        if response.status_code == 201:
            self.location = response.headers["location"]
            self.answer = response.text
            await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        return response

    def send(self, **message: Any) -> None:
        self.channel.send(json.dumps({"v": 1, **message}))

    async def until(self, condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
        return await until(condition, timeout)

    async def message(self, type: str, **fields: Any) -> dict[str, Any]:
        """Wait for a message of this type with these fields."""

        def found() -> dict[str, Any] | None:
            for message in self.messages:
                if message["type"] == type and all(message.get(name) == value for name, value in fields.items()):
                    return message
            return None

        return await until(found)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.connection.close()


async def until(condition: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Wait until the condition holds, and return what it gave."""
    ends_at = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < ends_at, "timed out"
        await asyncio.sleep(0.02)
    return result


class Server:
    """The app, served to an in-process HTTP client, with real media on loopback."""

    def __init__(self, app: Any, runtime: FakeRuntime, http: httpx.AsyncClient) -> None:
        self.app = app
        self.runtime = runtime
        self.http = http
        self.peers: list[Peer] = []

    @property
    def sessions(self) -> int:
        return len(self.app.state.sessions)

    @property
    def viewers(self) -> int:
        return len(self.app.state.sessions._viewers)

    def peer(self, track: MediaStreamTrack | None = None, audio: bool = False) -> Peer:
        self.peers.append(Peer(self.http, track, audio))
        return self.peers[-1]


@asynccontextmanager
async def serve(**settings: Any) -> AsyncIterator[Server]:
    """Run the app with a stand-in runtime."""
    runtime = FakeRuntime()
    app = create_app(ServerSettings(**settings), runtime)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as http,
    ):
        server = Server(app, runtime, http)
        try:
            yield server
        finally:
            for peer in server.peers:
                await peer.close()


@pytest.fixture(name="serve")
def _serve() -> Any:
    return serve


@pytest.fixture(name="until")
def _until() -> Any:
    return until


@pytest.fixture(name="Camera")
def _camera() -> type[Camera]:
    return Camera


@pytest.fixture(name="longest_pause")
def _longest_pause() -> Any:
    return longest_pause


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.BaseTransport]:
    """All datagram sockets that were opened."""
    sockets: list[asyncio.BaseTransport] = []
    loop = asyncio.BaseEventLoop
    create = loop.create_datagram_endpoint

    async def create_and_keep(self: Any, *arguments: Any, **named: Any) -> Any:
        transport, protocol = await create(self, *arguments, **named)
        sockets.append(transport)
        return transport, protocol

    monkeypatch.setattr(loop, "create_datagram_endpoint", create_and_keep)
    return sockets
