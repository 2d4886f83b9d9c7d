"""Locking a latent editor to the caller: the snapshot, how far its inversion is, forgetting it."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request

from signaling.access import RateLimit
from signaling.photos import PHOTO, EditorName, Intake, permitted
from signaling.sessions import Sessions
from signaling.tokens import Grant
from signaling.whip import Holder, require_token

if TYPE_CHECKING:
    from stream.locks import Lock
    from stream.runtime import Runtime

SNAPSHOTS_PER_SECOND, SNAPSHOT_BURST = 0.1, 4.0
RETRY_AFTER_S = 10

SessionId = Annotated[str, Query(pattern="^[A-Za-z0-9_-]{1,64}$", description="the session that it is forgotten with")]
LockId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="id of a lock")]


def router(intake: Intake) -> APIRouter:
    """The routes of locks.

    Args:
        intake: of the server.
    """
    routes = APIRouter(prefix="/locks", tags=["locks"], dependencies=[Depends(require_token)])
    rate = RateLimit(SNAPSHOTS_PER_SECOND, SNAPSHOT_BURST)

    @routes.post("", status_code=202, openapi_extra=PHOTO)
    async def start(request: Request, editor: EditorName, session: SessionId, grant: Holder) -> dict[str, Any]:
        """Invert a snapshot in the background. Its id becomes the setting `latent_lock` when it is done."""
        runtime: Runtime = request.app.state.runtime
        sessions: Sessions = request.app.state.sessions
        permitted(grant, {"editor": editor})
        if sessions.peer(session, grant) is None:
            raise HTTPException(404, "there is no such session")
        from stream import snapshots  # noqa: PLC0415  heavy
        from stream.locks import MOST_KEPT, LocksBusy, LocksKept  # noqa: PLC0415

        photo = await intake.receive(request, rate, "snapshot")
        try:
            lock = await intake.job(photo, partial(snapshots.start, runtime, session, editor))
        except LocksBusy as error:
            raise HTTPException(503, "other snapshots are waiting", {"Retry-After": str(RETRY_AFTER_S)}) from error
        except LocksKept as error:
            raise HTTPException(409, f"a session keeps {MOST_KEPT} locks: delete one first") from error
        if sessions.peer(session, grant) is None:  # it ended meanwhile
            runtime.locks.forget(lock.id)
            raise HTTPException(404, "there is no such session")
        return _told(lock)

    @routes.get("/{id}")
    async def progress(id: LockId, request: Request, grant: Holder) -> dict[str, Any]:
        """How far a lock is."""
        return _told(_own(request, id, grant))

    @routes.delete("/{id}", status_code=204)
    async def forget(id: LockId, request: Request, grant: Holder) -> None:
        """Stop an inversion, and forget the snapshot."""
        runtime: Runtime = request.app.state.runtime
        runtime.locks.forget(_own(request, id, grant).id)

    return routes


def _own(request: Request, id: str, grant: Grant) -> Lock:
    """A lock of a session that is the token's.

    Raises:
        HTTPException: 404.
    """
    runtime: Runtime = request.app.state.runtime
    sessions: Sessions = request.app.state.sessions
    lock = runtime.locks.get(id)
    if lock is None or sessions.peer(lock.session, grant) is None:
        raise HTTPException(404, "there is no such lock")
    return lock


def _told(lock: Lock) -> dict[str, Any]:
    facts = asdict(lock)
    return {name: facts[name] for name in ("id", "editor", "state", "step", "steps", "error")}
