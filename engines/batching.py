"""One engine shared by many sessions: one worker forms micro-batches, fairly, and drops what comes too late.

Three layers: `Planner` decides and has no clock, no thread and no arrays; `BatchedEngine` is an `Engine` that any
thread may call and whose worker carries the plans out; `session` names the caller.

Round robin over sessions is the discipline of Nagle, "On packet switches with infinite storage" (RFC 970, 1985): a
session that asks for more only makes its own queue longer.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

import numpy as np

from engines.base import Array, DeviceLost, Engine, EngineError, OutOfMemory

log = logging.getLogger(__name__)

LARGEST = 8  # rows of one batch: the largest that the GPU profiles are built for
WAIT_S = 0.004  # longest time a request waits for company while the engine is idle
WARM_S = 1.0  # a batch that takes longer is not worth preparing for
LATE_S = 0.1  # a request older than this is worth nothing: three newer frames have come
PENDING = 8  # requests one session may have waiting: the faces of one picture
FORGET_S = 10.0  # a session silent for this long has left
MOST_FIGURES = 256  # sessions whose figures are kept; the oldest go first
SMOOTHING = 0.2  # weight of the newest value in running means

_caller: ContextVar[Hashable] = ContextVar("engines.batching.session", default=None)


class Dropped(EngineError):
    """The request was overtaken and not run. The caller goes on with what it has; a later call may succeed."""


@contextmanager
def session(name: Hashable) -> Iterator[None]:
    """Calls inside belong to the session of this name; calls outside any belong to their thread."""
    token = _caller.set(name)
    try:
        yield
    finally:
        _caller.reset(token)


def belong_to(name: Hashable) -> None:
    """All later calls of this thread belong to the session of this name: for threads that serve only one."""
    _caller.set(name)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one session got from a shared engine.

    Attributes:
        submitted: requests so far.
        completed: those that were answered.
        dropped: those that were not run.
        wait_ms: running mean of the time from request to start.
        run_ms: running mean of the engine's time for the whole batch.
        batch: running mean of the rows in the batches it was part of.
    """

    submitted: int = 0
    completed: int = 0
    dropped: int = 0
    wait_ms: float = 0.0
    run_ms: float = 0.0
    batch: float = 0.0


@dataclass(slots=True, eq=False)
class Ticket:
    """One request in the queue.

    Attributes:
        session: whose it is.
        rows: its size along the batch dimension.
        arrived: seconds on the caller's clock.
        inputs: what to run; the planner does not look at it.
        result: where the answer goes.
    """

    session: Hashable
    rows: int
    arrived: float
    inputs: Mapping[str, Array] = field(default_factory=dict)
    result: Future[dict[str, Array]] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Attributes:
        batch: requests to run together; empty to wait.
        late: requests that are not to be run any more.
        wake: when to ask again if nothing arrives before; None when nothing is waiting.
    """

    batch: list[Ticket]
    late: list[Ticket]
    wake: float | None


@dataclass(slots=True)
class _Line:
    """One session's place in the planner."""

    waiting: deque[Ticket] = field(default_factory=deque)
    turn: int = 0  # when it was last served; lower goes first
    arrived: float = float("-inf")
    interval: float = float("inf")  # running mean between arrivals


class Planner:
    """Decides which requests run together and when.

    A batch starts when it is full, when its oldest request has waited `wait`, or when nobody is expected to join in
    time: every session's next arrival is predicted from its running mean interval, so that one caller never waits.

    Args:
        largest: rows in a batch.
        wait: seconds a request may wait for company.
        late: seconds after which a request is dropped.
    """

    def __init__(self, largest: int = LARGEST, wait: float = WAIT_S, late: float = LATE_S) -> None:
        self.largest, self.wait, self.late = largest, wait, late
        self._lines: dict[Hashable, _Line] = {}
        self._turn = 0

    def add(self, ticket: Ticket) -> list[Ticket]:
        """Queue a request; returns those of the same session that it overtakes."""
        line = self._lines.setdefault(ticket.session, _Line(turn=self._turn))
        gap = ticket.arrived - line.arrived
        known = line.interval != float("inf")
        line.interval = line.interval + SMOOTHING * (gap - line.interval) if known else gap
        line.arrived = ticket.arrived
        line.waiting.append(ticket)
        return [line.waiting.popleft() for _ in range(len(line.waiting) - PENDING)]

    def plan(self, now: float) -> Plan:
        """What to run at this moment. The requests returned are no longer queued."""
        late = [ticket for line in self._lines.values() for ticket in self._late(line, now)]
        self._forget(now)
        waiting = [ticket for line in self._lines.values() for ticket in line.waiting]
        if not waiting:
            return Plan([], late, None)
        start = min(ticket.arrived for ticket in waiting) + self.wait
        if now < start and sum(ticket.rows for ticket in waiting) < self.largest and self._expects(now, start):
            return Plan([], late, start)
        return Plan(self._take(), late, None)

    @property
    def empty(self) -> bool:
        """Whether nobody waits."""
        return not any(line.waiting for line in self._lines.values())

    def remove_all(self) -> list[Ticket]:
        """Empty the queue."""
        tickets = [ticket for line in self._lines.values() for ticket in line.waiting]
        self._lines.clear()
        return tickets

    def _late(self, line: _Line, now: float) -> Iterator[Ticket]:
        while line.waiting and now - line.waiting[0].arrived > self.late:
            yield line.waiting.popleft()

    def _expects(self, now: float, until: float) -> bool:
        """Whether a session with nothing in the queue is due before `until`, and not overdue by more than the wait."""
        return any(
            now - self.wait <= line.arrived + line.interval <= until
            for line in self._lines.values()
            if not line.waiting
        )

    def _take(self) -> list[Ticket]:
        """A batch: one request of each session in turn, the longest unserved session first, until it is full."""
        batch: list[Ticket] = []
        rows = 0
        while lines := [line for line in self._lines.values() if line.waiting]:
            line = min(lines, key=lambda line: line.turn)
            if batch and rows + line.waiting[0].rows > self.largest:
                break
            ticket = line.waiting.popleft()
            self._turn += 1
            line.turn = self._turn
            batch.append(ticket)
            rows += ticket.rows
        return batch

    def _forget(self, now: float) -> None:
        gone = [name for name, line in self._lines.items() if not line.waiting and now - line.arrived > FORGET_S]
        for name in gone:
            del self._lines[name]


