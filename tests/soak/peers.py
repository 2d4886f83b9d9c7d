"""Clients of a server under load: faces in front of cameras, in this process, or in processes that are killed."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
from fractions import Fraction
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

import av
import httpx
import numpy as np
from aiortc import RTCSessionDescription
from numpy.typing import NDArray

from tests.e2e import fake_camera
from tests.signaling.conftest import Camera, Peer

LOOP = 30
"""Pictures of a face before it repeats."""
SIZES = ((320, 240), (640, 480), (480, 640))


@cache
def faces(width: int, height: int) -> tuple[NDArray[np.uint8], ...]:
    """A moving face, each (height, width, 3) uint8 BGR."""
    scene = fake_camera.astronaut()
    return tuple(fake_camera.frame(width, height, scene, index, LOOP) for index in range(LOOP))


class FaceCamera(Camera):
    """A face at the camera's size."""

    async def recv(self) -> av.VideoFrame:
        blank = await super().recv()
        pictures = faces(blank.width, blank.height)
        frame = av.VideoFrame.from_ndarray(pictures[len(self.sent) % LOOP], format="bgr24")
        frame.pts, frame.time_base = blank.pts, Fraction(1, 90_000)
        return frame


class Watcher(Peer):
    """A peer that can watch somebody else's stream."""

    async def watch(self, stream: str) -> httpx.Response:
        """Ask for a stream (WHEP)."""
        for transceiver in self.connection.getTransceivers():
            transceiver.direction = "recvonly"
        response = await self.http.post(
            "/whep", params={"stream": stream}, content=await self.offer(), headers={"content-type": "application/sdp"}
        )
        if response.status_code == 201:
            self.location = response.headers["location"]
            await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        return response


def vanish(peer: Peer) -> None:
    """Send nothing any more, as a peer whose machine lost its power."""

    async def nowhere(data: bytes) -> None:
        pass

    for transceiver in peer.connection.getTransceivers():
        transceiver.receiver.transport.transport._send = nowhere


def client_in_a_process(url: str, ready: Connection, frames: int, watch: str) -> None:
    """Connect, say so once frames come back, and go on until somebody kills the process.

    Args:
        url: of the server.
        ready: gets "", or why there is no connection.
        frames: that have to come before.
        watch: a stream that is watched; "" begins a session.
    """

    async def run() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            peer = Watcher(http)
            headers = {"x-forwarded-for": f"10.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.1"}
            response = await peer.watch(watch) if watch else await peer.call(headers)
            if response.status_code != 201:
                ready.send(f"status {response.status_code}: {response.text[:200]}")
                return
            while len(peer.frames) < frames:
                await asyncio.sleep(0.02)
            ready.send("")
            await asyncio.sleep(math.inf)

    asyncio.run(run())


class Clients:
    """Makes clients in processes that begin with everything imported."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.soak.peers"])

    def start(self, url: str, frames: int = 1, seconds: float = 120.0, watch: str = "") -> Any:
        """A client that is connected; it watches a stream, if it is given one.

        Raises:
            RuntimeError: it was refused, or did not connect in time.
        """
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(target=client_in_a_process, args=(url, there, frames, watch), daemon=True)
        process.start()
        there.close()
        try:
            said = here.recv() if here.poll(seconds) else "it did not connect in time"
        except EOFError:
            said = "it ended"
        if said:
            process.kill()
            process.join()
            raise RuntimeError(f"a client failed: {said}")
        return process
