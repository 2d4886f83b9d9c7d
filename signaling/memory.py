"""Give back the memory of peers that have left.

The objects of a peer connection refer to each other, and Python's collector alone finds such circles. Left to itself it
waits until there are a quarter as many new objects as old ones: after networks and libraries are loaded that is dozens
of connections, and a pause of a tenth of a second. What is freed at last stays with the C library, which keeps a heap
for each thread that it saw.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys

AFTER_S = 1.0
"""From a peer's leaving to the collection, which is one for all that leave meanwhile."""

HEAPS = 2
"""Of the C library. It keeps up to eight for each core, and those of threads that come and go fill with holes: with
networks and settings that change, a server grew by 2.5 MB with every session.
"""
M_ARENA_MAX = -8
"""The option of glibc's `mallopt`."""


def few_heaps() -> bool:
    """Let the C library keep `HEAPS` heaps, where it can (glibc); call it before threads start.

    Returns:
        Whether it does. `MALLOC_ARENA_MAX` in the environment goes first.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(ctypes.c_int(M_ARENA_MAX), ctypes.c_int(HEAPS)))


def settle() -> None:
    """Let the collector pass over what there is now. Call it once in a process, when what it serves with is loaded."""
    gc.collect()
    gc.freeze()


class Tidying:
    """Collects what peers have left behind, and gives free memory back to the system."""

    def __init__(self) -> None:
        self._due: asyncio.TimerHandle | None = None

    def peer_left(self) -> None:
        """Collect `AFTER_S` from now, unless that is about to happen."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(AFTER_S, self._tidy)

    def close(self) -> None:
        """Collect no more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _tidy(self) -> None:
        self._due = None
        gc.collect()
        asyncio.get_running_loop().run_in_executor(None, give_back)


def give_back() -> None:
    """Give free memory back to the system, where the C library can (glibc); a few milliseconds."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(ctypes.c_size_t(0))
