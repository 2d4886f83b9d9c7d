"""What happens to a frame, in the order it happens: track, select, edit each face, fall back where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engines.batching import session
from models.arrays import Image
from models.crops import quad_of
from models.embedded.own_age import AgeReader
from models.face.segmenter import Segmenter
from stream.background import Background
from stream.face_edit import FaceEdit, FrameContext, Tools
from stream.fallback import Fallback
from stream.flow import PointFlow
from stream.frame import Drawn, Face, Frame, Output, Region, Trace
from stream.label import Label
from stream.load import LEVELS, Level, Quality, crowded
from stream.look import Layer, Look
from stream.mark.kinds import kinds_of
from stream.mark.painter import EditedFace, MarkPainter
from stream.mark.payload import Statement
from stream.selection import Selection
from stream.tracking import Tracker

FORGET_AFTER_S = 2.0
"""Seconds without a face after which its filters and its latent are dropped."""


@dataclass(slots=True)
class EditedFrame:
    """What the layers made of one frame.

    Attributes:
        image: (H, W, 3) uint8 BGR; the camera's own where there was no face.
        regions: that changed.
        drawn: by the face's id.
        obstacles: as of `Output`.
        waits: whether a layer has no edit of a face yet.
    """

    image: Image
    regions: list[Region] = field(default_factory=list)
    drawn: dict[int, list[Drawn]] = field(default_factory=dict)
    obstacles: dict[str, Mapping[str, str]] = field(default_factory=dict)
    waits: bool = False


class Pipeline:
    """Edits the faces of one stream. Called from one thread; the networks behind it are shared with other pipelines.

    A live pipeline computes latents and, on slow machines, edits in background threads, so that no frame waits for
    them. One that is not live does everything in order: the same frames give the same output.
    """

    def __init__(
        self,
        tracker: Tracker,
        segmenter: Segmenter | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        live: bool = False,
        operator: int = 0,
        ages: Callable[[], AgeReader] | None = None,
        background: Background | None = None,
    ) -> None:
        """Make a pipeline.

        Args:
            tracker: follows the faces of this stream.
            segmenter: reads the masks of a crop; without one nothing in front of a face is kept.
            clock: seconds, for traces and load. Pictures depend on frame times alone.
            live: whether to keep up with a camera rather than to do the same every time.
            operator: number of this installation, for the mark; 0 says nothing.
            ages: gives what reads the ages of faces, for editors that do not read them themselves.
            background: the threads of a live pipeline's background work, shared with others; None has one of its own.
        """
        self._owner = object()  # whose turn it is at the shared engines
        self._own_background = Background(1) if live and background is None else None
        shared = background or self._own_background
        self._background = shared.stream(self._owner) if live and shared is not None else None
        self._tools = Tools(segmenter, PointFlow(), self._background, clock, ages)
        self._tracker = tracker
        self._select = Selection()
        self._fallback = Fallback()
        self._label = Label()
        self._mark = MarkPainter(tracker.landmarks)
        self._marked = LEVELS[-1].edit_every  # frames since the last mark: the first edited one has it
        self._operator = operator
        self._faces: dict[tuple[int, str], FaceEdit] = {}  # by the face's id and the layer's editor
        self._quality, self._quality_of = Quality(), tuple[str, ...]()

    def process(self, frame: Frame, look: Look) -> Output:
        """Edit one frame.

        Args:
            frame: the next frame of the stream.
            look: what to show, from `Runtime.look`.

        Returns:
            The edited picture and what was done; the very same array when nothing changes it.
        """
        trace, settings = Trace(clock=self._tools.clock), look.settings
        if settings.bypass:
            self._fallback.forget()
            self._forget_faces()
            self._mark.forget()
            return Output(frame.image, (), frozenset(), (), trace)
        if self._background is not None and not look.active and settings.faces != "locked":
            self._forget_faces()  # live, and nobody asks where the faces are: no network runs
            self._mark.forget()
            return Output(frame.image, (), frozenset(), (), trace)
        with session(self._owner):
            level = self._level(look) if look.active else LEVELS[0]
            with trace.timed("track"):
                faces, trace.detected = self._tracker(frame.image, frame.time, hurried=level.background)
            if not look.active:
                self._forget_faces()
                self._mark.forget()
                return Output(frame.image, faces, frozenset(), (), trace)
            context = FrameContext(frame.image, frame.time, settings.smoothing, level, trace)
            result = self._edit(self._select(faces, settings, frame.time), look, context)
            out, regions, drawn, obstacles = result.image, result.regions, result.drawn, result.obstacles
            if result.waits and settings.lost == "blur":
                drawn = {}  # of two faces, one would be shown as it is
            self._marked += 1
            if drawn and settings.mark and self._marked >= level.edit_every:
                self._marked = 0
                with trace.timed("mark"):
                    self._draw_marks(out, faces, drawn, look, frame)
        edited = frozenset(drawn)
        if not edited:
            shown, whole = self._fallback(frame.image, settings, trace)
            held = kinds_of(look.active) if whole and settings.lost == "hold" else frozenset[str]()
            return Output(shown, faces, frozenset(), whole, trace, kinds=held, obstacles=obstacles)
        badge = self._label.draw(out, settings, frame.time)
        if badge is not None:
            regions.append(badge)
        self._fallback.keep(out, settings)
        changed = tuple(r for r in regions if not r.empty)
        kinds = kinds_of(look.active)
        return Output(out, faces, edited, changed, trace, level.message, badge, kinds, drawn, obstacles)

    def adapt(self, seconds: float, interval: float) -> None:
        """Choose what the next frames leave out, so that a live stream keeps up with its camera.

        Args:
            seconds: that the last frame's work took, conversion and the wait for its turn included.
            interval: seconds between two frames of the camera; 0 if not known.
        """
        longest = sum(face.seconds for face in self._faces.values())
        self._quality.spent(seconds, interval, self._tools.clock(), longest)

    @property
    def load(self) -> float:
        """Share of the time between two camera frames that the mean frame's work takes."""
        return self._quality.share

    def close(self) -> None:
        """Forget every face and frame, after the background work that has begun."""
        if self._background is not None:
            self._background.shutdown()
        if self._own_background is not None:
            self._own_background.close()
        self._forget_faces()
        self._fallback.forget()

    def _edit(self, faces: tuple[Face, ...], look: Look, context: FrameContext) -> EditedFrame:
        """Draw every active layer on every face."""
        result = EditedFrame(context.camera)
        for layer in look.active:
            started, met = self._tools.clock(), list[Mapping[str, str]]()
            beside = 0.0
            for face in faces:
                state = self._state_of(face, faces, layer, context)
                if state is None:
                    continue
                beside += state.beside.taken()
                source, result.image = result.image, result.image.copy()
                shown = state.draw(source, result.image, face, layer, context)
                result.waits |= state.waits
                if shown is None:
                    continue
                region, drawn = shown
                met.append(drawn.obstacles)
                if not region.empty:
                    result.regions.append(region)
                    result.drawn.setdefault(face.id, []).append(drawn)
            if shared := met_by_all(met):
                result.obstacles[layer.name] = shared
            context.trace.beside[layer.name] = 1e3 * beside
            context.trace.layers[layer.name] = 1e3 * (self._tools.clock() - started)
        for key in [key for key, state in self._faces.items() if context.time - state.seen_at > FORGET_AFTER_S]:
            self._faces.pop(key).drop()
        return result

    def _draw_marks(
        self, out: Image, faces: tuple[Face, ...], drawn: dict[int, list[Drawn]], look: Look, frame: Frame
    ) -> None:
        """Write the mark into every edited face whose mesh is known, in place."""
        statement = Statement(kinds_of(look.active), self._operator)
        if frame.alone:
            self._mark.forget()
        for face in faces:
            if face.id in drawn and face.mesh is not None:
                edited = EditedFace(face.id, face.mesh, drawn[face.id], frame.alone)
                self._mark.paint(out, edited, statement, frame.time)

    def _state_of(self, face: Face, faces: tuple[Face, ...], layer: Layer, context: FrameContext) -> FaceEdit | None:
        """What is kept of a face under a layer, new if editor or smoothing changed; None if it cannot be cut out."""
        key = face.id, layer.name
        before = self._faces.get(key)
        if before is not None and before.fits(layer, context.smoothing):
            return before
        lost = self._lost_at(face, faces, layer, context.time) if context.level.background and before is None else None
        if lost is not None and self._faces[lost].waits and self._faces[lost].fits(layer, context.smoothing):
            state = self._faces[key] = self._faces.pop(lost)  # its first edit is asked for: it will be of this face
            return state
        try:
            state = FaceEdit(self._tools, layer, context.smoothing, face)
        except ValueError:
            return None
        source = before if lost is None else self._faces[lost]
        if source is not None and context.level.background:
            state.carry_on(source)
        if before is not None:
            before.drop()
        self._faces[key] = state
        return state

    def _forget_faces(self) -> None:
        for state in self._faces.values():
            state.drop()
        self._faces.clear()

    def _lost_at(self, face: Face, faces: tuple[Face, ...], layer: Layer, time: float) -> tuple[int, str] | None:
        """The key of a face that was lost a moment ago where this one is found; the newest of several."""
        here = {other.id for other in faces}
        quad = quad_of(face, layer.editor.crop)
        lost = [
            key
            for key, state in self._faces.items()
            if key[1] == layer.name and key[0] not in here and state.is_lost_at(quad, time)
        ]
        return max(lost, key=lambda key: self._faces[key].seen_at, default=None)

    def _level(self, look: Look) -> Level:
        """What this frame leaves out. Other editors cost something else, and start anew."""
        background = self._background
        if self._quality_of != look.names:
            first = 0 if background is None else background.first_level
            self._quality, self._quality_of = Quality(first), look.names
        if background is None:
            return LEVELS[0]
        if look.settings.quality != "auto":
            background.note(0)
            return LEVELS[0]
        background.note(self._quality.number)
        return crowded(self._quality.level, background.crowding, background.pressure)


def met_by_all(obstacles: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """What keeps controls from changing any of some faces: a control that changes one of them acts."""
    first, *others = obstacles or [{}]
    return {name: why for name, why in first.items() if all(name in each for each in others)}
