"""Bodies of requests from strangers: never more of them in memory than they may have."""

from __future__ import annotations

from fastapi import HTTPException, Request


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """Read a body.

    Args:
        request: whose body has not been read yet.
        limit: bytes it may have.
        what: what it is, for the message: "a photo".

    Raises:
        HTTPException: 413.
    """
    declared = request.headers.get("content-length", "")
    body = bytearray()
    if not (declared.isdecimal() and int(declared) > limit):
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise HTTPException(413, f"{what} has at most {limit} bytes")
