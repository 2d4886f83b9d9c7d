"""Loads of bad luck: clients that die, viewers that stall, a server that is stopped, a full disk."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from pathlib import Path

import httpx

from tests.signaling.conftest import Peer
from tests.soak.peers import Clients
from tests.soak.results import Result
from tests.soak.servers import Server, Watch, wait_until_empty

SILENCE_S = 3.0
"""The server's `silence_timeout` here, after which a peer that sends nothing is gone."""
SLACK_S = 10.0
"""More than that on a busy machine."""
TOGETHER = 4
MEMORY_MB = 60.0
LEFT_BEHIND_MB = 25.0
"""Of all clients that were killed: what stays is bounded, however many there were."""
TIDY_S = 2.5
"""Until the server has tidied up behind them (`signaling.memory`)."""


def killed_clients(log: Path, count: int) -> Result:
    """Clients connect, get video, and are killed."""
    result = Result("clients that are killed")
    with Server("--silence-timeout", f"{SILENCE_S:g}", "--max-sessions", "64", log=log) as server:
        clients = Clients()
        before, files, slowest = 0.0, 0, 0.0
        for number in range(0, count, TOGETHER):
            group = [clients.start(server.url) for _ in range(min(TOGETHER, count - number))]
            for client in group:
                client.kill()
            for client in group:
                client.join()
            slowest = max(slowest, wait_until_empty(server, SILENCE_S + 60))
            if number == 0:
                time.sleep(TIDY_S)
                before, files = server.memory(), server.descriptors()
        time.sleep(TIDY_S)
        growth = server.memory() - before
        result.require(slowest <= SILENCE_S + SLACK_S, f"a place was free after {slowest:.1f} s only")
        result.require(growth <= LEFT_BEHIND_MB, f"memory grew by {growth:.0f} MB")
        result.require(server.descriptors() <= files + 8, f"{server.descriptors() - files} more open files")
        result.require(not server.children(), "processes are left")
        ended = server.figures()["latentcam_sessions_ended_total", "gone"]
        result.require(ended == count, f"{ended:g} sessions ended as gone")
        result.figures |= {
            "clients": count,
            "last place free after, s": round(slowest, 1),
            "memory, MB more": round(growth, 1),
        }
    _clean(result, server)
    return result


async def stalled_client(log: Path, seconds: float) -> Result:
    """A client and a viewer of another session stand still and keep their connections; others do not notice."""
    result = Result("a client and a viewer that stand still")
    silence = max(SILENCE_S, seconds / 2)
    with Server("--silence-timeout", f"{silence:g}", log=log) as server:
        clients = Clients()
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            other = Peer(http)
            await other.call(stream="watched")
            await other.until(lambda: len(other.frames) > 10)
            stalled = [await asyncio.to_thread(clients.start, server.url, watch=name) for name in ("", "watched")]
            before = server.memory()
            for client in stalled:
                os.kill(client.pid, signal.SIGSTOP)
            most, slowest, ends = 0.0, 0.0, time.monotonic() + seconds
            while time.monotonic() < ends:
                frames, since = len(other.frames), time.monotonic()
                moving = await _whether(lambda frames=frames: len(other.frames) > frames, 10)
                slowest = max(slowest, time.monotonic() - since)
                result.require(moving, "the other session stood still as well")
                most = max(most, server.memory() - before)
                del other.frames[:-2]
                await asyncio.sleep(0.2)
            result.require(most <= MEMORY_MB, f"memory grew by {most:.0f} MB")
            found = server.figures()
            left = found["latentcam_sessions",], found["latentcam_viewers",]
            result.require(
                left == (1, 0), f"{left} sessions and viewers, where two stood still for longer than they may"
            )
            result.figures |= {
                "seconds": seconds,
                "may be silent for, s": silence,
                "memory at most, MB more": round(most, 1),
                "longest time without a frame for the other, s": round(slowest, 2),
            }
            for client in stalled:
                client.kill()
                client.join()
            await http.delete(other.location)
            await other.close()
        wait_until_empty(server, 60)
    _clean(result, server)
    return result


async def stopped_server(log: Path, seconds: float) -> Result:
    """The server's process is stopped and goes on (SIGSTOP: a laptop that sleeps, a machine that migrates)."""
    result = Result("a server that is stopped for a while")
    with Server("--silence-timeout", f"{SILENCE_S:g}", log=log) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            peer = Peer(http)
            await peer.call()
            await peer.until(lambda: len(peer.frames) > 10)
            os.kill(server.pid, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            os.kill(server.pid, signal.SIGCONT)
            began, frames = time.monotonic(), len(peer.frames)
            over = await _whether(lambda: len(peer.frames) > frames + 5, 30)
            result.figures |= {"seconds": seconds, "video goes on": over}
            if over:
                result.figures["after, s"] = round(time.monotonic() - began, 1)
            await peer.close()
            wait_until_empty(server, SILENCE_S + 60)
            again = Peer(http)
            response = await again.call()
            result.require(response.status_code == 201, f"the next offer gets {response.status_code}")
            result.require(await _whether(lambda: len(again.frames) > 5, 60), "the next session gets no video")
            await http.delete(again.location)
            await again.close()
        wait_until_empty(server, 60)
    _clean(result, server)
    return result


async def full_disk(log: Path, folder: Path) -> Result:
    """Nothing can be written: files may have no bytes, the log goes to a full device, the folders are not writable."""
    result = Result("a full disk")
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, {resource.RLIM_INFINITY}))"
    environment = {"LATENTCAM_KEY": str(folder / "key.pem"), "LATENTCAM_CACHE": str(folder / "cache")}
    with Server("--log-level", "debug", log=Path("/dev/full"), patch=limit, environment=environment) as server:
        with Watch(server) as watch:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
                peer = Peer(http)
                response = await peer.call()
                result.require(response.status_code == 201, f"an offer gets {response.status_code}")
                result.require(await _whether(lambda: len(peer.frames) > 10, 60), "there is no video")
                marked = await http.post("/marks", content=b"x" * 100_000)
                result.figures["a file to /marks gets"] = marked.status_code
                result.require(marked.status_code in (422, 500, 503, 507), f"/marks says {marked.status_code}")
                await http.delete(peer.location)
                await peer.close()
            wait_until_empty(server, 60)
        result.require(not watch.failures, f"the server did not answer: {watch.failures[:1]}")
        result.require(server.alive, "the server has ended")
    del log
    return result


async def _whether(condition: object, seconds: float) -> bool:
    """Whether a condition comes to hold in time."""
    ends = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(0.05)
    return True


def _clean(result: Result, server: Server) -> None:
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
