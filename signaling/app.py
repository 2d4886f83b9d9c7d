"""The ASGI app: page, WHIP, health and capabilities."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models import catalog
from models.weights.downloads import Downloads
from signaling import health, lan, locks, marks, photos, steer, weights, whep, whip
from signaling.access import OriginGuard
from signaling.capabilities import capabilities as capabilities_of
from signaling.local_camera import LocalCamera
from signaling.metrics import CountRequests, Metrics
from signaling.problems import problems
from signaling.sessions import Sessions
from signaling.settings import ServerSettings
from signaling.tokens import Tokens
from stream.mark.identity import Identity, KeyFileError, key_path, load_identity, make_identity
from stream.runtime import Runtime, RuntimeSettings

logger = logging.getLogger(__name__)

VERSION = "0.1.0"
WEB = Path(__file__).resolve().parent.parent / "web"

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob: mediastream:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
        "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# The operating system's own table may say otherwise (Windows: text/plain for .js), and nosniff makes that fatal.
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".webmanifest": "application/manifest+json",
}


def create_app(
    settings: ServerSettings,
    runtime: Runtime | None = None,
    downloads: Downloads | None = None,
    id_prefix: str = "",
    camera: LocalCamera | None = None,
) -> FastAPI:
    """Make the app. It can be served as it is, or mounted into another (whose lifespan must then run this one's).

    Args:
        settings: of the server.
        runtime: loaded engines and editors; None loads them when the app starts, and frees them when it stops.
        downloads: fetches weights; None for those of the catalog.
        id_prefix: of the ids of sessions and viewers.
        camera: of this machine, which the page steers in place of a camera of its own.
    """

    metrics = Metrics(VERSION)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.runtime = runtime or await asyncio.get_running_loop().run_in_executor(None, load_runtime, settings)
        video = None if camera is None else camera.video
        app.state.sessions = Sessions(app.state.runtime, settings, metrics, app.state.tokens, id_prefix, camera=video)
        metrics.watch(health.Live(app.state.sessions, app.state.runtime), settings.max_sessions, settings.max_viewers)
        try:
            yield
        finally:
            await app.state.sessions.close()
            await asyncio.get_running_loop().run_in_executor(None, app.state.downloads.close)
            if runtime is None:
                app.state.runtime.close()

    app = FastAPI(title="Latentcam", version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings = settings
    app.state.downloads = downloads or Downloads(catalog.ENTRIES)
    app.state.metrics = metrics
    app.state.tokens = Tokens.of(settings.token, settings.tokens)
    app.add_middleware(AnswerCancelled)
    app.add_middleware(OriginGuard, settings=settings)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(CountRequests, metrics=metrics)
    intake = photos.Intake()
    ways = [whip.router(), whep.router()] if camera is None else [steer.router()]
    for routes, statuses in (
        *((way, (400, 401, 403, 404, 408, 413, 415, 422, 429, 503)) for way in ways),
        (weights.router(), (401, 403, 404, 408, 409, 413, 422)),
        (photos.router(intake), (400, 401, 403, 408, 413, 422, 429, 503)),
        (locks.router(intake), (400, 401, 403, 404, 408, 413, 422, 429, 503)),
        (marks.router(), (401, 403, 408, 413, 422, 429, 503)),
    ):
        app.include_router(routes, responses=problems(*statuses))

    app.include_router(health.router(VERSION))
    if settings.lan:
        app.include_router(lan.router())

    @app.get("/capabilities", responses=problems(401, 403))
    def capabilities(request: Request, grant: whip.Holder) -> dict[str, Any]:
        """Editors, settings and controls with their schemas, engines, limits, and ICE servers for the peer."""
        steers = "" if camera is None else camera.what
        return capabilities_of(request.app.state.runtime, settings, VERSION, grant, steers)

    app.mount("/", Page(directory=WEB, html=True))
    return app


def load_runtime(settings: ServerSettings) -> Runtime:
    """Load engines and editors. Takes seconds.

    Raises:
        RuntimeError: a network or face pack cannot be loaded; the message names it and what mends it.
    """
    wanted = RuntimeSettings(
        pack=settings.pack,
        backend=settings.backend,
        precision=settings.precision,
        threads=settings.threads,
        require_label=settings.require_label,
    )
    return Runtime.load(wanted, installation() if settings.sign else None)


def installation() -> Identity | None:
    """The key of this installation, which is made where there is none; None where that is not possible."""
    try:
        identity = load_identity(key_path()) or make_identity(key_path())
    except KeyFileError as error:
        logger.warning("edited streams are not signed: %s", error)
        return None
    logger.info("edited streams are signed by installation %08x (python -m stream.mark key)", identity.operator)
    return identity


class Page(StaticFiles):
    """The page's files, with types that do not depend on this machine, and always asked for anew (ETag)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            suffix = PurePosixPath(path).suffix or ".html"
            if suffix in CONTENT_TYPES:
                response.headers["Content-Type"] = CONTENT_TYPES[suffix]
        response.headers["Cache-Control"] = "no-cache"
        return response


class SecurityHeaders:
    """ASGI middleware that adds `SECURITY_HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class AnswerCancelled:
    """ASGI middleware that answers requests which a server that stops cancels, with 503 in place of a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if begun or scope["type"] != "http" or task is None:
                raise
            task.uncancel()
            await JSONResponse({"detail": "the server is stopping"}, 503, {"Retry-After": "5"})(scope, receive, send)
