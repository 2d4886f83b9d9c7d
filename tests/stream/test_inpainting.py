from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest

from engines.batching import Dropped
from models.arrays import Floats, Image
from models.crops import Placement, Quad, cut_placed
from models.editor import Controls, Crop, Inpainting
from stream.frame import Trace
from stream.inpainting import CarriedInpainting, Keyframe
from tests.stream.conftest import unit_mesh

SIZE, FPS = 64, 30
HEAD, SCENE = (230, 40, 40), (40, 40, 230)


class Amount(Controls):
    """One slider."""

    amount: float = 0.5


def larger(now: Keyframe, side: int) -> Keyframe:
    """The crop of the same face with more around it."""
    placement = Placement.of(now.placement.quad.enlarged(side / SIZE), side)
    return Keyframe(now.points + np.float32((side - SIZE) / 2), placement, now.thumbnail[::-1], now.controls)


@dataclass
class Session:
    """A head in front of a camera, and what is carried along it. Every inpainting is of another brightness."""

    carried: CarriedInpainting = field(default_factory=lambda: CarriedInpainting(0.2))
    background: Executor | None = None
    trace: Trace = field(default_factory=Trace)
    drawn: int = 0
    values: tuple[int, ...] = (100, 140)
    rest: float = 0.0
    make: Callable[[], Inpainting | None] | None = None

    def show(self, k: int, scene: int = 90, **face: Any) -> Inpainting | None:
        """The `k`th frame.

        Args:
            k: its number.
            scene: grey of all that the camera shows.
            face: as for `keyframe`.
        """
        controls = face.pop("controls", Amount())
        image = np.full((SIZE, SIZE, 3), scene, np.uint8)
        now = keyframe(image, controls=controls, **face)
        return self.carried(
            now, k / FPS, self.draw, every=0.2, rest=self.rest, background=self.background, trace=self.trace
        )

    def draw(self) -> Inpainting | None:
        self.drawn += 1
        if self.make is not None:
            return self.make()
        grey = self.values[(self.drawn - 1) % len(self.values)]
        image = np.full((SIZE, SIZE, 3), grey, np.uint8)
        return Inpainting(image, np.ones((SIZE, SIZE), np.float32), image)


def keyframe(
    image: Image, *, turn: float = 0.0, head: float = 0.0, crop: float = 0.0, controls: Controls | None = None
) -> Keyframe:
    """A crop of a face.

    Args:
        image: the crop.
        turn: how far the head has turned: the middle of the face moves over its outline, crop pixels.
        head: how far it has moved to the right within the crop, pixels.
        crop: how far the crop has moved to the right within the frame, pixels.
        controls: of the editor.
    """
    mesh = unit_mesh() * np.float32(40) + np.float32(SIZE / 2)
    mesh[:, 0] += head
    mesh[[6, 33, 133, 362, 263], 0] += turn
    placement = Placement.of(Quad(np.array([SIZE / 2 + crop, SIZE / 2], np.float32), np.array([SIZE / 2, 0])), SIZE)
    return Keyframe.of(Crop(image, mesh[:5], mesh), placement, controls or Amount())


