"""The load of a wall clock that jumps: by hours, there and back, while a session runs."""

from __future__ import annotations

import asyncio
import mmap
import shutil
import struct
import subprocess
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from tests.signaling.conftest import Peer
from tests.soak.results import Result
from tests.soak.servers import Server, Watch, wait_until_empty

SOURCE = Path(__file__).with_name("clock.c")
JUMPS_S = (3600, -7200, 86_400, 0)
"""Seconds before or after the true time, one after the other."""
FREEZE_S = 1.0
STAYS_S = 3.0


class WallClock:
    """The wall clock of another process, which preloads `clock.c`.

    Args:
        folder: for the compiled file.

    Attributes:
        environment: of that process.

    Raises:
        FileNotFoundError: there is no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise FileNotFoundError("a wall clock that jumps needs a C compiler")
        library, page = folder / "clock.so", folder / "clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        page.write_bytes(bytes(mmap.PAGESIZE))
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.environment = {"LD_PRELOAD": str(library), "SOAK_CLOCK": str(page)}

    def jump(self, seconds: int) -> None:
        """Be so many seconds ahead of the true time."""
        self._page[: struct.calcsize("l")] = struct.pack("l", seconds)


async def clock_jumps(log: Path, folder: Path) -> Result:
    """A session runs while the clock jumps; after each jump another one comes and goes."""
    result = Result("a wall clock that jumps")
    clock = WallClock(folder)
    with Server(log=log, environment=clock.environment) as server, Watch(server) as watch:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
            peer = Peer(http)
            await peer.call()
            await peer.until(lambda: len(peer.frames) > 10)
            longest = 0.0
            for jump in JUMPS_S:
                clock.jump(jump)
                longest = max(longest, await _longest_gap(peer))
                told = parsedate_to_datetime((await http.get("/livez")).headers["date"]).timestamp()
                result.require(abs(told - time.time() - jump) < 60, f"the clock did not jump by {jump} s")
                other = Peer(http)
                response = await other.call()
                result.require(response.status_code == 201, f"after {jump} s an offer gets {response.status_code}")
                await other.until(lambda other=other: len(other.frames) > 3)  # type: ignore[misc]
                await http.delete(other.location)
                await other.close()
            result.figures |= {"jumps, s": list(JUMPS_S), "longest time without a frame, s": round(longest, 2)}
            result.require(longest <= FREEZE_S, f"no frame for {longest:.1f} s")
            await http.delete(peer.location)
            await peer.close()
        wait_until_empty(server, 60)
        result.require(not watch.failures, f"the server did not answer: {watch.failures[:1]}")
    complaints = server.complaints()
    result.require(not complaints, f"the log complains: {complaints[:1]}")
    return result


async def _longest_gap(peer: Peer) -> float:
    """Most seconds between two frames of a peer in the next `STAYS_S`."""
    ends, longest = time.monotonic() + STAYS_S, 0.0
    count, at = len(peer.frames), time.monotonic()
    while time.monotonic() < ends:
        await asyncio.sleep(0.01)
        if len(peer.frames) > count:
            count, at = len(peer.frames), time.monotonic()
        longest = max(longest, time.monotonic() - at)
    return longest
