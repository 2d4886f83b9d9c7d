"""Jobs on a photo that a client sends: controls from a reference, a strip of one face at all ages. Nothing is kept."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from engines.base import EngineError
from signaling.access import RateLimit, client_name
from signaling.bodies import read_body
from signaling.logs import limited
from signaling.whip import FirstSettings, first_settings, require_token
from stream.settings import SettingsError

if TYPE_CHECKING:
    from stream.runtime import Runtime

logger = limited(__name__)

MAX_BYTES = 12 << 20
PHOTOS_PER_SECOND, PHOTO_BURST = 0.5, 6.0
AT_ONCE = 1
"""Jobs at the same time in one server: they take the processor from live streams."""
WAIT_S = 10.0
RETRY_AFTER_S = 5

EditorName = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="name of an editor")]
ControlName = Annotated[str, Query(pattern="^[a-z0-9_]{1,64}$", description="the control that varies")]

PHOTO = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/jpeg", "image/png")},
    }
}


def router() -> APIRouter:
    """The routes of photos."""
    routes = APIRouter(tags=["photos"], dependencies=[Depends(require_token)])
    rate = RateLimit(PHOTOS_PER_SECOND, PHOTO_BURST)
    turns = asyncio.Semaphore(AT_ONCE)

    async def job(request: Request, work: Callable[[bytes], Any]) -> Any:
        wait = rate.take(client_name(request.client))
        if wait:
            raise HTTPException(429, "too many photos", {"Retry-After": str(math.ceil(wait))})
        data = await read_body(request, MAX_BYTES, "a photo")
        busy = HTTPException(503, "the server is busy with another photo", {"Retry-After": str(RETRY_AFTER_S)})
        from stream.photos import PhotoError  # noqa: PLC0415  heavy

        try:
            async with asyncio.timeout(WAIT_S):
                await turns.acquire()
        except TimeoutError as error:
            raise busy from error
        try:
            return await asyncio.get_running_loop().run_in_executor(None, work, data)
        except SettingsError as error:
            raise HTTPException(400, str(error)) from error
        except PhotoError as error:
            raise HTTPException(422, str(error)) from error
        except EngineError as error:
            raise HTTPException(503, str(error), {"Retry-After": str(RETRY_AFTER_S)}) from error
        finally:
            turns.release()

    @routes.post("/photos", openapi_extra=PHOTO)
    async def reference(request: Request, editor: EditorName) -> dict[str, Any]:
        """What an editor takes from a photo (a second parent, a style, a hair colour), as controls of it."""
        runtime: Runtime = request.app.state.runtime

        def work(data: bytes) -> dict[str, Any]:
            from stream import photos  # noqa: PLC0415  heavy

            return photos.controls_of_photo(runtime, editor, photos.decode(data))

        return {"controls": await job(request, work)}

    @routes.post("/strip", response_class=Response, openapi_extra=PHOTO)
    async def strip(request: Request, settings: FirstSettings = None, control: ControlName = "age") -> Response:
        """The largest face at several values of one control, in one JPEG; `settings` names the editor."""
        runtime: Runtime = request.app.state.runtime
        try:
            patch = first_settings(settings)
        except SettingsError as error:
            raise HTTPException(400, str(error)) from error

        def work(data: bytes) -> bytes:
            from stream import photos  # noqa: PLC0415  heavy

            return photos.jpeg(photos.lifespan(runtime, photos.decode(data), patch, control))

        headers = {"Cache-Control": "no-store"}
        return Response(await job(request, work), media_type="image/jpeg", headers=headers)

    return routes
