"""Background work is bounded and fair, whatever the streams ask for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing

import pytest

from engines.batching import _caller
from stream import background as background_module
from stream.background import RECENT_S, Background


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def background(clock: Clock) -> Iterator[Background]:
    with closing(Background(1, clock)) as background:
        yield background


def test_jobs_of_a_stream_run_one_after_the_other_and_belong_to_it() -> None:
    with closing(Background(4)) as background:
        stream, at_once, most, lock = background.stream("ann"), 0, 0, threading.Lock()

        def work(number: int) -> tuple[int, object]:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            threading.Event().wait(0.002)
            with lock:
                at_once -= 1
            return number, _caller.get()

        assert [job.result(10) for job in [stream.submit(work, number) for number in range(20)]] == [
            (number, "ann") for number in range(20)
        ]
        assert most == 1


def test_no_more_jobs_run_at_once_than_there_are_threads() -> None:
    with closing(Background(2)) as background:
        gate, running = threading.Event(), threading.Semaphore(0)

        def work() -> None:
            running.release()
            gate.wait(10)

        jobs = [background.stream(number).submit(work) for number in range(6)]
        assert running.acquire(timeout=10)
        assert running.acquire(timeout=10)
        assert not running.acquire(timeout=0.05)
        gate.set()
        for job in jobs:
            job.result(10)


def keep_busy(
    background: Background, clock: Clock, costs: dict[str, float], seconds: float
) -> tuple[dict[str, int], Callable[[], None]]:
    """Have streams ask for the next job as soon as they got one; jobs cost `costs` seconds of the clock.

    Returns:
        How many jobs each stream got within `seconds`, by its name, and what starts them.
    """
    got, started, ended = dict.fromkeys(costs, 0), threading.Event(), threading.Event()
    streams = {name: background.stream(name) for name in costs}

    def work(name: str) -> None:
        started.wait(10)
        clock.now += costs[name]
        if clock.now < seconds:
            got[name] += 1
            streams[name].submit(work, name)
        else:
            ended.set()

    for name, stream in streams.items():
        stream.submit(work, name)

    def start() -> None:
        started.set()
        assert ended.wait(10)

    return got, start


def test_streams_get_the_same_time_whatever_a_job_of_theirs_takes(background: Background, clock: Clock) -> None:
    costs = {"ann": 0.1, "ben": 0.1, "eve": 1.0}
    got, start = keep_busy(background, clock, costs, 90)
    start()
    for name, cost in costs.items():
        assert got[name] * cost == pytest.approx(30, abs=1.5), name


def test_a_stream_that_comes_late_has_saved_no_time_up(background: Background, clock: Clock) -> None:
    old, start = keep_busy(background, clock, {"old": 0.1}, 50)
    start()
    late = background.stream("late")  # before: it has existed, and had nothing to do
    got, start = keep_busy(background, clock, {"old again": 0.1, "new": 0.1}, 100)
    late.submit(int)
    start()
    assert old["old"] > 490
    assert abs(got["old again"] - got["new"]) <= 2


def test_crowding_is_of_the_streams_that_edit(clock: Clock) -> None:
    with closing(Background(2, clock)) as background:
        streams = [background.stream(number) for number in range(6)]
        assert streams[0].crowding == 3
        streams[0].shutdown()
        assert background.crowding == 2.5
        clock.now = RECENT_S + 1
        assert background.crowding == 1
        for stream in streams[1:4]:
            stream.note(0)
        assert background.crowding == 1.5


@pytest.mark.parametrize(("cores", "streams", "pressure"), [(1, 1, 1), (2, 1, 0), (2, 4, 3), (1, 4, 4), (16, 8, 0)])
def test_pressure_counts_the_frames_of_a_machine_without_a_core_to_spare(
    monkeypatch: pytest.MonkeyPatch, cores: int, streams: int, pressure: int
) -> None:
    monkeypatch.setattr(background_module, "usable_cores", lambda: cores)
    with closing(Background()) as background:
        for number in range(streams):
            background.stream(number)
        assert background.pressure == pressure


def test_a_stream_that_ends_leaves_no_job_behind(background: Background) -> None:
    gate, began = threading.Event(), threading.Event()
    stream, other = background.stream("ann"), background.stream("ben")

    def work() -> str:
        began.set()
        gate.wait(10)
        return "done"

    runs, waits, others = stream.submit(work), stream.submit(int), other.submit(int)
    assert began.wait(10)
    stream.shutdown(wait=False)
    assert waits.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        stream.submit(int)
    gate.set()
    stream.shutdown()
    assert runs.result(0) == "done"
    assert others.result(10) == 0


def test_an_error_is_for_whoever_asked(background: Background) -> None:
    failed: Future[float] = background.stream("ann").submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(10)
    assert background.stream("ben").submit(int).result(10) == 0
