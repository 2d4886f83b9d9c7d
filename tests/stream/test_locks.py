"""Locks of sessions: in the background, one after the other, cancelled and forgotten with their session."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from models.arrays import Floats
from models.inversion_base import InversionError
from models.locking import LockedEditor, Step
from stream.locks import MOST_KEPT, Lock, Locks, LocksBusy, LocksKept
from tests.models.matting import coarse_hair

OFFSET = np.ones(4, np.float32)


@pytest.fixture
def locks() -> Iterator[Locks]:
    locks = Locks()
    yield locks
    locks.close()


def wait(lock: Lock, state: str) -> None:
    until = time.monotonic() + 60
    while lock.state != state:
        assert time.monotonic() < until, lock
        time.sleep(0.002)


class Slow:
    """An inversion that goes on until it is let go."""

    def __init__(self) -> None:
        self.go, self.begun, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, step: Step) -> Floats:
        self.begun.set()
        try:
            for number in range(10_000):
                step(number, 10_000)
                if self.go.wait(0.002):
                    return OFFSET
            raise AssertionError("nobody stopped it")
        finally:
            self.ended.set()


def test_a_lock_that_is_done_moves_its_own_editor_alone(locks: Locks) -> None:
    editor = coarse_hair()
    lock = locks.start("a", "e4e", lambda step: OFFSET)
    wait(lock, "done")
    assert lock.id in locks
    assert isinstance(locks.locked(lock.id, "e4e", editor), LockedEditor)
    assert locks.locked(lock.id, "psp", editor) is editor
    assert locks.locked("", "e4e", editor) is editor
    locks.forget_session("b")
    assert lock.id in locks
    locks.forget_session("a")
    assert lock.id not in locks
    assert locks.locked(lock.id, "e4e", editor) is editor


def test_the_end_of_a_session_stops_its_inversion(locks: Locks) -> None:
    slow = Slow()
    lock = locks.start("a", "e4e", slow)
    assert slow.begun.wait(60)
    assert lock.id not in locks  # not before it is done
    with pytest.raises(LocksBusy):
        locks.start("a", "psp", lambda step: OFFSET)
    waiting = locks.start("b", "e4e", lambda step: OFFSET)
    assert waiting.state == "waiting"
    locks.forget_session("a")
    assert slow.ended.wait(60)
    assert locks.get(lock.id) is None
    wait(waiting, "done")


def test_few_wait_at_a_time(locks: Locks) -> None:
    slow = Slow()
    for session in "abcd":
        locks.start(session, "e4e", slow)
    with pytest.raises(LocksBusy):
        locks.start("e", "e4e", slow)
    slow.go.set()


def test_a_session_keeps_few_locks(locks: Locks) -> None:
    def fail(step: Step) -> Floats:
        raise InversionError("the descent diverged at step 3")

    for _ in range(MOST_KEPT):
        failed = locks.start("a", "e4e", fail)
        wait(failed, "failed")
        wait(locks.start("a", "e4e", lambda step: OFFSET), "done")
        assert locks.get(failed.id) is None
    with pytest.raises(LocksKept):
        locks.start("a", "e4e", lambda step: OFFSET)
    wait(locks.start("b", "e4e", lambda step: OFFSET), "done")
    locks.forget_session("a")
    wait(locks.start("a", "e4e", lambda step: OFFSET), "done")


def test_a_failure_is_told_in_words(locks: Locks) -> None:
    def fail(step: Step) -> Floats:
        raise InversionError("the descent diverged at step 3")

    def crash(step: Step) -> Floats:
        raise KeyError("inner")

    first = locks.start("a", "e4e", fail)
    wait(first, "failed")
    assert first.error == "the descent diverged at step 3"
    second = locks.start("a", "e4e", crash)
    wait(second, "failed")
    assert second.error == "the server could not invert this snapshot"
    wait(locks.start("a", "e4e", lambda step: OFFSET), "done")
