"""From frames to faces with stable ids.

A live track needs no detector: the landmarks of the last frame give the region of the next. The detector runs when
there is no track, when one is lost, and every so often to find newcomers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.crops import Quad, points5_of
from models.face.detector import MAX_FACES, Detection
from models.face.landmarks import region_of_box, region_of_mesh
from stream.frame import Face

MIN_PRESENCE = 0.5
MIN_TRUST = 0.45
"""Mean of the detector's score and two readings' presence from which a newcomer is a face."""
MOST_WANDER = 0.13
"""How far the points of a newcomer may move between two readings of one picture, in eye distances, for each unit of
that mean: on a face they come to rest at once, on cloth or letters they wander."""
PROOFS, MOST_MEAN_WANDER = 10, 0.09
"""For so many frames after the first a newcomer's points are read twice; on the mean they may move so far. They move by
0.01 to 0.04 eye distances on faces in clips, by 0.08 on turned ones in a dance, by 0.16 on the collar of a space suit.
"""
WAIT_S = 0.35
"""A face that looks different where a lost one is expected may be half hidden: it is named so much later."""
DETECT_EVERY_S = 0.5
RETRY_EVERY_S = 0.1
KEEP_LOST_S = 1.0
KEEP_HIDDEN_S = 2.0
"""A face that another one hides is still there: it may stay away longer."""
SAME_FACE_IOU = 0.4
DUPLICATE_IOU = 0.6
NEAR = 0.25
"""Faces whose boxes would touch if grown by this share of their size on each side are near each other: hair and
shoulders of the one in front already disturb the readings of the other."""
CLEAR_LOOK = 0.1
"""Up to this change of the whole look nothing can be in front of a face."""
SAME_LOOK = 0.35
MAX_JUMP = 1.5
SIZE_CHANGE = 1.6
"""A face that is this many times larger or smaller than before costs as much as one of another look."""
DOUBT = 0.8
"""From this misfit on a face beside another one is looked for again, at the place where it should be by now."""
SNAP = 0.3
"""A move in one frame, in face sizes, after which the look must be the same one."""
UNCONFIRMED = 2
SURE_PRESENCE = 0.9
"""A track of less presence is given up when so many searches in a row do not find its face: it slid off it."""
CUT_DIFFERENCE = 0.08
CUT_CORRELATION = 0.6
LOOK_SIZE = 12
SCENE_SIZE = (32, 18)
VELOCITY_GAIN = 0.25

Detect = Callable[[Image], list[Detection]]
ReadLandmarks = Callable[[Image, Quad], tuple[Floats, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the landmark network sees of a face in one frame.

    Attributes:
        mesh: (478, 2) float32, frame coordinates, not smoothed.
        presence: 0..1.
        look: of `look_of`.
    """

    mesh: Floats
    presence: float
    look: Floats

    @property
    def centre(self) -> Floats:
        return np.asarray(self.mesh.mean(0), np.float32)

    @property
    def size(self) -> float:
        """The longer side of the box, pixels."""
        return max(float(np.ptp(self.mesh, axis=0).max()), 1e-6)

    @property
    def box(self) -> Floats:
        return box_of(self.mesh)


@dataclass(frozen=True, slots=True, eq=False)
class Newcomer:
    """What a search found.

    Attributes:
        reading: its newest reading.
        wander: how far its points moved when they were read twice, in eye distances.
    """

    reading: Reading
    wander: float


