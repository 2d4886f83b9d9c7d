"""Jobs on a photo that a client sends: controls from a reference, a strip of one face at all ages. Nothing is kept."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from weakref import WeakValueDictionary

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from engines.base import EngineError
from models.face import pictures
from signaling.access import RateLimit, client_name
from signaling.bodies import read_body
from signaling.tokens import Grant
from signaling.whip import FirstSettings, Holder, first_settings, require_token
from stream.settings import Settings, SettingsError

if TYPE_CHECKING:
    from models.arrays import Image
    from stream.runtime import Runtime

T = TypeVar("T")

MAX_BYTES = pictures.STRANGERS.bytes
PHOTOS_PER_SECOND, PHOTO_BURST = 0.5, 6.0
AT_ONCE = 1
"""Jobs at the same time in one server: they take the processor from live streams."""
DECODERS = 4
"""Photos that are decoded at the same time, each in a process of its own, at most one of a client."""
UPLOADS = 16
"""Photos that come in at the same time, at most one of a client."""
WAIT_S = 10.0
"""For each of these."""
RETRY_AFTER_S = 5

EditorName = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="name of an editor")]
ControlName = Annotated[
    str, Query(pattern="^[a-z0-9_]{0,64}$", description="the control that varies; the editor's age where none is named")
]

PHOTO = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/jpeg", "image/png", "image/webp")
        },
    }
}


@asynccontextmanager
async def in_time(turn: asyncio.Semaphore | asyncio.Lock) -> AsyncIterator[None]:
    """Wait for a turn, and give it back after the block.

    Raises:
        HTTPException: 503 if it does not come within `WAIT_S`.
    """
    try:
        async with asyncio.timeout(WAIT_S):
            await turn.acquire()
    except TimeoutError as error:
        busy = HTTPException(503, "the server is busy with another photo", {"Retry-After": str(RETRY_AFTER_S)})
        raise busy from error
    try:
        yield
    finally:
        turn.release()


class Uploads:
    """Turns to send a large body: so many at the same time, and so few of one client, whose bodies may come slowly.

    Args:
        most: of all clients.
        each: of one.
    """

    def __init__(self, most: int, each: int = 1) -> None:
        self._all = asyncio.Semaphore(most)
        self._each = each
        self._clients: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Wait for a turn, and give it back after the block.

        Raises:
            HTTPException: 503 if it does not come within `WAIT_S`.
        """
        own = self._clients.setdefault(client_name(request.client), asyncio.Semaphore(self._each))
        async with in_time(own), in_time(self._all):
            yield


class Intake:
    """Photos of strangers on their way in, and jobs on them, in bounded number. One for all routes of a server."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._uploads = asyncio.Semaphore(UPLOADS)
        self._decoding = asyncio.Semaphore(DECODERS)
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="photo")
        self._one_each: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def receive(self, request: Request, rate: RateLimit, what: str = "photo") -> Image:
        """Read and decode the photo of a request.

        Args:
            request: whose body it is.
            rate: of one client's photos.
            what: they are called in a refusal.

        Returns:
            (H, W, 3) uint8 BGR.

        Raises:
            HTTPException: 429, 503 if the server is busy, 408 or 413 (`read_body`), 422 if it is no photo.
        """
        client = client_name(request.client)
        wait = rate.take(client)
        if wait:
            raise HTTPException(429, f"too many {what}s", {"Retry-After": str(math.ceil(wait))})
        from stream import photos  # noqa: PLC0415  heavy

        own = self._one_each.setdefault(client, asyncio.Lock())  # one slow photo does not keep others from a decoder
        async with in_time(own):
            async with in_time(self._uploads):
                data = await read_body(request, MAX_BYTES, f"a {what}")
            async with in_time(self._decoding):
                loop = asyncio.get_running_loop()
                try:
                    return await loop.run_in_executor(self._decoders, photos.decode, data)
                except photos.PhotoError as error:
                    raise HTTPException(422, str(error)) from error

    async def job(self, photo: Image, work: Callable[[Image], T]) -> T:
        """Work on a photo in a thread, in turn.

        Raises:
            HTTPException: 400 for settings, 422 for the photo, 503 if the server is busy or an engine fails.
        """
        from stream import photos  # noqa: PLC0415  heavy

        try:
            async with in_time(self._turns):
                return await asyncio.get_running_loop().run_in_executor(None, work, photo)
        except SettingsError as error:
            raise HTTPException(400, str(error)) from error
        except photos.PhotoError as error:
            raise HTTPException(422, str(error)) from error
        except EngineError as error:
            raise HTTPException(503, str(error), {"Retry-After": str(RETRY_AFTER_S)}) from error


def router(intake: Intake) -> APIRouter:
    """The routes of photos.

    Args:
        intake: of the server.
    """
    routes = APIRouter(tags=["photos"], dependencies=[Depends(require_token)])
    rate = RateLimit(PHOTOS_PER_SECOND, PHOTO_BURST)

    async def job(request: Request, work: Callable[[Image], Any]) -> Any:
        return await intake.job(await intake.receive(request, rate), work)

    @routes.post("/photos", openapi_extra=PHOTO)
    async def reference(request: Request, editor: EditorName, grant: Holder) -> dict[str, Any]:
        """What an editor takes from a photo (a second parent, a style, a hair colour), as controls of it."""
        runtime: Runtime = request.app.state.runtime
        permitted(grant, {"editor": editor})

        def work(photo: Image) -> dict[str, Any]:
            from stream import photos  # noqa: PLC0415  heavy

            return photos.controls_of_photo(runtime, editor, photo)

        return {"controls": await job(request, work)}

    @routes.post("/looks", openapi_extra=PHOTO)
    async def looks(request: Request, grant: Holder) -> dict[str, Any]:
        """The presets of the editors that ship, each drawn on the largest face, side by side in one JPEG."""
        runtime: Runtime = request.app.state.runtime
        return dict(await job(request, lambda photo: _looks(runtime, photo, grant)))

    @routes.post("/strip", response_class=Response, openapi_extra=PHOTO)
    async def lifespan(
        request: Request, grant: Holder, settings: FirstSettings = None, control: ControlName = ""
    ) -> Response:
        """The largest face at several values of one control, in one JPEG; `settings` names the editor."""
        runtime: Runtime = request.app.state.runtime
        try:
            patch = permitted(grant, first_settings(settings))
        except SettingsError as error:
            raise HTTPException(400, str(error)) from error

        def work(photo: Image) -> bytes:
            from stream import strip  # noqa: PLC0415  heavy

            return strip.jpeg(strip.lifespan(runtime, photo, patch, control))

        headers = {"Cache-Control": "no-store"}
        return Response(await job(request, work), media_type="image/jpeg", headers=headers)

    return routes


def permitted(grant: Grant, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a job, with an editor that the token may use where they name none.

    Raises:
        HTTPException: 403 if they name one that it may not use.
    """
    try:
        return grant.complete(patch, Settings().editor)
    except SettingsError as error:
        raise HTTPException(403, str(error)) from error


def _looks(runtime: Runtime, photo: Image, grant: Grant) -> dict[str, Any]:
    from stream import strip, thumbnails  # noqa: PLC0415  heavy

    drawn, picture = thumbnails.draw_thumbnails(runtime, photo, grant.editors)
    image = base64.b64encode(strip.jpeg(picture)).decode()
    return {"looks": [asdict(look) for look in drawn], "image": f"data:image/jpeg;base64,{image}"}