def grey_of(shown: Inpainting | None) -> int:
    assert shown is not None
    return int(shown.image[SIZE // 2, SIZE // 2, 0])


def spots() -> Inpainting:
    """A red spot on the head, a blue one on the scene beside it."""
    image = np.full((SIZE, SIZE, 3), 120, np.uint8)
    cv2.circle(image, (40, 20), 3, HEAD, -1)
    cv2.circle(image, (10, 40), 3, SCENE, -1)
    head = np.zeros((SIZE, SIZE), np.float32)
    head[:, 24:] = 1
    behind = image.copy()
    behind[:, 24:] = 120
    return Inpainting(image, head, behind)


def place_of(image: Image, colour: tuple[int, int, int]) -> Floats:
    weight = np.maximum(60 - np.abs(image.astype(int) - colour).max(2), 0)
    rows, columns = np.nonzero(weight)
    return np.average(np.stack([columns, rows], 1), axis=0, weights=weight[rows, columns]).astype(np.float32)


def test_a_still_head_is_drawn_five_times_a_second() -> None:
    session = Session()
    for k in range(60):
        session.show(k)
    assert session.drawn == 10


def test_a_head_that_turns_is_drawn_sooner() -> None:
    session = Session()
    for k in range(30):
        session.show(k, turn=0.4 * k)
    assert session.drawn >= 8


def test_a_machine_that_does_not_keep_up_rests_between_two_drawings() -> None:
    turning = Session(rest=0.5)
    for k in range(FPS):
        turning.show(k, turn=2.0 * (k % 2))
    assert turning.drawn == 2
    turning.show(FPS, controls=Amount(amount=0.9))
    assert turning.drawn == 3


def test_a_crop_that_leaves_what_was_drawn_is_drawn_anew() -> None:
    session = Session()
    for k in range(3):
        session.show(k, crop=4.0 * k)
    assert session.drawn == 2


def test_the_head_is_followed_and_the_scene_stays_in_the_frame() -> None:
    session = Session(make=spots)
    session.show(0)
    shown = session.show(1, head=2.0, crop=3.0)
    assert shown is not None
    np.testing.assert_allclose(place_of(shown.image, HEAD), (42, 20), atol=0.15)
    np.testing.assert_allclose(place_of(shown.image, SCENE), (7, 40), atol=0.15)


def test_a_head_that_moves_away_uncovers_the_scene() -> None:
    """The last place of the head showed beside its new one."""
    head = np.zeros((SIZE, SIZE), np.float32)
    head[:, 20:] = 1
    image = np.where(head[..., None] > 0, np.uint8(200), np.uint8(50)).repeat(3, axis=2)
    session = Session(make=lambda: Inpainting(image, head, np.full_like(image, 50)))
    session.show(0)
    shown = session.show(1, head=4.0)
    assert shown is not None
    assert np.abs(shown.image[:, :23].astype(int) - 50).max() <= 1
    assert np.abs(shown.image[:, 25:].astype(int) - 200).max() <= 1


def test_the_scene_is_moved_as_crops_are_cut() -> None:
    """The map from crop to crop, against the crops of one frame."""
    frame = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), 4), np.uint8)
    placements = [
        Placement.of(Quad(np.array([80 + x, 80 + x / 2], np.float32), np.array([axis, tilt], np.float32)), SIZE)
        for x, axis, tilt in ((0, 30, 0), (1.5, 31, 0.5))
    ]
    crops = [cut_placed(frame, placement) for placement in placements]
    points = unit_mesh()
    keys = [
        Keyframe.of(Crop(crop, points[:5], points), at, Amount()) for crop, at in zip(crops, placements, strict=True)
    ]
    carried, nothing = CarriedInpainting(0.2), np.zeros((SIZE, SIZE), np.float32)
    for k, key in enumerate(keys):
        shown = carried(
            key, k / FPS, lambda: Inpainting(crops[0], nothing, crops[0]), every=1, background=None, trace=Trace()
        )
    assert shown is not None
    inner = np.s_[6:-6, 6:-6]
    assert np.abs(shown.image[inner].astype(int) - crops[1][inner]).max() <= 3


def test_a_new_drawing_fades_in() -> None:
    session = Session()
    shown = [grey_of(session.show(k)) for k in range(18)]
    assert session.drawn == 3
    assert max(np.abs(np.diff(shown))) <= 8
    assert shown[11] == 140


