import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engines.batching import Dropped
from models.arrays import Latent
from models.editor import Crop, Edit
from stream.frame import Frame, Output
from stream.load import LEVELS, LIMITS, Level, Quality
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.tracking import Tracker
from tests.stream.conftest import Tint, TintControls, World, look_of

INTERVAL = 1 / 30
DEAR, CHEAP = 1.5 * INTERVAL, 0.4 * INTERVAL


def play(quality: Quality, cost: Callable[[Level], float], seconds: float, start: float = 0.0) -> list[int]:
    """Levels of every frame."""
    levels = []
    for index in range(round(seconds / INTERVAL)):
        levels.append(LEVELS.index(quality.level))
        quality.spent(cost(quality.level), INTERVAL, start + index * INTERVAL)
    return levels


def test_what_fits_stays_at_full_quality() -> None:
    assert set(play(Quality(), lambda _: 0.95 * LIMITS.budget * INTERVAL, 60)) == {0}


def test_what_does_not_fit_steps_down_until_it_does() -> None:
    levels = play(Quality(), lambda level: 1.9 * LIMITS.budget * INTERVAL / level.edit_every, 3)
    assert LEVELS[levels[-1]].edit_every == 2
    assert np.all(np.diff(levels) >= 0)


def test_one_slow_frame_changes_nothing() -> None:
    quality = Quality()
    play(quality, lambda _: CHEAP, 5)
    quality.spent(4 * INTERVAL, INTERVAL, 5.0)
    assert set(play(quality, lambda _: CHEAP, 5, 5.1)) == {0}


def test_it_steps_up_again_when_the_load_has_gone() -> None:
    quality = Quality()
    assert play(quality, lambda _: DEAR, 10)[-1] == len(LEVELS) - 1
    levels = play(quality, lambda _: CHEAP, 6 * LIMITS.patience_s, 10)
    assert levels[-1] == 0
    assert np.all(np.diff(levels) <= 0)


def test_steps_that_fail_are_tried_ever_more_rarely() -> None:
    levels = play(Quality(), lambda level: CHEAP if LEVELS.index(level) else DEAR, 400)
    tries = np.flatnonzero(np.diff(levels) < 0) * INTERVAL
    gaps = np.diff(tries)
    assert 4 <= len(tries) <= 12
    assert np.all(gaps[1:3] > 1.5 * gaps[:2])
    assert gaps.max() <= LIMITS.most_patience_s + LIMITS.failed_within_s


def test_edits_that_cannot_fit_stay_in_the_background() -> None:
    quality = Quality()
    play(quality, lambda _: DEAR, 1)
    assert quality.level == LEVELS[1]
    for index in range(30, 3000):
        quality.spent(CHEAP, INTERVAL, index * INTERVAL, 1.1 * LIMITS.may_fit * LIMITS.budget * INTERVAL)
    assert quality.level == LEVELS[1]
    for index in range(3000, 3200):
        quality.spent(CHEAP, INTERVAL, index * INTERVAL, CHEAP)
    assert quality.level == LEVELS[0]


def test_an_unknown_camera_rate_leaves_everything_as_it_is() -> None:
    quality = Quality()
    for index in range(100):
        quality.spent(10.0, 0.0, float(index))
    assert quality.level == LEVELS[0]


def test_the_budget_is_part_of_the_interval() -> None:
    assert 0 < LIMITS.budget <= 1


# What the pipeline makes of it


