"""What a client is told before it goes live: editors with the schema of their controls, engines, limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from models import gallery
from models.locking import latent_networks
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


class LicenceInfo(BaseModel):
    """A licence of weights, and the address of its text, "" where there is none to name."""

    name: str
    url: str


class SpeedInfo(BaseModel):
    """Median milliseconds of a frame, and where they were measured."""

    where: str
    ms: float


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
        lockable: whether it moves a latent that can be locked to a snapshot (POST /locks).
        group: of `models.gallery.Group`.
        licences: of its weights, one by one.
        hardware: what it needs to keep up with a camera.
        speeds: what was measured.
        download: what has to be downloaded or brought before it runs, in words.
        picture: address of a picture of what it does, "" where there is none.
        illustration: whether other editors have drawn that picture.
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
    lockable: bool
    group: gallery.Group
    licences: list[LicenceInfo]
    hardware: str
    speeds: list[SpeedInfo]
    download: str
    picture: str
    illustration: bool


def capabilities(
    runtime: Runtime, settings: ServerSettings, version: str, grant: Grant, steers: str = ""
) -> dict[str, Any]:
    """The body of GET /capabilities.

    Args:
        runtime: its catalog and its engines.
        settings: of the server.
        version: of the program.
        grant: of the client; editors that it may not use are left out.
        steers: the camera of this machine that pages steer, in words; "" where they bring their own.
    """
    return {
        "version": version,
        "steers": steers,
        "editors": [
            _editor(entry, runtime).model_dump()
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


def _editor(entry: Entry, runtime: Runtime) -> EditorInfo:
    names = {path.name for path in (*entry.networks, *(weights.path for weights in entry.weights))}
    used = {f"{engine.backend} {engine.precision}" for engine in runtime.engines() if engine.network in names}
    speeds = gallery.speeds_of(entry, runtime.speeds, ", ".join(sorted(used)))
    picture = gallery.PICTURES.get(entry.name, "")
    return EditorInfo(
        name=entry.name,
        title=entry.title,
        description=entry.description,
        state=entry.state,
        why=entry.why,
        licence=entry.licence,
        size_mb=round(entry.size / 1e6, 1),
        controls=runtime.controls_model(entry.name).model_json_schema(),
        presets=[PresetInfo(title=preset.title, controls=dict(preset.controls)) for preset in entry.presets],
        lockable=latent_networks(entry) is not None,
        group=gallery.group_of(entry),
        licences=[LicenceInfo(name=name, url=url) for name, url in gallery.licences_of(entry)],
        hardware=gallery.hardware_of(entry),
        speeds=[SpeedInfo(where=speed.where, ms=round(speed.ms, 1)) for speed in speeds],
        download=gallery.download_of(entry),
        picture=f"gallery/{picture}.webp" if picture else "",
        illustration=picture not in ("", entry.name),
    )
