"""Reads the mark out of pictures and videos of any origin: tracks faces as the filter does, adds up, decodes."""

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
from stream.mark.painter import readings
from stream.mark.payload import Statement
from stream.mark.square import NOTHING, Evidence, Verdict
from stream.tracking import Tracker

PASSES = 3
"""Readings of the landmarks of a single picture before it is unwrapped, as in `stream.photos`."""
DIVERSE = 24
"""Further readings of a single picture, each in a region a little beside the others."""
WINDOW = 150
"""Frames of one face that are decoded together; a longer video is decoded in parts, and as a whole."""
LONGEST_SIDE = 1920
"""Larger pictures are shrunk first: their faces have more pixels than the mark needs."""
MOST_FACES = 16
"""Largest faces of a picture that are read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A mark that was read.

    Attributes:
        verdict: of the best window or reading.
        start: seconds, of the first frame of the first window that says this.
        end: seconds, of the last one.
        windows: how many said it.
    """

    verdict: Verdict
    start: float
    end: float
    windows: int


@dataclass(slots=True)
class Reading:
    """What was read from a picture or video.

    Attributes:
        frames: pictures that were looked at.
        with_face: of these, how many show a face.
        faces: different faces that were followed.
        decoded: windows that were decoded, with or without success.
        found: marks, by what they say.
        best: the best synchronisation, found or not.
    """

    frames: int = 0
    with_face: int = 0
    faces: int = 0
    decoded: int = 0
    found: dict[Statement, Found] = field(default_factory=dict)
    best: Verdict = NOTHING

    def take(self, verdict: Verdict, start: float, end: float) -> None:
        """Note the verdict of a window."""
        self.decoded += 1
        if verdict.score > self.best.score:
            self.best = verdict
        if verdict.statement is None:
            return
        known = self.found.get(verdict.statement)
        if known is None:
            self.found[verdict.statement] = Found(verdict, start, end, 1)
        else:
            better = verdict if verdict.score > known.verdict.score else known.verdict
            self.found[verdict.statement] = Found(
                better, min(known.start, start), max(known.end, end), known.windows + 1
            )


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
        tracker, reading = self.tracker(), Reading(frames=1)
        for attempt in range(PASSES):
            faces, _ = tracker(image, attempt / 30)
        reading.with_face, reading.faces = int(bool(faces)), len(faces)
        for face in faces[:MOST_FACES]:
            if face.mesh is not None:
                reading.take(self._of_still(image, face.mesh), 0.0, 0.0)
        return reading

    def video(self, frames: Iterable[Frame]) -> Reading:
        """Read the frames of a video, in order.

        Args:
            frames: pictures and their times.
        """
        tracker, reading = self.tracker(), Reading()
        followed: dict[int, _Followed] = {}
        pooled = Evidence()
        for frame in frames:
            image = _shrunk(frame.image)
            faces, _ = tracker(image, frame.time)
            reading.frames += 1
            reading.with_face += bool(faces)
            for face in faces[:MOST_FACES]:
                window = None if face.mesh is None else window_of(face.mesh, image.shape)
                if window is None:
                    continue
                one = followed.get(face.id)
                if one is None:
                    one = followed[face.id] = _Followed(Evidence(), Evidence(), frame.time, frame.time, frame.time)
                if one.window.faces == 0:
                    one.since = frame.time
                one.window.add(unwrap(image, window))
                one.last = frame.time
                if one.window.faces >= WINDOW:
                    self._close_window(one, reading)
        for one in followed.values():
            whole = one.whole.faces > 0
            if one.window.faces:
                self._close_window(one, reading)
            if whole:
                reading.take(one.whole.verdict(), one.first, one.last)
            pooled.merge(one.whole)
        if len(followed) > 1 and not reading.found:
            times = [time for one in followed.values() for time in (one.first, one.last)]
            reading.take(pooled.verdict(), min(times), max(times))
        reading.faces = len(followed)
        return reading

    @staticmethod
    def _close_window(one: _Followed, reading: Reading) -> None:
        reading.take(one.window.verdict(), one.since, one.last)
        one.whole.merge(one.window)
        one.window = Evidence()

    def _of_still(self, image: Image, mesh: Floats) -> Verdict:
        meshes = readings(image, mesh, self._landmarks, DIVERSE)
        means = [np.mean(meshes[:count], axis=0) for count in (16, 8, 24)]
        best = NOTHING
        for candidate in (mesh, *means, *meshes):
            window = window_of(np.asarray(candidate, np.float32), image.shape)
            if window is None:
                continue
            evidence = Evidence()
            evidence.add(unwrap(image, window))
            verdict = evidence.verdict()
            if verdict.statement is not None:
                return verdict
            best = max(best, verdict, key=lambda one: one.score)
        return best


def _shrunk(image: Image) -> Image:
    longest = max(image.shape[:2])
    if longest <= LONGEST_SIDE:
        return image
    scale = LONGEST_SIDE / longest
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
