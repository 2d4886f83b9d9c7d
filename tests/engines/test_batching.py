from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.base import DeviceLost, Engine, EngineError, OutOfMemory, TensorSpec
from engines.batching import LATE_S, PENDING, WAIT_S, BatchedEngine, Dropped, Figures, Planner, Ticket, session

FRAME_S = 1 / 30


def ticket(name: str, arrived: float, rows: int = 1) -> Ticket:
    return Ticket(name, rows, arrived)


def names(plan) -> list[str]:
    return [ticket.session for ticket in plan.batch]


# The planner, on a simulated clock


def test_nothing_waiting_means_nothing_to_do():
    assert Planner().plan(0.0) == Planner().plan(1.0)
    assert Planner().plan(0.0).wake is None


def test_one_session_alone_never_waits():
    planner = Planner()
    for frame in range(30):
        now = frame * FRAME_S
        planner.add(ticket("a", now))
        assert names(planner.plan(now)) == ["a"]


def two_in_phase(planner: Planner, offset: float) -> float:
    """Two sessions at 30 fps, `b` by `offset` later than `a`; returns the time of the next frame of `a`."""
    for frame in range(10):
        now = frame * FRAME_S
        planner.add(ticket("a", now))
        planner.add(ticket("b", now + offset))
        planner.plan(now + WAIT_S)
    return 10 * FRAME_S


def test_a_request_waits_for_company_that_is_due():
    planner = Planner()
    now = two_in_phase(planner, 0.002)
    planner.add(ticket("a", now))
    plan = planner.plan(now)
    assert (plan.batch, plan.wake) == ([], now + WAIT_S)
    planner.add(ticket("b", now + 0.002))
    assert names(planner.plan(now + 0.002)) == ["a", "b"]


def test_a_request_waits_no_longer_than_the_deadline():
    planner = Planner()
    now = two_in_phase(planner, 0.002)
    planner.add(ticket("a", now))
    assert planner.plan(now + WAIT_S - 1e-6).batch == []
    assert names(planner.plan(now + WAIT_S)) == ["a"]


def test_a_request_does_not_wait_for_company_that_is_not_due():
    planner = Planner()
    now = two_in_phase(planner, 0.016)
    planner.add(ticket("a", now))
    assert names(planner.plan(now)) == ["a"]


def test_a_full_batch_does_not_wait():
    planner = Planner(largest=2)
    now = two_in_phase(planner, 0.002)
    planner.add(ticket("a", now))
    planner.add(ticket("a", now))
    assert names(planner.plan(now)) == ["a", "a"]


def test_a_busy_peer_does_not_starve_another():
    planner = Planner(largest=2)
    for _ in range(6):
        planner.add(ticket("busy", 0.0))
    planner.add(ticket("calm", 0.0))
    assert set(names(planner.plan(0.0))) == {"busy", "calm"}
    assert names(planner.plan(0.0)) == ["busy", "busy"]
    planner.add(ticket("calm", 0.0))
    assert names(planner.plan(0.0))[0] == "calm"


def test_requests_of_one_session_stay_in_order():
    planner = Planner(largest=8)
    tickets = [ticket("a", 0.0) for _ in range(5)]
    for one in tickets:
        planner.add(one)
    assert planner.plan(0.0).batch == tickets


def test_rows_fill_a_batch_but_do_not_overfill_it():
    planner = Planner(largest=4)
    for name, rows in [("a", 3), ("b", 2), ("c", 9), ("d", 1)]:
        planner.add(ticket(name, 0.0, rows))
    assert names(planner.plan(0.0)) == ["a"]
    assert names(planner.plan(0.0)) == ["b"]
    assert names(planner.plan(0.0)) == ["c"]  # larger than any batch: alone
    assert names(planner.plan(0.0)) == ["d"]


def test_late_requests_are_dropped_not_queued():
    planner = Planner(largest=1)
    old, new = ticket("a", 0.0), ticket("b", 0.05)
    planner.add(old)
    planner.add(new)
    plan = planner.plan(LATE_S + 1e-6)
    assert plan.late == [old]
    assert plan.batch == [new]


def test_a_session_overtakes_its_own_oldest_requests():
    planner = Planner()
    tickets = [ticket("a", float(i) * 1e-3) for i in range(PENDING + 2)]
    overtaken = [one for added in tickets for one in planner.add(added)]
    assert overtaken == tickets[:2]


