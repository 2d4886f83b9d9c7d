"""What happens to a frame, in the order it happens: track, align, edit, smooth, blend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import av
import cv2
import numpy as np

from engines.batching import Dropped, belong_to, session
from models.arrays import Floats, Image, Latent
from models.crops import Quad, cut, points5_of, quad_of, to_crop
from models.editor import AnyEditor, Controls, Crop, Edit
from models.face.segmenter import Segmenter
from stream.blending import blend
from stream.filters import ExponentialMean, OneEuro
from stream.flow import MaskMean, Motion
from stream.frame import Face, Frame, Output, Region, Trace
from stream.load import LEVELS, Level, Quality
from stream.settings import Settings
from stream.tracking import Tracker
from stream.yuv import VideoConverter

# Rise of the cutoff in Hz per crop side per second: a face moving a fifth of a side per second lags less than a frame.
QUAD_BETA = 25.0
# The mesh follows the motion seen in the pixels; this corrects its drift. Further off than LOST_MOTION crop sides, the
# motion was not seen and the mesh starts anew.
MESH_DRIFT, MESH_BETA = 0.4, 3.0
LOST_MOTION = 0.03
HAIR_SECONDS, OCCLUDER_SECONDS = 0.35, 0.06
FORGET_AFTER_S = 2.0
BLUR_DIVISOR = 48
BADGE_TEXT = "edited by AI"
DEFAULT_FRAME_S = 1 / 30

EditorOf = Callable[[str], AnyEditor]
ControlsOf = Callable[[Settings], Controls]


@dataclass(frozen=True, slots=True)
class Made:
    """An edit, and what stays in front of it, both in the crop's coordinates: the track carries them along.

    `seconds` is the time it took.
    """

    edit: Edit
    keep: Floats | None
    controls: Controls
    seconds: float


@dataclass(slots=True)
class Steady:
    """The filters of one face under one editor; all of them forget when the face, the editor or the setting changes.

    Attributes:
        key: editor and smoothing that the filters are for.
        quad, mesh, latent, masks: the filters.
        unit: side of the first crop in frame pixels, the unit of the filters of positions.
        seen: when the face was last there, seconds.
        read: the newest reading of the face; `read_at` is when it was asked for, `reading` while it is still made.
        frame, points: the last frame and where the mesh was in it.
        made: the last edit; `carried` frames have used it. `making` is the next one, made beside the stream.
    """

    key: tuple[str, float]
    quad: OneEuro
    mesh: OneEuro
    latent: ExponentialMean
    masks: MaskMean
    unit: float
    seen: float
    read: Latent | None = None
    read_at: float = -math.inf
    reading: Future[Latent] | None = None
    frame: Image | None = None
    points: Floats | None = None
    made: Made | None = None
    carried: int = 0
    making: Future[Made] | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What the faces of one frame share."""

    camera: Image
    editor: AnyEditor
    controls: Controls
    settings: Settings
    now: float
    trace: Trace
    level: Level


