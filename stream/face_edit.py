"""One face under one layer: its filters, its latent, and the edit that is pasted into the frame."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np

from models.arrays import Floats, Image, Latent
from models.crops import CropSpec, Edge, Placement, Quad, beyond_frame, cut_placed, points5_of, quad_of, to_crop
from models.editor import Controls, Crop, Edit, Inpainting, Masks
from models.embedded.own_age import AgeReader
from models.face.segmenter import Segmenter
from stream.background import StreamBackground
from stream.blending import Paint, blend_paint, visible_mask
from stream.crop_choice import CropChoice
from stream.filters import ExponentialMean, OneEuro
from stream.flow import FlowCompensatedMean, PointFlow, SteadyLight
from stream.frame import Drawn, Face, Region, Trace
from stream.inpainting import CarriedInpainting, Keyframe
from stream.load import Level
from stream.look import Layer
from stream.own_age import OwnAge
from stream.plate import Plate


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How the setting `smoothing`, 0..1, becomes filters. At 0.5 each time constant below holds; at 1 it doubles.

    Attributes:
        cutoff_decades: decimal logarithm of the quad's cutoff in Hz at smoothing 0.
        cutoff_slope: decades by which the cutoff falls up to smoothing 1.
        quad_beta: rise of the cutoff in Hz per crop side per second: a face moving by a fifth of a side per second lags
            less than a frame.
        mesh_cutoff: cutoff of the mesh over that of the quad. Optical flow moves the mesh; the landmarks correct the
            drift of the flow.
        mesh_beta: as `quad_beta`, for the mesh.
        mesh_lost: mean distance of the landmarks from the moved mesh, in crop sides, from which the flow has lost the
            face and the mesh restarts.
        hair_s: time constant of the masks of hair and person, seconds.
        occluder_s: time constant of the masks of face and occluders, seconds.
    """

    cutoff_decades: float = 0.6
    cutoff_slope: float = 1.2
    quad_beta: float = 25.0
    mesh_cutoff: float = 0.4
    mesh_beta: float = 3.0
    mesh_lost: float = 0.03
    hair_s: float = 0.35
    occluder_s: float = 0.06

    def quad_cutoff(self, smoothing: float) -> float:
        """Cutoff of the quad's filter at rest in Hz; 0 turns it off."""
        return 0.0 if smoothing == 0 else 10 ** (self.cutoff_decades - self.cutoff_slope * smoothing)


SMOOTHING = Smoothing()
T = TypeVar("T")
AGE_UNKNOWN = "the age of this face cannot be read: choose an age in place of a difference"


@dataclass(frozen=True, slots=True)
class Tools:
    """What all faces of one stream share.

    Attributes:
        segmenter: reads the masks of a crop; None keeps nothing in front of a face.
        flow: measures how the points of a face move.
        background: runs work that no frame waits for; None runs everything in order.
        clock: seconds, for durations.
        ages: gives what reads ages, loaded when first asked for; None where nothing does.
    """

    segmenter: Segmenter | None = None
    flow: PointFlow = field(default_factory=PointFlow)
    background: StreamBackground | None = None
    clock: Callable[[], float] = time.perf_counter
    ages: Callable[[], AgeReader] | None = None


@dataclass(frozen=True, slots=True)
class FrameContext:
    """What all faces of one frame share.

    Attributes:
        camera: (H, W, 3) uint8 BGR, without any edit.
        time: of the frame, seconds.
        smoothing: 0..1, of the settings.
        level: what is left out.
        trace: of the frame.
    """

    camera: Image
    time: float
    smoothing: float
    level: Level
    trace: Trace


