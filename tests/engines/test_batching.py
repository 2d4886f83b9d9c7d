from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from engines.base import Array, DeviceLost, Engine, EngineError, OutOfMemory, TensorSpec
from engines.batching import BatchedEngine, Dropped, session
from engines.planner import Request


class Doubler(Engine):
    """Returns twice its input; remembers batch sizes; fails or blocks as told."""

    backend, precision, device = "test", "f32", "a test"
    inputs = (TensorSpec("x", (None, 3), np.dtype(np.float32)), TensorSpec("y", (None,), np.dtype(np.float32)))
    outputs = (TensorSpec("out", (None, 3), np.dtype(np.float32)),)

    def __init__(self, memory: int = 1000, fixed: bool = False) -> None:
        self.sizes: list[int] = []
        self.memory = memory
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.error: Exception | None = None
        self.memory_error = False
        self.closed = False
        if fixed:
            self.outputs = (TensorSpec("out", (1, 3), np.dtype(np.float32)),)

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.entered.release()
        self.gate.wait(10)
        self.sizes.append(len(inputs["x"]))
        if self.error is not None:
            raise self.error
        if self.memory_error and len(inputs["x"]) > 1:
            raise MemoryError
        if len(inputs["x"]) > self.memory:
            raise OutOfMemory(f"no memory for {len(inputs['x'])} rows")
        return {"out": inputs["x"] * 2 + inputs["y"][:, None]}

    def close(self) -> None:
        self.closed = True


def call(engine: Engine, value: float, rows: int = 1, name: str | None = None) -> np.ndarray:
    inputs = {"x": np.full((rows, 3), value, np.float32), "y": np.full(rows, 0.5, np.float32)}
    if name is None:
        return engine.run(inputs)["out"]
    with session(name):
        return engine.run(inputs)["out"]


def wait_until_queued(engine: BatchedEngine, count: int) -> None:
    while sum(len(queue.waiting) for queue in engine._planner._queues.values()) < count:
        threading.Event().wait(0.001)


def held(inner: Doubler, engine: BatchedEngine, pool: ThreadPoolExecutor, calls: int) -> list[Future[np.ndarray]]:
    """Start one call, hold it inside the engine, queue more behind it, and let go."""
    inner.gate.clear()
    futures = [pool.submit(call, engine, 0.0, name="s0")]
    assert inner.entered.acquire(timeout=10)
    futures += [pool.submit(call, engine, float(index), name=f"s{index}") for index in range(1, calls)]
    wait_until_queued(engine, calls - 1)
    inner.gate.set()
    return futures


def test_every_caller_gets_its_own_result() -> None:
    inner, threads, calls = Doubler(), 12, 60
    start = threading.Barrier(threads)

    def worker(index: int) -> float:
        start.wait()
        worst = 0.0
        for turn in range(calls):
            value, rows = float(index * calls + turn), 1 + (index + turn) % 3
            result = call(engine, value, rows, f"s{index}")
            assert result.shape == (rows, 3)
            worst = max(worst, float(np.abs(result - (2 * value + 0.5)).max()))
            result[:] = np.nan  # nobody else may see this
        return worst

    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(threads) as pool:
        assert max(pool.map(worker, range(threads))) == 0
    assert max(inner.sizes) <= 8
    assert max(inner.sizes) > 3  # several callers ran together
    assert inner.closed


def test_requests_that_wait_run_together() -> None:
    inner = Doubler()
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        results = [future.result(10) for future in held(inner, engine, pool, 6)]
    assert inner.sizes == [1, 5]
    assert [float(result[0, 0]) for result in results] == [2 * index + 0.5 for index in range(6)]
    assert all(result.base is None for result in results)  # nobody holds a part of another's memory


def test_rows_that_belong_to_nobody_are_given_to_nobody() -> None:
    inner = Doubler()
    inner_run = inner._run
    inner._run = lambda inputs: {"out": np.repeat(inner_run(inputs)["out"], 7, 0)}  # type: ignore[method-assign]  # boxes, say, of all pictures
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        first, *others = held(inner, engine, pool, 4)
        assert first.result(10).shape == (7, 3)
        for future in others:
            with pytest.raises(EngineError, match="21 rows for a batch of 3"):
                future.result(10)


