"""WHEP: a player watches the edited video of a named stream (draft-ietf-wish-whep)."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from signaling import offers
from signaling.sessions import NoSuchStream, Sessions
from signaling.whip import (
    SDP_BODY,
    Holder,
    OfferLimit,
    StreamName,
    add_session_routes,
    answered,
    options_of,
    read_sdp,
    refusals,
    require_token,
)


def router() -> APIRouter:
    """The routes of WHEP."""
    routes = APIRouter(prefix="/whep", tags=["WHEP"], dependencies=[Depends(require_token)])
    limit = OfferLimit()

    @routes.post("", status_code=201, response_class=Response, openapi_extra=SDP_BODY)
    async def offer(request: Request, grant: Holder, stream: StreamName) -> Response:
        """Offer to receive the video, and the sound, that was sent to `POST /whip?stream=NAME`.

        The answer holds all ICE candidates.
        """
        sessions: Sessions = request.app.state.sessions
        sdp = await read_sdp(request, limit)
        try:
            with refusals():
                id, answer = await sessions.watch(stream, offers.read_offer(sdp, ("recvonly",)), grant)
        except NoSuchStream as error:
            raise HTTPException(404, f"nobody sends a stream {stream!r}", {"Retry-After": "2"}) from error
        response = answered(request, id, answer)
        # the statement is no C2PA manifest: the relation says no more than that it describes the stream
        claim = f"{request.url.path.rstrip('/')}/claim?stream={quote(stream)}"
        response.headers.append("Link", f'<{claim}>; rel="describedby"; type="application/cose"')
        return response

    @routes.get("/claim", response_class=Response, responses={204: {"description": "The stream is not edited"}})
    async def claim(request: Request, stream: StreamName) -> Response:
        """What the newest frame says of itself: a signed statement (COSE_Sign1, docs/mark.md)."""
        sessions: Sessions = request.app.state.sessions
        try:
            said = sessions.claim(stream)
        except NoSuchStream as error:
            raise HTTPException(404, f"nobody sends a stream {stream!r}") from error
        headers = {"Cache-Control": "no-store"}
        return Response(said, media_type="application/cose", headers=headers) if said else Response(None, 204, headers)

    @routes.options("", status_code=204, response_class=Response)
    async def options(request: Request) -> Response:
        """What a player may post, and the ICE servers it may use."""
        return options_of(request)

    @routes.delete("/{id}", responses={404: {"description": "There is no such viewer"}})
    async def end(id: str, request: Request, grant: Holder) -> Response:
        """Stop watching."""
        sessions: Sessions = request.app.state.sessions
        if not sessions.end_viewer(id, grant):
            raise HTTPException(404, "there is no such viewer")
        return Response(status_code=200)

    add_session_routes(routes, "WHEP session", "an offer")
    return routes
