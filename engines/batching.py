"""One engine shared by many sessions: it runs their requests in batches, serves them in turn, and drops late ones.

`BatchedEngine` is an `Engine` that any thread may call; its worker runs what `engines.planner.Planner` decides.
`session` names the caller.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace

import numpy as np

from engines.base import Array, DeviceLost, Engine, EngineError, OutOfMemory
from engines.planner import LARGEST, LATE_S, WAIT_S, Planner, Request

log = logging.getLogger(__name__)

WARM_S = 1.0  # `warm_up` runs no batch that is expected to take longer
SMOOTHING = 0.2  # weight of the newest time in the running mean of the engine's

_caller: ContextVar[Hashable] = ContextVar("engines.batching.session", default=None)


class Dropped(EngineError):
    """The request waited too long, or newer ones of its session replaced it, and it was not run.

    A later call may succeed.
    """


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine has done since it was loaded.

    Attributes:
        queued: requests that wait at the moment.
        requests: that were run.
        batches: that they were run in.
        dropped: requests that waited too long or were replaced by newer ones.
        busy_s: seconds in which a batch was run.
    """

    queued: int = 0
    requests: int = 0
    batches: int = 0
    dropped: int = 0
    busy_s: float = 0.0

    def __add__(self, other: Load) -> Load:
        return Load(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Load)))


@contextmanager
def session(name: Hashable) -> Iterator[None]:
    """Calls inside this context belong to the session `name`; calls outside any session belong to their thread."""
    token = _caller.set(name)
    try:
        yield
    finally:
        _caller.reset(token)


def belong_to(name: Hashable) -> None:
    """All later calls of this thread belong to the session `name`. For threads that serve one session only."""
    _caller.set(name)


