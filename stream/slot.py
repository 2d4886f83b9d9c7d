"""A slot for the newest item: the only queue between the network and the pipeline, of length one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SMOOTHING = 0.1
"""Weight of the newest value in the mean interval."""


class SlotClosed(Exception):
    """The slot was closed; nothing more will come."""


class LatestSlot(Generic[T]):
    """Holds the newest item for one consumer. `put` never blocks: what nobody took in time is dropped and counted.

    Attributes:
        received: items put.
        dropped: items that a newer one overtook.
        interval: running mean of the seconds between two items, 0 before the second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._put_at: float | None = None
        self.interval = 0.0
        self._item: T | None = None
        self._closed = False
        self.received = 0
        self.dropped = 0

    def put(self, item: T) -> None:
        """Offer an item; replaces one that was not taken. After `close` it is ignored."""
        with self._condition:
            if self._closed:
                return
            self.received += 1
            self._measure(self._clock())
            if self._item is not None:
                self.dropped += 1
            self._item = item
            self._condition.notify()

    def wait(self) -> None:
        """Wait until there is an item to take.

        Raises:
            SlotClosed: the slot was closed.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed)
            if self._closed:
                raise SlotClosed

    def take(self, timeout: float | None = None) -> T:
        """Wait for the newest item and take it.

        Raises:
            TimeoutError: nothing came within `timeout` seconds.
            SlotClosed: the slot was closed.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed, timeout)
            if self._closed:
                raise SlotClosed
            if self._item is None:
                raise TimeoutError
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Wake the consumer and drop what is held."""
        with self._condition:
            self._closed = True
            self._item = None
            self._condition.notify_all()

    def _measure(self, now: float) -> None:
        if self._put_at is not None:
            gap = now - self._put_at
            self.interval += (SMOOTHING if self.interval else 1.0) * (gap - self.interval)
        self._put_at = now
