"""The load of many: sessions with an edit, all at once, each measured by itself: frame rate, delay, edits."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from tests.soak.light import LightPeer, Seen, clip, resting_decoders
from tests.soak.results import Result
from tests.soak.servers import Server, Watch, wait_until_empty

EDIT = {"controls": {"age": 75, "bald": 1.0}}
STAND_IN_EDIT = {"controls": {"brightness": 80}}
SIZE = (640, 480)
WARM_S = 15.0
WINDOW_S = 10.0
DELAY_MS = 300.0
APART = 1.2
"""Most that the highest edit rate may be of the lowest."""
GROWN = 1.25
GROWN_MS = 20.0
"""The delay of the last quarter may be so much more than that of the first one: a part, or so many milliseconds."""
STARVED = 0.5
"""Part of the goal that every window of every session reaches."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What every session of a crowd has to get.

    Attributes:
        sessions: how many there are.
        fps: frames a second that come back, at least.
    """

    sessions: int
    fps: float


EIGHT, FOUR = Goal(8, 15.0), Goal(4, 24.0)


async def crowd(log: Path, goal: Goal, seconds: float, *, real: bool) -> Result:
    """Run as many sessions as the goal says, with an edit, for some time.

    Args:
        log: the server's.
        goal: of each session.
        seconds: measured ones; the first `WARM_S` come before.
        real: with networks.
    """
    result = Result(f"{goal.sessions} sessions of {SIZE[0]}x{SIZE[1]}")
    frames = clip(*SIZE)
    with (
        resting_decoders(),
        Server("--max-sessions", str(goal.sessions), log=log, real=real) as server,
        Watch(server) as watch,
    ):
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
            peers = [LightPeer(http, frames, phase=number) for number in range(goal.sessions)]
            try:
                await asyncio.gather(*(peer.come(EDIT if real else STAND_IN_EDIT) for peer in peers))
                await asyncio.sleep(min(WARM_S, seconds))
                since, edited, spent = time.monotonic(), [peer.edited for peer in peers], server.processor()
                await asyncio.sleep(seconds)
                until = time.monotonic()
                spent = (server.processor() - spent) / (until - since)
                seen = [peer.seen(since, until) for peer in peers]
                for one, peer, before in zip(seen, peers, edited, strict=True):
                    one.edits = (peer.edited - before) / (until - since)
            finally:
                await asyncio.gather(*(peer.leave() for peer in peers))
        wait_until_empty(server, 60)
        result.figures |= {"seconds": round(until - since), "server, cores": round(spent, 2)}
    judge(result, goal, seen, since, until)
    result.require(not watch.failures, f"the server did not answer: {watch.failures[:1]}")
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
    return result


def judge(result: Result, goal: Goal, seen: Sequence[Seen], since: float, until: float) -> None:
    """Hold what the sessions got against their goal.

    Args:
        result: gets figures and faults.
        goal: of each session.
        seen: by session.
        since, until: of the measured time, in seconds.
    """
    rates = [len(one.times) / (until - since) for one in seen]
    edits = [one.edits for one in seen]
    slowest_window = min(min(_windows(one.times, since, until)) for one in seen)
    p95 = [_percentile(one.delays, 95) for one in seen]
    quarter = (until - since) / 4
    first = _percentile(_between(seen, since, since + quarter), 50)
    last = _percentile(_between(seen, until - quarter, until), 50)
    result.figures |= {
        "fps by session": [round(rate, 1) for rate in rates],
        "fps of the slowest window": round(slowest_window, 1),
        "edits a second by session": [round(rate, 1) for rate in edits],
        "delay p50, ms": [round(_percentile(one.delays, 50)) for one in seen],
        "delay p95, ms": [round(value) for value in p95],
        "delay p50 of the first and the last quarter, ms": [round(first), round(last)],
    }
    result.require(min(rates) >= goal.fps, f"{min(rates):.1f} fps, where {goal.fps:g} are wanted")
    result.require(slowest_window >= STARVED * goal.fps, f"one session had {slowest_window:.1f} fps for a while")
    result.require(
        min(edits) > 0 and max(edits) <= APART * min(edits), f"edit rates {min(edits):.1f}..{max(edits):.1f}"
    )
    result.require(max(p95) <= DELAY_MS, f"a delay of {max(p95):.0f} ms (p95)")
    result.require(last <= max(GROWN * first, first + GROWN_MS), f"the delay grew from {first:.0f} to {last:.0f} ms")


def _windows(times: Sequence[float], since: float, until: float) -> list[float]:
    """Frames a second in each whole window of a span of time; times are in order."""
    length = min(WINDOW_S, until - since)
    edges = [since + number * length for number in range(int((until - since) / length))]
    return [(bisect_right(times, edge + length) - bisect_right(times, edge)) / length for edge in edges]


def _between(seen: Sequence[Seen], since: float, until: float) -> list[float]:
    """Delays of frames that came back in a span of time."""
    return [delay for one in seen for at, delay in zip(one.times, one.delays, strict=True) if since <= at < until]


def _percentile(values: Sequence[float], percent: float) -> float:
    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    return float(np.percentile(found, percent)) if len(found) else float("inf")