@dataclass(frozen=True, slots=True)
class RenderedEdit:
    """An edit in crop coordinates; it can be pasted into later frames at the face's new place.

    Attributes:
        edit: of the crop.
        masks: what the segmenter read of the crop; None without one. Where the occluder is the camera's pixel stays.
        controls: that it was rendered for.
        seconds: that rendering took, without what it waited for an inpainting.
        obstacles: what keeps controls from changing this face.
    """

    edit: Edit
    masks: Masks | None
    controls: Controls
    seconds: float
    obstacles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class View:
    """One face in one frame, from which a job makes an edit when its turn comes.

    Attributes:
        source: (H, W, 3) uint8 BGR, the frame under the layers below.
        face: in this frame.
        quad: of its usual crop.
        layer: to edit it with.
        context: of the frame.
    """

    source: Image
    face: Face
    quad: Quad
    layer: Layer
    context: FrameContext

    def placed(self, side: int) -> Placement:
        """Where a crop of so many pixels lies, at the scale of the editor's usual one."""
        return placed(self.quad, side, self.layer)


@dataclass(frozen=True, slots=True)
class SamePlace:
    """When a face that is found takes the last edit of one that was lost, until it has its own.

    Attributes:
        within_s: seconds since the other was lost, at most.
        moved: distance between the two, in sides of the crop, at most.
        ratio: of the sides of their crops, at most.
    """

    within_s: float = 2.0
    moved: float = 0.5
    ratio: float = 1.5


SAME_PLACE = SamePlace()


class Beside:
    """Counts the seconds of work that no frame waits for.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = 0.0

    def measured(self, work: Callable[..., T], *given: Any) -> T:
        """Do some of it, in whatever thread."""
        started = self._clock()
        try:
            return work(*given)
        finally:
            self._seconds += self._clock() - started

    def taken(self) -> float:
        """Seconds since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


