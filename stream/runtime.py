"""What all pipelines of a process share: the networks, the editors, and the check of settings."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from engines.batching import Load
from engines.cores import usable_cores
from models import catalog
from models.arrays import Floats, Image
from models.catalog import Entry
from models.editor import AnyEditor, Controls
from models.embedded import EMBEDDED, TRACKER
from models.embedded.own_age import AgeReader
from models.face.detector import Detection, Detector
from models.face.landmarks import Landmarks
from models.face.segmenter import Segmenter
from stream.background import Background
from stream.locks import Locks
from stream.look import Layer, Look
from stream.mark.identity import Identity
from stream.networks import EngineInfo, EngineSettings, Networks, unusable_backends
from stream.pipeline import Pipeline
from stream.settings import Settings, SettingsError, allowed_labels, checked
from stream.tracking import Tracker
from stream.turns import Turns
from stream.video_pipeline import VideoPipeline

log = logging.getLogger(__name__)

LANDMARKS = TRACKER / "landmarks.onnx"
SEGMENTER = EMBEDDED / "segmenter.onnx"


class RuntimeSettings(EngineSettings):
    """How networks run, how faces are found, and what an installation says about its edits.

    Attributes:
        pack: face pack of the detector: "embedded", a directory, or the name of one of InsightFace's packs.
        detector_size: side of the detector's input in pixels, a multiple of 32; more finds smaller faces, more slowly.
        require_label: every edited picture has at least this label, whatever the settings of a stream say.
    """

    pack: str = Field("embedded", description="face pack: embedded, a folder, or an InsightFace name")
    detector_size: int = Field(
        320, ge=128, le=1280, multiple_of=32, description="side of the detector's input; more finds smaller faces"
    )
    require_label: Literal["off", "badge", "words"] = Field(
        "off", description="label that every edited picture has at least"
    )


@dataclass(eq=False, slots=True)
class _Generation:
    """What was made of an editor's files while they did not change.

    Attributes:
        stamp: `Entry.stamp` of the files.
        controls: the model of the controls; None until it is asked for.
        editor: loaded; None until it is used.
    """

    stamp: object
    controls: type[Controls] | None = None
    editor: AnyEditor | None = None


class Runtime:
    """Shared by all sessions; every method may be called from any thread. Make one with `Runtime.load`.

    Attributes:
        entries: the catalog, by the editors' names.
        require_label: the label that every edited picture has at least.
        identity: of this installation, for marks and claims; None says nothing.
        locks: snapshots of callers that latent editors move.
        networks: the engines.
        speeds: median milliseconds of a frame by editor, of streams that ran here.
        segmenter: reads the masks of crops.
        turns: of the streams, at the cores, for those that edit.
        photo_source: finds what an editor read of a photo elsewhere, by the editor's name and the photo's id; None for
            what is not known there either. Called from any thread; it may take a moment.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        entries: Mapping[str, Entry] = catalog.ENTRIES,
        identity: Identity | None = None,
    ) -> None:
        self.entries = entries
        self.require_label = settings.require_label
        self.identity = identity
        self.networks = Networks(settings)
        self.locks = Locks()
        self.speeds: dict[str, float] = {}
        self._background = Background()
        self.turns = Turns(usable_cores())
        self._loading = threading.RLock()  # held for seconds
        self._comparing = threading.Lock()  # held for as long as a stamp takes
        self._generations: dict[str, _Generation] = {}
        self._detector = Detector(settings.pack, settings.detector_size)
        self._detect_lock = threading.Lock()
        self._ages: AgeReader | None = None
        # Without landmarks a face would be lost: they wait for their turn, while late edits are dropped.
        self._landmarks = Landmarks(self.networks.load(LANDMARKS, late=math.inf))
        self.segmenter = Segmenter(self.networks.load(SEGMENTER))
        self.photo_source: Callable[[str, str], Floats | None] = lambda editor, photo: None

    @classmethod
    def load(cls, settings: RuntimeSettings | None = None, identity: Identity | None = None) -> Runtime:
        """Load the tracker, the segmenter and the default editor, and warm them up. Takes seconds.

        Raises:
            models.face.detector.PackError: the face pack cannot be loaded.
            engines.base.EngineError: a network is missing or damaged, or the named backend cannot run here.
        """
        for reason, backends in unusable_backends().items():
            log.info("not used here: %s; %s", ", ".join(backends), reason)
        runtime = cls(settings or RuntimeSettings(), identity=identity)
        runtime.editor(Settings().editor)
        return runtime

    def look(self, current: Settings, patch: Mapping[str, Any], session: str = "") -> Look:
        """Check a partial change, and load what it needs; that takes seconds when an editor is used first.

        Args:
            current: the settings in force.
            patch: fields of `Settings` with their new values, from a stranger. "controls" replaces all controls; a
                new editor without "controls" starts at its defaults.
            session: id of the one that asks, which may use its own locks; "" may use none.

        Returns:
            The new look. The one in force stays as it is.

        Raises:
            SettingsError: something is refused, or the editor cannot be loaded.
        """
        made: dict[str, _Generation] = {}  # controls and editor are of the same files
        settings, controls = self._check(current, patch, session, made)
        amounts = {name: layer.amount for name, layer in settings.layers.items()} | {settings.editor: settings.amount}
        layers = []
        for name in sorted(controls, key=lambda name: (self.entries[name].place, name)):
            try:
                editor = self._load_editor(name, made[name])
            except (RuntimeError, LookupError) as error:  # of engines and of checkpoints
                raise SettingsError("editor" if name == settings.editor else f"layers.{name}", str(error)) from error
            layers.append(
                Layer(name, self.locks.locked(settings.latent_lock, name, editor), controls[name], amounts[name])
            )
        if any(layer.controls.relative and not layer.editor.reads_age for layer in layers):
            try:
                self.age_reader()  # here, and not on a frame, which would wait for an editor that somebody loads
            except RuntimeError as error:
                raise SettingsError("editor", str(error)) from error
        return Look(settings, tuple(layers))

    def editor(self, name: str) -> AnyEditor:
        """An editor, loaded on first use.

        Raises:
            models.catalog.UnknownEditor: there is none of that name.
            engines.base.EngineError: its networks cannot be loaded.
        """
        return self._load_editor(name, self._generation(name))

    def controls_model(self, name: str) -> type[Controls]:
        """The model of an editor's controls; loads no network.

        Raises:
            models.catalog.UnknownEditor: there is none of that name.
        """
        return self._load_controls(name, self._generation(name))

    def age_reader(self) -> AgeReader:
        """What reads the ages of faces, loaded on first use."""
        if self._ages is None:
            with self._loading:
                self._ages = self._ages or AgeReader.load(self.networks.load, EMBEDDED)
        return self._ages

    def photo_codes(self) -> list[tuple[str, str, Floats]]:
        """What the loaded editors have read of photos: the editor's name, the photo's id, the code."""
        editors = [(name, made.editor) for name, made in list(self._generations.items()) if made.editor is not None]
        kept = [(name, editor.references) for name, editor in editors if editor.references]
        return [(name, id, code) for name, references in kept for id, code in references.items()]

    def engines(self) -> list[EngineInfo]:
        """The networks loaded so far."""
        return self.networks.loaded()

    def loads(self) -> dict[str, Load]:
        """What was asked of the networks so far."""
        return self.networks.loads()

    def pipeline(self, *, live: bool = False) -> Pipeline:
        """A pipeline for one stream; a live one keeps up with a camera, another does the same every time."""
        operator = 0 if self.identity is None else self.identity.operator
        tracker = Tracker(self._detect, self._landmarks)
        return Pipeline(
            tracker,
            self.segmenter,
            live=live,
            operator=operator,
            ages=self.age_reader,
            background=self._background if live else None,
        )

    def video_pipeline(self) -> VideoPipeline:
        """A live pipeline for one stream of video frames."""
        return VideoPipeline(self.pipeline(live=True))

    def close(self) -> None:
        """Free the networks. No pipeline may run any more."""
        self.locks.close()
        self._background.close()
        with self._loading:
            self._generations.clear()
            self.networks.close()

    def _check(
        self, current: Settings, patch: Mapping[str, Any], session: str, made: dict[str, _Generation]
    ) -> tuple[Settings, dict[str, Controls]]:
        """The settings after a change, with all controls written out, and the controls by the name of their editor.

        Args:
            current, patch, session: as for `look`.
            made: gets what the controls were checked by, by the name of the editor.
        """
        merged: dict[str, Any] = {**current.model_dump(), **patch}
        if "controls" not in patch and merged["editor"] != current.editor:
            merged["controls"] = {}
            merged["amount"] = patch.get("amount", 1.0)
        merged["layers"] = _layers_of(merged["layers"], merged["editor"])
        new = self._labelled(checked(Settings, merged), asked="label" in patch)
        new = self._locked(new, session, asked="latent_lock" in patch)
        controls = {new.editor: self._check_editor(new.editor, new.controls, made, "editor", "controls.")}
        layers = {}
        for name, layer in new.layers.items():
            field = f"layers.{name}"
            controls[name] = self._check_editor(name, layer.controls, made, field, f"{field}.controls.")
            layers[name] = layer.model_copy(update={"controls": controls[name].model_dump(mode="json")})
        written = {"controls": controls[new.editor].model_dump(mode="json"), "layers": layers}
        return new.model_copy(update=written), controls

    def _check_editor(
        self, name: str, values: Mapping[str, Any], made: dict[str, _Generation], field: str, prefix: str
    ) -> Controls:
        """The controls of an editor that can run here.

        Args:
            name: of the editor.
            values: its controls.
            made: as for `_check`.
            field: what a refusal of the editor names.
            prefix: before the name of a control in a refusal.
        """
        if name not in self.entries:
            raise SettingsError(field, "there is no such editor", sorted(self.entries))
        entry = self.entries[name]
        if entry.state == "needs weights":
            raise SettingsError(field, f"{entry.title} {entry.state}: {entry.why}")
        made[name] = self._generation(name)
        controls = checked(self._load_controls(name, made[name]), values, prefix)
        self._check_photo(name, made[name], getattr(controls, "photo", ""), prefix)
        return controls

    def _locked(self, settings: Settings, session: str, *, asked: bool) -> Settings:
        """The settings without a lock that is forgotten or another session's, where they do not ask for one."""
        if not settings.latent_lock or self.locks.ready(settings.latent_lock, session):
            return settings
        if asked:
            raise SettingsError("latent_lock", "that snapshot is forgotten: lock to your face again")
        return settings.model_copy(update={"latent_lock": ""})

    def _labelled(self, settings: Settings, *, asked: bool) -> Settings:
        """The settings with the label that this installation requires, where they do not name one."""
        allowed = allowed_labels(self.require_label)
        if settings.label in allowed:
            return settings
        if asked:
            raise SettingsError("label", "edited pictures are labelled here", list(allowed))
        return settings.model_copy(update={"label": allowed[0]})

    def _check_photo(self, name: str, made: _Generation, photo: str, prefix: str) -> None:
        if not photo:
            return
        editor = made.editor  # one that is not loaded has not read a photo
        if (editor is None or not editor.knows_photo(photo)) and not self._fetch_photo(name, made, photo):
            raise SettingsError(f"{prefix}photo", "that photo is not here any more: choose it again")

    def _fetch_photo(self, name: str, made: _Generation, photo: str) -> bool:
        """Get from elsewhere what an editor read of a photo. False if it is not known there either."""
        code = self.photo_source(name, photo)
        if code is None:
            return False
        references = self._load_editor(name, made).references
        return references is not None and references.keep(code) == photo

    def _generation(self, name: str) -> _Generation:
        """What is made of an editor's files as they are now; nothing yet, where they have changed (`Entry.stamp`)."""
        entry = self._entry(name)
        with self._comparing:  # else an older stamp, read before a newer one and compared after it, would replace it
            stamp = entry.stamp()
            made = self._generations.get(name)
            if made is None or made.stamp != stamp:
                made = self._generations[name] = _Generation(stamp)
            return made

    def _load_controls(self, name: str, made: _Generation) -> type[Controls]:
        if made.controls is None:
            made.controls = self._entry(name).controls()
        return made.controls

    def _load_editor(self, name: str, made: _Generation) -> AnyEditor:
        if made.editor is None:
            with self._loading:
                if made.editor is None:
                    made.editor = self._entry(name).load(self.networks.load)
        return made.editor

    def _entry(self, name: str) -> Entry:
        try:
            return self.entries[name]
        except KeyError:
            there = ", ".join(sorted(self.entries))
            raise catalog.UnknownEditor(f"there is no editor {name!r}; there are: {there}") from None

    def _detect(self, image: Image) -> list[Detection]:
        # InsightFace keeps caches in its detector object that are not thread-safe.
        with self._detect_lock:
            return self._detector(image)


def _layers_of(layers: object, editor: str) -> object:
    """Further layers without the chosen editor, as the settings take them."""
    if not isinstance(layers, Mapping):
        return layers
    return {name: layer for name, layer in layers.items() if name != editor}
