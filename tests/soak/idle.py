"""Loads of nothing: what a server spends while nobody asks for an edit, and what it makes of few cores."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import httpx

from tests.soak.crowd import EDIT, SIZE, STAND_IN_EDIT
from tests.soak.light import LightPeer, clip, resting_decoders
from tests.soak.results import Result
from tests.soak.servers import Server, wait_until_empty

IDLE_CORES = 0.01
SETTLE_S = 2.0
HAND_SET = (1, 2, 4)
"""Threads of one engine call that are tried by hand."""
OF_THE_BEST = 0.9


def _requests(figures: dict[tuple[str, ...], float]) -> float:
    """What engines were asked for so far."""
    return sum(value for key, value in figures.items() if key[0] == "latentcam_engine_requests_total")


async def idle(log: Path, seconds: float, *, real: bool) -> Result:
    """No session; one with no control moved; one that is bypassed; one that sends and that nobody watches.

    Args:
        log: the server's.
        seconds: of each.
        real: with networks.
    """
    result = Result("what nobody asked for")
    edit = EDIT if real else STAND_IN_EDIT
    with resting_decoders(), Server(log=log, real=real) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
            await asyncio.sleep(SETTLE_S)
            cores = await _spent(server, seconds)
            result.figures["no session, cores"] = round(cores, 4)
            result.require(cores <= IDLE_CORES, f"{cores:.3f} of a core without a session")
            for name, settings, watched in (
                ("no control moved", {}, True),
                ("bypass", {**edit, "bypass": True}, True),
                ("nobody watches", edit, False),
            ):
                peer = LightPeer(http, clip(*SIZE), watched=watched)
                await peer.come(settings)
                await peer.message("settings")
                await asyncio.sleep(SETTLE_S)
                before = server.figures()
                cores = await _spent(server, seconds)
                after = server.figures()
                runs = _requests(after) - _requests(before)
                edited = after["latentcam_frames_total", "edited"] - before["latentcam_frames_total", "edited"]
                frames = after["latentcam_frames_total", "received"] - before["latentcam_frames_total", "received"]
                result.figures |= {f"{name}, cores": round(cores, 3), f"{name}, frames": int(frames)}
                result.figures[f"{name}, runs of networks, edits"] = [int(runs), int(edited)]
                result.require(frames > 0, f"{name}: no frame came")
                result.require(runs == 0, f"{name}: {runs:g} runs of networks")
                result.require(edited == 0, f"{name}: {edited:g} edited frames")
                await peer.leave()
                wait_until_empty(server, 60)
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
    return result


async def _spent(server: Server, seconds: float) -> float:
    """Cores that a server takes, over some time."""
    before, since = server.processor(), time.monotonic()
    await asyncio.sleep(seconds)
    return (server.processor() - before) / (time.monotonic() - since)


async def quota(log: Path, seconds: float, *, real: bool) -> Result:
    """A server that may use one core only: as it comes, and with the numbers of threads that somebody might set.

    It holds where the rate is near the best, or the rate of a second of the server's own processor time: other programs
    take more of the core at one time than at another.

    Args:
        log: the servers'.
        seconds: of each.
        real: with networks; the stand-in has none that threads could make faster or slower.
    """
    result = Result("one core only")
    core = max(os.sched_getaffinity(0))
    rates, spent = {}, {}
    for threads in (None, *HAND_SET):
        flags = () if threads is None else ("--threads", str(threads))
        with resting_decoders(), Server(*flags, log=log, real=real, core=core) as server:
            async with httpx.AsyncClient(base_url=server.url, timeout=120) as http:
                peer = LightPeer(http, clip(*SIZE))
                await peer.come({**(EDIT if real else STAND_IN_EDIT), "quality": "full"})
                await peer.message("settings")
                await asyncio.sleep(SETTLE_S)
                before, since = server.processor(), time.monotonic()
                await asyncio.sleep(seconds)
                worked, until = server.processor() - before, time.monotonic()
                name = "as it comes" if threads is None else f"{threads} threads"
                seen = len(peer.seen(since, until).times)
                rates[name], spent[name] = seen / (until - since), seen / worked
                if threads is None:
                    cores = server.figures()["latentcam_cores",]
                    result.require(cores == 1, f"the server takes {cores:g} cores for its own")
                await peer.leave()
                wait_until_empty(server, 60)
    result.figures |= {f"fps, {name}": round(rate, 1) for name, rate in rates.items()}
    result.figures |= {f"frames a second of processor time, {name}": round(rate, 1) for name, rate in spent.items()}
    near = [found["as it comes"] >= OF_THE_BEST * max(found.values()) for found in (rates, spent)]
    result.require(any(near), f"{rates['as it comes']:.1f} fps, where {max(rates.values()):.1f} can be had")
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
    return result