class FaceEdit:
    """Edits one face with one layer's editor, from frame to frame.

    The quad, the mesh, the masks and the latent are filtered over time. The latent is computed as often as the editor
    asks; in a live stream that happens in the background, and so does rendering where the machine is slow: there a face
    has no edit before its first one is finished, or shows that of a face that was lost at its place (`carry_on`).

    Attributes:
        seen_at: when the face was last there, seconds.
        seconds: that the newest edit took to render.
        beside: what its work beside the stream takes.
    """

    def __init__(self, tools: Tools, layer: Layer, smoothing: float, face: Face) -> None:
        """Start with a face that was not edited before.

        Raises:
            ValueError: its landmarks have no extent.
        """
        self._tools = tools
        self._key = (layer.name, smoothing)
        self._unit = quad_of(face, layer.editor.crop).side  # of the positions that the filters see, in frame pixels
        cutoff = SMOOTHING.quad_cutoff(smoothing)
        self._quad_filter = OneEuro(cutoff, SMOOTHING.quad_beta)
        self._mesh_filter = OneEuro(SMOOTHING.mesh_cutoff * cutoff, SMOOTHING.mesh_beta, SMOOTHING.mesh_lost)
        self._latent_mean = ExponentialMean(
            layer.editor.latent_seconds * 2 * smoothing,
            {place: seconds * 2 * smoothing for place, seconds in layer.editor.lasting.items()},
        )
        self._plate = Plate()
        self._inpainting = CarriedInpainting(layer.editor.inpaint_seconds if smoothing > 0 else 0.0)
        self._choice = CropChoice(layer.editor)
        self._cut_side = self._choice.side  # of the last crop, pixels
        self._mask_seconds = SMOOTHING.hair_s * 2 * smoothing, SMOOTHING.occluder_s * 2 * smoothing
        self._mask_mean = FlowCompensatedMean(*self._mask_seconds)
        self._steady_light = SteadyLight()
        self._last_frame: Image | None = None  # and where the mesh was in it
        self._last_mesh: Floats | None = None
        self._inpainting_took = 0.0  # seconds
        self._latent: Latent | None = None
        self._latent_asked_at = -math.inf
        self._latent_job: Future[Latent] | None = None
        self._rendered: RenderedEdit | None = None
        self._render_job: Future[RenderedEdit] | None = None
        self._paint: Paint | None = None  # of the edit and the amount that follow
        self._painted: RenderedEdit | None = None
        self._amount = 1.0
        self._view: View | None = None  # the newest one, where edits are rendered in the background
        self._quad: Quad | None = None  # where the face was last
        self._age = math.inf  # frames since an edit was last asked for
        self._asked_at = -math.inf  # seconds
        self._own_age = OwnAge()
        self.beside = Beside(tools.clock)
        self.seen_at = -math.inf

    @property
    def seconds(self) -> float:
        return 0.0 if self._rendered is None else self._rendered.seconds

    def fits(self, layer: Layer, smoothing: float) -> bool:
        """Whether the filters are for this editor and this smoothing."""
        return self._key == (layer.name, smoothing)

    @property
    def waits(self) -> bool:
        """Whether there is no edit of this face yet."""
        return self._rendered is None

    def is_lost_at(self, quad: Quad, time: float) -> bool:
        """Whether this face was there a moment ago, at about the place of a crop in the frame at `time`."""
        last, moment = self._quad, time - self.seen_at
        if last is None or not 0 < moment <= SAME_PLACE.within_s:
            return False
        large, small = max(last.side, quad.side), min(last.side, quad.side)
        away = float(np.hypot(*(last.centre - quad.centre)))
        return bool(away <= SAME_PLACE.moved * small and large <= SAME_PLACE.ratio * small)

    def carry_on(self, other: FaceEdit) -> None:
        """Show the last edit of another face, or of this one under other settings, until this one's own is there."""
        self._rendered = other._rendered

    def drop(self) -> None:
        """Ask for nothing more: no thread is to work for a face that is gone."""
        for job in (self._render_job, self._latent_job):
            if job is not None:
                job.cancel()

    def draw(
        self, source: Image, out: Image, face: Face, layer: Layer, context: FrameContext
    ) -> tuple[Region, Drawn] | None:
        """Edit the face in one frame.

        Args:
            source: (H, W, 3) uint8 BGR, what the edit is made of.
            out: a copy of `source`, changed in place.
            face: in this frame.
            layer: editor, controls and amount.
            context: of this frame.

        Returns:
            The region outside of which nothing changed, and what was drawn; None where there is no edit yet, or the
            face cannot be cut out.
        """
        self.seen_at = context.time
        with context.trace.timed("align"):
            try:
                face = self._with_steady_mesh(face, context)
                quad = self._steady_quad(quad_of(face, layer.editor.crop), context.time)
            except ValueError:
                return None
            self._quad = quad
        at_age = self._at_own_age(face, layer, context)
        rendered = self._newest_edit(View(source, face, quad, at_age, context))
        if rendered is None:
            return None
        obstacles = rendered.obstacles
        if at_age is not layer and self._own_age.years is None:
            obstacles = {name: AGE_UNKNOWN for name, value in layer.controls if value != getattr(at_age.controls, name)}
        with context.trace.timed("blend"):
            paint = self._paint_of(rendered, layer.amount)
            placement = placed(quad, len(rendered.edit.mask), layer)
            drawn = Drawn(paint.mask, placement, rendered.edit.flow, rendered.masks, obstacles)
            return blend_paint(source, out, paint, placement), drawn

    def _paint_of(self, rendered: RenderedEdit, amount: float) -> Paint:
        """What is pasted of an edit; made once for all frames that show it."""
        if self._paint is None or self._painted is not rendered or self._amount != amount:
            edit, masks = _faded(rendered.edit, amount), rendered.masks
            mask = visible_mask(edit, None if masks is None else masks.occluder)
            self._paint, self._painted, self._amount = Paint.of(edit, mask), rendered, amount
        return self._paint

    def _with_steady_mesh(self, face: Face, context: FrameContext) -> Face:
        """The face with its mesh moved by optical flow since the last frame, and corrected by the landmarks."""
        if face.mesh is None or context.smoothing == 0:
            return face
        unit, moved = np.float32(self._unit), None
        last, points = self._last_frame, self._last_mesh
        if last is not None and points is not None and last.shape == context.camera.shape:
            moved = self._tools.flow(last, context.camera, points) / unit
        mesh = self._mesh_filter(face.mesh / unit, context.time, moved) * unit
        self._last_frame, self._last_mesh = context.camera, mesh
        return replace(face, mesh=mesh, points5=points5_of(mesh))

    def _steady_quad(self, quad: Quad, time: float) -> Quad:
        unit = np.float32(self._unit)
        values = self._quad_filter(np.stack([quad.centre, quad.axis]) / unit, time) * unit
        return Quad(values[0], values[1])

    def _at_own_age(self, face: Face, layer: Layer, context: FrameContext) -> Layer:
        """The layer with ages in place of differences from the face's own, which is read of the camera's picture."""
        if layer.editor.reads_age or not layer.controls.relative:
            return layer
        if self._tools.ages is not None:
            reader = self._tools.ages()
            with context.trace.timed("encode"), context.trace.unless_busy(), suppress(ValueError):
                self._own_age.update(reader, lambda: cut_out(context.camera, face, reader.crop), context.time)
        return replace(layer, controls=layer.controls.at_age(self._own_age.years))

    def _newest_edit(self, view: View) -> RenderedEdit | None:
        """A new edit, or the last one where none is due or the engines are busy; None before the first."""
        layer, context = view.layer, view.context
        level, background = context.level, self._tools.background
        self._take_edit(context)
        in_background = level.background and background is not None
        self._view = view if in_background else None
        self._age += 1
        if self._render_job is not None or self._is_fresh(layer, context):
            return self._rendered
        self._age, self._asked_at = 0, context.time
        if level.background and background is not None:
            self._render_job = background.submit(self.beside.measured, self._render_view)
            return self._rendered
        with context.trace.unless_busy():
            self._rendered = self._render(view)
        return self._rendered

    def _is_fresh(self, layer: Layer, context: FrameContext) -> bool:
        """Whether the last edit is to be shown a while longer."""
        level, last = context.level, self._rendered
        if last is None or last.controls != layer.controls:
            return False
        return self._age < level.edit_every or context.time - self._asked_at < level.rest * last.seconds

    def _take_edit(self, context: FrameContext) -> None:
        """Take the edit that was rendered in the background, if it is finished or has to be awaited."""
        job = self._render_job
        if job is None or (context.level.background and not job.done()):
            return
        self._render_job = None
        if not context.level.background and not job.cancel():
            wait([job])  # what it changes is changed within the frame from now on
        if not job.cancelled():
            with context.trace.unless_busy():
                self._rendered = job.result()

    def _render_view(self) -> RenderedEdit:
        """Render the newest view, which may be newer than the one that the job was made for."""
        view = self._view
        assert view is not None
        # Its duration is no part of that frame's: the job gets a trace of its own.
        apart = replace(view.context, trace=Trace(clock=self._tools.clock))
        return self._render(replace(view, context=apart))

    def _render(self, view: View) -> RenderedEdit:
        """Cut out, segment, encode, steer and render a face.

        Raises:
            engines.batching.Dropped: an engine is busy.
        """
        layer, context = view.layer, view.context
        started, trace = self._tools.clock(), context.trace
        editor, controls = layer.editor, layer.controls
        if not self._choice.fits(editor):
            self._choice = CropChoice(editor)
        crop, placement = self._cut_out(view)
        with trace.timed("encode"):
            latent = self._latent_mean(self._newest_latent(crop, layer, context), context.time)
            steered = editor.steer(latent, controls)
        while crop.masks is not None:
            if not self._choice.update(editor.wanted_side(crop, latent, steered, controls), context.time):
                break
            crop, placement = self._cut_out(view)
        if context.smoothing > 0 and editor.wants_steady_light(controls):
            with trace.timed("steady"):
                steady = self._steady_light(crop.image, crop.points5, context.time)
                crop = replace(crop, steady_light=steady.light, surface=steady.surface)
        with trace.timed("inpaint"):
            behind = partial(self._with_backdrop, crop, placement, layer, context)
            if editor.inpaint_seconds > 0:
                level = context.level
                inpainting = self._inpainting(
                    Keyframe.of(crop, placement, controls),
                    context.time,
                    lambda: self._inpaint(layer, behind(), latent, steered),
                    every=editor.inpaint_seconds * level.encode_slowdown,
                    rest=self._inpainting_took * level.encode_slowdown if level.background else 0.0,
                    background=None if level.background else self._tools.background,
                    trace=trace,
                    measured=self.beside.measured,
                )
                crop = replace(crop, inpainting=inpainting)
            else:
                crop = behind()
        with trace.timed("render"):
            edit = editor.render(crop, latent, steered, controls)
        obstacles = editor.obstacles(crop, latent, controls)
        seconds = self._tools.clock() - started - trace.ms["inpaint"] / 1e3
        return RenderedEdit(edit, crop.masks, controls, seconds, obstacles)

    def _cut_out(self, view: View) -> tuple[Crop, Placement]:
        """A face with its masks, in the crop that is chosen."""
        segmenter, trace = self._tools.segmenter, view.context.trace
        placement = view.placed(self._choice.side)
        with trace.timed("align"):
            crop = crop_of(view.source, view.face, placement, view.layer.editor.crop.edge)
        if segmenter is None:
            return crop, placement
        if placement.size != self._cut_side:  # means are of crops of another size
            self._cut_side = placement.size
            self._mask_mean = FlowCompensatedMean(*self._mask_seconds)
        with trace.timed("segment"):
            masks = segmenter.read_around(crop.image, view.layer.editor.crop.size)
            masks = self._mask_mean(crop.image, masks, view.context.time)
        return replace(crop, masks=masks), placement

    def _newest_latent(self, crop: Crop, layer: Layer, context: FrameContext) -> Latent:
        """The newest latent of the face. In a live stream only the first one holds the frame up."""
        every = layer.editor.encode_seconds * context.level.encode_slowdown
        if self._latent_job is not None and self._latent_job.done():
            job, self._latent_job = self._latent_job, None
            with context.trace.unless_busy():
                self._latent = job.result()
        is_due = self._latent_job is None and context.time - self._latent_asked_at >= every
        if self._latent is None or is_due:
            background = self._tools.background
            if self._latent is None or not every or background is None or context.level.background:
                self._latent = layer.editor.encode(crop, layer.controls)
            else:
                self._latent_job = background.submit(self.beside.measured, layer.editor.encode, crop, layer.controls)
            self._latent_asked_at = context.time
        return self._latent

    def _inpaint(self, layer: Layer, crop: Crop, latent: Latent, steered: Latent) -> Inpainting | None:
        started = self._tools.clock()
        inpainting = layer.editor.inpaint(crop, latent, steered, layer.controls)
        self._inpainting_took = self._tools.clock() - started
        return inpainting

    def _with_backdrop(self, crop: Crop, placement: Placement, layer: Layer, context: FrameContext) -> Crop:
        # without smoothing every picture is one by itself, as a photo is
        if context.smoothing == 0 or not layer.editor.wants_backdrop(layer.controls):
            return crop
        return replace(crop, backdrop=self._plate(crop, placement, context.camera.shape[:2]))


