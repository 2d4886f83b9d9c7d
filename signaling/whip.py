"""WHIP: a peer comes in with one HTTP POST and leaves with a DELETE (RFC 9725)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic_core import from_json

from signaling import ice, offers
from signaling.access import RateLimit, client_name
from signaling.bodies import read_body
from signaling.logs import limited
from signaling.sessions import NameTaken, ServerFull, Sessions
from signaling.settings import ServerSettings
from signaling.tokens import Grant, Refused, Tokens
from stream.settings import SettingsError

logger = limited(__name__)

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"  # RFC 8840
SESSION_METHODS = "PATCH, DELETE, OPTIONS"
RETRY_AFTER_S = 5
OFFERS_PER_SECOND, OFFER_BURST = 1.0, 10.0
PATCHES_PER_SECOND, PATCH_BURST = 10.0, 100.0

SDP_BODY = {"requestBody": {"required": True, "content": {SDP: {"schema": {"type": "string"}}}}}

StreamName = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="name of a stream")]

FirstSettings = Annotated[
    str | None,
    Query(
        max_length=4096, description="settings of the stream from its first frame on, as on the control channel; JSON"
    ),
]


def require_token(request: Request) -> Grant:
    """What a request may do: its token's grant, or `ANYBODY` if the server asks for none.

    Raises:
        HTTPException: 401.
    """
    tokens: Tokens = request.app.state.tokens
    try:
        return tokens.find(request.headers.get("authorization"))
    except Refused as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from error


Holder = Annotated[Grant, Depends(require_token)]


class OfferLimit:
    """How often one address may post an offer."""

    def __init__(self) -> None:
        self._limit = RateLimit(OFFERS_PER_SECOND, OFFER_BURST)

    def check(self, request: Request) -> None:
        """Count an offer.

        Raises:
            HTTPException: 429.
        """
        wait = self._limit.take(client_name(request.client))
        if wait:
            raise HTTPException(429, "too many offers", {"Retry-After": str(math.ceil(wait))})


def router() -> APIRouter:
    """The routes of WHIP."""
    routes = APIRouter(prefix="/whip", tags=["WHIP"], dependencies=[Depends(require_token)])
    limit = OfferLimit()

    @routes.post(
        "",
        status_code=201,
        response_class=Response,
        openapi_extra=SDP_BODY,
        responses={
            201: {"content": {SDP: {}}, "description": "The answer; Location is the session, to DELETE"},
            400: {"description": "The offer is malformed or has nothing to edit"},
            401: {"description": "The token is missing or wrong"},
            409: {"description": "A stream of this name is being sent already"},
            413: {"description": "The offer is too large"},
            415: {"description": "The body is not application/sdp"},
            429: {"description": "Too many offers from this address"},
            503: {"description": "All sessions are taken"},
        },
    )
    async def offer(
        request: Request, grant: Holder, stream: StreamName | None = None, settings: FirstSettings = None
    ) -> Response:
        """Offer a video. The answer holds all ICE candidates. With a name, it can be watched: `/whep?stream=NAME`.

        `settings` holds from the first frame on: with `{"lost": "blur", ...}` no unedited frame is ever shown.
        """
        sessions: Sessions = request.app.state.sessions
        sdp = await read_sdp(request, limit)
        try:
            with refusals():
                id, answer = await sessions.open(offers.read_offer(sdp), stream, first_settings(settings), grant)
        except SettingsError as error:
            raise HTTPException(400, str(error)) from error
        except NameTaken as error:
            raise HTTPException(409, f"a stream {stream!r} is being sent already") from error
        return answered(request, id, answer)

    @routes.options("", status_code=204, response_class=Response)
    async def options(request: Request) -> Response:
        """What a WHIP client may post, and the ICE servers it may use."""
        return options_of(request)

    @routes.delete("/{id}", responses={404: {"description": "There is no such session"}})
    async def end(id: str, request: Request, grant: Holder) -> Response:
        """End a session."""
        sessions: Sessions = request.app.state.sessions
        if not sessions.end(id, grant):
            raise HTTPException(404, "there is no such session")
        return Response(status_code=200)

    @routes.api_route("", methods=["GET", "HEAD", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def only_post() -> Response:
        """Kept free for later versions of WHIP."""
        raise HTTPException(405, "this is a WHIP endpoint: POST an SDP offer", {"Allow": "POST, OPTIONS"})

    add_session_routes(routes, "WHIP session", "an offer")
    return routes


def add_session_routes(routes: APIRouter, what: str, posts: str) -> None:
    """Add what WHIP and WHEP have in common for one session: trickle ICE, ICE restarts, OPTIONS.

    Args:
        routes: those of `/whip` or `/whep`.
        what: "WHIP session".
        posts: what is posted to the endpoint instead: "an offer".
    """
    limit = RateLimit(PATCHES_PER_SECOND, PATCH_BURST)

    @routes.patch(
        "/{id}",
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": {FRAGMENT: {"schema": {"type": "string"}}}}},
        responses={
            200: {"content": {FRAGMENT: {}}, "description": "ICE is restarted; ETag names the new ICE session"},
            204: {"description": "The candidates are taken"},
            400: {"description": "The fragment is malformed, or of another ICE session"},
            404: {"description": "There is no such session"},
            412: {"description": "If-Match names an ICE session that is over"},
            415: {"description": f"The body is not {FRAGMENT}"},
            428: {"description": "If-Match is missing"},
        },
    )
    async def patch(id: str, request: Request, grant: Holder) -> Response:
        """Send further candidates (If-Match: the ETag), or restart ICE (If-Match: *)."""
        wait = limit.take(client_name(request.client))
        if wait:
            raise HTTPException(429, "too many requests", {"Retry-After": str(math.ceil(wait))})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FRAGMENT:
            raise HTTPException(415, f"the body must be {FRAGMENT}", {"Accept-Patch": FRAGMENT})
        body = await read_body(request, offers.MAX_BYTES, "a fragment")
        sessions: Sessions = request.app.state.sessions
        peer = sessions.peer(id, grant)
        if peer is None:
            raise HTTPException(404, f"there is no such {what}")
        match = ",".join(request.headers.getlist("if-match")).strip()
        if not match:
            raise HTTPException(428, "If-Match is missing: the session's ETag to add candidates, * to restart ICE")
        if match != "*" and f'"{peer.ice_tag}"' not in map(str.strip, match.split(",")):
            raise HTTPException(412, "If-Match names no ICE session that goes on; * restarts ICE")
        try:
            fragment = offers.read_fragment(body.decode())
            if match != "*":
                await peer.trickle(fragment)
                return Response(status_code=204)
            answer = await peer.restart_ice(fragment)
        except UnicodeDecodeError as error:
            raise HTTPException(400, "the fragment is not UTF-8 text") from error
        except offers.BadOffer as error:
            raise HTTPException(400, str(error)) from error
        return Response(answer, 200, {"ETag": f'"{peer.ice_tag}"'}, FRAGMENT)

    @routes.options(
        "/{id}", status_code=204, response_class=Response, responses={404: {"description": "There is no such session"}}
    )
    async def options_of_session(id: str, request: Request) -> Response:
        """What can be done with a session that is there."""
        sessions: Sessions = request.app.state.sessions
        if sessions.peer(id) is None:
            raise HTTPException(404, f"there is no such {what}")
        return Response(status_code=204, headers={"Allow": SESSION_METHODS, "Accept-Patch": FRAGMENT})

    @routes.api_route("/{id}", methods=["GET", "HEAD", "PUT", "POST"], include_in_schema=False)
    async def only_these(id: str) -> Response:
        """Kept free for later versions of WHIP and WHEP."""
        raise HTTPException(
            405,
            f"this is a {what}: PATCH adds candidates or restarts ICE, DELETE ends it; {posts} is posted one level up",
            {"Allow": SESSION_METHODS},
        )


def first_settings(text: str | None) -> dict[str, Any]:
    """The change of settings that comes with an offer.

    Raises:
        SettingsError: it is not a JSON object.
    """
    if text is None:
        return {}
    try:
        patch = from_json(text, allow_inf_nan=False)  # no halves of surrogate pairs, which no answer can quote
    except ValueError as error:
        raise SettingsError("settings", "is not JSON") from error
    if not isinstance(patch, dict):
        raise SettingsError("settings", "is not a JSON object")
    return patch


async def read_sdp(request: Request, limit: OfferLimit) -> str:
    """The body of a POST, no more of it than an offer may have.

    Raises:
        HTTPException: 429, 415, 413, 408, or 400 if it is not text.
    """
    limit.check(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != SDP:
        raise HTTPException(415, f"the body must be {SDP}", {"Accept-Post": SDP})
    body = await read_body(request, offers.MAX_BYTES, "an offer")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise HTTPException(400, "the offer is not UTF-8 text") from error


def answered(request: Request, id: str, answer: str) -> Response:
    """201 with the answer, where to end it, its ICE session (ETag), and the ICE servers."""
    headers = {"Location": f"{request.url.path.rstrip('/')}/{id}", "Accept-Patch": FRAGMENT}
    sessions: Sessions = request.app.state.sessions
    peer = sessions.peer(id)
    if peer is not None:
        headers["ETag"] = f'"{peer.ice_tag}"'
    response = Response(answer, 201, headers, SDP)
    return _with_links(response, request)


def options_of(request: Request) -> Response:
    """What may be posted, and the ICE servers."""
    return _with_links(Response(status_code=204, headers={"Accept-Post": SDP, "Allow": "POST, OPTIONS"}), request)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what is wrong with any offer into its status.

    Raises:
        HTTPException: 400 for an offer that cannot be taken, 503 where all places are.
    """
    try:
        yield
    except offers.BadOffer as error:
        logger.info("refused an offer: %s", error.logged)
        raise HTTPException(400, str(error)) from error
    except ServerFull as error:
        raise server_full(str(error)) from error


def server_full(places: str) -> HTTPException:
    """503: all places are taken."""
    return HTTPException(503, f"all {places} are taken", {"Retry-After": str(RETRY_AFTER_S)})


def _with_links(response: Response, request: Request) -> Response:
    settings: ServerSettings = request.app.state.settings
    for link in ice.links(ice.with_login(settings.ice_servers, settings.turn_lifetime)):
        response.headers.append("Link", link)
    return response
