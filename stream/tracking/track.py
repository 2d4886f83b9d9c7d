"""One followed face: what was last seen of it, how it looks, and where it should be by now."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.landmarks import region_of_mesh

THUMBNAIL_SIDE = 12
"""Side in pixels of the colour thumbnail that is a face's appearance."""


@dataclass(frozen=True, slots=True)
class AppearanceLimits:
    """Distances between appearances, 0 for equal ones and 1 for unrelated ones.

    Attributes:
        unoccluded: largest change of the whole thumbnail with nothing in front of the face.
        same_person: from this distance on, two faces are of different people.
        learning_rate: share of a new observation in the running mean of a track's appearance.
    """

    unoccluded: float = 0.1
    same_person: float = 0.35
    learning_rate: float = 0.05


@dataclass(frozen=True, slots=True)
class TrackLimits:
    """How long a lost face keeps its id, and how fast the estimate of its velocity changes.

    Attributes:
        lost_s: seconds for which a lost face keeps its id.
        occluded_s: the same for a face that was lost beside another one: that one may hide it.
        velocity_gain: share of a new measurement in the velocity.
        shortest_step_s: shortest time over which a velocity is measured, seconds.
    """

    lost_s: float = 1.0
    occluded_s: float = 2.0
    velocity_gain: float = 0.25
    shortest_step_s: float = 1e-3


APPEARANCE = AppearanceLimits()
LIMITS = TrackLimits()


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the landmark network reads of a face in one frame.

    Attributes:
        mesh: (478, 2) float32, frame coordinates, not smoothed.
        presence: 0..1, how sure the network is that there is a face.
        appearance: of `appearance_of`.
    """

    mesh: Floats
    presence: float
    appearance: Floats

    @property
    def centre(self) -> Floats:
        """(2,) float32, the mean of the mesh."""
        return np.asarray(self.mesh.mean(0), np.float32)

    @property
    def size(self) -> float:
        """The longer side of the box, pixels."""
        return max(float(np.ptp(self.mesh, axis=0).max()), 1e-6)

    @property
    def box(self) -> Floats:
        """(4,) float32, x0, y0, x1, y1."""
        return box_of(self.mesh)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A face that the detector found and no live track covers.

    Attributes:
        observation: the last of its readings.
        instability: of `landmark_instability`, between its last two readings.
    """

    observation: Observation
    instability: float