def crop_of(image: Image, face: Face, placement: Placement, edge: Edge) -> Crop:
    """Cut a face out of a frame (H, W, 3) uint8 BGR, without masks; `edge` says what is shown beyond the frame."""
    pixels = cv2.cvtColor(cut_placed(image, placement, edge), cv2.COLOR_BGR2RGB)
    quad, size = placement.quad, placement.size
    mesh = None if face.mesh is None else to_crop(face.mesh, quad, size)
    return Crop(pixels, to_crop(face.points5, quad, size), mesh, beyond=beyond_frame(placement, image.shape[:2]))


def placed(quad: Quad, side: int, layer: Layer) -> Placement:
    """Where a crop of so many pixels lies around the quad of an editor's usual one, at the same scale."""
    usual = layer.editor.crop.size
    return Placement.of(quad if side == usual else quad.enlarged(side / usual), side)


def cut_out(image: Image, face: Face, spec: CropSpec) -> Crop:
    """A face of a frame (H, W, 3) uint8 BGR, without masks.

    Raises:
        ValueError: its landmarks have no extent.
    """
    return crop_of(image, face, Placement.of(quad_of(face, spec), spec.size), spec.edge)


def _faded(edit: Edit, amount: float) -> Edit:
    return edit if amount == 1 else replace(edit, mask=edit.mask * np.float32(amount))
