"""Which replica a new session goes to: the one with the most free capacity, as far as an ingress knows.

Several ingresses place sessions at the same time and each hears of the others' with delay. A placement therefore names
the count of sessions that it was decided on (`Figures.opened`); a replica that has opened more refuses and says its
figures, and the ingress decides again.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

SHUN_S = 10.0
"""Time without new sessions for a replica that did not answer."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a replica says of itself.

    Attributes:
        at: seconds of its own clock, increasing.
        opened: sessions that it ever took.
        sessions: those that it has now.
        places: sessions that it still takes; 0 while it drains.
        free: share of its frame budget that is not spent; 1 when idle, 0 or less when work is left out already.
        cost: share that one more session is expected to take.
        young: sessions of which nothing was measured yet; each has `cost` in `free`.
        measured: whether `cost` is a measured one.
        unit: share that a session takes where none was measured.
        version: of the code and configuration that it runs.
        started: seconds since the epoch.
    """

    at: float = 0.0
    opened: int = 0
    sessions: int = 0
    places: int = 1
    free: float = 1.0
    cost: float = 0.1
    young: int = 0
    measured: bool = False
    unit: float = 0.1
    version: str = ""
    started: float = 0.0

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self | None:
        """Figures from what Serve passes on; None where it is nothing of the kind."""
        try:
            return cls(**said) if said else None
        except TypeError:  # of another version of this program
            return None

    def written(self) -> dict[str, Any]:
        """As Serve passes it on."""
        return asdict(self)


class Beliefs:
    """What one ingress knows of the replicas. Thread-safe: Serve's router runs in a thread of its own.

    Args:
        clock: monotonic seconds.
        draw: a number in 0..1, for ties: ingresses that know the same must not all choose the same.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, draw: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._draw = draw
        self._lock = threading.Lock()
        self._known: dict[str, Figures] = {}
        self._shunned: dict[str, float] = {}
        self._notes: dict[str, Callable[[str], None]] = {}

    def learn(self, replica: str, figures: Figures) -> None:
        """Take figures, from an answer or from Serve's statistics, unless newer ones are known."""
        with self._lock:
            known = self._known.get(replica)
            if known is None or figures.at >= known.at:
                self._known[replica] = figures
            if known is not None and figures.at > known.at:
                self._shunned.pop(replica, None)

    @contextmanager
    def noting(self, note: Callable[[str], None]) -> Iterator[str]:
        """Have it noted which replica is chosen for a request that carries the token which is given here."""
        token = secrets.token_hex(8)
        self._notes[token] = note
        try:
            yield token
        finally:
            del self._notes[token]

    def chosen(self, token: str, replica: str) -> None:
        """Note which replica is chosen for the request with a token."""
        note = self._notes.get(token)
        if note is not None:
            note(replica)

    def expect(self, replica: str) -> int:
        """Count a session that is on its way to a replica. Returns how many that had opened before, as far as known."""
        with self._lock:
            known = self._known.get(replica, Figures())
            self._known[replica] = replace(
                known,
                opened=known.opened + 1,
                sessions=known.sessions + 1,
                places=known.places - 1,
                free=known.free - known.cost,
                young=known.young + 1,
            )
            return known.opened

    def shun(self, replica: str) -> None:
        """Note that a replica does not answer, for `SHUN_S`."""
        with self._lock:
            self._shunned[replica] = self._clock() + SHUN_S

    def of(self, replica: str) -> Figures:
        """The figures of a replica; those of an idle one if nothing is known."""
        with self._lock:
            return self._known.get(replica, Figures())

    def keep(self, replicas: Collection[str]) -> None:
        """Forget every replica but these."""
        with self._lock:
            for gone in self._known.keys() - replicas:
                del self._known[gone]
            for gone in self._shunned.keys() - replicas:
                del self._shunned[gone]

    def order(self, replicas: Collection[str]) -> list[str]:
        """Replicas in the order in which they are to be tried for a new session.

        Those with places and an answer come first, then those of the newest version, so that nobody moves twice in an
        update; then those with room for a session; then by free capacity, where less than a session's share (`unit`)
        is no difference; then by sessions, then by lot.
        """
        figures = _comparable({replica: self.of(replica) for replica in replicas})
        newest = max(figures.values(), key=lambda one: one.started, default=Figures()).version
        now = self._clock()

        def last(replica: str) -> tuple[bool, bool, bool, bool]:
            one = figures[replica]
            shunned = self._shunned.get(replica, now) > now
            return shunned, one.places <= 0, one.version != newest, one.free < one.cost

        classes = {replica: last(replica) for replica in replicas}
        first = min(classes.values(), default=None)
        most = max((figures[replica].free for replica in replicas if classes[replica] == first), default=0.0)

        def rank(replica: str) -> tuple[tuple[bool, bool, bool, bool], int, int, float]:
            one = figures[replica]
            behind = int((most - one.free) / one.unit + 1e-6)
            return classes[replica], behind, one.sessions, self._draw()

        return sorted(replicas, key=rank)


def _comparable(figures: Mapping[str, Figures]) -> dict[str, Figures]:
    """Figures with every young session counted alike: as those that were measured on other replicas, where some were.

    Else whoever has sessions that are old enough to be measured would seem to have more room than a replica whose
    sessions have just begun, and would get all the next ones.
    """
    known = [one.cost / one.unit for one in figures.values() if one.measured]
    if not known:
        return dict(figures)
    typical = sum(known) / len(known)
    return {
        replica: one
        if one.measured
        else replace(one, free=one.free + one.young * (one.cost - typical * one.unit), cost=typical * one.unit)
        for replica, one in figures.items()
    }


BELIEFS = Beliefs()
"""Of this process: Serve makes the router by itself, and the gateway learns from answers."""
