"""One replica: a server without its HTTP port. Media goes straight between its node and the peers. Knows no Ray."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs

from models.arrays import Floats
from signaling.app import create_app
from signaling.cluster import locations
from signaling.cluster.capacity import Capacity, SessionLoad
from signaling.cluster.forwarding import Answer, Forwarded, call
from signaling.cluster.gateway import Reply
from signaling.cluster.placement import Figures
from signaling.logs import limited
from signaling.sessions import Sessions
from signaling.settings import ServerSettings

if TYPE_CHECKING:
    from stream.runtime import Runtime

logger = limited(__name__)

REPORT_S = 0.8
"""Between two measurements, and between two reports where streams have names."""
IDLE_REPORTS = 6
"""Where none has a name, one in so many is sent: the directory may have started anew."""
DRAIN_S = 8.0
"""Time for peers to leave a replica that stops; they are told at once."""


class NoDirectory(Exception):
    """The directory does not answer."""


class Shared(Protocol):
    """What replicas share: `signaling.cluster.directory.Directory`, near or far.

    Every method may raise `NoDirectory`.
    """

    async def claim(self, name: str, replica: str) -> bool: ...
    async def report(self, replica: str, names: list[str]) -> str: ...
    async def release(self, replica: str, names: list[str]) -> None: ...
    async def keep(self, editor: str, id: str, code: Floats) -> None: ...
    async def code(self, editor: str, id: str) -> Floats | None: ...


class Replica:
    """The app of one server, what it reports, and how it ends. Use it in one event loop, from `start` to `drain`.

    Args:
        settings: of the server; `max_sessions` and `max_viewers` are this replica's.
        runtime: loaded; gets its `photo_source`.
        shared: the directory.
        id: letters and digits, another one for every process.
        version: of code and configuration.
        cores: that this replica may use.

    Attributes:
        id: as given.
    """

    def __init__(
        self,
        settings: ServerSettings,
        runtime: Runtime,
        shared: Shared,
        *,
        id: str,
        version: str = "",
        cores: float = 1.0,
    ) -> None:
        self.id = id
        self._version = version
        self._started = time.time()
        self._shared = shared
        self._runtime = runtime
        self._capacity = Capacity(cores)
        self._app = create_app(settings, runtime, id_prefix=locations.prefix_of(id))
        self._lifespan = self._app.router.lifespan_context(self._app)
        self._claimed: set[str] = set()
        self._reported = frozenset[str]()
        self._epoch = ""
        self._taken = 0
        self._opening = 0

    async def start(self) -> None:
        """Be ready for requests."""
        self._loop = asyncio.get_running_loop()
        self._runtime.photo_source = self._find_photo
        await self._lifespan.__aenter__()
        self._reporting = asyncio.create_task(self._report())

    async def answer(self, request: Forwarded, believed: int | None = None) -> Reply:
        """Have the app answer.

        Args:
            request: from an ingress.
            believed: of a new session: how many this replica is believed to have opened; None does not care.
        """
        answer = await self._answer(request, believed)
        return Reply(answer, self.figures().written())

    def figures(self) -> Figures:
        """What routers and the autoscaler learn."""
        now = time.monotonic()
        loads = [SessionLoad(now - one.opened_at, one.load, one.reduced) for one in self._sessions]
        loads += [SessionLoad(0.0, 0.0)] * max(
            0, self._opening - self._sessions.answering
        )  # those have a place already
        young = self._capacity.young(loads)
        return Figures(
            at=now,
            opened=self._taken,
            sessions=len(loads),
            places=self._sessions.places,
            free=self._capacity.free(loads),
            cost=self._capacity.cost(loads),
            young=0 if any(load.reduced for load in loads) else young,
            measured=young < len(loads),
            unit=self._capacity.unit,
            version=self._version,
            started=self._started,
        )

    async def check_health(self) -> None:
        """See whether the app says that it is well.

        Raises:
            RuntimeError: it does not.
        """
        answer = await call(self._app, Forwarded("GET", "http", "/livez", "", (("host", "localhost"),)))
        if answer.status >= 400:
            raise RuntimeError(f"/livez says {answer.status}: {answer.body[:200]!r}")
        if self._reporting.done():
            raise RuntimeError("the reports have ended")

    async def drain(self, seconds: float = DRAIN_S) -> None:
        """Tell the peers to move, wait until they have, and end.

        Args:
            seconds: most time to wait.
        """
        self._reporting.cancel()
        self._sessions.refuse()  # first: the directory may take its time
        with contextlib.suppress(NoDirectory):
            await self._shared.release(self.id, sorted(self._names() | self._claimed))
        await self._sessions.drain(seconds)
        await self._lifespan.__aexit__(None, None, None)

    @property
    def _sessions(self) -> Sessions:
        sessions: Sessions = self._app.state.sessions
        return sessions

    async def _answer(self, request: Forwarded, believed: int | None) -> Answer | None:
        if request.method == "POST" and request.path == "/whip":
            return await self._open(request, believed)
        answer = await call(self._app, request)
        if request.method == "POST" and request.path == "/photos" and answer.status == 200:
            await self._share_photo(answer)
        return answer

    async def _open(self, request: Forwarded, believed: int | None) -> Answer | None:
        """Open a session; None where another replica is to be asked."""
        if self._sessions.places <= 0 or (believed is not None and self._taken > believed):
            return None
        self._taken += 1
        self._opening += 1
        try:
            return await self._claim_and_open(request)
        finally:
            self._opening -= 1

    async def _claim_and_open(self, request: Forwarded) -> Answer:
        name = parse_qs(request.query).get("stream", [""])[-1]
        if not name or name in self._names() | self._claimed:
            return await call(self._app, request)
        try:
            claimed = await self._shared.claim(name, self.id)
        except NoDirectory:
            return refusal(503, "streams cannot be named just now", ("retry-after", "1"))
        if not claimed:
            return refusal(409, f"a stream {name[:64]!r} is being sent already")
        self._claimed.add(name)
        try:
            return await call(self._app, request)
        finally:
            self._claimed.discard(name)
            if name not in self._names():
                with contextlib.suppress(NoDirectory):
                    await self._shared.release(self.id, [name])

    def _names(self) -> frozenset[str]:
        return frozenset(one.stream for one in self._sessions if one.stream is not None)

    async def _report(self) -> None:
        """Measure this process, and keep the directory's knowledge of it: names always, photos when it is new."""
        for count in itertools.count():
            self._capacity.measure(time.monotonic(), time.process_time())
            try:
                if self._reported or self._names() or count % IDLE_REPORTS == 0:
                    await self._report_once()
            except NoDirectory:
                logger.warning("the directory does not answer: streams cannot be named or found by others")
            await asyncio.sleep(REPORT_S)

    async def _report_once(self) -> None:
        names = self._names() | self._claimed
        if gone := self._reported - names:
            await self._shared.release(self.id, sorted(gone))
        self._reported = names
        epoch = await self._shared.report(self.id, sorted(names))
        if epoch != self._epoch:
            for editor, id, code in self._runtime.photo_codes():
                await self._shared.keep(editor, id, code)
            self._epoch = epoch

    async def _share_photo(self, answer: Answer) -> None:
        """Let other replicas have what was read of a photo: its session may be there, or move there."""
        try:
            photo = json.loads(answer.body)["controls"].get("photo", "")
            for editor, id, code in self._runtime.photo_codes() if photo else []:
                if id == photo:
                    await self._shared.keep(editor, id, code)
        except (ValueError, LookupError, AttributeError, NoDirectory) as error:
            logger.warning("a photo stays at this replica: %s", type(error).__name__)

    def _find_photo(self, editor: str, photo: str) -> Floats | None:
        """From the directory; called from threads, never from the event loop's."""
        found = asyncio.run_coroutine_threadsafe(self._shared.code(editor, photo), self._loop)
        try:
            return found.result()
        except NoDirectory:
            return None


def refusal(status: int, detail: str, *headers: tuple[str, str]) -> Answer:
    """A refusal as FastAPI writes it."""
    body = json.dumps({"detail": detail}).encode()
    return Answer(status, (("content-type", "application/json"), *headers), body)