@dataclass(slots=True, eq=False)
class Track:
    """One followed face.

    Attributes:
        id: never used again.
        last: the newest reading.
        seen: when that was, seconds.
        clear: the newest reading with nothing in front of the face; the readings of a half-hidden face mislead.
        clear_at: when that was, seconds.
        look: (LOOK_SIZE**2 * 3,) float32, running mean of clear looks, to tell two people apart when their ways cross.
        velocity: (2,) float32, pixels per second of the centre up to `clear_at`.
        crowded: whether another face is near, before it or behind it.
        wander: how far its points move when they are read twice, in eye distances: the mean of `proofs` times.
        proofs: how often that was looked at.
        unconfirmed: searches in a row that did not find this face.
        awaited: since when a face that looks different is where this lost one is expected, seconds.
    """

    id: int
    last: Reading
    seen: float
    clear: Reading
    clear_at: float
    look: Floats
    velocity: Floats
    wander: float
    proofs: int = 1
    crowded: bool = False
    unconfirmed: int = 0
    awaited: float | None = None

    @staticmethod
    def start(number: int, newcomer: Newcomer, time: float) -> Track:
        reading = newcomer.reading
        velocity = np.zeros(2, np.float32)
        return Track(number, reading, time, reading, time, reading.look, velocity, newcomer.wander)

    @property
    def box(self) -> Floats:
        return self.last.box

    def predicted_centre(self, time: float) -> Floats:
        """Where the face is if it went on as when it was last clear."""
        return self.clear.centre + self.velocity * np.float32(time - self.clear_at)

    def predicted_mesh(self, time: float) -> Floats:
        """The last clear mesh moved to the predicted place."""
        return self.clear.mesh + (self.predicted_centre(time) - self.clear.centre)

    def forgotten(self, time: float) -> bool:
        """Whether a face that was lost is to be a new one when it comes back."""
        return time - self.seen > (KEEP_HIDDEN_S if self.crowded else KEEP_LOST_S)

    def resume(self, reading: Reading, time: float) -> None:
        """Go on after having been lost; how fast the face is now is not known."""
        self.last = self.clear = reading
        self.seen = self.clear_at = time
        self.velocity = np.zeros(2, np.float32)
        self.crowded, self.unconfirmed, self.awaited = False, 0, None

    def follow(self, reading: Reading, time: float) -> None:
        """Go on into the next frame; where a face beside this one may be in front of it, nothing is learnt."""
        self.last, self.seen = reading, time
        unclear = self.crowded and 1 - float(self.look @ reading.look) > CLEAR_LOOK
        if unclear and time - self.clear_at <= KEEP_HIDDEN_S:
            return
        velocity = (reading.centre - self.clear.centre) / np.float32(max(time - self.clear_at, 1e-3))
        self.velocity = (self.velocity + VELOCITY_GAIN * (velocity - self.velocity)).astype(np.float32)
        self.clear, self.clear_at = reading, time
        if not self.crowded and _distance(self.look, reading.look) < SAME_LOOK:
            mixed = self.look + np.float32(0.05) * (reading.look - self.look)
            self.look = (mixed / max(float(np.linalg.norm(mixed)), 1e-6)).astype(np.float32)


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
        self._lost = [track for track in self._lost if not track.forgotten(time)]
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
        found: list[tuple[Track, Reading]] = []
        for track in self._live:
            track.crowded = self._is_crowded(track, time)
            reading = self._read_track(image, track, time)
            if reading is None:
                self._lost.append(track)
            elif self._proven(image, track, reading):
                found.append((track, reading))
        hidden = behind(found, time)
        self._lost += hidden
        self._live = []
        for track, reading in found:
            if track in hidden:
                track.crowded = True
            else:
                track.follow(reading, time)
                self._live.append(track)

    def _proven(self, image: Image, track: Track, reading: Reading) -> bool:
        """Whether a newcomer's points stay where they are when they are read again, as a face's do."""
        if track.proofs > PROOFS:
            return True
        settled, _ = self._landmarks(image, region_of_mesh(reading.mesh))
        track.proofs += 1
        track.wander += (_wander(reading.mesh, settled) - track.wander) / track.proofs
        return track.wander <= MOST_MEAN_WANDER

    def _is_crowded(self, track: Track, time: float) -> bool:
        """Whether a live face is near, or a lost one is expected near."""
        boxes = [other.box for other in self._live if other is not track]
        boxes += [box_of(other.predicted_mesh(time)) for other in self._lost]
        own = _grown(track.box)
        return any(iou(own, _grown(box)) > 0 for box in boxes)

    def _read_track(self, image: Image, track: Track, time: float) -> Reading | None:
        """The track's face in this frame, looked for where it was and, beside others, where it should be by now."""
        reading = self._read(image, track, track.last.mesh)
        if not track.crowded or (reading is not None and _misfit(track, reading, time) < DOUBT):
            return reading
        again = self._read(image, track, track.predicted_mesh(time))
        if reading is None or again is None:
            return reading or again
        return min(reading, again, key=lambda candidate: _misfit(track, candidate, time))

    def _read(self, image: Image, track: Track, around: Floats) -> Reading | None:
        mesh, presence = self._landmarks(image, region_of_mesh(around))
        if presence < MIN_PRESENCE or not _plausible(mesh, track.last, image):
            return None
        reading = Reading(mesh, presence, look_of(image, mesh))
        return None if _snapped(track, reading) else reading

    def _find(self, image: Image, time: float) -> None:
        detections = self._detect(image)
        self._confirm([detection.box for detection in detections])
        newcomers: list[Newcomer] = []
        for detection in detections:
            known = [track.box for track in self._live] + [newcomer.reading.box for newcomer in newcomers]
            if len(known) >= MAX_FACES:
                break
            if any(iou(detection.box, box) > SAME_FACE_IOU for box in known):
                continue
            newcomer = self._read_detection(image, detection)
            if newcomer is not None and not any(iou(newcomer.reading.box, box) > SAME_FACE_IOU for box in known):
                newcomers.append(newcomer)
        self._name(newcomers, time)

    def _confirm(self, boxes: list[Floats]) -> None:
        """Give up doubtful tracks that no search confirms: they slid off their face, to a hand or the background."""
        for track in self._live:
            confirmed = any(iou(track.box, box) > SAME_FACE_IOU for box in boxes)
            track.unconfirmed = 0 if confirmed else track.unconfirmed + 1
        given_up = [t for t in self._live if t.unconfirmed >= UNCONFIRMED and t.last.presence < SURE_PRESENCE]
        self._live = [track for track in self._live if track not in given_up]
        self._lost += given_up

    def _read_detection(self, image: Image, detection: Detection) -> Newcomer | None:
        """The landmarks of a newcomer, unless detector and landmark network, which looks three times, doubt it."""
        mesh, first = self._landmarks(image, region_of_box(detection.box))
        if detection.score + first + 1 < 3 * MIN_TRUST or not np.isfinite(mesh).all():
            return None
        mesh, second = self._landmarks(image, region_of_mesh(mesh))
        trust = (detection.score + first + second) / 3
        if trust < MIN_TRUST or not np.isfinite(mesh).all():
            return None
        settled, presence = self._landmarks(image, region_of_mesh(mesh))
        wander = _wander(mesh, settled)
        if not wander <= MOST_WANDER * trust:  # not a number is too much, too
            return None
        return Newcomer(Reading(settled, presence, look_of(image, settled)), wander)

    def _name(self, newcomers: list[Newcomer], time: float) -> None:
        """Make tracks of new faces: lost ones go on where they fit best, the surest pairs first."""
        pairs = [
            (cost, index, track)
            for index, newcomer in enumerate(newcomers)
            for track in self._lost
            if (cost := _difference(track, newcomer.reading, time)) is not None
        ]
        owners: dict[int, Track] = {}
        for _, index, track in sorted(pairs, key=lambda pair: pair[0]):
            if index not in owners and all(track is not owner for owner in owners.values()):
                owners[index] = track
        for index, newcomer in enumerate(newcomers):
            if index in owners:
                self._lost.remove(owners[index])
                owners[index].resume(newcomer.reading, time)
                self._live.append(owners[index])
            elif not self._may_clear_up(newcomer.reading, time):
                self._live.append(Track.start(self._next_id, newcomer, time))
                self._next_id += 1

    def _may_clear_up(self, reading: Reading, time: float) -> bool:
        """Whether a face that fits no lost one may be the half-hidden face of one that is expected there."""
        for track in self._lost:
            if _jump(track, reading, time) < 1:
                track.awaited = time if track.awaited is None else track.awaited
                if time - track.awaited < WAIT_S:
                    return True
        return False

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
        return _correlation(scene, last) < CUT_CORRELATION