class BatchedEngine(Engine):
    """An engine whose concurrent calls are run together.

    `run` blocks until its part of a batch is done. A caller who is alone runs the engine in its own thread, at once.
    Networks without a free batch dimension, or with other free ones, run one request at a time, as fairly.

    Args:
        engine: the engine to share; it is closed with this one.
        largest: rows in a batch.
        wait: seconds a request may wait for company.
        late: seconds after which a request is dropped, at least; an engine that takes long for one is given twice that.
        clock: seconds, monotonic.

    `run` raises, besides what every engine raises:
        Dropped: the engine was too busy for this request.
        DeviceLost: the device is gone; every later call says so at once.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        largest: int = LARGEST,
        wait: float = WAIT_S,
        late: float = LATE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend, self.precision, self.device = engine.backend, engine.precision, engine.device
        self.inputs, self.outputs, self.notes = engine.inputs, engine.outputs, engine.notes
        self._engine = engine
        self._clock = clock
        free_batch = all(spec.shape[:1] == (None,) for spec in (*engine.inputs, *engine.outputs))
        self._batches = free_batch and all(None not in spec.shape[1:] for spec in engine.inputs)
        self._planner = Planner(largest if self._batches else 1, wait, late)
        self._late = late
        self._run_s: float | None = None
        self._busy = False
        self._figures: dict[Hashable, Figures] = {}
        self._changed = threading.Condition()
        self._ended: EngineError | None = None
        self._worker = threading.Thread(target=self._work, name="batching", daemon=True)
        self._worker.start()

    def figures(self, name: Hashable) -> Figures:
        """What a session got so far; zeros for one that never called."""
        with self._changed:
            return self._figures.get(name, Figures())

    def forget(self, name: Hashable) -> None:
        """Delete the figures of a session that has left."""
        with self._changed:
            self._figures.pop(name, None)

    def warm_up(self) -> None:
        """Run the batch sizes that engines prepare for, so that no call pays for it, but for those that take long."""
        self._in_parts(self._zeros(1), 1)
        start = self._clock()
        self._in_parts(self._zeros(1), 1)  # without what the first call did besides
        seconds = self._clock() - start
        rows = 2
        while rows <= self._planner.largest and rows * seconds <= WARM_S:
            self._in_parts(self._zeros(rows), rows)
            rows *= 2
        self._engine.warm_up()

    def close(self) -> None:
        """End the worker after the batch it is in; waiting and later calls fail."""
        with self._changed:
            self._ended = self._ended or EngineError("the engine was closed")
            self._changed.notify()
        self._worker.join()
        self._engine.close()

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        name = _caller.get()
        owner = threading.get_ident() if name is None else name
        ticket = Ticket(owner, self._rows(inputs), self._clock(), inputs)
        with self._changed:
            if self._ended is not None:
                raise _own(self._ended)
            self._count(owner, submitted=1)
            alone = not self._busy and self._planner.empty
            overtaken = self._planner.add(ticket)
            self._drop(overtaken)
            at_once = alone and self._take_at_once()
            if at_once:
                self._busy = True
            else:
                self._changed.notify()
        if at_once:
            self._carry_out([ticket])
        return ticket.result.result()

    def _zeros(self, rows: int) -> dict[str, Array]:
        return {spec.name: np.zeros(spec.sized(rows), spec.dtype) for spec in self.inputs}

    def _take_at_once(self) -> bool:
        """Whether the only request there is shall not wait for company; it is then no longer queued."""
        return bool(self._planner.plan(self._clock()).batch)

    def _rows(self, inputs: Mapping[str, Array]) -> int:
        if not self._batches:
            return 1
        rows = {len(array) for array in inputs.values()}
        if len(rows) != 1:
            raise EngineError(f"inputs of one call must have one batch size, got {sorted(rows)}")
        return rows.pop()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            self._carry_out(batch)

    def _carry_out(self, batch: Sequence[Ticket]) -> None:
        """Run a batch that was planned, while nobody else runs one."""
        try:
            self._answer(batch)
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify()

    def _next(self) -> list[Ticket] | None:
        """Wait for a batch; None at the end."""
        with self._changed:
            while self._ended is None:
                if self._busy:
                    self._changed.wait()
                    continue
                now = self._clock()
                plan = self._planner.plan(now)
                self._drop(plan.late)
                if plan.batch:
                    self._busy = True
                    return plan.batch
                self._changed.wait(None if plan.wake is None else max(0.0, plan.wake - now))
            _fail(self._planner.remove_all(), self._ended)
            return None

    def _answer(self, batch: Sequence[Ticket]) -> None:
        """Run a batch and hand out the results."""
        start = self._clock()
        try:
            rows = sum(ticket.rows for ticket in batch)
            results = self._split(batch, self._in_parts(self._joined(batch), rows))
        except DeviceLost as error:
            log.error("%s", error)
            with self._changed:
                self._ended = error
            _fail(batch, error)
        except Exception as error:  # whatever it is belongs to the callers, who wait for it, not to this thread
            _fail(batch, error)
        else:
            self._measure(batch, start, self._clock())
            for ticket, result in zip(batch, results, strict=True):
                ticket.result.set_result(result)

    def _in_parts(self, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """Run rows together, or in halves where the memory does not hold them; no batch is as large again.

        Raises:
            OutOfMemory: there is no memory for one row.
        """
        if rows <= self._planner.largest:
            try:
                return self._engine.run(inputs)
            except (OutOfMemory, MemoryError) as error:
                if rows == 1:
                    raise
                self._planner.largest = (rows + 1) // 2
                log.warning("out of memory; batches are now of at most %d rows (%s)", self._planner.largest, error)
        first = (rows + 1) // 2
        parts = [
            self._in_parts({name: value[part] for name, value in inputs.items()}, count)
            for part, count in ((slice(first), first), (slice(first, None), rows - first))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _joined(self, batch: Sequence[Ticket]) -> dict[str, Array]:
        if len(batch) == 1:
            return dict(batch[0].inputs)
        return {spec.name: np.concatenate([ticket.inputs[spec.name] for ticket in batch]) for spec in self.inputs}

    def _split(self, batch: Sequence[Ticket], results: Mapping[str, Array]) -> list[dict[str, Array]]:
        if len(batch) == 1:
            return [dict(results)]
        ends = np.cumsum([ticket.rows for ticket in batch])
        for name, value in results.items():
            if len(value) != ends[-1]:  # whose rows are whose cannot be known
                raise EngineError(
                    f"output {name!r} has {len(value)} rows for a batch of {ends[-1]}: it is not one of rows"
                )
        # Copies, so that one caller's result neither keeps the whole batch in memory nor can reach another's.
        return [
            {name: value[end - ticket.rows : end].copy() for name, value in results.items()}
            for ticket, end in zip(batch, ends, strict=True)
        ]

    def _drop(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._count(ticket.session, dropped=1)
        _fail(tickets, Dropped("the engine is busy: this request came too late and was not run"))

    def _count(self, name: Hashable, submitted: int = 0, dropped: int = 0) -> None:
        if name not in self._figures and len(self._figures) >= MOST_FIGURES:
            del self._figures[next(iter(self._figures))]
        old = self._figures.get(name, Figures())
        self._figures[name] = replace(old, submitted=old.submitted + submitted, dropped=old.dropped + dropped)

    def _measure(self, batch: Sequence[Ticket], start: float, end: float) -> None:
        rows = sum(ticket.rows for ticket in batch)
        with self._changed:
            taken = end - start
            self._run_s = taken if self._run_s is None else self._run_s + SMOOTHING * (taken - self._run_s)
            self._planner.late = max(self._late, 2 * self._run_s)
            for ticket in batch:
                old = self._figures.get(ticket.session, Figures())
                weight = SMOOTHING if old.completed else 1.0
                self._figures[ticket.session] = replace(
                    old,
                    completed=old.completed + 1,
                    wait_ms=old.wait_ms + weight * ((start - ticket.arrived) * 1e3 - old.wait_ms),
                    run_ms=old.run_ms + weight * ((end - start) * 1e3 - old.run_ms),
                    batch=old.batch + weight * (rows - old.batch),
                )


def _fail(tickets: Sequence[Ticket], error: Exception) -> None:
    for ticket in tickets:
        ticket.result.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """A copy for one caller: an exception raised in several threads would collect the traceback of all of them."""
    try:
        mine = copy.copy(error)
    except Exception:  # a constructor that wants more than the exception keeps; the caller waits all the same
        mine = EngineError(f"{type(error).__name__}: {error}")
    mine.__cause__ = error.__cause__
    return mine.with_traceback(None)