@dataclass(slots=True, eq=False)
class Track:
    """One followed face.

    Attributes:
        id: never used again.
        last: the newest observation.
        seen_at: when that was, seconds.
        last_unoccluded: the newest observation with nothing in front of the face: the landmarks of a half-hidden face
            mislead.
        unoccluded_at: when that was, seconds.
        appearance: (THUMBNAIL_SIDE**2 * 3,) float32, running mean of unoccluded appearances, to tell two people apart
            when their ways cross.
        velocity: (2,) float32, of the centre up to `unoccluded_at`, pixels per second.
        instability: mean of `landmark_instability` over `confirmations` frames.
        confirmations: number of frames in which the landmarks were read twice.
        occlusion_risk: whether another face is near enough to be in front of this one.
        missed_detections: searches in a row that did not find this face.
        contested_since: when a face of another appearance was first found where this lost one is expected, seconds.
        moved: whether `last` was moved by optical flow in place of being read.
    """

    id: int
    last: Observation
    seen_at: float
    last_unoccluded: Observation
    unoccluded_at: float
    appearance: Floats
    velocity: Floats
    instability: float
    confirmations: int = 1
    occlusion_risk: bool = False
    missed_detections: int = 0
    contested_since: float | None = None
    moved: bool = False

    @staticmethod
    def start(number: int, candidate: Candidate, time: float) -> Track:
        """A new track with the id `number`."""
        first = candidate.observation
        return Track(number, first, time, first, time, first.appearance, np.zeros(2, np.float32), candidate.instability)

    @property
    def box(self) -> Floats:
        """(4,) float32, the newest box."""
        return self.last.box

    def predicted_centre(self, time: float) -> Floats:
        """(2,) float32: where the centre is at `time` if the face keeps the velocity it had when last unoccluded."""
        return self.last_unoccluded.centre + self.velocity * np.float32(time - self.unoccluded_at)

    def predicted_mesh(self, time: float) -> Floats:
        """(478, 2) float32: the last unoccluded mesh, moved to the predicted centre."""
        return self.last_unoccluded.mesh + (self.predicted_centre(time) - self.last_unoccluded.centre)

    def expired(self, time: float) -> bool:
        """Whether a lost face has been away too long to get its id back."""
        return time - self.seen_at > (LIMITS.occluded_s if self.occlusion_risk else LIMITS.lost_s)

    def resume(self, observation: Observation, time: float) -> None:
        """Continue a lost track. Its velocity is unknown."""
        self.last = self.last_unoccluded = observation
        self.seen_at = self.unoccluded_at = time
        self.velocity = np.zeros(2, np.float32)
        self.occlusion_risk, self.missed_detections, self.contested_since = False, 0, None

    def update(self, observation: Observation, time: float) -> None:
        """Add the observation of the next frame. While another face may be in front, only `last` changes."""
        self.last, self.seen_at = observation, time
        occluded = self.occlusion_risk and 1 - float(self.appearance @ observation.appearance) > APPEARANCE.unoccluded
        if occluded and time - self.unoccluded_at <= LIMITS.occluded_s:
            return
        step = np.float32(max(time - self.unoccluded_at, LIMITS.shortest_step_s))
        velocity = (observation.centre - self.last_unoccluded.centre) / step
        self.velocity = (self.velocity + LIMITS.velocity_gain * (velocity - self.velocity)).astype(np.float32)
        self.last_unoccluded, self.unoccluded_at = observation, time
        if not self.occlusion_risk and (
            appearance_distance(self.appearance, observation.appearance) < APPEARANCE.same_person
        ):
            rate = np.float32(APPEARANCE.learning_rate)
            mean = self.appearance + rate * (observation.appearance - self.appearance)
            self.appearance = _unit(mean)


def appearance_of(image: Image, mesh: Floats) -> Floats:
    """The appearance of a face: a colour thumbnail without its mean brightness, of unit norm.

    Args:
        image: (H, W, 3) uint8 BGR.
        mesh: (478, 2) float32, frame coordinates.

    Returns:
        (THUMBNAIL_SIDE**2 * 3,) float32.
    """
    region = region_of_mesh(mesh)
    scale = 2.0 / THUMBNAIL_SIDE
    matrix = np.stack([region.axis * scale, region.down * scale, region.centre - region.axis - region.down], axis=1)
    thumbnail = cv2.warpAffine(
        image,
        matrix,
        (THUMBNAIL_SIDE, THUMBNAIL_SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
    return _unit((thumbnail - thumbnail.mean()).ravel())


def appearance_distance(a: Floats, b: Floats) -> float:
    """0 for equal appearances, 1 for unrelated ones: of the whole face or its best half, as one half may be hidden."""
    side, half = THUMBNAIL_SIDE, THUMBNAIL_SIDE // 2
    first, second = (appearance.reshape(side, side, 3) for appearance in (a, b))
    parts = (np.s_[:, :], np.s_[:, :half], np.s_[:, half:], np.s_[:half], np.s_[half:])
    return 1.0 - max(correlation(first[part], second[part]) for part in parts)


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's correlation of two arrays of one shape, -1 to 1; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-6)


def box_of(mesh: Floats) -> Floats:
    """(4,) float32, x0, y0, x1, y1 around (N, 2) points."""
    return np.concatenate([mesh.min(0), mesh.max(0)]).astype(np.float32)


def _unit(vector: Floats) -> Floats:
    return (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float32)