def behind(found: list[tuple[Track, Reading]], time: float) -> list[Track]:
    """The tracks whose reading shows the face of another track, in front of their own.

    Two readings of one face belong to the track that this face fits better in look, size and predicted place.

    Args:
        found: tracks and what was read for each in this frame.
        time: of this frame, seconds.
    """
    kept: list[tuple[Track, Reading]] = []
    hidden: list[Track] = []
    for track, reading in found:
        rival = next((pair for pair in kept if iou(pair[1].box, reading.box) > DUPLICATE_IOU), None)
        if rival is None:
            kept.append((track, reading))
        elif _misfit(rival[0], reading, time) <= _misfit(track, reading, time):
            hidden.append(track)
        else:
            kept[next(i for i, pair in enumerate(kept) if pair is rival)] = (track, reading)
            hidden.append(rival[0])
    return hidden


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


def box_of(mesh: Floats) -> Floats:
    """(x0, y0, x1, y1) around (N, 2) points."""
    return np.concatenate([mesh.min(0), mesh.max(0)]).astype(np.float32)


def _grown(box: Floats) -> Floats:
    """A box grown by `NEAR` of its size on each side."""
    by = np.float32(NEAR) * (box[2:] - box[:2])
    return np.concatenate([box[:2] - by, box[2:] + by])