class Clock:
    """Shows what it was set to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counted(Tint):
    """Counts its calls; costs time, waits, is too busy or fails as told."""

    encode_seconds = 0.0

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.cost = 0.0
        self.renders = 0
        self.threads: set[int] = set()
        self.busy = self.broken = False
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, crop: Crop, controls: TintControls) -> Latent:
        if self.busy:
            raise Dropped("the engine is busy")
        if self.broken:
            raise RuntimeError("the device is gone")
        self.threads.add(threading.get_ident())
        self.gate.wait(10)
        return super().encode(crop, controls)

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: TintControls) -> Edit:
        self.renders += 1
        if threading.current_thread() is threading.main_thread():
            self.clock.now += self.cost
        return super().render(crop, latent, steered, controls)


@pytest.fixture
def editor(clock: Clock) -> Counted:
    return Counted(clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(world: World, editor: Counted, clock: Clock) -> Iterator[Pipeline]:
    pipeline = Pipeline(Tracker(world.detect, world.landmarks), clock=clock, live=True)
    yield pipeline
    editor.gate.set()
    pipeline.close()


def run(pipeline: Pipeline, world: World, editor: Counted, settings: Settings, frames: range) -> list[Output]:
    outputs = []
    for index in frames:
        clock = pipeline._tools.clock
        assert isinstance(clock, Clock)
        clock.now = started = index / 30
        outputs.append(pipeline.process(Frame(world.picture(), index / 30), look_of(settings, editor)))
        pipeline.adapt(clock.now - started, INTERVAL)
    return outputs


def drain(pipeline: Pipeline) -> None:
    """Wait for the background work."""
    assert pipeline._background is not None
    pipeline._background.submit(int).result()


def test_a_slow_live_stream_makes_fewer_edits_and_shows_all(
    live: Pipeline, world: World, editor: Counted, tint: Settings
) -> None:
    editor.cost = DEAR
    outputs = run(live, world, editor, tint, range(120))
    assert editor.renders < 90
    assert all(output.edited for output in outputs)
    assert not outputs[0].reduced
    assert any(output.reduced for output in outputs)


def test_full_quality_is_kept_where_it_is_wanted(live: Pipeline, world: World, editor: Counted, tint: Settings) -> None:
    editor.cost = DEAR
    outputs = run(live, world, editor, tint.model_copy(update={"quality": "full"}), range(60))
    assert editor.renders == 60
    assert not any(output.reduced for output in outputs)


def test_what_is_not_live_never_leaves_anything_out(
    world: World, editor: Counted, clock: Clock, tint: Settings
) -> None:
    editor.cost = DEAR
    pipeline = Pipeline(Tracker(world.detect, world.landmarks), clock=clock)
    assert not any(output.reduced for output in run(pipeline, world, editor, tint, range(60)))
    assert editor.renders == 60


def test_a_busy_engine_leaves_the_last_edit_which_follows_the_face(
    live: Pipeline, world: World, editor: Counted, tint: Settings
) -> None:
    editor.busy = True
    (output,) = run(live, world, editor, tint, range(1))
    assert not output.edited  # there is none yet
    assert output.trace.edits_dropped == 1
    editor.busy = False
    run(live, world, editor, tint, range(1, 3))
    editor.busy = True
    world.people[0].centre = (208, 124)
    (output,) = run(live, world, editor, tint, range(3, 4))
    assert output.edited
    assert output.trace.edits_dropped == 1
    change = (output.image.astype(int) - world.picture())[..., 2]
    rows, columns = np.nonzero(change > 20)
    assert abs(columns.mean() - 208) < 8
    assert abs(rows.mean() - 124) < 12


def test_edits_in_the_background_never_hold_it_up(
    live: Pipeline, world: World, editor: Counted, tint: Settings
) -> None:
    editor.cost = 10 * DEAR
    outputs = run(live, world, editor, tint, range(40))
    assert outputs[-1].reduced == next(level.message for level in LEVELS if level.background)
    editor.gate.clear()  # whatever is made now is never done
    outputs = run(live, world, editor, tint, range(40, 70))
    assert all(output.edited for output in outputs)
    assert threading.get_ident() in editor.threads
    assert len(editor.threads) == 2


def test_an_error_in_the_background_is_raised_in_it(
    live: Pipeline, world: World, editor: Counted, tint: Settings
) -> None:
    editor.cost = 10 * DEAR
    run(live, world, editor, tint, range(40))
    editor.broken = True
    with pytest.raises(RuntimeError, match="device is gone"):
        run(live, world, editor, tint, range(40, 80))


def test_a_moved_control_is_seen_at_once(live: Pipeline, world: World, editor: Counted, tint: Settings) -> None:
    editor.cost = DEAR
    outputs = run(live, world, editor, tint, range(80))
    assert "2nd frame" in outputs[-1].reduced
    other = tint.model_copy(update={"controls": TintControls(amount=0.2).model_dump()})
    drain(live)
    before = editor.renders
    run(live, world, editor, other, range(80, 81))
    drain(live)
    assert editor.renders == before + 1


def test_reading_the_face_anew_does_not_hold_a_live_stream_up(
    live: Pipeline, world: World, editor: Counted, tint: Settings
) -> None:
    editor.encode_seconds = 0.1
    run(live, world, editor, tint, range(3))
    editor.gate.clear()
    outputs = run(live, world, editor, tint, range(3, 30))
    assert all(output.edited for output in outputs)


def test_less_work_is_fewer_marks_too() -> None:
    assert [level.edit_every for level in LEVELS] == sorted(level.edit_every for level in LEVELS)
    assert LEVELS[0].edit_every == 1
