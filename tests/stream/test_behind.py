"""What a stream shows on a machine that is behind: no frame waits, and nobody is shown unedited who asked not to be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from models.arrays import Floats, Image, Latent
from models.crops import points5_of
from models.editor import Crop, Edit
from stream.background import Background
from stream.blending import Paint
from stream.fallback import blurred
from stream.frame import Face, Frame, Output
from stream.load import LEVELS, Level, Quality, crowded
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.tracking import Tracker
from tests.stream.conftest import Person, Tint, TintControls, World, look_of


class Slow(Tint):
    """Reads faces only while its gate is open."""

    encode_seconds = 0.0

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.reads = 0

    def encode(self, crop: Crop, controls: TintControls) -> Latent:
        self.reads += 1
        self.gate.wait(10)
        return super().encode(crop, controls)


class Ids(Tracker):
    """Knows the people of a world, and who they are."""

    def __init__(self, world: World) -> None:
        super().__init__(world.detect, world.landmarks)
        self.world = world
        self.ids: list[int] = list(range(len(world.people)))

    def __call__(self, image: Image, time: float, *, hurried: bool = False) -> tuple[tuple[Face, ...], bool]:
        return tuple(
            Face(id, person.box, points5_of(person.mesh), person.mesh, 0.99)
            for id, person in zip(self.ids, self.world.people, strict=False)
        ), False


class Behind:
    """A live stream that the machine has no time for."""

    def __init__(self, world: World, settings: Settings) -> None:
        self.world, self.editor, self.settings = world, Slow(), settings
        self.tracker = Ids(world)
        self.pipeline = Pipeline(self.tracker, live=True)
        look = look_of(settings, self.editor)
        self.pipeline._quality, self.pipeline._quality_of = Quality(len(LEVELS) - 1), look.names
        self.time = 0.0

    def show(self, *ids: int) -> tuple[Output, Image]:
        """The next frame, with faces of these ids."""
        self.tracker.ids = list(ids)
        self.time += 0.1
        picture = self.world.picture()
        return self.pipeline.process(Frame(picture, self.time), look_of(self.settings, self.editor)), picture

    def catch_up(self) -> None:
        """Let the work beside the stream end."""
        self.editor.gate.set()
        background = self.pipeline._background
        assert background is not None
        background.submit(int).result(10)
        self.editor.gate.clear()


@pytest.fixture
def behind(world: World, tint: Settings) -> Iterator[Behind]:
    stream = Behind(world, tint)
    yield stream
    stream.editor.gate.set()
    stream.pipeline.close()


def test_no_frame_waits_for_the_first_edit_of_a_face(behind: Behind) -> None:
    for _ in range(5):
        output, picture = behind.show(1)
        assert not output.edited
        assert output.image is picture or np.array_equal(output.image, picture)
    assert behind.editor.reads <= 1
    behind.catch_up()
    output, picture = behind.show(1)
    assert output.edited == {1}
    assert not np.array_equal(output.image, picture)


def test_the_first_edit_is_of_the_newest_frame(behind: Behind) -> None:
    """The thread may come to a stream late; the frame that it was asked for is an old one by then."""
    background = behind.pipeline._background
    assert background is not None
    gate = threading.Event()
    background.submit(gate.wait, 10)
    seen: list[Image] = []
    encode = behind.editor.encode
    behind.editor.encode = lambda crop, controls: seen.append(crop.image) or encode(crop, controls)  # type: ignore
    behind.show(1)
    behind.world.people[0].colour = (250, 250, 0)
    behind.show(1)
    gate.set()
    behind.catch_up()
    assert len(seen) == 1
    assert seen[0][40, 32, 1] > 240, "the colour it had last"


def test_a_face_that_is_found_again_under_another_id_keeps_the_edit_of_its_place(behind: Behind) -> None:
    behind.show(1)
    behind.catch_up()
    behind.show(1)
    behind.show()  # lost
    behind.world.people[0].centre = (170, 122)
    output, picture = behind.show(2)
    assert output.edited == {2}
    rows, columns = np.nonzero((output.image.astype(int) - picture)[..., 2] > 20)
    assert abs(columns.mean() - 170) < 8
    assert abs(rows.mean() - 122) < 12
    reads = behind.editor.reads
    behind.catch_up()
    assert behind.editor.reads >= max(reads, 2), "the new face is read all the same"


def test_faces_that_come_and_go_leave_no_work_behind(behind: Behind) -> None:
    """Of a face that gets a new id with every frame, and of faces that are gone, no thread renders each."""
    background = behind.pipeline._background
    assert background is not None
    gate = threading.Event()
    background.submit(gate.wait, 10)  # the thread is another stream's for a while
    for id in range(6):
        assert not behind.show(id)[0].edited
    behind.world.people[0].centre = (40, 40)
    behind.show(7)
    behind.time += 3
    behind.show()
    gate.set()
    behind.catch_up()
    assert behind.editor.reads == 0, "all are gone"
    for id in range(10, 16):
        assert not behind.show(id)[0].edited
    behind.catch_up()
    assert behind.editor.reads == 1, "at one place is one face"
    assert behind.show(16)[0].edited == {16}


@pytest.mark.parametrize("case", ["far", "long ago", "both there", "other size"])
def test_the_edit_of_another_face_is_not_carried_to(behind: Behind, case: str) -> None:
    behind.show(1)
    behind.catch_up()
    behind.show(1)
    if case == "both there":
        behind.world.people.append(Person((180, 120)))
        output, _ = behind.show(1, 2)
        assert output.edited == {1}
        return
    if case == "far":
        behind.world.people[0].centre = (230, 120)
    elif case == "other size":
        behind.world.people[0].size *= 2
    else:
        behind.time += 2.1
    output, _ = behind.show(2)
    assert not output.edited


def test_another_smoothing_keeps_the_edit_until_there_is_a_new_one(behind: Behind) -> None:
    behind.show(1)
    behind.catch_up()
    assert behind.show(1)[0].edited
    behind.settings = behind.settings.model_copy(update={"smoothing": 0.5})
    assert behind.show(1)[0].edited


def test_blur_hides_all_while_one_of_two_faces_waits(behind: Behind) -> None:
    behind.settings = behind.settings.model_copy(update={"lost": "blur"})
    output, picture = behind.show(1)
    assert np.array_equal(output.image, blurred(picture))
    behind.catch_up()
    output, picture = behind.show(1)
    assert output.edited == {1}
    behind.world.people.append(Person((260, 60), 50))
    output, picture = behind.show(1, 2)
    assert not output.edited
    assert np.array_equal(output.image, blurred(picture))
    behind.catch_up()
    assert behind.show(1, 2)[0].edited == {1, 2}


def test_what_does_not_change_between_two_edits_is_made_once(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Floats] = []
    paint_of = Paint.of

    def noted(edit: Edit, mask: Floats) -> Paint:
        made.append(mask)
        return paint_of(edit, mask)

    monkeypatch.setattr(Paint, "of", staticmethod(noted))
    behind.show(1)
    behind.catch_up()
    shown = []
    for step in range(4):
        behind.world.people[0].centre = (160 + 3 * step, 120)
        shown.append(behind.show(1)[0])
    assert len(made) == 1
    assert len({output.image.tobytes() for output in shown}) == 4, "it follows the face all the same"
    look = look_of(behind.settings, behind.editor)
    half = replace(look, layers=(replace(look.layers[0], amount=0.5),))
    behind.time += 0.1
    behind.pipeline.process(Frame(behind.world.picture(), behind.time), half)
    assert len(made) == 2
    assert np.allclose(made[1], made[0] / 2)


def test_background_work_is_asked_for_as_seldom_as_the_streams_are_many() -> None:
    level = replace(LEVELS[-1], rest=3.0, encode_slowdown=6.0)
    assert crowded(level, 4.0, 3.0) == replace(level, rest=9.0, encode_slowdown=24.0)
    assert crowded(level, 1.0, 0.0) == replace(level, rest=0.0)
    assert crowded(LEVELS[0], 4.0, 3.0) == replace(LEVELS[0], encode_slowdown=4.0)
    rests = [level.rest for level in LEVELS]
    assert rests == sorted(rests)


def test_a_stream_that_comes_to_others_starts_where_they_are(world: World, tint: Settings) -> None:
    def level_of(pipeline: Pipeline) -> Level:
        return LEVELS[pipeline._quality.number]

    with closing(Background(1)) as shared:
        streams: list[Pipeline] = []

        def come() -> Pipeline:
            streams.append(Pipeline(Ids(world), live=True, background=shared))
            return streams[-1]

        editor = Slow()
        editor.gate.set()
        first = come()
        for time in (0.0, 1.0):
            first.process(Frame(world.picture(), time), look_of(tint, editor))
        assert level_of(first) == LEVELS[0], "alone"
        second = come()
        second.process(Frame(world.picture(), 0.0), look_of(tint, editor))
        assert level_of(second) == LEVELS[1], "the only thread is shared: no frame waits for an edit"
        first._quality = second._quality = Quality(3)
        for stream in (first, second):
            stream.process(Frame(world.picture(), 2.0), look_of(tint, editor))
        third = come()
        third.process(Frame(world.picture(), 0.0), look_of(tint, editor))
        assert level_of(third) == LEVELS[3]
        for stream in streams:
            stream.close()