class BatchedEngine(Engine):
    """An engine that runs concurrent calls together.

    `run` blocks until its rows are computed. A caller that is alone runs the engine in its own thread, at once.
    Requests are joined along the batch dimension if all inputs and outputs leave it free and no other dimension is
    free; otherwise each runs alone, in the same order of turns.

    Args:
        engine: the engine to share; `close` closes it too.
        largest: rows of a batch.
        wait: seconds a request waits for others to join its batch.
        late: seconds after which a queued request is dropped; twice the running mean of the engine's time if that is
            longer.
        clock: seconds, monotonic.

    Besides the errors of every engine, `run` raises:
        Dropped: the engine was too busy for this request.
        DeviceLost: the device is gone; every later call raises it at once.
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
        self._joins = free_batch and all(None not in spec.shape[1:] for spec in engine.inputs)
        self._planner = Planner(largest if self._joins else 1, wait, late)
        self._late = late
        self._run_s: float | None = None  # running mean of the engine's time for a batch
        self._busy = False  # whether a thread runs the engine
        self._changed = threading.Condition()  # guards everything below the engine
        self._ended: EngineError | None = None
        self._load = Load()
        self._worker = threading.Thread(target=self._work, name="batching", daemon=True)
        self._worker.start()

    def warm_up(self) -> None:
        """Run batches of 1, 2, 4, ... rows, so that no call pays for preparing one, except those over `WARM_S`."""
        self._run_rows(self._zeros(1), 1)
        start = self._clock()
        self._run_rows(self._zeros(1), 1)  # timed without the lazy initialisation of the first call
        seconds = self._clock() - start
        rows = 2
        while rows <= self._planner.largest and rows * seconds <= WARM_S:
            self._run_rows(self._zeros(rows), rows)
            rows *= 2
        self._engine.warm_up()

    @property
    def load(self) -> Load:
        """What was asked of the engine so far."""
        with self._changed:
            return replace(self._load, queued=len(self._planner))

    def close(self) -> None:
        """End the worker after its current batch; queued and later calls raise an error."""
        with self._changed:
            self._ended = self._ended or EngineError("the engine was closed")
            self._changed.notify()
        self._worker.join()
        self._engine.close()

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        name = _caller.get()
        owner = threading.get_ident() if name is None else name
        request = Request(owner, self._count_rows(inputs), self._clock(), inputs)
        with self._changed:
            if self._ended is not None:
                raise _copy_error(self._ended)
            alone = not self._busy and self._planner.empty
            self._drop(self._planner.add(request))
            # A plan with a request is this one: the queue was empty.
            run_here = alone and bool(self._planner.plan(self._clock()).requests)
            if run_here:
                self._busy = True
            else:
                self._changed.notify()
        if run_here:
            self._run_planned([request])
        return request.result.result()

    def _zeros(self, rows: int) -> dict[str, Array]:
        return {spec.name: np.zeros(spec.sized(rows), spec.dtype) for spec in self.inputs}

    def _count_rows(self, inputs: Mapping[str, Array]) -> int:
        if not self._joins:
            return 1
        rows = {len(array) for array in inputs.values()}
        if len(rows) != 1:
            raise EngineError(f"inputs of one call must have one batch size, got {sorted(rows)}")
        return rows.pop()

    def _work(self) -> None:
        while (requests := self._wait_for_batch()) is not None:
            self._run_planned(requests)

    def _wait_for_batch(self) -> list[Request] | None:
        """The next batch to run; None once the engine has ended."""
        with self._changed:
            while self._ended is None:
                if self._busy:
                    self._changed.wait()
                    continue
                now = self._clock()
                batch = self._planner.plan(now)
                self._drop(batch.late)
                if batch.requests:
                    self._busy = True
                    return batch.requests
                self._changed.wait(None if batch.wake is None else max(0.0, batch.wake - now))
            _fail(self._planner.remove_all(), self._ended)
            return None

    def _run_planned(self, requests: Sequence[Request]) -> None:
        """Run a batch in the one thread that set `_busy`."""
        try:
            self._answer(requests)
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify()

    def _answer(self, requests: Sequence[Request]) -> None:
        """Run a batch and give each request its outputs or the error."""
        start = self._clock()
        try:
            rows = sum(request.rows for request in requests)
            results = self._split(requests, self._run_rows(self._join(requests), rows))
        except DeviceLost as error:
            log.error("%s", error)
            with self._changed:
                self._ended = error
            _fail(requests, error)
        except Exception as error:  # the callers wait for any error; the worker must go on
            _fail(requests, error)
        else:
            self._measure(self._clock() - start, len(requests))
            for request, result in zip(requests, results, strict=True):
                request.result.set_result(result)

    def _run_rows(self, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """Run rows together, or in halves if they do not fit the memory; later batches are then no larger than a half.

        Raises:
            OutOfMemory: one row does not fit.
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
            self._run_rows({name: value[part] for name, value in inputs.items()}, count)
            for part, count in ((slice(first), first), (slice(first, None), rows - first))
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _join(self, requests: Sequence[Request]) -> dict[str, Array]:
        if len(requests) == 1:
            return dict(requests[0].inputs)
        return {spec.name: np.concatenate([request.inputs[spec.name] for request in requests]) for spec in self.inputs}

    def _split(self, requests: Sequence[Request], results: Mapping[str, Array]) -> list[dict[str, Array]]:
        if len(requests) == 1:
            return [dict(results)]
        ends = np.cumsum([request.rows for request in requests])
        for name, value in results.items():
            if len(value) != ends[-1]:  # no row can be assigned to a request
                raise EngineError(
                    f"output {name!r} has {len(value)} rows for a batch of {ends[-1]}: it is not one of rows"
                )
        # Copies: a view would keep the whole batch in memory and let one caller write into another's result.
        return [
            {name: value[end - request.rows : end].copy() for name, value in results.items()}
            for request, end in zip(requests, ends, strict=True)
        ]

    def _drop(self, requests: Sequence[Request]) -> None:
        """Fail requests that are not run; the caller holds the lock."""
        if requests:
            self._load = replace(self._load, dropped=self._load.dropped + len(requests))
            _fail(requests, Dropped("the engine is busy: this request came too late and was not run"))

    def _measure(self, seconds: float, requests: int) -> None:
        """Update the running mean of the engine's time, and with it the age at which requests are dropped."""
        with self._changed:
            load = self._load
            self._load = replace(
                load, requests=load.requests + requests, batches=load.batches + 1, busy_s=load.busy_s + seconds
            )
            self._run_s = seconds if self._run_s is None else self._run_s + SMOOTHING * (seconds - self._run_s)
            self._planner.late = max(self._late, 2 * self._run_s)


def _fail(requests: Sequence[Request], error: Exception) -> None:
    for request in requests:
        request.result.set_exception(_copy_error(error))


def _copy_error(error: Exception) -> Exception:
    """A copy for one caller: an exception raised in several threads would collect the tracebacks of all of them."""
    try:
        copied = copy.copy(error)
    except Exception:  # copying calls the constructor, which may take other arguments than `args`
        copied = EngineError(f"{type(error).__name__}: {error}")
    copied.__cause__ = error.__cause__
    return copied.with_traceback(None)
