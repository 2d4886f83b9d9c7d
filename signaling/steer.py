"""Steering this machine's own camera over HTTP and WebRTC: as WHEP, with the control channel of WHIP."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from signaling import offers
from signaling.sessions import NoSuchStream, Sessions
from signaling.whip import (
    SDP_BODY,
    Holder,
    OfferLimit,
    add_session_routes,
    answered,
    options_of,
    read_sdp,
    refusals,
    require_token,
)


def router() -> APIRouter:
    """The routes of steering."""
    routes = APIRouter(prefix="/steer", tags=["steer"], dependencies=[Depends(require_token)])
    limit = OfferLimit()

    @routes.post("", status_code=201, response_class=Response, openapi_extra=SDP_BODY)
    async def offer(request: Request, grant: Holder) -> Response:
        """Offer to receive what this machine's camera shows; a data channel `control` steers it."""
        sessions: Sessions = request.app.state.sessions
        sdp = await read_sdp(request, limit)
        try:
            with refusals():
                id, answer = await sessions.steer(offers.read_offer(sdp, ("recvonly",)), grant)
        except NoSuchStream as error:
            raise HTTPException(404, "this server has no camera of its own") from error
        return answered(request, id, answer)

    @routes.options("", status_code=204, response_class=Response)
    async def options(request: Request) -> Response:
        """What a page may post, and the ICE servers it may use."""
        return options_of(request)

    @routes.delete("/{id}", responses={404: {"description": "There is no such page"}})
    async def end(id: str, request: Request, grant: Holder) -> Response:
        """Stop steering; the camera goes on."""
        sessions: Sessions = request.app.state.sessions
        if not sessions.end_viewer(id, grant):
            raise HTTPException(404, "there is no such page")
        return Response(status_code=200)

    add_session_routes(routes, "steering session", "an offer")
    return routes
