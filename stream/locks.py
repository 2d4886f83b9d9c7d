"""Snapshots of callers that latent editors are locked to: inverted in the background, forgotten with their session."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from engines.base import EngineError
from models.arrays import Floats
from models.editor import AnyEditor
from models.locking import LockedEditor, LockError, Step

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "cancelled"]
Invert = Callable[[Step], Floats]
"""Inverts a snapshot and tells each step."""
MOST_WAITING = 4
"""Snapshots that wait for or are in the one inversion at a time."""
MOST_KEPT = 8
"""Locks of one session that are done."""


class LocksBusy(RuntimeError):
    """Enough snapshots are waiting."""


class LocksKept(RuntimeError):
    """The session has as many locks as it may keep."""


class _Cancelled(Exception):
    """A job is not wanted any more."""


@dataclass(slots=True)
class Lock:
    """One snapshot.

    Attributes:
        id: unguessable; settings name the lock by it.
        session: whose it is; it ends with it.
        editor: whose latent it locks.
        state: how far it is.
        step, steps: of the descent.
        error: why it failed, in words for a user.
        offset: what the inversion found, see `models.locking`; None until it is done.
    """

    id: str
    session: str
    editor: str
    state: State = "waiting"
    step: int = 0
    steps: int = 0
    error: str = ""
    offset: Floats | None = None


class Locks:
    """All locks of a process. Thread-safe."""

    def __init__(self) -> None:
        self._locks: dict[str, Lock] = {}
        self._mutex = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="lock")

    def start(self, session: str, editor: str, invert: Invert) -> Lock:
        """Invert a snapshot in the background.

        Raises:
            LocksBusy: `MOST_WAITING` are waiting, or one of this session is.
            LocksKept: this session has `MOST_KEPT`.
        """
        with self._mutex:
            own = [lock for lock in self._locks.values() if lock.session == session]
            for failed in [lock for lock in own if lock.state == "failed"]:
                del self._locks[failed.id]
            if sum(lock.state == "done" for lock in own) >= MOST_KEPT:
                raise LocksKept
            busy = [lock for lock in self._locks.values() if lock.state in ("waiting", "running")]
            if len(busy) >= MOST_WAITING or any(lock.session == session for lock in busy):
                raise LocksBusy
            lock = Lock(secrets.token_hex(16), session, editor)
            self._locks[lock.id] = lock
        self._worker.submit(self._run, lock, invert)
        return lock

    def get(self, id: str) -> Lock | None:
        """A lock; None if there is none of this id, or none any more."""
        return self._locks.get(id)

    def ready(self, id: str, session: str) -> bool:
        """Whether a session has a lock of this id, and it is done."""
        lock = self._locks.get(id)
        return lock is not None and lock.session == session and lock.state == "done"

    def __contains__(self, id: str) -> bool:
        lock = self._locks.get(id)
        return lock is not None and lock.state == "done"

    def locked(self, id: str, name: str, editor: AnyEditor) -> AnyEditor:
        """An editor, locked where the lock of that id is of it."""
        lock = self._locks.get(id)
        if lock is None or lock.offset is None or lock.editor != name:
            return editor
        return LockedEditor(editor, lock.offset)

    def forget(self, id: str) -> None:
        """Forget a lock, and stop its inversion."""
        with self._mutex:
            lock = self._locks.pop(id, None)
            if lock is not None and lock.state in ("waiting", "running"):
                lock.state = "cancelled"

    def forget_session(self, session: str) -> None:
        """Forget all of a session."""
        for lock in [lock for lock in self._locks.copy().values() if lock.session == session]:
            self.forget(lock.id)

    def close(self) -> None:
        """Forget everything. No inversion runs any more."""
        for id in list(self._locks):
            self.forget(id)
        self._worker.shutdown(cancel_futures=True)

    def _run(self, lock: Lock, invert: Invert) -> None:
        def told(step: int, steps: int) -> None:
            if lock.state == "cancelled":
                raise _Cancelled
            lock.step, lock.steps = step, steps

        try:
            with self._mutex:
                if lock.state == "cancelled":
                    return
                lock.state = "running"
            offset = invert(told)
            with self._mutex:
                told(lock.step, lock.steps)
                lock.offset, lock.state = offset, "done"
        except _Cancelled:
            return
        except (LockError, EngineError, ValueError) as error:
            lock.error, lock.state = str(error), "failed"
        except Exception:  # whatever an inversion raises, the next one has its turn
            log.exception("a snapshot could not be inverted")
            lock.error, lock.state = "the server could not invert this snapshot", "failed"
