"""Fetching an editor's weights from the page: what it takes, the click, how far it is."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.entry import Entry, weights_folder
from models.fetch import FetchError, LicenceNotAccepted
from models.gallery import licences_of
from models.licences import parts_of
from models.weights.downloads import Downloads, Progress
from signaling.bodies import read_body
from signaling.settings import ServerSettings
from signaling.tokens import Grant
from signaling.whip import Holder, require_token

MAX_BODY = 4096  # bytes

EditorName = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$", description="name of an editor")]


class Accepted(BaseModel):
    """What a user accepts before anything is fetched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    licence: str = Field(min_length=1, max_length=1000, description="the editor's licence, to the letter")


ACCEPTED_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Accepted.model_json_schema()}}}
}


def router() -> APIRouter:
    """The routes of weights."""
    routes = APIRouter(prefix="/weights", tags=["weights"], dependencies=[Depends(require_token)])

    @routes.get("/{name}")
    def what(name: EditorName, request: Request, grant: Holder) -> dict[str, Any]:
        """The files an editor needs, with size, licence and origin, and how far fetching them is."""
        downloads = _downloads(request)
        return _told(_entry(downloads, name), downloads.progress(name), _allowed(request, name, grant))

    @routes.post("/{name}", status_code=202, openapi_extra=ACCEPTED_BODY)
    async def start(name: EditorName, request: Request, grant: Holder) -> dict[str, Any]:
        """Fetch the files, and make networks of them. A second click changes nothing."""
        if not _allowed(request, name, grant):
            raise HTTPException(403, f"this server fetches nothing for clients; on it: python -m models.fetch {name}")
        downloads = _downloads(request)
        entry = _entry(downloads, name)
        body = await read_body(request, MAX_BODY, "what is accepted")
        try:
            accepted = Accepted.model_validate_json(body)
        except ValidationError as error:
            raise HTTPException(422, 'the body must be {"licence": "..."}') from error
        try:
            return _told(entry, downloads.start(name, accepted.licence), True)
        except LicenceNotAccepted as error:
            raise HTTPException(403, str(error)) from error
        except FetchError as error:
            raise HTTPException(409, str(error)) from error

    @routes.delete("/{name}", status_code=202)
    def cancel(name: EditorName, request: Request, grant: Holder) -> dict[str, Any]:
        """Stop fetching; what is there is continued the next time."""
        if not _allowed(request, name, grant):
            raise HTTPException(403, "this server fetches nothing for clients")
        downloads = _downloads(request)
        return _told(_entry(downloads, name), downloads.cancel(name), True)

    return routes


def _downloads(request: Request) -> Downloads:
    downloads: Downloads = request.app.state.downloads
    return downloads


def _allowed(request: Request, name: str, grant: Grant) -> bool:
    settings: ServerSettings = request.app.state.settings
    return settings.fetching and (grant.editors is None or name in grant.editors)


def _entry(downloads: Downloads, name: str) -> Entry:
    try:
        return downloads.entry(name)
    except KeyError as error:
        raise HTTPException(404, f"there is no editor {name!r}") from error


def _told(entry: Entry, progress: Progress, allowed: bool) -> dict[str, Any]:
    files = [
        {
            "name": weights.path.name,
            "size": weights.size,
            "licence": weights.licence,
            "origin": weights.origin,
            "here": weights.path.is_file(),
            "downloadable": bool(weights.urls),
        }
        for weights in entry.weights
    ]
    to_fetch, unknown = entry.still_to_fetch
    folder = entry.weights[0].path if entry.weights else weights_folder() / "any"
    return {
        "name": entry.name,
        "title": entry.title,
        "state": entry.state,
        "why": entry.why,
        "licence": entry.licence,
        "licences": [{"name": name, "url": url} for name, url in licences_of(entry)],
        "terms": [
            {"name": name, "brief": each.brief, "url": each.url, "text": each.text}
            for name, each in {
                name: each for weights in entry.weights for name, each in parts_of(weights.licence)
            }.items()
        ],
        "size": entry.size,
        "to_fetch": to_fetch,
        "unknown_sizes": unknown,
        "converts": bool(entry.networks),
        "free": shutil.disk_usage(next(each for each in folder.parents if each.is_dir())).free,
        "allowed": allowed,
        "files": files,
        "progress": {**asdict(progress), "running": progress.running},
    }