def _area(box: Floats) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _distance(a: Floats, b: Floats) -> float:
    """How differently two looks look, 0 for the same and 1 for unrelated ones; half of a face may be hidden."""
    first, second = (look.reshape(LOOK_SIZE, LOOK_SIZE, 3) for look in (a, b))
    half = LOOK_SIZE // 2
    parts = (np.s_[:, :], np.s_[:, :half], np.s_[:, half:], np.s_[:half], np.s_[half:])
    return 1.0 - max(_correlation(first[part], second[part]) for part in parts)


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6)


def _plausible(mesh: Floats, last: Reading, image: Image) -> bool:
    """Whether a mesh can be the same face one frame later: finite, inside the picture, no sudden change of size."""
    if not np.isfinite(mesh).all():
        return False
    height, width = image.shape[:2]
    x, y = mesh.mean(0)
    ratio = float(np.ptp(mesh, axis=0).max()) / last.size
    return bool(0 <= x < width and 0 <= y < height and 0.5 < ratio < 2.0)


def _wander(before: Floats, after: Floats) -> float:
    """Mean way of the points between two readings of one picture, in eye distances."""
    left, right = points5_of(after)[:2]
    eyes = max(float(np.hypot(*(right - left))), 1e-6)
    return float(np.linalg.norm(after - before, axis=1).mean()) / eyes


def _snapped(track: Track, reading: Reading) -> bool:
    """Whether a reading is of something else that the region touched: it jumps and looks different."""
    jump = float(np.hypot(*(reading.centre - track.last.centre))) / track.last.size
    return jump > SNAP and _distance(track.look, reading.look) > 2 * SAME_LOOK


def _jump(track: Track, reading: Reading, time: float) -> float:
    """How far a reading is from where the track is expected, in face sizes."""
    return float(np.hypot(*(reading.centre - track.predicted_centre(time)))) / reading.size


def _misfit(track: Track, reading: Reading, time: float) -> float:
    """How badly a reading fits a track in look, place and size; each is about 1 where it becomes doubtful."""
    growth = abs(math.log(reading.size / track.clear.size)) / math.log(SIZE_CHANGE)
    return _jump(track, reading, time) / MAX_JUMP + _distance(track.look, reading.look) / SAME_LOOK + growth


def _difference(track: Track, reading: Reading, time: float) -> float | None:
    """`_misfit` of a lost track and a new face; None where they cannot be the same person."""
    jump = _jump(track, reading, time)
    # Near where it is expected a face need not look the same to the pixel; further away it must.
    look_limit = SAME_LOOK * (2.0 if jump < 0.5 else 1.0)
    if jump > 2 * MAX_JUMP or _distance(track.look, reading.look) > look_limit:
        return None
    return _misfit(track, reading, time)


def _face(track: Track) -> Face:
    last = track.last
    return Face(track.id, last.box, points5_of(last.mesh), last.mesh, last.presence)