@pytest.mark.parametrize("late", [LATE_S, 0.3])
def test_load_above_capacity_lowers_every_rate_evenly(late):
    """20 sessions at 30 fps, one asking four times as much, on an engine that does 4 rows in 20 ms: a third of it."""
    planner, now, free_at = Planner(largest=4, late=late), 0.0, 0.0
    served: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    arrivals = sorted(
        (frame * FRAME_S + index * 0.0017, f"s{index}")
        for index in range(20)
        for frame in range(150)
        for _ in range(4 if index == 0 else 1)
    )
    for now, name in arrivals:
        while free_at <= now:
            plan = planner.plan(free_at)
            waiting.subtract(one.session for one in (*plan.batch, *plan.late))
            served.update(names(plan))
            free_at += 0.02 if plan.batch else 0.001
        if waiting[name] < (4 if name == "s0" else 1):  # a session blocks until it is answered
            planner.add(ticket(name, now))
            waiting[name] += 1
    others = [served[f"s{index}"] for index in range(1, 20)]
    assert min(others) > 0.9 * max(others)
    assert served["s0"] <= 1.1 * max(others)
    assert 900 < served.total() <= 1010  # the engine was kept busy: 5 s of 200 rows each


def test_a_session_that_left_is_forgotten():
    planner = Planner()
    for index in range(1000):
        planner.add(ticket(f"s{index}", float(index)))
        planner.plan(float(index))
    assert len(planner._lines) <= 12


# The worker, with threads


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

    def _run(self, inputs):
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


def held(inner: Doubler, engine: BatchedEngine, pool: ThreadPoolExecutor, calls: int) -> list:
    """Start one call, hold it inside the engine, queue more behind it, and let go."""
    inner.gate.clear()
    futures = [pool.submit(call, engine, 0.0, name="s0")]
    assert inner.entered.acquire(timeout=10)
    futures += [pool.submit(call, engine, float(index), name=f"s{index}") for index in range(1, calls)]
    while sum(engine.figures(f"s{index}").submitted for index in range(calls)) < calls:
        threading.Event().wait(0.001)
    inner.gate.set()
    return futures


def test_every_caller_gets_its_own_result():
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
        assert sum(engine.figures(f"s{index}").completed for index in range(threads)) == threads * calls
        assert engine.figures("s0").dropped == 0
    assert max(inner.sizes) <= 8
    assert max(inner.sizes) > 3  # several callers ran together
    assert inner.closed


def test_requests_that_wait_run_together():
    inner = Doubler()
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        results = [future.result(10) for future in held(inner, engine, pool, 6)]
    assert inner.sizes == [1, 5]
    assert [float(result[0, 0]) for result in results] == [2 * index + 0.5 for index in range(6)]
    assert all(result.base is None for result in results)  # nobody holds a part of another's memory


def test_rows_that_belong_to_nobody_are_given_to_nobody():
    inner = Doubler()
    inner_run = inner._run
    inner._run = lambda inputs: {"out": np.repeat(inner_run(inputs)["out"], 7, 0)}  # boxes, say, of all pictures
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        first, *others = held(inner, engine, pool, 4)
        assert first.result(10).shape == (7, 3)
        for future in others:
            with pytest.raises(EngineError, match="21 rows for a batch of 3"):
                future.result(10)


def test_figures_tell_what_a_session_got():
    inner = Doubler()
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        for future in held(inner, engine, pool, 4):
            future.result(10)
        figures = engine.figures("s1")
        assert (figures.submitted, figures.completed, figures.dropped, figures.batch) == (1, 1, 0, 3.0)
        assert figures.wait_ms > 0
        assert engine.figures("nobody") == Figures()
        engine.forget("s1")
        assert engine.figures("s1") == Figures()


def test_a_network_of_fixed_batch_runs_one_by_one():
    inner = Doubler(fixed=True)
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        for future in held(inner, engine, pool, 4):
            future.result(10)
    assert inner.sizes == [1, 1, 1, 1]


def test_late_requests_get_an_answer_too():
    inner, now = Doubler(), [0.0]
    with BatchedEngine(inner, late=0.1, clock=lambda: now[0]) as engine, ThreadPoolExecutor(8) as pool:
        call(engine, 0.0, name="a")
        assert inner.entered.acquire(timeout=10)
        inner.gate.clear()
        first = pool.submit(call, engine, 1.0, name="a")
        assert inner.entered.acquire(timeout=10)
        late = pool.submit(call, engine, 2.0, name="b")
        while not engine.figures("b").submitted:
            threading.Event().wait(0.001)
        now[0] = 0.2
        inner.gate.set()
        assert first.result(10)[0, 0] == 2.5
        with pytest.raises(Dropped, match="busy"):
            late.result(10)
        assert engine.figures("b").dropped == 1
        assert call(engine, 3.0, name="b")[0, 0] == 6.5


def test_a_slow_engine_does_not_drop_who_waits_for_one_call():
    inner, now = Doubler(), [0.0]
    with BatchedEngine(inner, late=0.1, clock=lambda: now[0]) as engine, ThreadPoolExecutor(8) as pool:
        inner.gate.clear()
        first = pool.submit(call, engine, 1.0, name="a")
        assert inner.entered.acquire(timeout=10)
        second = pool.submit(call, engine, 2.0, name="b")
        while not engine.figures("b").submitted:
            threading.Event().wait(0.001)
        now[0] = 0.25
        inner.gate.set()
        assert first.result(10)[0, 0] == 2.5
        assert second.result(10)[0, 0] == 4.5


