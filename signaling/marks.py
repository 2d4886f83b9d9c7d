"""Whether a file that a client sends is marked as edited: the detector in a process of its own. Nothing is kept."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request

from signaling.access import RateLimit, client_name
from signaling.bodies import read_body
from signaling.logs import limited
from signaling.photos import RETRY_AFTER_S, Uploads, in_time
from signaling.whip import require_token

logger = limited(__name__)

MAX_BYTES = 64 << 20
FILES_PER_SECOND, FILE_BURST = 0.1, 4.0
AT_ONCE = 1
"""Files that are read at the same time: it takes the processor from live streams."""
UPLOADS = 3
"""Files that come in or wait for the detector, one of an address: 192 MiB, in memory or in the temporary folder."""
VIDEO_S = 20
"""Seconds of a video that are looked at."""
CPU_S = 120
"""Processor time of the child."""
WALL_S = 180.0
UNREADABLE = 2
"""Exit status of the detector, as in `stream.mark.detect`."""
ROOT = Path(__file__).resolve().parents[1]

FILE = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/*", "video/*", "application/octet-stream")
        },
    }
}


def router() -> APIRouter:
    """The route of the detector."""
    routes = APIRouter(tags=["marks"], dependencies=[Depends(require_token)])
    rate = RateLimit(FILES_PER_SECOND, FILE_BURST)
    uploads, turns = Uploads(UPLOADS), asyncio.Semaphore(AT_ONCE)

    @routes.post("/marks", openapi_extra=FILE)
    async def marks(request: Request) -> dict[str, Any]:
        """What marks a picture or video carries, in words and as data (docs/mark.md)."""
        wait = rate.take(client_name(request.client))
        if wait:
            raise HTTPException(429, "too many files", {"Retry-After": str(math.ceil(wait))})
        try:
            with tempfile.TemporaryDirectory(prefix="latentcam-") as folder:
                path = Path(folder) / "file"
                async with uploads.turn(request):
                    data = await read_body(request, MAX_BYTES, "a file")
                    await asyncio.get_running_loop().run_in_executor(None, path.write_bytes, data)
                    del data
                    async with in_time(turns):  # not before: a body that comes slowly keeps nobody from the detector
                        return await examine(path)
        except OSError as error:
            logger.error("a file to examine could not be written: %s", error.strerror)
            raise HTTPException(503, "the server's disk is full or cannot be written") from error

    return routes


async def examine(path: Path) -> dict[str, Any]:
    """Run the detector on a stranger's file, in a process with bounds on time and memory.

    Raises:
        HTTPException: 422 if it cannot be read, 503 if that takes too long.
    """
    command = ("-m", "stream.mark", "detect", str(path), "--report", "--stranger", f"--seconds={VIDEO_S}")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        f"--cpu={CPU_S}",
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WALL_S):
            out, errors = await child.communicate()
    except TimeoutError as error:
        raise HTTPException(
            503, "this file takes too long to read: choose a shorter one", {"Retry-After": str(RETRY_AFTER_S)}
        ) from error
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        words = errors.decode(errors="replace").removeprefix("error: ").replace(str(path), "this file").strip()
        readable = child.returncode != UNREADABLE or not words
        raise HTTPException(
            422, "this file takes too much time or memory to read" if readable else words.splitlines()[-1][:300]
        ) from None
    found["source"] = ""
    return found
