"""How much of a replica's frame budget is free, from what its sessions and its process spend. Times are passed in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stream.load import LIMITS


@dataclass(frozen=True, slots=True)
class Expectations:
    """What counts for sessions that were not measured yet.

    Attributes:
        settle_s: age at which a session's own figures count.
        cores: that a session takes where no other one was measured.
        process_s: time constant of the process's mean use of the processor.
    """

    settle_s: float = 5.0
    cores: float = 0.4
    process_s: float = 5.0


EXPECTED = Expectations()


@dataclass(frozen=True, slots=True)
class SessionLoad:
    """What one session spends.

    Attributes:
        age: seconds since it was opened.
        work: share of the time between two camera frames that its pipeline works (`stream.load.Quality.share`).
        reduced: whether work is left out to keep up.
    """

    age: float
    work: float
    reduced: bool = False


class Capacity:
    """Measures one replica.

    Args:
        cores: that the process may use.
    """

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._mean: float | None = None
        self._last: tuple[float, float] | None = None

    @staticmethod
    def young(loads: Sequence[SessionLoad]) -> int:
        """Sessions that are too young to be measured."""
        return sum(load.age < EXPECTED.settle_s for load in loads)

    def measure(self, now: float, process_seconds: float) -> None:
        """Count what the process has spent. Call it every second or so.

        Args:
            now: seconds, increasing.
            process_seconds: processor time of the process so far.
        """
        if self._last is not None and now > self._last[0]:
            elapsed = now - self._last[0]
            used = (process_seconds - self._last[1]) / elapsed
            weight = 1 - math.exp(-elapsed / EXPECTED.process_s)
            self._mean = used if self._mean is None else self._mean + weight * (used - self._mean)
        self._last = (now, process_seconds)

    def free(self, loads: Sequence[SessionLoad]) -> float:
        """Share of the budget that is not spent: 1 when idle, not above 0 once a session leaves out work.

        The work of pipelines counts waiting for a graphics processor, the process's time counts codecs; the larger one
        holds. Sessions that are too young to be measured count as the others do.
        """
        settled = [load for load in loads if load.age >= EXPECTED.settle_s]
        young = len(loads) - len(settled)
        process = (self._mean or 0.0) if settled else 0.0
        spent = max(_work(settled), process) + young * self._each(settled)
        free = 1 - self._share(spent)
        return min(free, 0.0) if any(load.reduced for load in loads) else free

    def cost(self, loads: Sequence[SessionLoad]) -> float:
        """Share of the budget that one more session is expected to take."""
        return self._share(self._each([load for load in loads if load.age >= EXPECTED.settle_s]))

    @property
    def unit(self) -> float:
        """Share of the budget that a session is expected to take where none was measured."""
        return self._share(EXPECTED.cores)

    def _each(self, settled: Sequence[SessionLoad]) -> float:
        """Cores that a session takes: as measured, or as expected if that is less."""
        if not settled:
            return EXPECTED.cores
        return min(max(_work(settled), self._mean or 0.0) / len(settled), EXPECTED.cores)

    def _share(self, cores: float) -> float:
        return cores / self._cores / LIMITS.budget


def _work(loads: Sequence[SessionLoad]) -> float:
    return sum(load.work for load in loads)
