import numpy as np
import pytest

from models.arrays import Floats, Image
from models.crops import Quad
from models.face.detector import Detection
from stream.tracking import Tracker
from stream.tracking.association import iou
from stream.tracking.track import LIMITS
from stream.tracking.tracker import CHECKS, SCHEDULE, ReadLandmarks
from tests.stream.conftest import Person, World

FPS = 30


class Film:
    """Plays a stand-in world to a tracker, frame by frame."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tracker = Tracker(world.detect, world.landmarks)
        self.frame = 0

    def play(self, frames: int = 1) -> dict[int, tuple[float, float]]:
        """Show some frames; the ids and centres of the faces of the last one."""
        faces = ()
        for _ in range(frames):
            faces, _ = self.tracker(self.world.picture(), self.frame / FPS)
            self.frame += 1
        return {face.id: tuple(np.round(face.mesh.mean(0)).tolist()) for face in faces if face.mesh is not None}


def unstable(world: World, step: float, readings: int) -> ReadLandmarks:
    """A landmark network that puts the first person's points elsewhere on each of so many readings.

    Args:
        world: who is there.
        step: how far, in eye distances.
        readings: after these the points stay in place.
    """
    person, made = world.people[0], 0

    def read(image: Image, region: Quad) -> tuple[Floats, float]:
        nonlocal made
        made += 1
        eyes = 0.4 * person.size
        return person.mesh + np.float32(eyes * step * (made % 2) * (made <= readings)), 0.95

    return read


def ids_by_colour(film: Film, world: World) -> list[int]:
    """The id of each person of the world, in their order."""
    faces, _ = film.tracker(world.picture(), film.frame / FPS)
    film.frame += 1
    return [min(faces, key=lambda f: float(np.hypot(*(f.mesh.mean(0) - p.mesh.mean(0))))).id for p in world.people]


def test_a_live_track_does_without_the_detector(world: World) -> None:
    film = Film(world)
    film.play(FPS)
    assert 1 <= world.detections <= 1 + 1 / SCHEDULE.every_s


def test_an_empty_room_is_searched_on_every_frame() -> None:
    world = World()
    film = Film(world)
    assert film.play(10) == {}
    assert world.detections == 10


def test_a_moving_face_keeps_its_id(world: World) -> None:
    film = Film(world)
    for x in range(60, 260, 8):
        world.people[0].centre = (x, 120)
        assert list(film.play()) == [0]


def test_crossing_people_keep_their_ids() -> None:
    far, near = Person((60, 120), 50, (200, 60, 40)), Person((260, 124), 58, (40, 180, 60))
    world = World(people=[far, near])
    film = Film(world)
    before = ids_by_colour(film, world)
    for step in range(41):
        far.centre, near.centre = (60 + 5 * step, 120), (260 - 5 * step, 124)
        film.play()
    assert ids_by_colour(film, world) == before
    assert len(set(before)) == 2


def test_a_slower_person_is_overtaken_and_keeps_its_id() -> None:
    far, near = Person((110, 118), 50, (200, 60, 40)), Person((40, 124), 76, (40, 180, 60))
    world = World(people=[far, near])
    film = Film(world)
    before = ids_by_colour(film, world)
    for step in range(60):
        far.centre, near.centre = (110 + 1.5 * step, 118), (40 + 4 * step, 124)
        film.play()
    assert ids_by_colour(film, world) == before
    assert len(set(before)) == 2


def test_somebody_who_is_hidden_for_long_is_still_there() -> None:
    far, near = Person((160, 120), 44, (200, 60, 40)), Person((60, 124), 80, (40, 180, 60))
    world = World(people=[far, near])
    film = Film(world)
    before = ids_by_colour(film, world)
    for x in [*range(60, 160, 5), *[160] * int((LIMITS.lost_s + 0.3) * FPS), *range(160, 270, 5)]:
        near.centre = (x, 124)
        film.play()
    assert ids_by_colour(film, world) == before


def test_a_walk_behind_a_post_keeps_the_id(world: World) -> None:
    film = Film(world)
    person = world.people[0]
    for x in range(40, 290, 5):
        person.centre = (x, 120)
        world.people = [] if 130 < x < 200 else [person]
        last = film.play()
    assert list(last) == [0]


def test_two_faces_that_were_gone_get_their_own_ids_back() -> None:
    people = [Person((90, 120), 60, (200, 60, 40)), Person((200, 120), 60, (40, 180, 60))]
    world = World(people=people)
    film = Film(world)
    film.play(5)
    before = ids_by_colour(film, world)
    world.people = []
    film.play(12)
    people[0].centre, people[1].centre = (110, 120), (185, 120)
    world.people = people
    film.play(5)
    assert ids_by_colour(film, world) == before


def test_a_half_hidden_face_waits_for_its_name(world: World) -> None:
    film = Film(world)
    film.play(5)
    person = world.people.pop()
    film.play(5)
    person.colour, true_colour = (250, 250, 30), person.colour
    world.people.append(person)
    assert film.play(5) == {}
    person.colour = true_colour
    assert list(film.play(6)) == [0]


def test_another_person_in_the_same_place_gets_a_name_after_a_while(world: World) -> None:
    film = Film(world)
    film.play(5)
    film.play(3)
    world.people = []
    film.play(3)
    world.people = [Person((160, 120), 60, (250, 250, 30))]
    assert list(film.play(int((SCHEDULE.id_delay_s + 0.2) * FPS))) == [1]


def test_a_track_that_slid_off_its_face_is_given_up(world: World) -> None:
    film = Film(world)
    film.play(5)
    mesh = world.people[0].mesh
    world.people = []
    film.tracker._landmarks = lambda image, region: (mesh, 0.7)
    assert list(film.play(3)) == [0]
    assert film.play(int(3 * SCHEDULE.every_s * FPS)) == {}


@pytest.mark.parametrize(
    ("score", "presence", "found"), [(0.45, 0.9, True), (0.9, 0.35, True), (0.4, 0.4, False), (0.9, 0.1, False)]
)
def test_detector_and_landmarks_are_weighed_together(world: World, score: float, presence: float, found: bool) -> None:
    film = Film(world)
    person = world.people[0]
    film.tracker._detect = lambda image: [Detection(person.box, person.mesh[[33, 263, 1, 61, 291]], score)]
    film.tracker._landmarks = lambda image, region: (person.mesh, presence)
    assert bool(film.play()) == found


@pytest.mark.parametrize(("step", "found"), [(0.03, True), (0.3, False)])
def test_points_that_do_not_come_to_rest_are_no_face(world: World, step: float, found: bool) -> None:
    film = Film(world)
    film.tracker._landmarks = unstable(world, step, readings=1000)
    assert bool(film.play()) == found


def test_a_new_face_is_watched_for_some_frames(world: World) -> None:
    film = Film(world)
    film.tracker._landmarks = still = unstable(world, 0.0, readings=1000)
    assert list(film.play()) == [0]
    film.tracker._landmarks = unstable(world, 0.3, readings=1000)
    assert film.play() == {}
    film.tracker._landmarks = still
    assert list(film.play(1 + CHECKS.confirmations)) == [1]
    film.tracker._landmarks = unstable(world, 0.3, readings=1)
    assert list(film.play()) == [1]


def test_a_face_that_comes_back_within_a_second_keeps_its_id(world: World) -> None:
    film = Film(world)
    film.play(5)
    person = world.people.pop()
    assert film.play(int(0.7 * FPS)) == {}
    world.people.append(person)
    assert list(film.play(5)) == [0]


def test_a_face_that_stays_away_gets_a_new_id(world: World) -> None:
    film = Film(world)
    film.play(5)
    person = world.people.pop()
    film.play(int((LIMITS.lost_s + 0.2) * FPS))
    world.people.append(person)
    assert list(film.play(5)) == [1]


def test_a_cut_gives_a_new_id(world: World) -> None:
    film = Film(world)
    film.play(5)
    world.background = 15
    world.people[0].colour = (250, 250, 30)
    picture = world.picture()[:, ::-1]
    picture = np.ascontiguousarray(np.roll(picture, 90, axis=0))
    film.tracker(picture, film.frame / FPS)
    film.frame += 1
    assert 0 not in film.play(3)


def test_a_lamp_switched_off_is_not_a_cut(world: World) -> None:
    film = Film(world)
    film.play(5)
    dark = (world.picture() * 0.55).astype(np.uint8)
    faces, _ = film.tracker(dark, film.frame / FPS)
    assert [face.id for face in faces] == [0]


@pytest.mark.parametrize("stays", [0, 1])
def test_when_two_tracks_meet_on_one_face_the_right_one_keeps_it(stays: int) -> None:
    world = World(people=[Person((120, 120), 60, (200, 60, 40)), Person((200, 120), 60, (40, 180, 60))])
    film = Film(world)
    before = ids_by_colour(film, world)
    only = world.people[stays]
    world.people = [only]
    film.tracker._landmarks = lambda image, region: (only.mesh, 0.99)
    assert list(film.play()) == [before[stays]]


def test_a_change_of_resolution_starts_over(world: World) -> None:
    film = Film(world)
    film.play(3)
    world.size = (320, 240)
    world.people[0].centre = (120, 160)
    assert list(film.play(2)) == [1]


def test_many_faces_are_bounded() -> None:
    world = World(size=(600, 800))
    world.people = [Person((40 + 75 * (i % 10), 60 + 75 * (i // 10)), 60) for i in range(60)]
    assert len(Film(world).play(2)) == 8


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_landmarks_that_make_no_sense_lose_the_track(world: World, bad: float) -> None:
    film = Film(world)
    film.play(2)
    film.tracker._landmarks = lambda image, region: (np.full((478, 2), bad, np.float32), 1.0)
    world.people.clear()
    assert film.play() == {}


def test_iou() -> None:
    a, b = np.array([0, 0, 2, 2], np.float32), np.array([1, 0, 3, 2], np.float32)
    assert iou(a, b) == pytest.approx(1 / 3)
    assert iou(a, a) == 1
    assert iou(a, b + 5) == 0
