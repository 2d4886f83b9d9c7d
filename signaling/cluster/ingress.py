"""The HTTP side of a cluster: the page, and requests on their way to the replicas. Holds nothing of a session.

Every replica has the app of one server (`signaling.app`), which answers; what is told apart here is only which replica.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from signaling import marks, offers, photos
from signaling.access import OriginGuard, RateLimit, client_name
from signaling.app import VERSION, WEB, Page, SecurityHeaders
from signaling.bodies import read_body
from signaling.cluster import locations
from signaling.cluster.forwarding import Answer, Forwarded
from signaling.cluster.gateway import ANSWER_S, JOB_S, LOSSES, OFFER_S, AllFull, Gateway, NoReplica
from signaling.cluster.replica import NoDirectory
from signaling.settings import ServerSettings
from signaling.tokens import Tokens
from signaling.whip import require_token, server_full

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}")
UPLOADS = 16
"""Photos that one ingress holds at the same time, from their first byte until they are answered."""
UPLOADS_EACH = 4
"""Of these, those of one address: people behind one router share it."""
FILES, FILES_EACH = 4, 2
"""As for photos, of files for `/marks`: 256 MiB."""
RETRY_AFTER_S = 1

T = TypeVar("T")
Find = Callable[[str], Awaitable[str | None]]
"""Gives the replica that sends a named stream; None if nobody does."""


LARGE = dict.fromkeys(("photos", "looks", "strip", "locks"), photos.MAX_BYTES) | {"marks": marks.MAX_BYTES}
"""Bytes of bodies, by the first part of the path, where they may be larger than an offer."""


class Intake:
    """Uploads of one kind: so many at the same time, so many a second of one client.

    Args:
        most, each: as for `photos.Uploads`.
        rate, burst: of one client.
    """

    def __init__(self, most: int, each: int, rate: float, burst: float) -> None:
        self._uploads = photos.Uploads(most, each)
        self._rate = RateLimit(rate, burst)

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Count an upload, wait for its turn, and give that back after the block.

        Raises:
            HTTPException: 429, or 503 if the turn does not come in time.
        """
        wait = self._rate.take(client_name(request.client))
        if wait:
            raise HTTPException(429, "too many uploads", {"Retry-After": str(math.ceil(wait))})
        async with self._uploads.turn(request):
            yield


def create_ingress(settings: ServerSettings, gateway: Gateway, find: Find) -> FastAPI:
    """Make the app of one ingress.

    Args:
        settings: as for the replicas.
        gateway: reaches them.
        find: looks up named streams.
    """
    app = FastAPI(title="Latentcam", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.settings = settings
    app.state.tokens = Tokens.of(settings.token, settings.tokens)
    app.add_middleware(OriginGuard, settings=settings)
    app.add_middleware(SecurityHeaders)
    app.include_router(_routes(gateway, find))
    app.mount("/", Page(directory=WEB, html=True))
    return app


def _routes(gateway: Gateway, find: Find) -> APIRouter:
    public = APIRouter(include_in_schema=False)
    routes = APIRouter(include_in_schema=False, dependencies=[Depends(require_token)])
    pictures = Intake(UPLOADS, UPLOADS_EACH, photos.PHOTOS_PER_SECOND, photos.PHOTO_BURST)
    files = Intake(FILES, FILES_EACH, marks.FILES_PER_SECOND, marks.FILE_BURST)

    async def read(request: Request) -> Forwarded:
        return Forwarded.of(request, await read_body(request, offers.MAX_BYTES, "a body"))

    async def upload(request: Request, send: Callable[[Forwarded], Awaitable[T]]) -> T:
        """Read a large body and send it on. Its turn lasts until it is answered, as the body is held until then."""
        kind = request.url.path.strip("/").partition("/")[0]
        async with (files if kind == "marks" else pictures).turn(request):
            return await send(Forwarded.of(request, await read_body(request, LARGE[kind], "a file")))

    async def anywhere(request: Request) -> Response:
        return (await _in_reach(gateway.ask_any(await read(request)))).response()

    async def work(request: Request) -> Response:
        """A job on a photo or a file, which is not sent again: it may be what its replica died of."""
        return (await upload(request, lambda job: _in_reach(gateway.ask_any(job, losses=1)))).response()

    async def by_stream(request: Request) -> Response:
        """A request about a named stream: to the replica that sends it, or to any, which says that nobody does."""
        forwarded = await read(request)
        name = _stream_of(forwarded)
        replica = await _in_reach(find(name)) if name else None
        seconds = OFFER_S if forwarded.method == "POST" else ANSWER_S
        answer = None if replica is None else await _in_reach(gateway.ask(replica, forwarded, seconds))
        if answer is None:
            answer = await _in_reach(gateway.ask_any(forwarded, losses=1 if replica else LOSSES))
        return answer.response()

    @routes.post("/whip")
    async def open_session(request: Request) -> Response:
        try:
            answer = await _in_reach(gateway.place(await read(request)))
        except AllFull as error:
            raise server_full("sessions") from error
        return answer.response()

    routes.add_api_route("/whep", by_stream, methods=["POST"])
    routes.add_api_route("/whep/claim", by_stream, methods=["GET"])

    async def at(id: str, request: Request, *, large: bool = False) -> Response:
        replica = locations.replica_of(id)
        answer: Answer | None = None
        if replica is not None and large:
            answer = await upload(request, lambda job: _in_reach(gateway.ask(replica, job, JOB_S)))
        elif replica is not None:
            answer = await _in_reach(gateway.ask(replica, await read(request), ANSWER_S))
        if answer is None:
            raise HTTPException(404, "there is no such session")
        return answer.response()

    @routes.api_route("/whip/{id}", methods=METHODS)
    @routes.api_route("/whep/{id}", methods=METHODS)
    async def of_session(request: Request, id: str) -> Response:
        return await at(id, request)

    @routes.api_route("/locks", methods=METHODS)
    @routes.api_route("/locks/{lock}", methods=METHODS)
    async def of_lock(request: Request, session: str = "") -> Response:
        """A lock is where its session is: in a cluster, every request about it names the session."""
        return await at(session, request, large=request.method == "POST")

    for path in ("/photos", "/looks", "/strip", "/marks"):
        routes.add_api_route(path, work, methods=["POST"])
    for path in ("/whip", "/whep", "/photos", "/looks", "/strip", "/marks", "/capabilities", "/openapi.json"):
        routes.add_api_route(path, anywhere, methods=METHODS)
    for path in ("/healthz", "/readyz"):
        public.add_api_route(path, anywhere, methods=["GET", "HEAD"])

    @public.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    public.include_router(routes)
    return public


def _stream_of(request: Forwarded) -> str:
    """The stream that a request names; "" if it names none that could be."""
    named = parse_qs(request.query).get("stream", [""])[-1]
    return named if STREAM.fullmatch(named) else ""


async def _in_reach(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except (NoReplica, NoDirectory) as error:
        raise HTTPException(503, "the service is not ready", {"Retry-After": str(RETRY_AFTER_S)}) from error
