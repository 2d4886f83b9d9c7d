"""A runtime for replicas that costs nearly nothing, and knows photos: what the code of one says is the brightness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.arrays import Floats, Image
from models.photo_codes import References
from signaling.cluster.settings import ClusterSettings
from signaling.settings import ServerSettings
from stream import photos
from stream.locks import Locks
from stream.look import Look
from stream.settings import Settings, SettingsError, checked
from tests.signaling.conftest import FakeControls, FakeRuntime


class SmallControls(FakeControls):
    photo: str = ""


class SmallRuntime(FakeRuntime):
    """`FakeRuntime`, with photos as `stream.runtime.Runtime` has them."""

    def __init__(self) -> None:
        super().__init__()
        self.references = References()
        self.locks = Locks()
        self.photo_source: Any = lambda editor, photo: None

    def photo_codes(self) -> list[tuple[str, str, Floats]]:
        return [("embedded", id, code) for id, code in self.references.items()]

    def look(self, settings: Settings, patch: Mapping[str, Any], session: str = "") -> Look:
        new = checked(Settings, {**settings.model_dump(), **patch})
        controls = checked(SmallControls, new.controls, "controls.")
        if controls.photo:
            code = self.references.get(controls.photo)
            code = code if code is not None else self.photo_source("embedded", controls.photo)
            if code is None or self.references.keep(code) != controls.photo:
                raise SettingsError("controls.photo", "that photo is not here any more: choose it again")
            new = new.model_copy(update={"controls": {**new.controls, "brightness": float(code[0])}})
        return Look(new, ())

    def close(self) -> None:
        pass


def controls_of_photo(runtime: Any, editor: str, photo: Image) -> dict[str, Any]:
    """In place of `stream.photos.controls_of_photo`: the mean of the picture."""
    return {"photo": runtime.references.keep(np.array([photo.mean()], np.float32))}


def make_runtime(settings: ServerSettings) -> Any:
    """For `signaling.cluster.application.application`."""
    photos.controls_of_photo = controls_of_photo
    return SmallRuntime()


def build(arguments: dict[str, Any]) -> Any:
    """Serve's application builder."""
    from signaling.cluster.application import application  # noqa: PLC0415  not installed everywhere

    return application(ClusterSettings(**arguments), make_runtime)
