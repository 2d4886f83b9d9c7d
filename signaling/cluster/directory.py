"""Who sends which named stream, and what editors read of photos: the little that all replicas share. In memory only.

Each replica reports its names again and again, and gives its codes anew to a directory that has started anew: nothing
is lost when only one of both is.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from models.arrays import Floats

LEASE_S = 2.5
"""Time for which a name is held after its replica was last heard."""
MOST_BYTES = 256 * 1024 * 1024
"""Of all codes together; the one not asked for longest is forgotten."""


class Names:
    """Which replica sends which named stream.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}

    def claim(self, name: str, replica: str) -> bool:
        """Take a name for a session that a replica is about to open. False if another replica has it."""
        holder = self.find(name)
        if holder is not None and holder != replica:
            return False
        self._held[name] = (replica, self._clock() + LEASE_S)
        return True

    def report(self, replica: str, names: Collection[str]) -> None:
        """Hold these names of a replica for another `LEASE_S`."""
        until = self._clock() + LEASE_S
        for name in names:
            if self.find(name) in (None, replica):
                self._held[name] = (replica, until)

    def release(self, replica: str, names: Collection[str]) -> None:
        """Give names free at once: their sessions have ended, or are about to move."""
        for name in names:
            if self._held.get(name, ("", 0.0))[0] == replica:
                del self._held[name]

    def find(self, name: str) -> str | None:
        """The replica that sends a stream; None if nobody does."""
        replica, until = self._held.get(name, ("", 0.0))
        if until > self._clock():
            return replica
        self._held.pop(name, None)
        return None

    def forget_old(self) -> None:
        """Free the memory of names whose replicas are gone."""
        for name in list(self._held):
            self.find(name)


class Codes:
    """What editors read of photos, by editor and id.

    Args:
        most_bytes: of all codes together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._codes: OrderedDict[tuple[str, str], Floats] = OrderedDict()

    def keep(self, editor: str, id: str, code: Floats) -> None:
        """Keep a code."""
        self._drop((editor, id))
        self._codes[editor, id] = code
        self._bytes += code.nbytes
        while self._bytes > self._most:
            self._drop(next(iter(self._codes)))

    def get(self, editor: str, id: str) -> Floats | None:
        """A code; None if there is none, or none any more."""
        code = self._codes.get((editor, id))
        if code is not None:
            self._codes.move_to_end((editor, id))
        return code

    def _drop(self, key: tuple[str, str]) -> None:
        code = self._codes.pop(key, None)
        self._bytes -= 0 if code is None else code.nbytes


class Directory:
    """Both, as a deployment of one replica. Its methods are coroutines: Serve runs them in one thread.

    Attributes:
        epoch: another one after every start.
    """

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(8)
        self._names = Names()
        self._codes = Codes()

    async def claim(self, name: str, replica: str) -> bool:
        """Take a name for a replica; False if another one has it."""
        return self._names.claim(name, replica)

    async def report(self, replica: str, names: list[str]) -> str:
        """Hold the names of a replica. Returns the epoch."""
        self._names.report(replica, names)
        self._names.forget_old()
        return self.epoch

    async def release(self, replica: str, names: list[str]) -> None:
        """Give names of a replica free."""
        self._names.release(replica, names)

    async def find(self, name: str) -> str | None:
        """The replica that sends a stream; None if nobody does."""
        return self._names.find(name)

    async def keep(self, editor: str, id: str, code: Floats) -> None:
        """Keep what an editor read of a photo."""
        self._codes.keep(editor, id, code)

    async def code(self, editor: str, id: str) -> Floats | None:
        """What an editor read of a photo; None if it is not known."""
        return self._codes.get(editor, id)
