"""Locking a latent editor to the caller: the snapshot, how far its inversion is, forgetting it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request

from signaling.access import RateLimit, client_name
from signaling.bodies import read_body
from signaling.photos import MAX_BYTES, PHOTO, EditorName, permitted
from signaling.whip import Holder, require_token
from stream.settings import SettingsError

if TYPE_CHECKING:
    from stream.locks import Lock
    from stream.runtime import Runtime

SNAPSHOTS_PER_SECOND, SNAPSHOT_BURST = 0.1, 4.0
RETRY_AFTER_S = 10

SessionId = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="the session that it is forgotten with")]
LockId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="id of a lock")]


def router() -> APIRouter:
    """The routes of locks."""
    routes = APIRouter(prefix="/locks", tags=["locks"], dependencies=[Depends(require_token)])
    rate = RateLimit(SNAPSHOTS_PER_SECOND, SNAPSHOT_BURST)
    decoding = asyncio.Lock()

    @routes.post("", status_code=202, openapi_extra=PHOTO)
    async def start(request: Request, editor: EditorName, session: SessionId, grant: Holder) -> dict[str, Any]:
        """Invert a snapshot in the background. Its id becomes the setting `latent_lock` when it is done."""
        runtime: Runtime = request.app.state.runtime
        permitted(grant, {"editor": editor})
        if request.app.state.sessions.peer(session, grant) is None:
            raise HTTPException(404, "there is no such session")
        if rate.take(client_name(request.client)):
            raise HTTPException(429, "too many snapshots", {"Retry-After": str(RETRY_AFTER_S)})
        data = await read_body(request, MAX_BYTES, "a snapshot")
        from stream import photos, snapshots  # noqa: PLC0415  heavy
        from stream.locks import LocksBusy  # noqa: PLC0415

        try:
            async with decoding:
                loop = asyncio.get_running_loop()
                photo = await loop.run_in_executor(None, photos.decode, data)
                lock = await loop.run_in_executor(None, snapshots.start, runtime, session, editor, photo)
        except SettingsError as error:
            raise HTTPException(400, str(error)) from error
        except photos.PhotoError as error:
            raise HTTPException(422, str(error)) from error
        except LocksBusy as error:
            raise HTTPException(503, "other snapshots are waiting", {"Retry-After": str(RETRY_AFTER_S)}) from error
        if request.app.state.sessions.peer(session, grant) is None:  # it ended meanwhile
            runtime.locks.forget(lock.id)
            raise HTTPException(404, "there is no such session")
        return _told(lock)

    @routes.get("/{id}")
    async def progress(id: LockId, request: Request) -> dict[str, Any]:
        """How far a lock is."""
        runtime: Runtime = request.app.state.runtime
        lock = runtime.locks.get(id)
        if lock is None:
            raise HTTPException(404, "there is no such lock")
        return _told(lock)

    @routes.delete("/{id}", status_code=204)
    async def forget(id: LockId, request: Request) -> None:
        """Stop an inversion, and forget the snapshot."""
        runtime: Runtime = request.app.state.runtime
        runtime.locks.forget(id)

    return routes


def _told(lock: Lock) -> dict[str, Any]:
    facts = asdict(lock)
    return {name: facts[name] for name in ("id", "editor", "state", "step", "steps", "error")}
