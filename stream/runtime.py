"""What all pipelines of a process share: the networks, each loaded once, the editors, and the check of settings."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from engines import select, trial
from engines.base import Engine
from engines.batching import BatchedEngine
from engines.planner import LATE_S
from models import catalog
from models.editor import AnyEditor, Controls
from models.embedded import EMBEDDED, TRACKER, remedy
from models.face.detector import Detector
from models.face.landmarks import Landmarks
from models.face.segmenter import Segmenter
from stream.pipeline import Pipeline
from stream.settings import Settings, SettingsError, checked
from stream.tracking import Tracker

log = logging.getLogger(__name__)

LANDMARKS = TRACKER / "landmarks.onnx"
SEGMENTER = EMBEDDED / "segmenter.onnx"


class RuntimeSettings(BaseModel):
    """How the networks run.

    Attributes:
        pack: face pack of the detector: "embedded", a directory, or the name of one of InsightFace's packs.
        backend: engine backend, "auto" for the fastest that works here.
        precision: "auto", or one the backend knows.
        threads: processor threads one engine call may use; None for one in the embedded networks, which take
            milliseconds, and for the backend's choice in larger ones.
        detector_size: side of the detector's input in pixels, a multiple of 32; more finds smaller faces, more slowly.
        cache_dir: folder of compiled engines; None for the user's cache folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pack: str = "embedded"
    backend: str = "auto"
    precision: str = "auto"
    threads: int | None = Field(None, ge=1)
    detector_size: int = Field(320, ge=128, le=1280, multiple_of=32)
    cache_dir: Path | None = None


class PresetInfo(BaseModel):
    """A named setting of an editor's controls."""

    title: str
    controls: dict[str, Any]


class EditorInfo(BaseModel):
    """What a user is told about an editor."""

    name: str
    title: str
    description: str
    state: str
    why: str
    licence: str
    size_mb: float
    controls: dict[str, Any]
    presets: list[PresetInfo]


class EngineInfo(BaseModel):
    """How a network runs here, and why not another way."""

    network: str
    backend: str
    precision: str
    reasons: list[str]