class Pipeline:
    """Edits the faces of one stream. Called from one thread; the networks behind it are shared with other pipelines.

    A live pipeline may read faces, and on slow machines make edits, in one thread of its own beside the stream, so that
    no frame waits for them. One that is not live does everything in order: the same frames give the same output.
    """

    def __init__(
        self,
        tracker: Tracker,
        editor_of: EditorOf,
        controls_of: ControlsOf,
        segmenter: Segmenter | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        live: bool = False,
    ) -> None:
        """Make a pipeline.

        Args:
            tracker: follows the faces of this stream.
            editor_of: an editor by its name in the catalog.
            controls_of: the checked controls of some settings.
            segmenter: reads the masks of a crop; without one nothing in front of a face is kept.
            clock: seconds, for the trace and the quality. Otherwise what is computed depends on frame times alone.
            live: whether to keep up with a camera rather than to do the same every time.
        """
        self._tracker = tracker
        self._editor_of = editor_of
        self._controls_of = controls_of
        self._segmenter = segmenter
        self._clock = clock
        self._motion = Motion()
        self._converter = VideoConverter()
        self._steady: dict[int, Steady] = {}
        self._held: Image | None = None
        self._lock: tuple[int, float] | None = None
        self._frame_time = 0.0
        self._quality, self._quality_of = Quality(), ""
        self._name = object()
        self._beside = ThreadPoolExecutor(1, "beside", belong_to, (self._name,)) if live else None

    def process(self, frame: Frame, settings: Settings, interval: float = 0.0) -> Output:
        """Edit one frame.

        Args:
            frame: the next frame of the stream.
            settings: as checked by `Runtime.changed`.
            interval: seconds between two frames of the camera, as far as known; a live pipeline leaves out work that
                does not fit in.

        Returns:
            The edited picture and what was done; the very same array when no control is moved.
        """
        started = self._clock()
        with session(self._name):
            output = self._process(frame, settings)
        self._spent(started, interval)
        return output

    def _spent(self, started: float, interval: float) -> None:
        now = self._clock()
        an_edit = sum(steady.made.seconds for steady in self._steady.values() if steady.made is not None)
        self._quality.spent(now - started, interval, now, an_edit)

    def _level(self, settings: Settings) -> Level:
        """What this frame may leave out. Another editor costs something else, and starts at full quality."""
        if self._quality_of != settings.editor:
            self._quality, self._quality_of = Quality(), settings.editor
        return self._quality.level if self._beside is not None and settings.quality == "auto" else LEVELS[0]

    def _process(self, frame: Frame, settings: Settings) -> Output:
        trace = Trace()
        if settings.bypass:
            self._held = None
            self._steady.clear()
            return Output(frame.image, (), frozenset(), (), trace)
        with self._timed(trace, "track"):
            faces, trace.detected = self._tracker(frame.image, frame.time)
        controls = self._controls_of(settings)
        if controls.neutral():
            self._steady.clear()
            return Output(frame.image, faces, frozenset(), (), trace)
        level = self._level(settings)
        work = Work(frame.image, self._editor_of(settings.editor), controls, settings, frame.time, trace, level)
        chosen = self._chosen(faces, settings, frame.time)
        out, regions, edited = frame.image, [], []
        for face in chosen:
            source = out
            out = frame.image.copy() if out is frame.image else out.copy()
            region = self._edit(source, out, face, work)
            if region is not None:
                regions.append(region)
                edited.append(face.id)
        self._forget(frame.time)
        if not edited:
            return self._without_face(frame.image, faces, settings, trace)
        if settings.badge:
            regions.append(_draw_badge(out))
        self._held = out if settings.lost == "hold" else None
        return Output(out, faces, frozenset(edited), tuple(r for r in regions if not r.empty), trace, level.told)

    def process_video(
        self, video: av.VideoFrame, settings: Settings, interval: float = 0.0
    ) -> tuple[av.VideoFrame, Output]:
        """Edit a video frame of any pixel format.

        Args:
            video: a decoded frame; its `pts` and `time_base` are the clock.
            settings: as for `process`.
            interval: as for `process`.

        Returns:
            The very frame that came in when nothing was edited, else a yuv420p frame with its time; and what was done.
        """
        self._frame_time = self._frame_time + DEFAULT_FRAME_S if video.time is None else float(video.time)
        started = self._clock()
        image = np.empty((0, 0, 3), np.uint8) if settings.bypass else self._converter.to_bgr(video)
        converted = self._clock()
        with session(self._name):
            output = self._process(Frame(image, self._frame_time), settings)
        processed = self._clock()
        edited = self._converter.with_regions(video, output.image, output.regions) if output.regions else video
        output.trace.ms["convert"] = 1e3 * (converted - started + self._clock() - processed)
        self._spent(started, interval)
        return edited, output

    def close(self) -> None:
        """Forget every face and frame, after what is being made beside the stream."""
        if self._beside is not None:
            self._beside.shutdown(cancel_futures=True)
        self._steady.clear()
        self._held = None

    def _edit(self, source: Image, out: Image, face: Face, work: Work) -> Region | None:
        editor, trace = work.editor, work.trace
        with self._timed(trace, "align"):
            try:
                steady = self._steady_of(face.id, quad_of(face, editor.crop), work)
                face = self._followed(face, steady, work)
                quad = _smoothed(quad_of(face, editor.crop), steady, work.now)
            except ValueError:
                return None
        made = self._edit_of(source, face, quad, steady, work)
        if made is None:
            return None
        with self._timed(trace, "blend"):
            return blend(source, out, made.edit, quad, made.keep)

    def _edit_of(self, source: Image, face: Face, quad: Quad, steady: Steady, work: Work) -> Made | None:
        """A new edit, or the last one where none is due, or the engines are too busy; None before the first."""
        if steady.making is not None and (steady.making.done() or not work.level.background):
            making, steady.making = steady.making, None
            with _unless_busy(work.trace):
                steady.made = making.result()
        steady.carried += 1
        last = steady.made
        fresh = last is not None and steady.carried < work.level.edit_every and last.controls == work.controls
        if steady.making is not None or fresh:
            return last
        with self._timed(work.trace, "align"):
            crop = _crop(source, face, quad, work.editor.crop.size)
        steady.carried = 0
        if work.level.background and last is not None and self._beside is not None:
            # what it costs does not delay this frame: it gets a trace of its own
            steady.making = self._beside.submit(self._make, crop, steady, replace(work, trace=Trace()))
            return last
        with _unless_busy(work.trace):
            steady.made = self._make(crop, steady, work)
        return steady.made

    def _make(self, crop: Crop, steady: Steady, work: Work) -> Made:
        """Make an edit of a crop.

        Raises:
            engines.batching.Dropped: an engine is too busy.
        """
        editor, trace, started = work.editor, work.trace, self._clock()
        if self._segmenter is not None:
            with self._timed(trace, "segment"):
                masks = steady.masks(crop.image, self._segmenter.read(crop.image), work.now)
            crop = replace(crop, masks=masks)
        with self._timed(trace, "encode"):
            latent = steady.latent(self._read(crop, steady, work), work.now)
            steered = editor.steer(latent, work.controls)
        with self._timed(trace, "render"):
            edit = editor.render(crop, latent, steered, work.controls)
        keep = None if crop.masks is None else crop.masks.occluder
        return Made(edit, keep, work.controls, self._clock() - started)

    def _read(self, crop: Crop, steady: Steady, work: Work) -> Latent:
        """The newest reading of the face. Refreshing it does not delay a live stream."""
        every = work.editor.encode_seconds * work.level.read_slower
        if steady.reading is not None and steady.reading.done():
            reading, steady.reading = steady.reading, None
            with _unless_busy(work.trace):
                steady.read = reading.result()
        if steady.read is None or (steady.reading is None and work.now - steady.read_at >= every):
            if steady.read is None or not every or self._beside is None or work.level.background:
                steady.read = _encode(crop, work.editor, work.controls)
            else:
                steady.reading = self._beside.submit(_encode, crop, work.editor, work.controls)
            steady.read_at = work.now
        return steady.read

    def _steady_of(self, face_id: int, quad: Quad, work: Work) -> Steady:
        editor, settings = work.editor, work.settings
        key = (settings.editor, settings.smoothing)
        steady = self._steady.get(face_id)
        if steady is None or steady.key != key:
            cutoff = 0.0 if settings.smoothing == 0 else 10 ** (0.6 - 1.2 * settings.smoothing)
            seconds = editor.latent_seconds * 2 * settings.smoothing
            steady = Steady(
                key,
                OneEuro(cutoff, QUAD_BETA),
                OneEuro(MESH_DRIFT * cutoff, MESH_BETA, LOST_MOTION),
                ExponentialMean(seconds),
                MaskMean(HAIR_SECONDS * 2 * settings.smoothing, OCCLUDER_SECONDS * 2 * settings.smoothing),
                quad.side,
                work.now,
            )
            self._steady[face_id] = steady
        steady.seen = work.now
        return steady

    def _followed(self, face: Face, steady: Steady, work: Work) -> Face:
        """The face with its mesh steadied: carried along by the picture's motion, corrected by the landmarks."""
        if face.mesh is None or work.settings.smoothing == 0:
            return face
        moved = None
        if steady.frame is not None and steady.points is not None and steady.frame.shape == work.camera.shape:
            moved = self._motion(steady.frame, work.camera, steady.points) / np.float32(steady.unit)
        mesh = steady.mesh(face.mesh / np.float32(steady.unit), work.now, moved) * np.float32(steady.unit)
        steady.frame, steady.points = work.camera, mesh
        return replace(face, mesh=mesh, points5=points5_of(mesh))

    def _forget(self, now: float) -> None:
        self._steady = {key: steady for key, steady in self._steady.items() if now - steady.seen <= FORGET_AFTER_S}

    def _chosen(self, faces: tuple[Face, ...], settings: Settings, now: float) -> tuple[Face, ...]:
        """The faces to edit: all, the largest, or the one locked on."""
        if settings.faces == "all" or not faces:
            return faces
        if settings.faces == "largest":
            return faces[:1]
        locked = settings.lock
        if locked is None:
            if self._lock is None or now - self._lock[1] > FORGET_AFTER_S:
                self._lock = (faces[0].id, now)
            locked = self._lock[0]
        found = tuple(face for face in faces if face.id == locked)
        if found:
            self._lock = (locked, now)
        return found

    def _without_face(self, image: Image, faces: tuple[Face, ...], settings: Settings, trace: Trace) -> Output:
        """What the user wants to be seen while there is no face to edit."""
        everything = (Region(0, 0, image.shape[1], image.shape[0]),)
        if settings.lost == "blur":
            with self._timed(trace, "blend"):
                return Output(blurred(image), faces, frozenset(), everything, trace)
        if settings.lost == "hold" and self._held is not None and self._held.shape == image.shape:
            return Output(self._held, faces, frozenset(), everything, trace)
        return Output(image, faces, frozenset(), (), trace)

    @contextmanager
    def _timed(self, trace: Trace, stage: str) -> Iterator[None]:
        started = self._clock()
        try:
            yield
        finally:
            trace.ms[stage] = trace.ms.get(stage, 0.0) + 1e3 * (self._clock() - started)


