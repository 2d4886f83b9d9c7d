"""Which requests to a shared engine run together, and when: a decision without a clock, a thread or arrays.

Sessions are served round robin (Nagle, "On packet switches with infinite storage", RFC 970, 1985): a session that sends
more requests only makes its own queue longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from engines.base import Array

LARGEST = 8  # rows of one batch: the largest that the GPU engines are built for
WAIT_S = 0.004  # longest time a request waits, while the engine is idle, for others to join its batch
LATE_S = 0.1  # a request that has waited longer is dropped: its caller has newer inputs by then
PENDING = 8  # requests one session may have queued; one more drops the oldest of them
FORGET_S = 10.0  # the planner forgets a session that has sent nothing for this long
SMOOTHING = 0.2  # weight of the newest interval in its running mean


@dataclass(slots=True, eq=False)
class Request:
    """One call of `BatchedEngine.run`.

    Attributes:
        session: the caller.
        rows: size of its inputs along the batch dimension.
        arrived: time of the call, in seconds on the engine's clock.
        inputs: arrays by name. The planner does not read them.
        result: outputs by name, or the error, once the call is done.
    """

    session: Hashable
    rows: int
    arrived: float
    inputs: Mapping[str, Array] = field(default_factory=dict)
    result: Future[dict[str, Array]] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Batch:
    """What the planner decides.

    Attributes:
        requests: run these together now. Empty: wait.
        late: drop these.
        wake: time to ask the planner again if no request arrives before, in seconds on the engine's clock; None if no
            request is queued.
    """

    requests: list[Request]
    late: list[Request]
    wake: float | None


@dataclass(slots=True)
class SessionQueue:
    """The requests of one session and when it sends them.

    Attributes:
        waiting: queued requests, the oldest first.
        turn: number of the planner's turn in which this session was last served; the lowest is served next.
        arrived: time of its newest request, in seconds on the engine's clock.
        interval: running mean of the seconds between its requests; infinite before the second one.
    """

    waiting: deque[Request] = field(default_factory=deque)
    turn: int = 0
    arrived: float = float("-inf")
    interval: float = float("inf")


class Planner:
    """Decides which requests run together and when.

    A batch starts when it is full, when its oldest request has waited `wait` seconds, or when no other session is
    expected to join in time. A session's next request is expected one running mean interval after its last, so a single
    caller never waits.

    Args:
        largest: rows of a batch.
        wait: seconds a request waits for others to join its batch.
        late: seconds after which a queued request is dropped.
    """

    def __init__(self, largest: int = LARGEST, wait: float = WAIT_S, late: float = LATE_S) -> None:
        self.largest, self.wait, self.late = largest, wait, late
        self._queues: dict[Hashable, SessionQueue] = {}
        self._turn = 0

    def add(self, request: Request) -> list[Request]:
        """Queue a request.

        Returns:
            Older requests of the same session that are dropped for it.
        """
        queue = self._queues.setdefault(request.session, SessionQueue(turn=self._turn))
        gap = request.arrived - queue.arrived
        known = queue.interval != float("inf")
        queue.interval = queue.interval + SMOOTHING * (gap - queue.interval) if known else gap
        queue.arrived = request.arrived
        queue.waiting.append(request)
        return [queue.waiting.popleft() for _ in range(len(queue.waiting) - PENDING)]

    def plan(self, now: float) -> Batch:
        """What to run at the time `now`. The returned requests leave the queue."""
        late = [request for queue in self._queues.values() for request in self._take_late(queue, now)]
        self._forget_silent(now)
        waiting = [request for queue in self._queues.values() for request in queue.waiting]
        if not waiting:
            return Batch([], late, None)
        start = min(request.arrived for request in waiting) + self.wait
        if now < start and sum(request.rows for request in waiting) < self.largest and self._expects(now, start):
            return Batch([], late, start)
        return Batch(self._take_batch(), late, None)

    @property
    def empty(self) -> bool:
        """Whether no request is queued."""
        return not any(queue.waiting for queue in self._queues.values())

    def __len__(self) -> int:
        """Requests that are queued."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    def remove_all(self) -> list[Request]:
        """Empty the queue and return what was in it."""
        requests = [request for queue in self._queues.values() for request in queue.waiting]
        self._queues.clear()
        return requests

    def _take_late(self, queue: SessionQueue, now: float) -> Iterator[Request]:
        while queue.waiting and now - queue.waiting[0].arrived > self.late:
            yield queue.waiting.popleft()

    def _expects(self, now: float, until: float) -> bool:
        """Whether a session without a queued request is due before `until`, or overdue by at most `wait` seconds."""
        return any(
            now - self.wait <= queue.arrived + queue.interval <= until
            for queue in self._queues.values()
            if not queue.waiting
        )

    def _take_batch(self) -> list[Request]:
        """One request per session in turn, the session that was served longest ago first, until the batch is full."""
        batch: list[Request] = []
        rows = 0
        while queues := [queue for queue in self._queues.values() if queue.waiting]:
            queue = min(queues, key=lambda queue: queue.turn)
            if batch and rows + queue.waiting[0].rows > self.largest:
                break
            request = queue.waiting.popleft()
            self._turn += 1
            queue.turn = self._turn
            batch.append(request)
            rows += request.rows
        return batch

    def _forget_silent(self, now: float) -> None:
        silent = [name for name, queue in self._queues.items() if not queue.waiting and now - queue.arrived > FORGET_S]
        for name in silent:
            del self._queues[name]
