"""One replica: today's server without its HTTP port. Media goes straight between its node and the peers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import cv2
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from models.arrays import Floats
from signaling.app import create_app, load_runtime
from signaling.cluster.capacity import Capacity, SessionLoad
from signaling.cluster.forwarding import Answer, Forwarded, call
from signaling.cluster.gateway import Reply
from signaling.cluster.placement import Figures
from signaling.logs import limit_handlers
from signaling.sessions import Sessions
from signaling.settings import ServerSettings

if TYPE_CHECKING:
    from stream.runtime import Runtime

logger = logging.getLogger(__name__)

MEASURE_S = 0.5
"""Between two measurements, and between two reports of streams' names."""
DIRECTORY_S = 2.0
"""Time for the directory to answer."""
DRAIN_S = 8.0
"""Time for peers to leave a replica that stops; they are told at once."""

RuntimeMaker = Callable[[ServerSettings], "Runtime"]


class Filter:
    """The deployment of filters.

    Args:
        settings: of the server; `max_sessions` and `max_viewers` are one replica's.
        directory: handle of the deployment of `signaling.cluster.directory.Directory`.
        cores: that this replica may use.
        make_runtime: loads networks and editors.
    """

    async def __init__(
        self,
        settings: ServerSettings,
        directory: DeploymentHandle[Any],
        cores: float,
        make_runtime: RuntimeMaker = load_runtime,
    ) -> None:
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        limit_handlers()
        for chatty in ("aiortc", "aioice"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        cv2.setNumThreads(1)
        self._loop = asyncio.get_running_loop()
        self._directory = directory
        self._started = time.time()
        self._epoch = ""
        context = serve.get_replica_context()
        self._id: str = context.replica_tag
        self._version: str = context.code_version or ""
        self._capacity = Capacity(cores)
        self._runtime = await self._loop.run_in_executor(None, make_runtime, settings)
        self._runtime.photo_source = self._find_photo
        self._app = create_app(settings, self._runtime)
        self._lifespan = self._app.router.lifespan_context(self._app)
        await self._lifespan.__aenter__()
        self._sessions: Sessions = self._app.state.sessions
        self._names = frozenset[str]()
        self._reporting = asyncio.create_task(self._report())

    async def answer(self, request: Forwarded, believed: int | None = None) -> Reply:
        """Have the app answer.

        Args:
            request: from an ingress.
            believed: of a new session: how many this replica is believed to have opened; None does not care.
        """
        answer = await self._answer(request, believed)
        return Reply(answer, self._figures().written())

    async def record_routing_stats(self) -> dict[str, Any]:
        """Serve's hook: what routers learn."""
        return self._figures().written()

    async def record_replica_metadata(self) -> dict[str, Any]:
        """Serve's hook: what routers know of a replica before its first statistics."""
        return Figures(version=self._version, started=self._started, places=self._sessions.places).written()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve's hook: what `scaling.replicas_for_load` gets."""
        return {"spent": 1 - self._figures().free, "sessions": float(len(self._sessions))}

    async def check_health(self) -> None:
        """Serve's hook: a replica whose app does not say that it is well is replaced.

        Raises:
            RuntimeError: it is not.
        """
        answer = await call(self._app, Forwarded("GET", "http", "/healthz", "", (("host", "localhost"),)))
        if answer.status >= 400:
            raise RuntimeError(f"/healthz says {answer.status}: {answer.body[:200]!r}")
        if self._reporting.done():
            raise RuntimeError("the reports have ended")

    async def __del__(self) -> None:
        """Serve's hook for a graceful end: tell the peers to move, and wait until they have."""
        self._reporting.cancel()
        await self._tell_directory("release", list(self._stream_names()))
        await self._sessions.drain(DRAIN_S)
        await self._lifespan.__aexit__(None, None, None)
        await self._loop.run_in_executor(None, self._runtime.close)

    async def _answer(self, request: Forwarded, believed: int | None) -> Answer | None:
        opens = request.method == "POST" and request.path == "/whip"
        if not opens:
            answer = await call(self._app, request)
            if request.path == "/photos" and answer.status == 200:
                await self._share_photo(request, answer)
            return answer
        if self._sessions.places <= 0 or (believed is not None and self._sessions.opened > believed):
            return None
        name = parse_qs(request.query).get("stream", [""])[-1]
        if name and name not in self._stream_names():
            if (claimed := await self._tell_directory("claim", name)) is None:
                return _refusal(503, "streams cannot be named just now", ("retry-after", "1"))
            if not claimed:
                return _refusal(409, f"a stream {name[:64]!r} is being sent already")
        answer = await call(self._app, request)
        if name and name not in self._stream_names():
            await self._tell_directory("release", [name])
        return answer

    def _figures(self) -> Figures:
        now = time.monotonic()
        loads = [SessionLoad(now - one.opened_at, one.load, one.reduced) for one in self._sessions]
        return Figures(
            opened=self._sessions.opened,
            sessions=len(self._sessions),
            places=self._sessions.places,
            free=self._capacity.free(loads),
            version=self._version,
            started=self._started,
        )

    def _stream_names(self) -> frozenset[str]:
        return frozenset(one.stream for one in self._sessions if one.stream is not None)

    async def _report(self) -> None:
        """Measure this process, and keep the directory's knowledge of it: names always, photos when it is new."""
        while True:
            self._capacity.measure(time.monotonic(), time.process_time())
            names = self._stream_names()
            if gone := self._names - names:
                await self._tell_directory("release", list(gone))
            self._names = names
            epoch = await self._tell_directory("report", list(names))
            if epoch is not None and epoch != self._epoch:
                for editor, id, code in self._runtime.photo_codes():
                    await self._call_directory("keep", editor, id, code)
                self._epoch = epoch
            await asyncio.sleep(MEASURE_S)

    async def _tell_directory(self, method: str, names: Any) -> Any:
        """Call a method about names of this replica; None if the directory does not answer."""
        if method == "claim":
            return await self._call_directory(method, names, self._id)
        return await self._call_directory(method, self._id, names)

    async def _call_directory(self, method: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(DIRECTORY_S):
                return await getattr(self._directory, method).remote(*arguments)
        except (RayError, RayServeException, TimeoutError) as error:
            logger.warning("the directory does not answer: %s", type(error).__name__)
            return None

    async def _share_photo(self, request: Forwarded, answer: Answer) -> None:
        """Let other replicas have what was read of a photo: its session may be there, or move there."""
        with contextlib.suppress(ValueError, AttributeError):
            photo = json.loads(answer.body)["controls"].get("photo", "")
            for editor, id, code in self._runtime.photo_codes() if photo else []:
                if id == photo:
                    await self._call_directory("keep", editor, id, code)

    def _find_photo(self, editor: str, photo: str) -> Floats | None:
        """From the directory; called from threads."""
        found = asyncio.run_coroutine_threadsafe(self._call_directory("code", editor, photo), self._loop)
        code: Floats | None = found.result()
        return code


def _refusal(status: int, detail: str, *headers: tuple[str, str]) -> Answer:
    body = json.dumps({"detail": detail}).encode()
    return Answer(status, (("content-type", "application/json"), *headers), body)
