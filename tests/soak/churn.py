"""The long load: sessions come and go, settings change, cameras switch, some peers are killed."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.signaling.conftest import Peer
from tests.soak.peers import SIZES, FaceCamera, vanish
from tests.soak.results import Result
from tests.soak.servers import Server, Watch, wait_until_empty

EVERY_S = 5.0
"""Between two new sessions."""
STAYS_S = (4.0, 25.0)
KILLED = 0.02
TOGETHER = 4
CHANGE_S = 1.0
SILENCE_S = 5.0
FIRST_FRAME_S = 30.0
"""Only tells a session that gets nothing from a busy machine."""
MOST_CUT = 0.02
"""Share of the sessions that may be cut short."""
GROWTH = 1.05
WARM = 1 / 12
"""Part of the time after which memory is compared: minute 5 of 60."""
CONTROLS: tuple[dict[str, object], ...] = (
    {"controls": {}},
    {"controls": {"age": 75}},
    {"controls": {"age": 20, "bald": 0.5}},
    {"controls": {"bald": 1.0}, "lost": "blur"},
    {"bypass": True},
    {"bypass": False, "faces": "largest", "quality": "full"},
)
STAND_IN_CONTROLS: tuple[dict[str, object], ...] = (
    {"controls": {}},
    {"controls": {"brightness": 40}},
    {"bypass": True},
    {"bypass": False},
)


@dataclass(slots=True)
class Counts:
    """What was done.

    Attributes:
        opened: sessions.
        refused: offers without a place.
        killed: peers that sent nothing more from one moment on.
        changes: of settings.
        switches: of a camera's resolution.
        mute: sessions that never got a frame.
        cut: sessions that the server ended before the peer did: on a starved machine a peer may be silent for too long.
    """

    opened: int = 0
    refused: int = 0
    killed: int = 0
    changes: int = 0
    switches: int = 0
    mute: int = 0
    cut: int = 0


async def churn(log: Path, minutes: float, seed: int, *, real: bool) -> Result:
    """Run for some minutes.

    Args:
        log: the server's.
        minutes: wall time.
        seed: number of the random sequence.
        real: with networks.
    """
    result = Result("sessions that come and go")
    rng = random.Random(seed)
    counts = Counts()
    flags = ("--silence-timeout", f"{SILENCE_S:g}", "--max-sessions", str(TOGETHER))
    with Server(*flags, log=log, real=real) as server, Watch(server) as watch:
        # a server closes idle connections after 5 s, which is when httpx would still use one
        limits = httpx.Limits(keepalive_expiry=2)
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
            visits: set[asyncio.Task[None]] = set()
            began, warm = time.monotonic(), 0.0
            while time.monotonic() < began + 60 * minutes:
                if len(visits) < TOGETHER:
                    visit = asyncio.create_task(_visit(http, rng, counts, real))
                    visits.add(visit)
                    visit.add_done_callback(visits.discard)
                await asyncio.sleep(min(EVERY_S, 60 * minutes / 8))
                if not warm and time.monotonic() - began > WARM * 60 * minutes:
                    warm = server.memory()
            last = server.memory()
            warm = warm or last  # a run of seconds may end before it is warm
            await asyncio.gather(*visits)
        wait_until_empty(server, SILENCE_S + 60)
        result.figures |= {
            "minutes": round(minutes, 2),
            "sessions": counts.opened,
            "killed": counts.killed,
            "changes": counts.changes,
            "switches": counts.switches,
            "without a place": counts.refused,
            "cut short": counts.cut,
            "memory early, MB": round(warm, 1),
            "memory late, MB": round(last, 1),
            "ratio": round(last / warm, 3),
            "slowest answer, s": round(watch.longest, 2),
            "frames": int(server.figures()["latentcam_frames_total", "received"]),
        }
        result.require(not watch.failures, f"the server did not answer: {watch.failures[:1]}")
        result.require(not counts.mute, f"{counts.mute} sessions never got a frame")
        result.require(counts.cut <= MOST_CUT * counts.opened, f"{counts.cut} sessions were cut short")
        result.require(not server.children(), "processes are left")
        result.require(counts.opened > 0, "no session was opened")
        if minutes >= 10:
            result.require(last / warm <= GROWTH, f"memory grew to {last / warm:.3f} of minute {WARM * minutes:g}")
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
    return result


async def _sees(peer: Peer) -> bool:
    """Whether frames come back."""
    ends = time.monotonic() + FIRST_FRAME_S
    while not peer.frames and time.monotonic() < ends:
        await asyncio.sleep(0.02)
    return bool(peer.frames)


async def _visit(http: httpx.AsyncClient, rng: random.Random, counts: Counts, real: bool) -> None:
    """One peer: connects, changes things, and leaves in one of several ways."""
    camera = FaceCamera(rng.choice(SIZES))
    peer = Peer(http, camera)
    try:
        address = {"x-forwarded-for": f"10.0.{counts.opened >> 8 & 255}.{counts.opened & 255}"}
        response = await peer.call(address)
        if response.status_code == 503:
            counts.refused += 1
            return
        assert response.status_code == 201, response.text
        counts.opened += 1
        await peer.message("hello")
        counts.mute += not await _sees(peer)
        ends = time.monotonic() + rng.uniform(*STAYS_S)
        while time.monotonic() < ends:
            await asyncio.sleep(CHANGE_S)
            if peer.channel.readyState != "open":
                counts.cut += 1
                return
            if rng.random() < 0.5:
                peer.send(type="settings", settings=rng.choice(CONTROLS if real else STAND_IN_CONTROLS))
                counts.changes += 1
            if rng.random() < 0.1:
                camera.size = rng.choice(SIZES)
                counts.switches += 1
        if rng.random() < KILLED:
            counts.killed += 1
            vanish(peer)
        elif rng.random() < 0.5:
            await http.delete(peer.location)
    finally:
        await peer.close()