def test_who_is_alone_runs_in_its_own_thread():
    inner = Doubler()
    threads = []
    inner_run = inner._run
    inner._run = lambda inputs: threads.append(threading.get_ident()) or inner_run(inputs)
    with BatchedEngine(inner) as engine:
        for value in range(3):
            call(engine, float(value), name="a")
    assert set(threads) == {threading.get_ident()}


def test_out_of_memory_falls_back_to_smaller_batches(caplog):
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


def test_one_large_request_falls_back_to_smaller_batches_too():
    inner = Doubler(memory=3)
    with BatchedEngine(inner) as engine:
        inputs = {"x": np.arange(21, dtype=np.float32).reshape(7, 3), "y": np.arange(7, dtype=np.float32)}
        for _ in range(2):
            result = engine.run(inputs)["out"]
            np.testing.assert_array_equal(result, inputs["x"] * 2 + inputs["y"][:, None])
    assert inner.sizes == [7, 4, 2, 2, 2, 1, 2, 2, 2, 1]


def test_more_rows_than_a_batch_holds_are_run_in_parts():
    inner = Doubler()
    with BatchedEngine(inner, largest=8) as engine:
        assert call(engine, 1.0, rows=20).shape == (20, 3)
    assert inner.sizes == [5, 5, 5, 5]


def test_a_host_without_memory_falls_back_too():
    inner = Doubler()
    inner.memory_error = True
    with BatchedEngine(inner) as engine:
        assert call(engine, 1.0, rows=2).tolist() == [[2.5] * 3] * 2
    assert inner.sizes == [2, 1, 1]


def test_warming_up_ends_where_the_memory_does():
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


def test_an_error_that_cannot_be_copied_reaches_everybody():
    inner = Doubler()
    inner.error = Unlike(7, "the library failed")
    with BatchedEngine(inner, late=60.0) as engine, ThreadPoolExecutor(8) as pool:
        for future in held(inner, engine, pool, 4):
            with pytest.raises(EngineError, match=r"Unlike: the library failed \(7\)"):
                future.result(10)


def test_an_error_of_one_batch_ends_nothing_else():
    inner = Doubler()
    with BatchedEngine(inner) as engine:
        for error in (EngineError("the device hiccuped"), ZeroDivisionError("a bug")):
            inner.error = error
            with pytest.raises(type(error), match=str(error)) as raised:
                call(engine, 1.0)
            assert raised.value is not error
        inner.error = None
        assert call(engine, 1.0)[0, 0] == 2.5


def test_a_lost_device_is_one_clear_error_at_once():
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


def test_closing_answers_everybody():
    inner = Doubler()
    engine = BatchedEngine(inner, late=60.0)
    with ThreadPoolExecutor(8) as pool:
        inner.gate.clear()
        running = pool.submit(call, engine, 1.0, name="a")
        assert inner.entered.acquire(timeout=10)
        waiting = pool.submit(call, engine, 2.0, name="b")
        while not engine.figures("b").submitted:
            threading.Event().wait(0.001)
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


def test_inputs_of_one_call_share_a_batch_size():
    with BatchedEngine(Doubler()) as engine, pytest.raises(EngineError, match=r"one batch size, got \[1, 2\]"):
        engine.run({"x": np.zeros((2, 3), np.float32), "y": np.zeros(1, np.float32)})


def test_warming_up_runs_every_size_that_engines_prepare_for():
    inner = Doubler()
    with BatchedEngine(inner, largest=8) as engine:
        engine.warm_up()
        assert inner.sizes == [1, 1, 2, 4, 8, 1]
        assert engine.figures(threading.get_ident()) == Figures()
    inner = Doubler(fixed=True)
    with BatchedEngine(inner) as engine:
        engine.warm_up()
        assert inner.sizes == [1, 1, 1]


def test_warming_up_leaves_out_what_takes_seconds():
    inner, now = Doubler(), [0.0]
    inner_run = inner._run

    def slow(inputs):
        now[0] += 0.3 * len(inputs["x"])
        return inner_run(inputs)

    inner._run = slow
    with BatchedEngine(inner, largest=8, clock=lambda: now[0]) as engine:
        engine.warm_up()
    assert inner.sizes == [1, 1, 2, 1]


def test_calls_outside_a_session_belong_to_their_thread():
    with BatchedEngine(Doubler()) as engine:
        call(engine, 1.0)
        assert engine.figures(threading.get_ident()).completed == 1
        with session("a"), session("b"):
            call(engine, 1.0)
        assert engine.figures("b").completed == 1