def test_a_network_of_fixed_batch_runs_one_by_one() -> None:
    inner = Doubler(fixed=True)
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        for future in held(inner, engine, pool, 4):
            future.result(10)
    assert inner.sizes == [1, 1, 1, 1]


def test_late_requests_get_an_answer_too() -> None:
    inner, now = Doubler(), [0.0]
    with BatchedEngine(inner, late=0.1, clock=lambda: now[0]) as engine, ThreadPoolExecutor(8) as pool:
        call(engine, 0.0, name="a")
        assert inner.entered.acquire(timeout=10)
        inner.gate.clear()
        first = pool.submit(call, engine, 1.0, name="a")
        assert inner.entered.acquire(timeout=10)
        late = pool.submit(call, engine, 2.0, name="b")
        wait_until_queued(engine, 1)
        now[0] = 0.2
        inner.gate.set()
        assert first.result(10)[0, 0] == 2.5
        with pytest.raises(Dropped, match="busy"):
            late.result(10)
        assert call(engine, 3.0, name="b")[0, 0] == 6.5


def test_a_slow_engine_does_not_drop_who_waits_for_one_call() -> None:
    inner, now = Doubler(), [0.0]
    with BatchedEngine(inner, late=0.1, clock=lambda: now[0]) as engine, ThreadPoolExecutor(8) as pool:
        inner.gate.clear()
        first = pool.submit(call, engine, 1.0, name="a")
        assert inner.entered.acquire(timeout=10)
        second = pool.submit(call, engine, 2.0, name="b")
        wait_until_queued(engine, 1)
        now[0] = 0.25
        inner.gate.set()
        assert first.result(10)[0, 0] == 2.5
        assert second.result(10)[0, 0] == 4.5


def test_who_is_alone_runs_in_its_own_thread() -> None:
    inner = Doubler()
    threads = []
    inner_run = inner._run

    def noted(inputs: Mapping[str, Array]) -> dict[str, Array]:
        threads.append(threading.get_ident())
        return inner_run(inputs)

    inner._run = noted  # type: ignore[method-assign]
    with BatchedEngine(inner) as engine:
        for value in range(3):
            call(engine, float(value), name="a")
    assert set(threads) == {threading.get_ident()}


def test_out_of_memory_falls_back_to_smaller_batches(caplog: pytest.LogCaptureFixture) -> None:
    inner = Doubler(memory=2)
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        results = [future.result(10) for future in held(inner, engine, pool, 7)]
        assert [float(result[0, 0]) for result in results] == [2 * index + 0.5 for index in range(7)]
        assert "out of memory" in caplog.text
        inner.sizes.clear()
        for future in held(inner, engine, pool, 7):
            future.result(10)
        assert max(inner.sizes) <= 2  # it does not try again
    inner = Doubler(memory=0)
    with BatchedEngine(inner) as engine, pytest.raises(OutOfMemory):
        call(engine, 1.0)


def test_one_large_request_falls_back_to_smaller_batches_too() -> None:
    inner = Doubler(memory=3)
    with BatchedEngine(inner) as engine:
        inputs = {"x": np.arange(21, dtype=np.float32).reshape(7, 3), "y": np.arange(7, dtype=np.float32)}
        for _ in range(2):
            result = engine.run(inputs)["out"]
            np.testing.assert_array_equal(result, inputs["x"] * 2 + inputs["y"][:, None])
    assert inner.sizes == [7, 4, 2, 2, 2, 1, 2, 2, 2, 1]


def test_more_rows_than_a_batch_holds_are_run_in_parts() -> None:
    inner = Doubler()
    with BatchedEngine(inner, largest=8) as engine:
        assert call(engine, 1.0, rows=20).shape == (20, 3)
    assert inner.sizes == [5, 5, 5, 5]


def test_a_host_without_memory_falls_back_too() -> None:
    inner = Doubler()
    inner.memory_error = True
    with BatchedEngine(inner) as engine:
        assert call(engine, 1.0, rows=2).tolist() == [[2.5] * 3] * 2
    assert inner.sizes == [2, 1, 1]


