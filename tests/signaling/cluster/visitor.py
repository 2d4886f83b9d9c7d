"""What a page does in a cluster: it comes, moves when it is told to, and comes again when it hears nothing."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import av
import httpx

from tests.signaling.conftest import Camera, Peer

ASK_S = 1.5
"""As `ASK_MS` of web/session.js."""
CHECK_S = 0.05
RETRY_S = 0.5


class Visitor:
    """One person before a camera.

    Args:
        http: of the cluster's address.
        settings: of the stream, from its first frame on.
        stream: name for viewers.

    Attributes:
        replica: where the session is.
        gaps: seconds without a picture before each time it came back.
        moves: how often it was told to move.
        came_in: seconds that the first connection took.
        asking, offering, connecting: seconds that these took; connecting includes offering.
        refusals: status codes of offers that led to nothing.
    """

    def __init__(self, http: httpx.AsyncClient, settings: dict[str, Any] | None = None, stream: str = "") -> None:
        self.http = http
        self.settings = settings or {}
        self.stream = stream
        self.gaps: list[float] = []
        self.moves = 0
        self.came_in = 0.0
        self.refusals: list[int] = []
        self.asking: list[float] = []
        self.offering: list[float] = []
        self.connecting: list[float] = []
        self.peer: Peer | None = None
        self.seen_at = 0.0
        self._asked_at = 0.0
        self._left = False
        self._task: asyncio.Task[None] | None = None

    @property
    def replica(self) -> str:
        assert self.peer is not None
        return self.peer.location.rpartition("/")[2].partition("-")[0]

    @property
    def picture(self) -> av.VideoFrame:
        assert self.peer is not None
        return self.peer.frames[-1]

    @property
    def brightness(self) -> float:
        """Of the newest frame, 0..255."""
        return float(self.picture.to_ndarray(format="bgr24").mean())

    def told(self) -> str:
        """What it has gone through, for messages."""
        spent = f"asking {self.asking}, offering {self.offering}, connecting {self.connecting}, refused {self.refusals}"
        return f"came in {self.came_in:.1f}, gaps {self.gaps}, moves {self.moves}, {spent}"

    async def come(self) -> None:
        """Open a session, and see to it from then on."""
        began = time.monotonic()
        self.peer = await self._connect()
        self.seen_at = time.monotonic()
        self.came_in = self.seen_at - began
        self._task = asyncio.create_task(self._stay())

    async def leave(self) -> None:
        self._left = True
        if self._task is not None:
            self._task.cancel()
        if self.peer is not None:
            await self.http.delete(self.peer.location)
            await self.peer.close()

    async def _connect(self) -> Peer:
        while True:
            peer = Peer(self.http, Camera((160, 120), fps=8))
            query = {"settings": json.dumps(self.settings)} if self.settings else {}
            try:
                began = time.monotonic()
                response = await peer.call(stream=self.stream, query=query)
                if response.status_code == 201:
                    self.offering.append(time.monotonic() - began)
                    await peer.until(lambda p=peer: p.frames)  # type: ignore[misc]
                    return peer
                self.refusals.append(response.status_code)
            except httpx.TransportError:
                self.refusals.append(0)
            await peer.close()
            await asyncio.sleep(RETRY_S)

    async def _stay(self) -> None:
        while not self._left:
            peer = self.peer
            assert peer is not None
            count = len(peer.frames)
            await asyncio.sleep(CHECK_S)
            if len(peer.frames) > count:
                self.seen_at = time.monotonic()
                del peer.frames[:-2]
            if any(message["type"] == "bye" and message["reason"] == "moving" for message in peer.messages):
                self.moves += 1
                await self._change(peer)
            elif time.monotonic() - max(self.seen_at, self._asked_at) > ASK_S and await self._forgotten(peer):
                await self._change(peer)

    async def _forgotten(self, peer: Peer) -> bool:
        self._asked_at = time.monotonic()
        try:
            response = await self.http.options(peer.location, timeout=2)
        except httpx.TransportError:
            return False
        finally:
            self.asking.append(time.monotonic() - self._asked_at)
        return response.status_code in (404, 503)

    async def _change(self, old: Peer) -> None:
        """Set up a new session; the old one is watched meanwhile."""
        began = time.monotonic()
        connecting = asyncio.create_task(self._connect())
        count = len(old.frames)
        while not connecting.done():
            if len(old.frames) > count:
                count, self.seen_at = len(old.frames), time.monotonic()
            await asyncio.sleep(0.01)
        self.peer = connecting.result()
        now = time.monotonic()
        self.connecting.append(now - began)
        self.gaps.append(now - self.seen_at)
        self.seen_at = now
        await old.close()