@pytest.mark.parametrize(("turn", "seen"), [(0.0, True), (2.0, False)])
def test_the_outline_of_a_head_that_turns_shows_once(turn: float, seen: bool) -> None:
    """Two outlines over each other are a ghost; on a head that keeps still they hardly differ."""
    drawings = iter([wide_head(20), wide_head(28)])
    session = Session(make=lambda: next(drawings))
    for k in (0, 5):
        session.show(k)
    session.show(6, turn=turn)
    shown = session.show(8, turn=turn)
    assert shown is not None
    between = shown.image[SIZE // 2, SIZE // 2 + 21 : SIZE // 2 + 26, 0].astype(int)
    blended = (between > 60) & (between < 200)
    assert blended.any() == seen


def wide_head(half: int) -> Inpainting:
    image = np.full((SIZE, SIZE, 3), 20, np.uint8)
    image[:, SIZE // 2 - half : SIZE // 2 + half] = 220
    return Inpainting(image, np.ones((SIZE, SIZE), np.float32), np.full((SIZE, SIZE, 3), 20, np.uint8))


def test_a_cut_shows_nothing_of_before() -> None:
    session = Session()
    session.show(0)
    assert grey_of(session.show(1, scene=200)) == 140
    assert session.drawn == 2


def test_other_controls_are_drawn_for() -> None:
    session = Session()
    session.show(0)
    session.show(1, controls=Amount(amount=0.75))
    assert session.drawn == 2


def test_where_nothing_is_removed_it_is_asked_for_as_seldom() -> None:
    session = Session(make=lambda: None)
    assert [session.show(k) for k in range(12)] == [None] * 12
    assert session.drawn == 2


class Later(Executor):
    """Runs what is submitted when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        job: Future[Any] = Future()
        self.jobs.append((job, lambda: call(*args, **kwargs)))
        return job

    def run(self) -> None:
        for job, call in self.jobs:
            try:
                job.set_result(call())
            except Dropped as error:
                job.set_exception(error)
        self.jobs.clear()


def test_in_the_background_only_the_first_one_holds_a_frame_up() -> None:
    later = Later()
    session = Session(background=later)
    assert [grey_of(session.show(k)) for k in range(20)] == [100] * 20
    assert session.drawn == 1
    assert len(later.jobs) == 1
    later.run()
    shown = [grey_of(session.show(k)) for k in range(20, 27)]
    assert max(np.abs(np.diff([100, *shown]))) <= 8
    assert shown[-1] == 140


@pytest.mark.parametrize(("done", "shown"), [(True, 180), (False, 140)])
def test_a_cut_does_not_show_what_was_under_way(done: bool, shown: int) -> None:
    later = Later()
    session = Session(background=later, values=(100, 140, 180))
    for k in range(8):
        session.show(k)
    if done:
        later.run()  # of the scene before
    assert grey_of(session.show(8, scene=200)) == shown


def test_a_busy_engine_leaves_the_last_drawing() -> None:
    later = Later()
    session = Session(background=later)
    session.show(0)
    session.show(7)

    def refuse() -> Inpainting:
        raise Dropped("too busy")

    session.make = refuse
    later.run()
    assert grey_of(session.show(8)) == 100
    assert session.trace.edits_dropped == 1


def test_a_first_drawing_that_was_refused_is_asked_for_again() -> None:
    def refuse() -> Inpainting:
        raise Dropped("too busy")

    session = Session(make=refuse)
    with pytest.raises(Dropped):
        session.show(0)
    session.make = None
    assert grey_of(session.show(1)) == 140


def test_brows_are_followed_over_the_skull() -> None:
    """What was drawn beside the hair holds the ends of brows: raised brows showed twice."""
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    session = Session(make=lambda: brow(22))
    mesh = unit_mesh() * np.float32(40) + np.float32(SIZE / 2)
    mesh[:, 1] = np.maximum(mesh[:, 1], 38)
    # none of the points that move with the skull
    mesh[400:460] = np.array([32, 22], np.float32) + np.random.default_rng(1).uniform(-6, 6, (60, 2))
    raised = mesh.copy()
    raised[400:460, 1] -= 4
    placement = Placement.of(Quad(np.array([SIZE / 2, SIZE / 2], np.float32), np.array([SIZE / 2, 0])), SIZE)
    for k, points in enumerate((mesh, raised)):
        now = Keyframe.of(Crop(image, points[:5], points), placement, Amount())
        shown = session.carried(now, k / FPS, session.draw, every=1, background=None, trace=session.trace)
    assert shown is not None
    assert abs(float(place_of(shown.image, HEAD)[1]) - 18) < 0.7


def brow(row: int) -> Inpainting:
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    cv2.rectangle(image, (28, row - 1), (36, row + 1), HEAD, -1)
    return Inpainting(image, np.ones((SIZE, SIZE), np.float32), image)


@pytest.mark.parametrize(("larger", "seen"), [(1, True), (8, False)])
def test_the_outline_of_a_skull_that_is_drawn_larger_shows_once(larger: int, seen: bool) -> None:
    """A second, pale crown stood above the first one while a new drawing faded in."""

    def wide(half: int) -> Inpainting:
        drawn = wide_head(half)
        return Inpainting(drawn.image, (drawn.image[..., 0] > 100).astype(np.float32), drawn.behind)

    drawings = iter([wide(20), wide(20 + larger)])
    session = Session(make=lambda: next(drawings))
    for k in (0, 5, 6):
        session.show(k)
    shown = session.show(8)
    assert shown is not None
    between = shown.image[SIZE // 2, SIZE // 2 + 20 : SIZE // 2 + 20 + larger, 0].astype(int)
    assert ((between > 60) & (between < 200)).any() == seen


def test_a_head_that_grows_from_one_drawing_to_the_next_grows_evenly() -> None:
    """Its outline would jump with each drawing of a head that turns, five times a second."""
    middle = keyframe(np.zeros((SIZE, SIZE, 3), np.uint8)).anchors.mean(0)

    def disc(radius: float) -> Inpainting:
        rows, columns = np.mgrid[:SIZE, :SIZE] + np.float32(0.5)
        weight = np.clip(radius - np.hypot(columns - middle[0], rows - middle[1]), 0, 1).astype(np.float32)
        image = np.repeat((20 + 200 * weight)[..., None], 3, axis=2).astype(np.uint8)
        return Inpainting(image, weight, np.full((SIZE, SIZE, 3), 20, np.uint8))

    drawings = iter([disc(20), disc(23), disc(23)])
    session = Session(make=lambda: next(drawings))
    column, heights = int(middle[0]), []
    for k in range(13):
        shown = session.show(k)
        assert shown is not None
        heights.append(float((shown.image[: int(middle[1]), column, 0].astype(float) - 20).sum() / 200))
    assert heights[0] == pytest.approx(20, abs=1)
    assert heights[-1] == pytest.approx(23, abs=1)
    assert np.diff(heights).max() < 1.5
    assert np.diff(heights).min() > -0.3


def test_in_a_crop_of_another_size_the_same_is_shown_while_a_new_one_is_drawn() -> None:
    """The one that was under way is of the old size: it is shown as well, and holds no frame up."""
    later, side = Later(), SIZE + 32
    session = Session(background=later, make=spots)
    before = session.show(0)
    assert before is not None
    carried, usual = session.carried, keyframe(np.full((SIZE, SIZE, 3), 90, np.uint8))
    session.show(7)
    assert len(later.jobs) == 1

    def show(k: int, now: Keyframe) -> Inpainting:
        shown = carried(now, k / FPS, session.draw, every=0.2, background=later, trace=session.trace)
        assert shown is not None
        return shown

    wide = larger(usual, side)
    for k in (8, 9):
        shown = show(k, wide)
        assert shown.image.shape == shown.behind.shape == (side, side, 3)
        assert shown.head.shape == (side, side)
        np.testing.assert_allclose(shown.image[16:-16, 16:-16].astype(int), before.image, atol=2)
        if k == 8:
            later.run()
    assert session.drawn == 2
    np.testing.assert_allclose(show(10, usual).image.astype(int), before.image, atol=2)
