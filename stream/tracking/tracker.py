"""From frames to faces with stable ids.

A live track needs no detector: the landmarks of the last frame give the region of the next. The detector runs when
there is no track, when one is lost, and twice a second to find new faces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.crops import Quad, points5_of
from models.face.detector import MAX_FACES, Detection
from models.face.landmarks import region_of_box, region_of_mesh
from stream.flow import PointFlow
from stream.frame import Face
from stream.tracking.association import (
    ASSOCIATION,
    area,
    assign,
    association_cost,
    displacement,
    is_id_switch,
    is_near,
    is_same_face,
    occluded_tracks,
)
from stream.tracking.track import Candidate, Observation, Track, appearance_of, box_of, correlation

Detect = Callable[[Image], list[Detection]]
ReadLandmarks = Callable[[Image, Quad], tuple[Floats, float]]


@dataclass(frozen=True, slots=True)
class DetectionSchedule:
    """When the detector runs.

    Attributes:
        every_s: seconds between two searches while every track has its face.
        retry_s: seconds between two searches while a face is lost.
        hurried_frames: frames between two searches while every track has its face, at least, where time is short.
        hurried_step_s: longest time between two frames over which optical flow stands in for the landmarks, where time
            is short.
        id_delay_s: a face of another appearance where a lost one is expected may be that one, half hidden: a new id is
            assigned after this delay.
    """

    every_s: float = 0.5
    retry_s: float = 0.1
    hurried_frames: int = 8
    hurried_step_s: float = 0.25
    id_delay_s: float = 0.35


@dataclass(frozen=True, slots=True)
class FaceChecks:
    """What a face must show to become a track, and to stay one.

    Attributes:
        presence: of the landmark network, from which there is a face.
        trust: mean of the detector's score and the presence of two readings, from which a candidate is a face.
        instability: largest `landmark_instability` of a candidate, in eye distances, times its trust. The points of a
            face converge; on cloth or letters they do not.
        confirmations: frames after the first in which the landmarks of a track are read twice.
        mean_instability: largest mean of `landmark_instability` over these frames, in eye distances. It is 0.01 to 0.04
            on faces in clips, 0.08 on turned faces in a dance, 0.16 on the collar of a space suit.
        doubtful_cost: association cost from which a face beside another one is read again at its predicted place.
        missed_detections: searches in a row without the face after which a doubtful track is given up.
        certain_presence: presence from which a track is not doubtful.
        smallest_ratio: smallest ratio of sizes between two frames.
        largest_ratio: largest ratio of sizes between two frames.
    """

    presence: float = 0.5
    trust: float = 0.45
    instability: float = 0.13
    confirmations: int = 10
    mean_instability: float = 0.09
    doubtful_cost: float = 0.8
    missed_detections: int = 2
    certain_presence: float = 0.9
    smallest_ratio: float = 0.5
    largest_ratio: float = 2.0


@dataclass(frozen=True, slots=True)
class SceneCut:
    """When a frame starts another scene.

    Attributes:
        width: of the thumbnail that is compared, pixels.
        height: of the thumbnail, pixels.
        difference: mean absolute difference of two thumbnails, 0..1, below which the scene is the same.
        correlation: of two thumbnails, from which the scene is the same.
    """

    width: int = 32
    height: int = 18
    difference: float = 0.08
    correlation: float = 0.6


SCHEDULE = DetectionSchedule()
CHECKS = FaceChecks()
CUT = SceneCut()


class Tracker:
    """Follows faces through the frames of one stream."""

    def __init__(self, detect: Detect, landmarks: ReadLandmarks) -> None:
        """Make a tracker.

        Args:
            detect: finds faces in a (H, W, 3) uint8 BGR picture.
            landmarks: reads (478, 2) points and the presence inside a quad.
        """
        self._detect = detect
        self._landmarks = self.landmarks = landmarks
        self._live: list[Track] = []
        self._lost: list[Track] = []
        self._next_id = 0
        self._detected_at = -np.inf
        self._scene: Floats | None = None
        self._shape: tuple[int, ...] = ()
        self._flow = PointFlow()
        self._before: Image | None = None  # the last frame, and its time
        self._before_at = -np.inf
        self._frames_since_search = 0

    def __call__(self, image: Image, time: float, *, hurried: bool = False) -> tuple[tuple[Face, ...], bool]:
        """Follow the faces into the next frame.

        Args:
            image: (H, W, 3) uint8 BGR.
            time: seconds, increasing.
            hurried: saves time: on every second frame, optical flow moves the landmarks of faces that are followed
                without doubt, and searches for new ones are rarer where frames are.

        Returns:
            The faces of this frame, the largest first, and whether the detector ran.
        """
        if image.shape != self._shape or self._is_cut(image):
            self._shape = image.shape
            self._live, self._lost = [], []
            self._detected_at = -np.inf
            self._before = None
        self._frames_since_search += 1
        self._follow(image, time, hurried)
        self._before, self._before_at = image, time
        self._lost = [track for track in self._lost if not track.expired(time)]
        detected = self._is_detection_due(time, hurried)
        if detected:
            self._detected_at, self._frames_since_search = time, 0
            self._search(image, time)
        faces = [_face_of(track) for track in self._live]
        return tuple(sorted(faces, key=lambda face: -area(face.box))), detected

    def _is_detection_due(self, time: float, hurried: bool) -> bool:
        if not self._live and not self._lost:
            every = 0.0
        elif self._lost:
            every = SCHEDULE.retry_s
        else:
            every = SCHEDULE.every_s
            if hurried and self._frames_since_search < SCHEDULE.hurried_frames:
                return False
        return time - self._detected_at >= every

    def _follow(self, image: Image, time: float, hurried: bool) -> None:
        """Read every live track in this frame; those without their face become lost."""
        observed: list[tuple[Track, Observation]] = []
        for track in self._live:
            track.occlusion_risk = self._is_at_risk(track, time)
            observation = self._moved(image, track, time) if hurried else None
            track.moved = observation is not None
            observation = observation or self._observe_track(image, track, time)
            if observation is None:
                self._lost.append(track)
            elif self._confirm_landmarks(image, track, observation):
                observed.append((track, observation))
        occluded = occluded_tracks(observed, time)
        self._lost += occluded
        self._live = []
        for track, observation in observed:
            if track in occluded:
                track.occlusion_risk = True
            else:
                track.update(observation, time)
                self._live.append(track)

    def _moved(self, image: Image, track: Track, time: float) -> Observation | None:
        """The last reading of a face, moved by optical flow; None where the face has to be read."""
        before = self._before
        if before is None or track.moved or time - self._before_at > SCHEDULE.hurried_step_s:
            return None
        if track.occlusion_risk or track.confirmations <= CHECKS.confirmations:
            return None
        if track.last.presence < CHECKS.certain_presence:
            return None
        mesh = track.last.mesh + self._flow(before, image, track.last.mesh)
        return replace(track.last, mesh=mesh) if _is_plausible(mesh, track.last, image) else None

    def _confirm_landmarks(self, image: Image, track: Track, observation: Observation) -> bool:
        """Whether the landmarks of a young track stay in place when they are read again, as those of a face do."""
        if track.moved or track.confirmations > CHECKS.confirmations:
            return True
        again, _ = self._landmarks(image, region_of_mesh(observation.mesh))
        track.confirmations += 1
        instability = landmark_instability(observation.mesh, again)
        track.instability += (instability - track.instability) / track.confirmations
        return track.instability <= CHECKS.mean_instability

    def _is_at_risk(self, track: Track, time: float) -> bool:
        """Whether a live face is near, or a lost one is expected near."""
        boxes = [other.box for other in self._live if other is not track]
        boxes += [box_of(other.predicted_mesh(time)) for other in self._lost]
        return is_near(track.box, boxes)

    def _observe_track(self, image: Image, track: Track, time: float) -> Observation | None:
        """Read the track's face where it was and, in doubt beside other faces, at its predicted place."""
        first = self._observe(image, track, track.last.mesh)
        if not track.occlusion_risk or (
            first is not None and association_cost(track, first, time) < CHECKS.doubtful_cost
        ):
            return first
        second = self._observe(image, track, track.predicted_mesh(time))
        if first is None or second is None:
            return first or second
        return min(first, second, key=lambda observation: association_cost(track, observation, time))

    def _observe(self, image: Image, track: Track, around: Floats) -> Observation | None:
        """Read a face around a mesh; None unless it can be the track's."""
        mesh, presence = self._landmarks(image, region_of_mesh(around))
        if presence < CHECKS.presence or not _is_plausible(mesh, track.last, image):
            return None
        observation = Observation(mesh, presence, appearance_of(image, mesh))
        return None if is_id_switch(track, observation) else observation

    def _search(self, image: Image, time: float) -> None:
        """Run the detector; give up doubtful tracks without a detection, and add new faces."""
        detections = self._detect(image)
        self._give_up_unconfirmed([detection.box for detection in detections])
        candidates: list[Candidate] = []
        for detection in detections:
            known = [track.box for track in self._live] + [candidate.observation.box for candidate in candidates]
            if len(known) >= MAX_FACES:
                break
            if is_same_face(detection.box, known):
                continue
            candidate = self._check_detection(image, detection)
            if candidate is not None and not is_same_face(candidate.observation.box, known):
                candidates.append(candidate)
        self._add(candidates, time)

    def _give_up_unconfirmed(self, boxes: list[Floats]) -> None:
        """Give up doubtful tracks that no detection confirms: they slid off their face, to a hand or the background."""
        for track in self._live:
            track.missed_detections = 0 if is_same_face(track.box, boxes) else track.missed_detections + 1
        given_up = [
            track
            for track in self._live
            if track.missed_detections >= CHECKS.missed_detections and track.last.presence < CHECKS.certain_presence
        ]
        self._live = [track for track in self._live if track not in given_up]
        self._lost += given_up

    def _check_detection(self, image: Image, detection: Detection) -> Candidate | None:
        """Read the landmarks of a detection three times; None where detector and landmark network doubt it."""
        mesh, first = self._landmarks(image, region_of_box(detection.box))
        if detection.score + first + 1 < 3 * CHECKS.trust or not np.isfinite(mesh).all():
            return None
        mesh, second = self._landmarks(image, region_of_mesh(mesh))
        trust = (detection.score + first + second) / 3
        if trust < CHECKS.trust or not np.isfinite(mesh).all():
            return None
        last, presence = self._landmarks(image, region_of_mesh(mesh))
        instability = landmark_instability(mesh, last)
        if not instability <= CHECKS.instability * trust:  # false for NaN
            return None
        return Candidate(Observation(last, presence, appearance_of(image, last)), instability)

    def _add(self, candidates: list[Candidate], time: float) -> None:
        """Continue lost tracks with candidates, and start tracks with the other ones."""
        owners = assign(candidates, self._lost, time)
        for index, candidate in enumerate(candidates):
            if index in owners:
                self._lost.remove(owners[index])
                owners[index].resume(candidate.observation, time)
                self._live.append(owners[index])
            elif not self._may_be_lost_face(candidate.observation, time):
                self._live.append(Track.start(self._next_id, candidate, time))
                self._next_id += 1

    def _may_be_lost_face(self, observation: Observation, time: float) -> bool:
        """Whether a face of another appearance may be a lost one that is half hidden: its id has to wait."""
        for track in self._lost:
            if displacement(track, observation, time) < ASSOCIATION.expected_move:
                track.contested_since = time if track.contested_since is None else track.contested_since
                if time - track.contested_since < SCHEDULE.id_delay_s:
                    return True
        return False

    def _is_cut(self, image: Image) -> bool:
        """Whether this frame starts another scene: most of the picture changes at once."""
        small = cv2.resize(image, (CUT.width, CUT.height), interpolation=cv2.INTER_NEAREST)
        scene = small.astype(np.float32).mean(2) / np.float32(255)
        last, self._scene = self._scene, scene
        if last is None or float(np.abs(scene - last).mean()) < CUT.difference:
            return False
        return correlation(scene, last) < CUT.correlation


def landmark_instability(before: Floats, after: Floats) -> float:
    """Mean distance of (478, 2) landmarks between two readings of one picture, in eye distances."""
    left, right = points5_of(after)[:2]
    eyes = max(float(np.hypot(*(right - left))), 1e-6)
    return float(np.linalg.norm(after - before, axis=1).mean()) / eyes


def _is_plausible(mesh: Floats, last: Observation, image: Image) -> bool:
    """Whether a mesh can be the same face one frame later: finite, inside the picture, no sudden change of size."""
    if not np.isfinite(mesh).all():
        return False
    height, width = image.shape[:2]
    x, y = mesh.mean(0)
    ratio = float(np.ptp(mesh, axis=0).max()) / last.size
    return bool(0 <= x < width and 0 <= y < height and CHECKS.smallest_ratio < ratio < CHECKS.largest_ratio)


def _face_of(track: Track) -> Face:
    last = track.last
    return Face(track.id, last.box, points5_of(last.mesh), last.mesh, last.presence)
