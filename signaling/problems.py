"""How a request is refused, for the OpenAPI: the statuses and the body that every route may answer with."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Problem(BaseModel):
    """A refusal.

    Attributes:
        detail: one sentence; of a malformed query or path, a list of what is wrong.
    """

    detail: str | list[dict[str, Any]]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Entries of a route's `responses`, by status."""
    return {status: {"model": Problem, "description": DESCRIPTIONS[status]} for status in statuses}


DESCRIPTIONS = {
    400: "What was sent is malformed, or cannot be done",
    401: "The token is missing, wrong, or has expired",
    403: "Not for this client",
    404: "There is no such thing",
    405: "The path has other methods",
    408: "The body did not come in time",
    409: "It is taken, or under way",
    413: "The body is too large",
    415: "The body is of another type",
    422: "What was sent cannot be read, or is no valid argument",
    429: "Too many requests from this address",
    503: "The server is busy or full, see Retry-After",
}
