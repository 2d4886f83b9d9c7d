"""What the tracker leaves out where time is short, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from models.arrays import Floats, Image
from models.crops import Quad
from stream.tracking import Tracker
from tests.stream.conftest import Person, World, noise


class Busy(World):
    """People with something on their faces that can be followed, in front of a camera that counts the readings."""

    readings = 0

    def picture(self) -> Image:
        picture = super().picture()
        for person in self.people:
            x, y = (round(value) for value in person.centre)
            half = round(person.size / 3)
            picture[y - half : y + half, x - half : x + half] = np.repeat(
                np.repeat(noise(1, (8, 8, 3)), -(-half // 4), 0), -(-half // 4), 1
            )[: 2 * half, : 2 * half]
        return picture

    def landmarks(self, image: Image, region: Quad) -> tuple[Floats, float]:
        self.readings += 1
        return super().landmarks(image, region)


@pytest.fixture
def world() -> Busy:
    return Busy(people=[Person((120, 120))])


def follow(world: Busy, tracker: Tracker, frames: range, step: float, hurried: bool) -> list[Floats]:
    """Where the face is found in frames in which it moves by two pixels each."""
    found = []
    for index in frames:
        world.people[0].centre = (120 + 2 * index, 120)
        faces, _ = tracker(world.picture(), index * step, hurried=hurried)
        assert [face.id for face in faces] == [0]
        assert faces[0].mesh is not None
        found.append(faces[0].mesh.mean(0) - world.people[0].mesh.mean(0))
    return found


def test_every_second_frame_is_read_and_the_flow_follows_between(world: Busy) -> None:
    tracker = Tracker(world.detect, world.landmarks)
    follow(world, tracker, range(15), 1 / 30, hurried=True)  # a young track is read in every frame
    world.readings = 0
    away = follow(world, tracker, range(15, 35), 1 / 30, hurried=True)
    assert world.readings == 10
    assert np.abs(away).max() < 1.0
    world.readings = 0
    follow(world, tracker, range(35, 45), 1 / 30, hurried=False)
    assert world.readings == 10


def test_frames_that_are_far_apart_are_read(world: Busy) -> None:
    tracker = Tracker(world.detect, world.landmarks)
    follow(world, tracker, range(15), 0.3, hurried=True)
    world.readings = 0
    follow(world, tracker, range(15, 25), 0.3, hurried=True)
    assert world.readings >= 10


def test_searches_are_a_part_of_the_frames_however_rare_these_are(world: Busy) -> None:
    for hurried, most in ((False, 16), (True, 2)):
        tracker = Tracker(world.detect, world.landmarks)
        follow(world, tracker, range(2), 0.5, hurried)
        world.detections = 0
        follow(world, tracker, range(2, 18), 0.5, hurried)
        assert world.detections == most


def test_a_face_that_is_gone_is_noticed_within_two_frames(world: Busy) -> None:
    tracker = Tracker(world.detect, world.landmarks)
    follow(world, tracker, range(20), 1 / 30, hurried=True)
    world.people.clear()
    counts = [len(tracker(world.picture(), (20 + index) / 30, hurried=True)[0]) for index in range(4)]
    assert counts[1:] == [0, 0, 0]


def test_a_face_near_another_one_is_read_in_every_frame(world: Busy) -> None:
    tracker = Tracker(world.detect, world.landmarks)
    world.people.append(Person((190, 120)))
    for index in range(20):
        tracker(world.picture(), index / 30, hurried=True)
    world.readings = 0
    for index in range(20, 26):
        tracker(world.picture(), index / 30, hurried=True)
    assert world.readings >= 12
