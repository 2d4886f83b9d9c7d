"""What a session measures: rates, delays, and what the transport counted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from pydantic import BaseModel

WINDOW_SECONDS = 5.0
RATE_SECONDS = 2.0


class Percentiles(BaseModel):
    """Milliseconds."""

    p50: float
    p95: float


class Rate:
    """Events a second over the last `RATE_SECONDS`. The clock is injected."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque(maxlen=1024)

    def count(self) -> None:
        self._times.append(self._clock())

    def value(self) -> float:
        since = self._clock() - RATE_SECONDS
        while self._times and self._times[0] < since:
            self._times.popleft()
        return len(self._times) / RATE_SECONDS


class Durations:
    """Durations of each stage over the last `WINDOW_SECONDS`, in milliseconds. The clock is injected.

    By time, not by count: a stage that a change of settings has turned off has to disappear from the sum.

    Args:
        clock: monotonic seconds.
        observe: called with every duration as well.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, observe: Callable[[str, float], None] | None = None
    ) -> None:
        self._clock = clock
        self._observe = observe
        self._stages: dict[str, deque[tuple[float, float]]] = {}

    def add(self, stage: str, ms: float) -> None:
        self._stages.setdefault(stage, deque(maxlen=1024)).append((self._clock(), ms))
        if self._observe is not None:
            self._observe(stage, ms)

    def of(self, stage: str) -> Percentiles | None:
        """Percentiles of a stage; None if it did not run lately."""
        since = self._clock() - WINDOW_SECONDS
        values = [ms for at, ms in self._stages.get(stage, ()) if at >= since]
        return percentiles(values) if values else None

    def means(self) -> dict[str, float]:
        """The mean of each stage, rounded to a hundredth."""
        since = self._clock() - WINDOW_SECONDS
        lately = {stage: [ms for at, ms in values if at >= since] for stage, values in self._stages.items()}
        return {stage: round(sum(ms) / len(ms), 2) for stage, ms in lately.items() if ms}

    def all(self) -> dict[str, Percentiles]:
        found = ((stage, self.of(stage)) for stage in self._stages)
        return {stage: measured for stage, measured in found if measured is not None}


class Bitrate:
    """Bits a second from a byte counter that is read now and then. The clock is injected."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._bytes = 0

    def since_last(self, total_bytes: int) -> int:
        now = self._clock()
        elapsed, self._at = now - self._at, now
        sent, self._bytes = total_bytes - self._bytes, total_bytes
        return round(sent * 8 / elapsed) if elapsed > 0 else 0


def percentiles(values: Sequence[float]) -> Percentiles:
    """Median and 95th percentile (nearest rank), rounded to a hundredth.

    Args:
        values: at least one, in any order.
    """
    ordered = sorted(values)
    last = len(ordered) - 1
    return Percentiles(p50=round(ordered[round(0.5 * last)], 2), p95=round(ordered[round(0.95 * last)], 2))
