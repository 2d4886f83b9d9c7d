"""The load of a bad network: packets are lost, late and out of order for a while (`tests.relay`)."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from tests.e2e import fake_camera
from tests.relay import Relay, Way, relayed
from tests.signaling.conftest import SDP, Peer
from tests.soak.crowd import EDIT
from tests.soak.light import read_counter
from tests.soak.peers import FaceCamera
from tests.soak.results import Result
from tests.soak.servers import Server, wait_until_empty

GOOD = Way("good", delay=0.01)
BAD = Way("5 % lost, 50 ms of jitter", delay=0.06, loss=0.05, jitter=0.05)
SIZE = (320, 240)
NUMBERS = 2**fake_camera.COUNTER_BITS
FREEZE_S = 0.5
SETTLED_S = 3.0
BEFORE_S = 5.0
NORMAL, NORMAL_MS = 1.25, 20.0
"""A delay is back to normal when it is at most so much of what it was before, or so many milliseconds more."""
GLIDE = 10
"""Frames whose median delay counts as the delay of a moment."""


class CountedCamera(FaceCamera):
    """A face with a counter; `handed` has the time of each frame."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.handed: list[float] = []

    async def recv(self) -> av.VideoFrame:
        frame = await super().recv()
        picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
        fake_camera.draw_counter(picture, len(self.handed) % NUMBERS)
        drawn = av.VideoFrame.from_ndarray(picture, format="bgr24")
        drawn.pts, drawn.time_base = frame.pts, frame.time_base
        self.handed.append(time.monotonic())
        return drawn


class FarPeer(Peer):
    """A peer behind a bad network. Notes when each frame is decoded, and how old it is."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.counted = CountedCamera(SIZE)
        super().__init__(http, self.counted)
        self.shown: list[tuple[float, float]] = []  # time, delay in ms or nan
        self.relay: Relay | None = None

    async def join(self) -> None:
        """Connect through the relay: the server is not told where the peer is.

        Raises:
            RuntimeError: the server refuses.
        """
        lines = (await self.offer()).splitlines()
        bare = "\r\n".join(line for line in lines if not line.startswith(("a=candidate", "a=end-of-candidates")))
        response = await self.http.post("/whip", content=bare + "\r\n", headers=SDP)
        if response.status_code != 201:
            raise RuntimeError(f"status {response.status_code}: {response.text[:200]}")
        self.location = response.headers["location"]
        self.relay, answer = relayed(response.text, GOOD)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def _keep(self, track: MediaStreamTrack, kept: list[Any]) -> None:
        try:
            while True:
                frame = await track.recv()
                now = time.monotonic()
                number = read_counter(frame.to_ndarray(format="bgr24"))
                handed = self.counted.handed
                index = -1 if number is None else len(handed) - 1 - (len(handed) - 1 - number) % NUMBERS
                self.shown.append((now, math.nan if index < 0 else 1000 * (now - handed[index])))
        except MediaStreamError:
            pass


async def bad_network(log: Path, seconds: float, *, real: bool) -> Result:
    """A session whose network is bad for a while.

    Args:
        log: the server's.
        seconds: for which it is bad.
        real: with networks.
    """
    result = Result(f"a network with {BAD.name}")
    with Server(log=log, real=real) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            peer = FarPeer(http)
            await peer.join()
            await peer.message("hello")
            peer.send(type="settings", settings=EDIT if real else {})  # the stand-in paints over the counter
            await peer.until(lambda: len(peer.shown) > 30)
            assert peer.relay is not None
            await asyncio.sleep(BEFORE_S)
            bad_at = time.monotonic()
            peer.relay.change(BAD)
            await asyncio.sleep(seconds)
            good_at = time.monotonic()
            peer.relay.change(GOOD)
            await asyncio.sleep(2 * SETTLED_S)
            await http.delete(peer.location)
            await peer.close()
            lost = peer.relay.lost
            peer.relay.stop()
        wait_until_empty(server, 60)
    times = np.array([at for at, _ in peer.shown])
    delays = np.array([delay for _, delay in peer.shown])

    def median(since: float, until: float) -> float:
        chosen = delays[(times >= since) & (times < until)]
        return float(np.nanmedian(chosen)) if np.isfinite(chosen).any() else math.inf

    before = median(bad_at - BEFORE_S, bad_at)
    normal = max(NORMAL * before, before + NORMAL_MS)
    gaps = np.diff(times[times >= bad_at - 1])
    after = [
        at - good_at
        for number, at in enumerate(times)
        if at >= good_at and np.nanmedian(delays[max(0, number - GLIDE + 1) : number + 1]) <= normal
    ]
    result.figures |= {
        "seconds": round(seconds),
        "packets lost": lost,
        "fps meanwhile": round(float(((times >= bad_at) & (times < good_at)).sum()) / seconds, 1),
        "longest freeze, ms": round(1000 * float(gaps.max(initial=0))),
        "freezes over 200 ms": int((gaps > 0.2).sum()),
        "delay p50 before, meanwhile, ms": [round(each, 1) for each in (before, median(bad_at, good_at))],
        "delays that could be read before, meanwhile": [
            int(np.isfinite(delays[(times >= since) & (times < until)]).sum())
            for since, until in ((bad_at - BEFORE_S, bad_at), (bad_at, good_at))
        ],
        "delay normal again after, s": round(min(after, default=math.inf), 1),
    }
    result.require(float(gaps.max(initial=0)) <= FREEZE_S, f"a freeze of {float(gaps.max(initial=0)):.2f} s")
    result.require(min(after, default=math.inf) <= SETTLED_S, "the delay does not return to normal")
    result.require(lost > 0, "no packet was lost")
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
    return result
