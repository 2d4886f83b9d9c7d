"""Which stream's frame is worked on next: as many at once as there are cores, first come, first served.

On a machine that is too small, all streams at once would each take as long as all together. In turns, a frame is taken
when its turn comes, as the newest of its stream, and then gets a whole core.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import AbstractContextManager
from types import TracebackType


class Turns(AbstractContextManager[None]):
    """A semaphore that is given in the order of asking, as a context manager for any number of threads.

    Args:
        count: how many have their turn at once.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()  # guards what follows
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
