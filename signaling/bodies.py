"""Bodies of requests from strangers: never more of them in memory than they may have."""

from __future__ import annotations

import asyncio

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

PATIENCE_S = 30.0  # for a body to come in


async def read_body(request: Request, limit: int, what: str) -> bytearray:
    """Read a body.

    Args:
        request: whose body has not been read yet.
        limit: bytes it may have.
        what: what it is, for the message: "a photo".

    Returns:
        The body, which is in memory once: a copy of it would be a second one.

    Raises:
        HTTPException: 413, 408 if it does not come within `PATIENCE_S`, or 400, for nobody, if the client has gone.
    """
    declared = request.headers.get("content-length", "")
    body = bytearray()
    if not (declared.isdecimal() and int(declared) > limit):
        try:
            async with asyncio.timeout(PATIENCE_S):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limit:
                        break
                else:
                    return body
        except TimeoutError as error:
            raise HTTPException(408, f"{what} did not come within {PATIENCE_S:g} s") from error
        except ClientDisconnect as error:
            raise HTTPException(400, f"{what} did not come whole") from error
    raise HTTPException(413, f"{what} has at most {limit} bytes")