class Runtime:
    """Shared by all sessions; every method may be called from any thread. Make one with `Runtime.load`."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._loading = threading.RLock()  # held for seconds: what runs on every frame only looks things up
        self._engines: dict[tuple[Path, float], BatchedEngine] = {}  # by file and `late`
        self._editors: dict[str, AnyEditor] = {}
        self._controls: dict[str, type[Controls]] = {}
        self._detector = Detector(settings.pack, settings.detector_size)
        self._detect_lock = threading.Lock()
        # Without landmarks a face would be lost: they wait for their turn, while edits that come late are not made.
        self._landmarks = Landmarks(self._engine(LANDMARKS, late=math.inf))
        self._segmenter = Segmenter(self._engine(SEGMENTER))

    @classmethod
    def load(cls, settings: RuntimeSettings | None = None) -> Runtime:
        """Load the tracker, the segmenter and the default editor, and warm them up. Takes seconds.

        Raises:
            models.face.detector.PackError: the face pack cannot be loaded.
            engines.base.EngineError: a network is missing or damaged, or the named backend cannot run here.
        """
        for reason, backends in _missing().items():
            log.info("not used here: %s; %s", ", ".join(backends), reason)
        runtime = cls(settings or RuntimeSettings())
        runtime.editor(Settings().editor)
        return runtime

    def editors(self) -> list[EditorInfo]:
        """Every editor of the catalog, whether it can run here or not."""
        return [self._info(entry) for entry in catalog.ENTRIES.values()]

    def engines(self) -> list[EngineInfo]:
        """The networks loaded so far."""
        return [
            EngineInfo(
                network=path.name,
                backend=engine.backend,
                precision=engine.precision,
                reasons=list(engine.notes),
            )
            for (path, _), engine in list(self._engines.items())
        ]

    def changed(self, settings: Settings, patch: Mapping[str, Any]) -> Settings:
        """Apply a partial change.

        Args:
            settings: the ones in force.
            patch: fields of `Settings` with their new values, from a stranger. "controls" replaces all controls; a
                new editor without "controls" starts at its defaults.

        Returns:
            The new settings, checked; controls are filled up with their defaults.

        Raises:
            SettingsError: something is refused; the settings in force stay as they are.
        """
        merged: dict[str, Any] = {**settings.model_dump(), **patch}
        if "controls" not in patch and merged["editor"] != settings.editor:
            merged["controls"] = {}
        new = checked(Settings, merged)
        if new.editor not in catalog.ENTRIES:
            raise SettingsError("editor", "there is no such editor", sorted(catalog.ENTRIES))
        entry = catalog.ENTRIES[new.editor]
        if entry.state == "needs weights":
            raise SettingsError("editor", f"{entry.title} {entry.state}: {self._info(entry).why}")
        controls = checked(self._controls_model(new.editor), new.controls, "controls.")
        self._check_photo(new.editor, getattr(controls, "photo", ""))
        return new.model_copy(update={"controls": controls.model_dump(mode="json")})

    def controls(self, settings: Settings) -> Controls:
        """The controls of checked settings, as the editor's own model."""
        return self._controls_model(settings.editor).model_validate(settings.controls)

    def editor(self, name: str) -> AnyEditor:
        """An editor, loaded on first use.

        Raises:
            models.catalog.UnknownEditor: there is none of that name.
            engines.base.EngineError: its networks cannot be loaded.
        """
        editor = self._editors.get(name)
        if editor is None:
            with self._loading:
                if name not in self._editors:
                    self._editors[name] = catalog.entry(name).load(self._engine)
                editor = self._editors[name]
        return editor

    @property
    def segmenter(self) -> Segmenter:
        """Reads the masks of crops."""
        return self._segmenter

    def pipeline(self, *, live: bool = False) -> Pipeline:
        """A pipeline for one stream; a live one keeps up with a camera, another does the same every time."""
        tracker = Tracker(self._detect, self._landmarks)
        return Pipeline(tracker, self.editor, self.controls, self._segmenter, live=live)

    def close(self) -> None:
        """Free the networks. No pipeline may run any more."""
        with self._loading:
            for engine in self._engines.values():
                engine.close()
            self._engines.clear()
            self._editors.clear()

    def _check_photo(self, name: str, photo: str) -> None:
        if photo:
            editor = self._editors.get(name)  # one that is not loaded has not read a photo
            if editor is None or not editor.knows_photo(photo):
                raise SettingsError("controls.photo", "that photo is not here any more: choose it again")

    def _detect(self, image: Any) -> Any:
        # insightface keeps caches in its detector object that are not meant for several threads.
        with self._detect_lock:
            return self._detector(image)

    def _engine(self, path: Path, late: float = LATE_S) -> Engine:
        """One network, shared fairly by all streams."""
        with self._loading:
            if (path, late) not in self._engines:
                ours = path.is_relative_to(EMBEDDED)
                options = _Options(
                    backend=self._settings.backend,
                    precision=self._settings.precision,
                    # in the embedded networks, waking a second thread costs more than it saves
                    threads=self._settings.threads or (1 if ours else None),
                    cache_dir=self._settings.cache_dir,
                    remedy=remedy(path),
                )
                if not ours:  # a file that crashes a library must not take the server with it
                    trial.require(path, **options)
                engine = select.load(path, **options)
                shared = BatchedEngine(engine, late=late)
                shared.warm_up()  # here and not in somebody's stream
                self._engines[path, late] = shared
            return self._engines[path, late]

    def _controls_model(self, name: str) -> type[Controls]:
        model = self._controls.get(name)
        if model is None:
            model = self._controls[name] = catalog.entry(name).controls()
        return model

    def _info(self, entry: catalog.Entry) -> EditorInfo:
        return EditorInfo(
            name=entry.name,
            title=entry.title,
            description=entry.description,
            state=entry.state,
            why=entry.why,
            licence=entry.licence,
            size_mb=round(entry.size / 1e6, 1),
            controls=self._controls_model(entry.name).model_json_schema(),
            presets=[PresetInfo(title=preset.title, controls=dict(preset.controls)) for preset in entry.presets],
        )


class _Options(TypedDict):
    """Arguments of `engines.select.load`."""

    backend: str
    precision: str
    threads: int | None
    cache_dir: Path | None
    remedy: str


def _missing() -> dict[str, list[str]]:
    """Why backends cannot run on this machine, and which."""
    missing: dict[str, list[str]] = {}
    for row in select.available():
        if not row.usable:
            missing.setdefault(row.reason, []).append(row.backend)
    return missing
