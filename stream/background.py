"""Work that no frame waits for, of all streams of a process: a few threads, which serve the streams in turn.

The streams are served by start-time fair queueing (Goyal, Vin and Cheng, "Start-time fair queueing", 1996): the next
job is of the stream that has had the least time. A stream that comes, or had nothing to do, starts level with the one
that was served last; it saves no time up.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any, ParamSpec, TypeVar

from engines.batching import session
from engines.cores import usable_cores

P = ParamSpec("P")
T = TypeVar("T")

RECENT_S = 5.0
"""Time for which a stream that edits counts among those that share the threads."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call that waits.

    Attributes:
        work: what is called, without arguments.
        future: gets what it returns or raises.
    """

    work: Callable[[], Any]
    future: Future[Any]


@dataclass(eq=False, slots=True)
class Account:
    """One stream, as the threads see it.

    Attributes:
        waiting: its jobs, the oldest first.
        running: the job that runs; a stream has one thread at most.
        had: seconds of work that it has had, or was lifted to when it came.
        active_at: time of its newest edited frame, or of its beginning, in seconds of the clock.
        level: of `stream.load.LEVELS`, at which its frames are.
    """

    waiting: deque[Job] = field(default_factory=deque)
    running: Job | None = None
    had: float = 0.0
    active_at: float = -math.inf
    level: int = 0


class Background:
    """The threads. Every method may be called from any thread.

    Args:
        workers: jobs that run at once; None leaves one of the usable cores to the frames, where there are several.
        clock: seconds.
    """

    def __init__(self, workers: int | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.workers = workers or max(1, usable_cores() - 1)
        self._apart = usable_cores() > self.workers  # one stream's background work has a core that its frames leave
        self._clock = clock
        self._threads = ThreadPoolExecutor(self.workers, "background")
        self._lock = threading.Lock()  # guards everything below
        self._accounts: list[Account] = []
        self._served = 0.0  # `Account.had` of the stream that was served last, when it was

    def stream(self, owner: object) -> StreamBackground:
        """The part of one stream; `owner` names it at the shared engines."""
        account = Account(active_at=self._clock())
        with self._lock:
            self._accounts.append(account)
        return StreamBackground(self, account, owner)

    @property
    def crowding(self) -> float:
        """Streams per thread that edited in the last `RECENT_S` seconds; at least 1."""
        return max(1.0, len(self.active()) / self.workers)

    @property
    def pressure(self) -> float:
        """Streams per thread that this work takes time from, as frames or as other work; 0 where it takes none."""
        return max(0.0, len(self.active()) / self.workers - self._apart)

    def active(self) -> list[Account]:
        """The streams that edited a frame, or began, in the last `RECENT_S` seconds."""
        with self._lock:
            since = self._clock() - RECENT_S
            return [each for each in self._accounts if each.active_at >= since]

    def close(self) -> None:
        """End the threads after the jobs that run. Later jobs are refused (`RuntimeError`)."""
        with self._lock:
            for account in self._accounts:
                _cancel(account)
        self._threads.shutdown()

    def add(self, account: Account, job: Job) -> None:
        """Queue a job."""
        with self._lock:
            if not account.waiting and account.running is None:
                account.had = max(account.had, self._served)
            account.waiting.append(job)
        self._threads.submit(self._work)

    def note(self, account: Account) -> None:
        """Count a stream among those that edit."""
        with self._lock:
            account.active_at = self._clock()

    def leave(self, account: Account) -> None:
        """Drop the jobs of a stream that wait; it gets no thread any more."""
        with self._lock:
            _cancel(account)
            if account in self._accounts:
                self._accounts.remove(account)

    def _work(self) -> None:
        """Run jobs until each stream that has one runs one in another thread."""
        while (taken := self._take()) is not None:
            account, job = taken
            started = self._clock()
            if job.future.set_running_or_notify_cancel():
                try:
                    result = job.work()
                except BaseException as error:  # whoever asks for the result gets it
                    job.future.set_exception(error)
                else:
                    job.future.set_result(result)
            with self._lock:
                account.had += self._clock() - started
                account.running = None

    def _take(self) -> tuple[Account, Job] | None:
        with self._lock:
            ready = [each for each in self._accounts if each.waiting and each.running is None]
            if not ready:
                return None
            account = min(ready, key=lambda each: each.had)  # the first of equals is the one that came first
            account.running, self._served = account.waiting.popleft(), account.had
            return account, account.running


class StreamBackground(Executor):
    """The background work of one stream, in order, one job at a time. Made by `Background.stream`."""

    def __init__(self, background: Background, account: Account, owner: object) -> None:
        self._background = background
        self._account = account
        self._owner = owner
        self._closed = False

    @property
    def crowding(self) -> float:
        """As of `Background`: so many times as long as alone does this stream wait for its work."""
        return self._background.crowding

    @property
    def pressure(self) -> float:
        """As of `Background`."""
        return self._background.pressure

    def note(self, level: int) -> None:
        """Tell of an edited frame: the number of its level, of `stream.load.LEVELS`."""
        self._account.level = level
        self._background.note(self._account)

    @property
    def first_level(self) -> int:
        """The level at which this stream begins.

        The median of the others that edit; where they leave no thread free, the first edit is not made within
        its frame.
        """
        others = [each.level for each in self._background.active() if each is not self._account]
        crowd = len(others) >= self._background.workers
        return max(median_low(others), int(crowd)) if others else 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call.

        Raises:
            RuntimeError: the stream or the process's background was closed.
        """
        if self._closed:
            raise RuntimeError("the stream was closed")

        def work() -> T:
            with session(self._owner):
                return fn(*args, **kwargs)

        future: Future[T] = Future()
        self._background.add(self._account, Job(work, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, drop those that wait, whatever `cancel_futures` says, and let the one that runs end."""
        self._closed = True
        self._background.leave(self._account)
        running = self._account.running
        if wait and running is not None:
            futures.wait([running.future])


def _cancel(account: Account) -> None:
    for job in account.waiting:
        job.future.cancel()
    account.waiting.clear()
