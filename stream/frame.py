"""The few types that flow through the pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engines.batching import Dropped
from models.arrays import Floats, Image

if TYPE_CHECKING:
    from models.crops import Placement
    from models.editor import Masks

STAGES = ("convert", "track", "align", "segment", "steady", "encode", "inpaint", "render", "blend", "mark")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    Attributes:
        image: (H, W, 3) uint8 BGR. Nobody writes to it.
        time: presentation time in seconds, increasing within a stream; the only clock that tracking and smoothing
            know.
        alone: whether there is no stream around it: what a stream averages over frames is averaged over readings.
    """

    image: Image
    time: float
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Face:
    """One face of a frame, in frame pixels (x, y).

    Attributes:
        id: stays the same while the face is followed, and through short losses; never used again afterwards.
        box: (4,) float32, x0, y0, x1, y1.
        points5: (5, 2) float32, eyes, nose tip, mouth corners, left to right in the picture.
        mesh: (478, 2) float32, MediaPipe face mesh and irises; None where a pack gives five points only.
        presence: 0..1, how sure the tracker is that this is a face.
    """

    id: int
    box: Floats
    points5: Floats
    mesh: Floats | None
    presence: float


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a frame, in pixels; the end is exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def empty(self) -> bool:
        return self.x1 <= self.x0 or self.y1 <= self.y0

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of work on a frame.

    Attributes:
        stage: one of `STAGES`.
        start: seconds of the trace's clock.
        end: the same.
    """

    stage: str
    start: float
    end: float


@dataclass(slots=True)
class Trace:
    """What one frame cost.

    Attributes:
        ms: milliseconds per stage of `STAGES`; a stage that did not run is missing.
        layers: milliseconds per layer of the look, by the name of its editor.
        beside: milliseconds of work beside the stream that ended since the last frame, by layer: readings, inpaintings
            and edits that no frame waits for.
        detected: whether the face detector ran on this frame.
        edits_dropped: latents and edits that were not computed because the engines were busy with other sessions.
        spans: the work in the order in which it ended, for a profile.
        clock: gives seconds.
    """

    ms: dict[str, float] = field(default_factory=dict)
    layers: dict[str, float] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)
    detected: bool = False
    edits_dropped: int = 0
    spans: list[Span] = field(default_factory=list)
    clock: Callable[[], float] = time.perf_counter

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure what runs inside the `with` block as a part of `stage`."""
        started = self.clock()
        try:
            yield
        finally:
            self.add(stage, started, self.clock())

    @contextmanager
    def unless_busy(self) -> Iterator[None]:
        """Continue with what is there when an engine is too busy for the `with` block, and count that."""
        try:
            yield
        except Dropped:
            self.edits_dropped += 1

    def add(self, stage: str, start: float, end: float) -> None:
        """Add work on `stage` that was measured elsewhere, in seconds of the same clock."""
        self.ms[stage] = self.ms.get(stage, 0.0) + 1e3 * (end - start)
        self.spans.append(Span(stage, start, end))


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one layer did to a face.

    Attributes:
        mask: (S, S) float32 in [0, 1], crop pixels; where it is 0 the layer changed nothing.
        placement: of that crop in the frame.
        flow: (S, S, 2) float32, crop pixels, as in `models.editor.Edit`; None where nothing moved.
        masks: what the segmenter read of the crop; None without one.
        obstacles: what keeps controls from changing this face, as of `models.editor.Editor.obstacles`.
    """

    mask: Floats
    placement: Placement
    flow: Floats | None = None
    masks: Masks | None = None
    obstacles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """What `Pipeline.process` returns.

    Attributes:
        image: (H, W, 3) uint8 BGR; the very array that came in when nothing was edited.
        faces: the faces of this frame, edited or not.
        edited: ids of the faces of which a pixel was edited.
        regions: outside of these every pixel is the input's, bit for bit; empty when nothing changed.
        trace: what it cost.
        reduced: a message for the user that names what was left out to keep up with the camera; empty when nothing was.
        badge: where the visible mark stands; None without one. A page that mirrors the picture turns it back.
        drawn: what the layers did to each edited face, by its id, from bottom to top.
        kinds: of edit that the picture shows, of `stream.mark.payload.KINDS`.
        obstacles: what keeps controls from changing any face, in words for a user: by the layer's editor, then by the
            control.
    """

    image: Image
    faces: tuple[Face, ...]
    edited: frozenset[int]
    regions: tuple[Region, ...]
    trace: Trace
    reduced: str = ""
    badge: Region | None = None
    kinds: frozenset[str] = frozenset()
    drawn: Mapping[int, Sequence[Drawn]] = field(default_factory=dict)
    obstacles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
