"""Reads the mark out of pictures and videos: tracks faces as the filter does, unwraps, adds up, decodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.detector import Detector
from models.face.landmarks import Landmarks
from stream.frame import Frame
from stream.mark.geometry import unwrap, window_of
from stream.mark.painter import SPREAD, readings, settle
from stream.mark.payload import Statement
from stream.mark.square import LEAST_STILL_SCORE, NOTHING, Evidence, Verdict
from stream.tracking import Tracker

PASSES = 3
"""Readings of the landmarks of a single picture before it is unwrapped, as in `stream.photos`."""
SPREADS = ((0.004, 30), (SPREAD, 16))
"""Deviations of the regions in which a single picture is read again, shares of the face's size, and how often."""
WINDOW = 150
"""Frames of one face that are decoded together; a longer video is decoded in parts, and as a whole."""
LONGEST_SIDE = 1920
"""Larger pictures are shrunk first: their faces have more pixels than the mark needs."""


@dataclass(frozen=True, slots=True)
class Found:
    """A mark that was read.

    Attributes:
        verdict: of the best window or reading.
        start: seconds, of the first frame of the first window that says this.
        end: seconds, of the last one.
        windows: how many said it.
        mirrored: whether the picture is a mirror image of the marked one.
    """

    verdict: Verdict
    start: float
    end: float
    windows: int
    mirrored: bool = False


@dataclass(slots=True)
class Reading:
    """What was read from a picture or video.

    Attributes:
        frames: pictures that were looked at.
        with_face: of these, how many show a face.
        faces: different faces that were followed.
        crowd: most faces in one picture; the detector finds `MAX_FACES`.
        decoded: windows that were decoded, with or without success.
        found: marks, by what they say.
        best: the best synchronisation, found or not.
    """

    frames: int = 0
    with_face: int = 0
    faces: int = 0
    crowd: int = 0
    decoded: int = 0
    found: dict[Statement, Found] = field(default_factory=dict)
    best: Verdict = NOTHING

    def take(self, verdict: Verdict, start: float, end: float, *, mirrored: bool = False) -> None:
        """Note the verdict of a window."""
        self.decoded += 1
        if verdict.score > self.best.score:
            self.best = verdict
        if verdict.statement is None:
            return
        known = self.found.get(verdict.statement)
        if known is None:
            self.found[verdict.statement] = Found(verdict, start, end, 1, mirrored)
        else:
            better = verdict if verdict.score > known.verdict.score else known.verdict
            start, end = min(known.start, start), max(known.end, end)
            self.found[verdict.statement] = Found(better, start, end, known.windows + 1, known.mirrored)


@dataclass(slots=True)
class _Followed:
    """One face of a video: the window that is being filled, and everything before it."""

    window: Evidence
    whole: Evidence
    since: float
    first: float
    last: float


class Reader:
    """Reads marks with the shipped detector and landmark network."""

    def __init__(self, detector: Detector, landmarks: Landmarks) -> None:
        self._detector = detector
        self._landmarks = landmarks

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing yet."""
        return Tracker(self._detector, self._landmarks)

    def picture(self, image: Image) -> Reading:
        """Read a single picture.

        A single reading of the landmarks is off by a pixel or more, so that several are tried, their mean among them.

        Args:
            image: (H, W, 3) uint8 BGR.
        """
        image = _shrunk(image)
        reading = Reading(frames=1)
        for mirrored in (False, True):
            view = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
            tracker = self.tracker()
            for attempt in range(PASSES):
                faces, _ = tracker(view, attempt / 30)
            reading.with_face = max(reading.with_face, int(bool(faces)))
            reading.faces = reading.crowd = max(reading.faces, len(faces))
            for face in faces:
                if face.mesh is not None:
                    reading.take(self._of_still(view, face.mesh), 0.0, 0.0, mirrored=mirrored)
            if reading.found:
                break
        return reading

    def video(self, frames: Iterable[Frame]) -> Reading:
        """Read the frames of a video, in order, as they are and in the mirror.

        Args:
            frames: pictures and their times.
        """
        reading = Reading()
        followers = [_Follower(self.tracker(), reading, mirrored=mirrored) for mirrored in (False, True)]
        for frame in frames:
            image = _shrunk(frame.image)
            reading.frames += 1
            seen = [follower.add(image, frame.time) for follower in followers]
            reading.with_face += any(seen)
        for follower in followers:
            follower.finish()
        reading.faces = max(len(follower.followed) for follower in followers)
        return reading

    def _of_still(self, image: Image, mesh: Floats) -> Verdict:
        settled = settle(image, mesh, self._landmarks)
        home = np.mean(settled[2:], axis=0)
        around = [readings(image, home, self._landmarks, count, spread) for spread, count in SPREADS]
        candidates = [
            *settled,
            *(np.mean(each, axis=0) for each in around),
            *(mesh for each in around for mesh in each),
        ]
        best = NOTHING
        for candidate in candidates:
            window = window_of(np.asarray(candidate, np.float32), image.shape)
            if window is None:
                continue
            evidence = Evidence()
            evidence.add(unwrap(image, window))
            verdict = evidence.verdict(LEAST_STILL_SCORE)
            if verdict.statement is not None:
                return verdict
            best = max(best, verdict, key=lambda one: one.score)
        return best


class _Follower:
    """Follows the faces of a video in one view, and decodes each window of each face."""

    def __init__(self, tracker: Tracker, reading: Reading, *, mirrored: bool) -> None:
        self._tracker = tracker
        self._reading = reading
        self._mirrored = mirrored
        self.followed: dict[int, _Followed] = {}

    def add(self, image: Image, time: float) -> bool:
        """Take in a frame; whether it shows a face."""
        view = np.ascontiguousarray(image[:, ::-1]) if self._mirrored else image
        faces, _ = self._tracker(view, time)
        self._reading.crowd = max(self._reading.crowd, len(faces))
        for face in faces:
            window = None if face.mesh is None else window_of(face.mesh, view.shape)
            if window is None:
                continue
            one = self.followed.setdefault(face.id, _Followed(Evidence(), Evidence(), time, time, time))
            if one.window.faces == 0:
                one.since = time
            one.window.add(unwrap(view, window))
            one.last = time
            if one.window.faces >= WINDOW:
                self._decode(one)
        return bool(faces)

    def finish(self) -> None:
        """Decode what is left, every face as a whole, and all faces together where none of them says anything."""
        pooled = Evidence()
        for one in self.followed.values():
            in_parts = one.whole.faces > 0
            if one.window.faces:
                self._decode(one)
            if in_parts:
                self._reading.take(one.whole.verdict(), one.first, one.last, mirrored=self._mirrored)
            pooled.merge(one.whole)
        if len(self.followed) > 1 and not self._reading.found:
            start = min(one.first for one in self.followed.values())
            end = max(one.last for one in self.followed.values())
            self._reading.take(pooled.verdict(), start, end, mirrored=self._mirrored)

    def _decode(self, one: _Followed) -> None:
        self._reading.take(one.window.verdict(), one.since, one.last, mirrored=self._mirrored)
        one.whole.merge(one.window)
        one.window = Evidence()


def _shrunk(image: Image) -> Image:
    longest = max(image.shape[:2])
    if longest <= LONGEST_SIDE:
        return image
    scale = LONGEST_SIDE / longest
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
