"""What a client is told before it goes live: editors with the schema of their controls, engines, limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from signaling import ice
from signaling.settings import ServerSettings
from signaling.tokens import Grant
from stream.settings import settings_schema

if TYPE_CHECKING:
    from models.entry import Entry
    from stream.runtime import Runtime


class PresetInfo(BaseModel):
    """Named positions of an editor's controls."""

    title: str
    controls: dict[str, Any]


class EditorInfo(BaseModel):
    """An editor of the catalog.

    Attributes:
        name: what settings call it.
        title: what the page calls it.
        description: one sentence for a user.
        state: of `models.entry.State`.
        why: what keeps it from running here and what to do about it; empty when it is ready.
        licence: of its weights.
        size_mb: of its weights, 0 if unknown.
        controls: JSON schema of its controls.
        presets: shown as buttons.
    """

    name: str
    title: str
    description: str
    state: str
    why: str
    licence: str
    size_mb: float
    controls: dict[str, Any]
    presets: list[PresetInfo]


def capabilities(runtime: Runtime, settings: ServerSettings, version: str, grant: Grant) -> dict[str, Any]:
    """The body of GET /capabilities.

    Args:
        runtime: its catalog and its engines.
        settings: of the server.
        version: of the program.
        grant: of the client; editors that it may not use are left out.
    """
    return {
        "version": version,
        "editors": [
            _editor(entry).model_dump()
            for entry in runtime.entries.values()
            if grant.editors is None or entry.name in grant.editors
        ],
        "engines": [asdict(engine) for engine in runtime.engines()],
        "settings": settings_schema(settings.require_label),
        "limits": {
            "max_sessions": min(each for each in (settings.max_sessions, grant.sessions) if each is not None),
            "max_frame_pixels": settings.max_frame_pixels,
            "idle_timeout": settings.idle_timeout,
        },
        "iceServers": [
            server.model_dump(exclude_none=True)
            for server in ice.with_login(settings.ice_servers, settings.turn_lifetime)
        ],
    }


def _editor(entry: Entry) -> EditorInfo:
    return EditorInfo(
        name=entry.name,
        title=entry.title,
        description=entry.description,
        state=entry.state,
        why=entry.why,
        licence=entry.licence,
        size_mb=round(entry.size / 1e6, 1),
        controls=entry.controls().model_json_schema(),
        presets=[PresetInfo(title=preset.title, controls=dict(preset.controls)) for preset in entry.presets],
    )
