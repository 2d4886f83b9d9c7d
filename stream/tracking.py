"""From frames to faces with stable ids.

A live track needs no detector: the landmarks of the last frame give the region of the next. The detector runs when
there is no track, when one is lost, and every so often to find newcomers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from stream.alignment import Quad, points5_of
from stream.detection import MAX_FACES, Detection
from stream.frame import Face, Floats, Image
from stream.landmarks import region_of_box, region_of_mesh

MIN_PRESENCE = 0.5
DETECT_EVERY_S = 0.5
RETRY_EVERY_S = 0.1
KEEP_LOST_S = 1.0
SAME_FACE_IOU = 0.4
DUPLICATE_IOU = 0.6
SAME_LOOK = 0.35
MAX_JUMP = 1.5
CUT_DIFFERENCE = 0.08
CUT_CORRELATION = 0.6
LOOK_SIZE = 12
SCENE_SIZE = (32, 18)
VELOCITY_GAIN = 0.5

Detect = Callable[[Image], list[Detection]]
ReadLandmarks = Callable[[Image, Quad], tuple[Floats, float]]


@dataclass(slots=True)
class Track:
    """One followed face.

    Attributes:
        id: never used again.
        mesh: (478, 2) float32, frame coordinates, as the network read it (not smoothed).
        presence: 0..1.
        seen: time of the last frame with this face, seconds.
        velocity: (2,) float32, pixels per second of the mesh's centre.
        look: (LOOK_SIZE**2 * 3,) float32, unit-norm thumbnail, to tell two people apart when their ways cross.
    """

    id: int
    mesh: Floats
    presence: float
    seen: float
    look: Floats
    velocity: Floats = field(default_factory=lambda: np.zeros(2, np.float32))

    @property
    def box(self) -> Floats:
        return np.concatenate([self.mesh.min(0), self.mesh.max(0)]).astype(np.float32)

    def predicted_centre(self, time: float) -> Floats:
        return self.mesh.mean(0) + self.velocity * np.float32(time - self.seen)


class Tracker:
    """Follows faces through the frames of one stream."""

    def __init__(self, detect: Detect, landmarks: ReadLandmarks) -> None:
        """Make a tracker.

        Args:
            detect: finds faces in a (H, W, 3) uint8 BGR picture.
            landmarks: reads (478, 2) points and the presence inside a quad.
        """
        self._detect = detect
        self._landmarks = landmarks
        self._live: list[Track] = []
        self._lost: list[Track] = []
        self._next_id = 0
        self._last_detection = -np.inf
        self._scene: Floats | None = None
        self._shape: tuple[int, ...] = ()

    def __call__(self, image: Image, time: float) -> tuple[tuple[Face, ...], bool]:
        """Follow the faces into the next frame.

        Args:
            image: (H, W, 3) uint8 BGR.
            time: seconds, increasing.

        Returns:
            The faces of this frame, the largest first, and whether the detector ran.
        """
        if image.shape != self._shape or self._is_cut(image):
            self._shape = image.shape
            self._live, self._lost = [], []
            self._last_detection = -np.inf
        self._follow(image, time)
        self._lost = [track for track in self._lost if time - track.seen <= KEEP_LOST_S]
        detected = self._due(time)
        if detected:
            self._last_detection = time
            self._find(image, time)
        faces = [_face(track) for track in self._live]
        return tuple(sorted(faces, key=lambda face: -_area(face.box))), detected

    def _due(self, time: float) -> bool:
        if not self._live and not self._lost:
            every = 0.0
        elif self._lost:
            every = RETRY_EVERY_S
        else:
            every = DETECT_EVERY_S
        return time - self._last_detection >= every

    def _follow(self, image: Image, time: float) -> None:
        still: list[Track] = []
        for track in self._live:
            mesh, presence = self._landmarks(image, region_of_mesh(track.mesh))
            if presence >= MIN_PRESENCE and _plausible(mesh, track.mesh, image):
                _update(track, image, mesh, presence, time)
                still.append(track)
            else:
                self._lost.append(track)
        self._live = self._without_duplicates(still, image)

    def _without_duplicates(self, tracks: list[Track], image: Image) -> list[Track]:
        """When two tracks end up on one face, keep the one that looks like it; the other's is hidden."""
        kept: list[Track] = []
        for track in tracks:
            rival = next((k for k in kept if iou(k.box, track.box) > DUPLICATE_IOU), None)
            if rival is None:
                kept.append(track)
                continue
            look = look_of(image, track.mesh)
            loser = track if _distance(rival.look, look) <= _distance(track.look, look) else rival
            if loser is rival:
                kept[kept.index(rival)] = track
            self._lost.append(loser)
        return kept

    def _find(self, image: Image, time: float) -> None:
        for detection in self._detect(image):
            if len(self._live) >= MAX_FACES:
                break
            if any(iou(detection.box, track.box) > SAME_FACE_IOU for track in self._live):
                continue
            mesh, presence = self._landmarks(image, region_of_box(detection.box))
            if presence < MIN_PRESENCE:
                continue
            mesh, presence = self._landmarks(image, region_of_mesh(mesh))
            box = np.concatenate([mesh.min(0), mesh.max(0)])
            if presence < MIN_PRESENCE or any(iou(box, track.box) > SAME_FACE_IOU for track in self._live):
                continue
            self._live.append(self._recognised(image, mesh, presence, time))

    def _recognised(self, image: Image, mesh: Floats, presence: float, time: float) -> Track:
        """The lost track that this face continues, or a new one."""
        look = look_of(image, mesh)
        size = float(np.ptp(mesh, axis=0).max())
        best, best_cost = None, np.inf
        for track in self._lost:
            jump = float(np.hypot(*(mesh.mean(0) - track.predicted_centre(time)))) / size
            difference = _distance(track.look, look)
            cost = jump / MAX_JUMP + difference / SAME_LOOK
            # Near where it is expected a face need not look the same to the pixel; further away it must.
            if difference <= SAME_LOOK * (2.0 if jump < 0.5 else 1.0) and jump <= 2 * MAX_JUMP and cost < best_cost:
                best, best_cost = track, cost
        if best is None:
            track = Track(self._next_id, mesh, presence, time, look)
            self._next_id += 1
            return track
        self._lost.remove(best)
        best.mesh, best.presence, best.seen = mesh, presence, time
        best.velocity = np.zeros(2, np.float32)
        return best

    def _is_cut(self, image: Image) -> bool:
        """Whether this frame is of another scene: most of the picture changed at once."""
        scene = cv2.resize(image, SCENE_SIZE, interpolation=cv2.INTER_NEAREST).astype(np.float32).mean(2) / np.float32(
            255
        )
        last, self._scene = self._scene, scene
        if last is None:
            return False
        if float(np.abs(scene - last).mean()) < CUT_DIFFERENCE:
            return False
        a, b = scene - scene.mean(), last - last.mean()
        correlation = float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6)
        return correlation < CUT_CORRELATION