@contextmanager
def _unless_busy(trace: Trace) -> Iterator[None]:
    """Go on with what there is when an engine is too busy, and count it."""
    try:
        yield
    except Dropped:
        trace.edits_dropped += 1


def _encode(crop: Crop, editor: AnyEditor, controls: Controls) -> Latent:
    return editor.encode(crop, controls)


def blurred(image: Image) -> Image:
    """A picture in which nobody can be recognised: averaged over blocks of 1/48 of the longer side, then softened."""
    height, width = image.shape[:2]
    block = max(max(height, width) / BLUR_DIVISOR, 1.0)
    small = cv2.resize(
        image, (max(round(width / block), 1), max(round(height / block), 1)), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), 1.5)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _crop(image: Image, face: Face, quad: Quad, size: int) -> Crop:
    pixels = cv2.cvtColor(cut(image, quad, size), cv2.COLOR_BGR2RGB)
    mesh = None if face.mesh is None else to_crop(face.mesh, quad, size)
    return Crop(pixels, to_crop(face.points5, quad, size), mesh)


def _smoothed(quad: Quad, steady: Steady, now: float) -> Quad:
    unit = np.float32(steady.unit)
    values = steady.quad(np.stack([quad.centre, quad.axis]) / unit, now) * unit
    return Quad(values[0], values[1])


def _draw_badge(image: Image) -> Region:
    """Write the mark into the lower left corner of `image`, in place."""
    height, width = image.shape[:2]
    scale = max(height / 900, 0.35)
    (w, h), base = cv2.getTextSize(BADGE_TEXT, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x, y = round(10 * scale), height - round(12 * scale) - base
    region = Region(x - 4, max(y - h - 4, 0), min(x + w + 4, width), min(y + base + 4, height))
    patch = image[region.slices]
    image[region.slices] = patch // 2
    cv2.putText(image, BADGE_TEXT, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return region