def test_warming_up_ends_where_the_memory_does() -> None:
    inner = Doubler(memory=2)
    with BatchedEngine(inner, largest=8) as engine:
        engine.warm_up()
        assert inner.sizes == [1, 1, 2, 4, 2, 2, 1]
        inner.sizes.clear()
        assert call(engine, 1.0, rows=4).shape == (4, 3)
        assert inner.sizes == [2, 2]


class Unlike(Exception):
    """An exception that cannot be copied: its constructor takes other arguments than it keeps."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words} ({code})")


def test_an_error_that_cannot_be_copied_reaches_everybody() -> None:
    inner = Doubler()
    inner.error = Unlike(7, "the library failed")
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        for future in held(inner, engine, pool, 4):
            with pytest.raises(EngineError, match=r"Unlike: the library failed \(7\)"):
                future.result(10)


def test_an_error_of_one_batch_ends_nothing_else() -> None:
    inner = Doubler()
    with BatchedEngine(inner) as engine:
        for error in (EngineError("the device hiccuped"), ZeroDivisionError("a bug")):
            inner.error = error
            with pytest.raises(type(error), match=str(error)) as raised:
                call(engine, 1.0)
            assert raised.value is not error
        inner.error = None
        assert call(engine, 1.0)[0, 0] == 2.5


def test_a_lost_device_is_one_clear_error_at_once() -> None:
    inner = Doubler()
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        inner.error = DeviceLost("the GPU fell off the bus")
        for future in held(inner, engine, pool, 5):
            with pytest.raises(DeviceLost, match="fell off the bus"):
                future.result(10)
        count = len(inner.sizes)
        for _ in range(3):
            with pytest.raises(DeviceLost, match="fell off the bus"):
                call(engine, 1.0)
        assert len(inner.sizes) == count


def test_closing_answers_everybody() -> None:
    inner = Doubler()
    engine = BatchedEngine(inner, late=60.0)
    with ThreadPoolExecutor(8) as pool:
        inner.gate.clear()
        running = pool.submit(call, engine, 1.0, name="a")
        assert inner.entered.acquire(timeout=10)
        waiting = pool.submit(call, engine, 2.0, name="b")
        wait_until_queued(engine, 1)
        closing = pool.submit(engine.close)
        while engine._ended is None:
            threading.Event().wait(0.001)
        inner.gate.set()
        closing.result(10)
        assert running.result(10)[0, 0] == 2.5
        with pytest.raises(EngineError, match="closed"):
            waiting.result(10)
    with pytest.raises(EngineError, match="closed"):
        call(engine, 3.0)


def test_inputs_of_one_call_share_a_batch_size() -> None:
    with BatchedEngine(Doubler()) as engine, pytest.raises(EngineError, match=r"one batch size, got \[1, 2\]"):
        engine.run({"x": np.zeros((2, 3), np.float32), "y": np.zeros(1, np.float32)})


def test_warming_up_runs_every_size_that_engines_prepare_for() -> None:
    inner = Doubler()
    with BatchedEngine(inner, largest=8) as engine:
        engine.warm_up()
        assert inner.sizes == [1, 1, 2, 4, 8, 1]
    inner = Doubler(fixed=True)
    with BatchedEngine(inner) as engine:
        engine.warm_up()
        assert inner.sizes == [1, 1, 1]


def test_warming_up_leaves_out_what_takes_seconds() -> None:
    inner, now = Doubler(), [0.0]
    inner_run = inner._run

    def slow(inputs: Mapping[str, Array]) -> Any:
        now[0] += 0.3 * len(inputs["x"])
        return inner_run(inputs)

    inner._run = slow  # type: ignore[method-assign]
    with BatchedEngine(inner, largest=8, clock=lambda: now[0]) as engine:
        engine.warm_up()
    assert inner.sizes == [1, 1, 2, 1]


def test_calls_outside_a_session_belong_to_their_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with BatchedEngine(Doubler()) as engine:
        sessions = []
        add = engine._planner.add

        def noted(request: Request) -> list[Request]:
            sessions.append(request.session)
            return add(request)

        monkeypatch.setattr(engine._planner, "add", noted)
        call(engine, 1.0)
        with session("a"), session("b"):
            call(engine, 1.0)
    assert sessions == [threading.get_ident(), "b"]
