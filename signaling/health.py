"""Whether the server lives, whether it takes sessions, and its figures: for orchestrators and Prometheus."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client.exposition import choose_encoder

from signaling.access import host_name, token_matches
from signaling.metrics import Metrics
from signaling.sessions import Sessions
from signaling.settings import ServerSettings, is_loopback
from signaling.tokens import Refused, Tokens

if TYPE_CHECKING:
    from engines.batching import Load
    from stream.runtime import Runtime

FORWARDED = ("forwarded", "x-forwarded-for", "via")
"""Headers that tell that a proxy asks for somebody else."""


class Live:
    """What gauges read, from the parts of a running app."""

    def __init__(self, sessions: Sessions, runtime: Runtime) -> None:
        self._sessions = sessions
        self._runtime = runtime

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    @property
    def viewers(self) -> int:
        return self._sessions.viewers

    def engines(self) -> Mapping[str, Load]:
        return self._runtime.loads()


def router(version: str) -> APIRouter:
    """The routes of health and figures. None of them needs the clients' token.

    Args:
        version: of the program.
    """
    routes = APIRouter(tags=["health"])

    def state(request: Request) -> dict[str, Any]:
        settings: ServerSettings = request.app.state.settings
        taken = len(request.app.state.sessions)
        return {"status": "ok", "version": version, "sessions": taken, "max_sessions": settings.max_sessions}

    @routes.get("/livez", responses={503: {"description": "Only starting the process anew helps"}})
    async def live(request: Request) -> dict[str, str]:
        """Whether the process can serve at all. 503 once the graphics processor has failed."""
        sessions: Sessions = request.app.state.sessions
        if sessions.device_lost:
            raise HTTPException(503, "the graphics processor has failed: start the server anew")
        return {"status": "ok"}

    @routes.get("/readyz", responses={503: {"description": "The server stops, or has failed"}})
    async def ready(request: Request) -> dict[str, Any]:
        """Whether sessions may begin. A server whose places are all taken is ready: `free` is 0, and it says so to WHIP
        clients, while its peers still need it.
        """
        sessions: Sessions = request.app.state.sessions
        if not sessions.accepting:
            raise HTTPException(503, "the server takes no new sessions")
        return state(request) | {"free": sessions.places}

    @routes.get("/healthz")
    async def healthz(request: Request) -> dict[str, Any]:
        """Sessions and places, as long as the event loop answers; `/livez` and `/readyz` say more."""
        return state(request)

    @routes.get("/metrics", response_class=Response, responses={403: {"description": "Not for this client"}})
    def metrics(request: Request) -> Response:
        """Figures in Prometheus' format: with the token of the setting `metrics_token` or one that has `metrics` in the
        file of tokens; without these, from this machine only.
        """
        settings: ServerSettings = request.app.state.settings
        if not may_read_metrics(request, settings, request.app.state.tokens):
            raise HTTPException(403, "the figures need the server's metrics token, or are read on its own machine")
        figures: Metrics = request.app.state.metrics
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(figures.registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return routes


def may_read_metrics(request: Request, settings: ServerSettings, tokens: Tokens) -> bool:
    """Whether the server's figures are for this client."""
    authorization = request.headers.get("authorization")
    if settings.metrics_token is not None:
        return token_matches(authorization, settings.metrics_token.get_secret_value()) or _granted(
            tokens, authorization
        )
    return _granted(tokens, authorization) or _from_here(request)


def _granted(tokens: Tokens, authorization: str | None) -> bool:
    try:
        return tokens.find(authorization).metrics
    except Refused:
        return False


def _from_here(request: Request) -> bool:
    """Whether a program on this machine asks for itself: no proxy, and no name but the machine's own."""
    if any(name in request.headers for name in FORWARDED) or not is_loopback(
        host_name(request.headers.get("host", ""))
    ):
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
