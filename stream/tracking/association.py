"""Which face belongs to which track: costs, limits, and the assignment of candidates to lost tracks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.arrays import Floats
from stream.tracking.track import APPEARANCE, Candidate, Observation, Track, appearance_distance


@dataclass(frozen=True, slots=True)
class AssociationLimits:
    """When a face and a track belong together.

    Attributes:
        same_face_iou: boxes that overlap by more are of one face.
        duplicate_iou: two tracks whose boxes overlap by more follow one face.
        neighbourhood: share of its size by which a box grows on each side; faces whose grown boxes touch are near each
            other, as hair and shoulders of one already disturb the landmarks of the other.
        displacement: distance from the predicted centre that costs 1, in face sizes.
        growth: ratio of sizes that costs 1.
        id_switch_move: a move in one frame, in face sizes, after which the appearance is checked.
        id_switch_appearance: distance of appearances from which such a move is to another face.
        expected_move: a lost face is expected within this distance of its predicted centre, in face sizes.
        lenient_move: up to this distance from the predicted centre, twice the change of appearance is allowed.
    """

    same_face_iou: float = 0.4
    duplicate_iou: float = 0.6
    neighbourhood: float = 0.25
    displacement: float = 1.5
    growth: float = 1.6
    id_switch_move: float = 0.3
    id_switch_appearance: float = 2 * APPEARANCE.same_person
    expected_move: float = 1.0
    lenient_move: float = 0.5


ASSOCIATION = AssociationLimits()


def association_cost(track: Track, observation: Observation, time: float) -> float:
    """Cost of giving an observation to a track: place, appearance and size, each about 1 where it becomes doubtful.

    Args:
        track: a live or a lost one.
        observation: of a frame.
        time: of that frame, seconds.
    """
    growth = abs(math.log(observation.size / track.last_unoccluded.size)) / math.log(ASSOCIATION.growth)
    return (
        displacement(track, observation, time) / ASSOCIATION.displacement
        + appearance_distance(track.appearance, observation.appearance) / APPEARANCE.same_person
        + growth
    )


def resume_cost(track: Track, observation: Observation, time: float) -> float | None:
    """`association_cost` of a lost track and a new face; None where they cannot be the same person."""
    move = displacement(track, observation, time)
    # Near its predicted place a face may look different: pose and light change while it is away.
    limit = APPEARANCE.same_person * (2.0 if move < ASSOCIATION.lenient_move else 1.0)
    if move > 2 * ASSOCIATION.displacement or appearance_distance(track.appearance, observation.appearance) > limit:
        return None
    return association_cost(track, observation, time)


def displacement(track: Track, observation: Observation, time: float) -> float:
    """Distance of an observation from the track's predicted centre, in face sizes."""
    return float(np.hypot(*(observation.centre - track.predicted_centre(time)))) / observation.size


def is_id_switch(track: Track, observation: Observation) -> bool:
    """Whether an observation is of another face that the search region touched: it jumps and looks different."""
    move = float(np.hypot(*(observation.centre - track.last.centre))) / track.last.size
    return move > ASSOCIATION.id_switch_move and (
        appearance_distance(track.appearance, observation.appearance) > ASSOCIATION.id_switch_appearance
    )


def occluded_tracks(observed: Sequence[tuple[Track, Observation]], time: float) -> list[Track]:
    """The tracks whose observation is of another track's face, which is in front of their own.

    Two observations of one face belong to the track with the lower `association_cost`.

    Args:
        observed: tracks, and what was read for each in this frame.
        time: of this frame, seconds.
    """
    kept: list[tuple[Track, Observation]] = []
    occluded: list[Track] = []
    for track, observation in observed:
        boxes = (pair for pair in kept if iou(pair[1].box, observation.box) > ASSOCIATION.duplicate_iou)
        rival = next(boxes, None)
        if rival is None:
            kept.append((track, observation))
        elif association_cost(rival[0], observation, time) <= association_cost(track, observation, time):
            occluded.append(track)
        else:
            kept[next(i for i, pair in enumerate(kept) if pair is rival)] = (track, observation)
            occluded.append(rival[0])
    return occluded


def assign(candidates: Sequence[Candidate], lost: Sequence[Track], time: float) -> dict[int, Track]:
    """Give candidates to lost tracks, the cheapest pairs first.

    Args:
        candidates: new faces of this frame.
        lost: tracks without a face.
        time: of this frame, seconds.

    Returns:
        Tracks by the index of their candidate; candidates without an entry continue no track.
    """
    pairs = [
        (cost, index, track)
        for index, candidate in enumerate(candidates)
        for track in lost
        if (cost := resume_cost(track, candidate.observation, time)) is not None
    ]
    owners: dict[int, Track] = {}
    for _, index, track in sorted(pairs, key=lambda pair: pair[0]):
        if index not in owners and all(track is not owner for owner in owners.values()):
            owners[index] = track
    return owners


def is_same_face(box: Floats, others: Sequence[Floats]) -> bool:
    """Whether a box covers the same face as one of the others."""
    return any(iou(box, other) > ASSOCIATION.same_face_iou for other in others)


def is_near(box: Floats, others: Sequence[Floats]) -> bool:
    """Whether a face is near one of the others, see `AssociationLimits.neighbourhood`."""
    own = _grown(box)
    return any(iou(own, _grown(other)) > 0 for other in others)


def iou(a: Floats, b: Floats) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = float(width * height)
    return both / (area(a) + area(b) - both)


def area(box: Floats) -> float:
    """Square pixels of a box (x0, y0, x1, y1)."""
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _grown(box: Floats) -> Floats:
    by = np.float32(ASSOCIATION.neighbourhood) * (box[2:] - box[:2])
    return np.concatenate([box[:2] - by, box[2:] + by])