def look_of(image: Image, mesh: Floats) -> Floats:
    """A unit-norm colour thumbnail of a face, free of brightness, as (LOOK_SIZE**2 * 3,) float32."""
    region = region_of_mesh(mesh)
    scale = 2.0 / LOOK_SIZE
    matrix = np.stack([region.axis * scale, region.down * scale, region.centre - region.axis - region.down], axis=1)
    thumbnail = cv2.warpAffine(
        image,
        matrix,
        (LOOK_SIZE, LOOK_SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    look = (thumbnail - thumbnail.mean()).ravel()
    return (look / max(float(np.linalg.norm(look)), 1e-6)).astype(np.float32)


def iou(a: Floats, b: Floats) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = float(width * height)
    return both / (_area(a) + _area(b) - both)


def _area(box: Floats) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _distance(a: Floats, b: Floats) -> float:
    """0 for the same look, 1 for unrelated ones."""
    return 1.0 - float(a @ b)


def _plausible(mesh: Floats, last: Floats, image: Image) -> bool:
    """Whether a mesh can be the same face one frame later: finite, inside the picture, no sudden change of size."""
    if not np.isfinite(mesh).all():
        return False
    height, width = image.shape[:2]
    x, y = mesh.mean(0)
    ratio = float(np.ptp(mesh, axis=0).max()) / max(float(np.ptp(last, axis=0).max()), 1e-6)
    return bool(0 <= x < width and 0 <= y < height and 0.5 < ratio < 2.0)


def _update(track: Track, image: Image, mesh: Floats, presence: float, time: float) -> None:
    step = max(time - track.seen, 1e-3)
    velocity = (mesh.mean(0) - track.mesh.mean(0)) / np.float32(step)
    track.velocity = (track.velocity + VELOCITY_GAIN * (velocity - track.velocity)).astype(np.float32)
    track.mesh, track.presence, track.seen = mesh, presence, time
    look = look_of(image, mesh)
    if _distance(track.look, look) < SAME_LOOK:
        mixed = track.look + np.float32(0.05) * (look - track.look)
        track.look = (mixed / max(float(np.linalg.norm(mixed)), 1e-6)).astype(np.float32)


def _face(track: Track) -> Face:
    return Face(track.id, track.box, points5_of(track.mesh), track.mesh, track.presence)
