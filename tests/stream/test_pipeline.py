from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from models.arrays import Latent
from models.editor import Crop
from stream.frame import Frame, Output
from stream.pipeline import BLUR_DIVISOR, Pipeline, blurred
from stream.settings import Settings
from stream.tracking import Tracker
from tests.stream.conftest import Person, Tint, World, controls_of

Make = Callable[[World], Pipeline]


def run(pipeline: Pipeline, world: World, settings: Settings, frame: int = 0) -> tuple[Output, Frame]:
    shown = Frame(world.picture(), frame / 30)
    return pipeline.process(shown, settings), shown


def test_no_control_moved_gives_the_very_input(make_pipeline: Make, world: World) -> None:
    output, shown = run(make_pipeline(world), world, Settings(editor="tint", controls={"amount": 0.0}))
    assert output.image is shown.image
    assert len(output.faces) == 1
    assert not output.edited
    assert not output.regions


def test_an_edit_changes_the_face_and_nothing_else(make_pipeline: Make, world: World, tint: Settings) -> None:
    output, shown = run(make_pipeline(world), world, tint)
    changed = (output.image != shown.image).any(2)
    assert output.edited == {0}
    assert changed[120, 160]
    assert (output.image.astype(int) - shown.image)[120, 160, 2] > 50  # red of BGR
    for region in output.regions:
        changed[region.slices] = False
    assert not changed.any()


def test_the_input_frame_is_never_written_to(make_pipeline: Make, world: World, tint: Settings) -> None:
    shown = Frame(world.picture(), 0.0)
    shown.image.setflags(write=False)
    make_pipeline(world).process(shown, tint.model_copy(update={"badge": True}))


def test_the_same_frames_give_the_same_output(make_pipeline: Make, world: World, tint: Settings) -> None:
    smooth = tint.model_copy(update={"smoothing": 0.7})
    runs = []
    for _ in range(2):
        pipeline, images = make_pipeline(world), []
        for k in range(6):
            world.people[0].centre = (150 + 3 * k, 120)
            images.append(run(pipeline, world, smooth, k)[0].image)
        runs.append(images)
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bypass_tracks_nothing(make_pipeline: Make, world: World, tint: Settings) -> None:
    output, shown = run(make_pipeline(world), world, tint.model_copy(update={"bypass": True}))
    assert output.image is shown.image
    assert world.detections == 0


@pytest.mark.parametrize(("faces", "count"), [("all", 2), ("largest", 1)])
def test_which_faces_are_edited(make_pipeline: Make, tint: Settings, faces: str, count: int) -> None:
    world = World(people=[Person((80, 120), 50), Person((230, 120), 70)])
    output, _ = run(make_pipeline(world), world, tint.model_copy(update={"faces": faces}))
    assert len(output.faces) == 2
    assert len(output.edited) == count
    if faces == "largest":
        assert output.edited == {output.faces[0].id}


def test_a_lock_stays_on_its_person(make_pipeline: Make, tint: Settings) -> None:
    small, large = Person((80, 120), 50), Person((230, 120), 70)
    world = World(people=[small, large])
    pipeline = make_pipeline(world)
    locked = tint.model_copy(update={"faces": "locked"})
    first = run(pipeline, world, locked)[0].edited
    small.size, large.size = 80, 55
    assert run(pipeline, world, locked, 1)[0].edited == first
    other = next(face.id for face in run(pipeline, world, locked, 2)[0].faces if face.id not in first)
    assert run(pipeline, world, locked.model_copy(update={"lock": other}), 3)[0].edited == {other}


def test_overlapping_faces_keep_both_edits(make_pipeline: Make, tint: Settings) -> None:
    world = World(people=[Person((130, 120), 60), Person((170, 120), 60)])
    output, shown = run(make_pipeline(world), world, tint)
    assert output.edited == {0, 1}
    red = output.image.astype(int)[..., 2] - shown.image[..., 2]
    assert red[120, 115] > 50
    assert red[120, 185] > 50
    # each of these is in the other face's rectangle, but not under its mask
    assert red[96, 142] > 50
    assert red[96, 158] > 50


def test_lost_face_show(make_pipeline: Make, world: World, tint: Settings) -> None:
    pipeline = make_pipeline(world)
    run(pipeline, world, tint)
    world.people.clear()
    output, shown = run(pipeline, world, tint, 1)
    assert output.image is shown.image


def test_lost_face_hold(make_pipeline: Make, world: World, tint: Settings) -> None:
    hold = tint.model_copy(update={"lost": "hold"})
    pipeline = make_pipeline(world)
    last, _ = run(pipeline, world, hold)
    world.people.clear()
    output, _ = run(pipeline, world, hold, 1)
    np.testing.assert_array_equal(output.image, last.image)
    assert output.regions
    world.size = (120, 160)  # the camera changed: the held picture no longer fits
    output, shown = run(pipeline, world, hold, 2)
    assert output.image is shown.image


def test_lost_face_blur_shows_no_raw_frame_the_first_one_included(make_pipeline: Make, world: World) -> None:
    settings = Settings(editor="tint", controls={"amount": 1.0}, lost="blur")
    hidden = World(people=[])
    pipeline = make_pipeline(hidden)
    for k in range(3):
        shown = Frame(world.picture(), k / 30)
        output = pipeline.process(shown, settings)
        assert np.abs(output.image.astype(int) - shown.image).mean() > 5
        np.testing.assert_array_equal(output.image, blurred(shown.image))


def test_blur_leaves_nothing_finer_than_its_blocks() -> None:
    image = np.random.default_rng(0).integers(0, 256, (BLUR_DIVISOR * 8, BLUR_DIVISOR * 12, 3)).astype(np.uint8)
    assert np.abs(np.diff(blurred(image).astype(int), axis=1)).max() < 12


def test_the_badge_is_drawn_on_edited_frames_only(make_pipeline: Make, world: World, tint: Settings) -> None:
    badge = tint.model_copy(update={"badge": True})
    with_badge, _ = run(make_pipeline(world), world, badge)
    without, _ = run(make_pipeline(world), world, tint)
    assert (with_badge.image[-30:, :120] != without.image[-30:, :120]).any()
    off, shown = run(make_pipeline(world), world, badge.model_copy(update={"controls": {"amount": 0.0}}))
    assert off.image is shown.image


@pytest.mark.parametrize(("seconds", "reads"), [(0.0, 12), (0.1, 4)])
def test_a_face_is_read_as_often_as_the_editor_asks(world: World, tint: Settings, seconds: float, reads: int) -> None:
    class Counting(Tint):
        encode_seconds = seconds
        encoded = 0

        def encode(self, crop: Crop, controls: Any) -> Latent:
            self.encoded += 1
            return super().encode(crop, controls)

    editor = Counting()
    pipeline = Pipeline(Tracker(world.detect, world.landmarks), lambda name: editor, controls_of)
    for k in range(12):
        run(pipeline, world, tint, k)
    assert editor.encoded == reads


def test_the_trace_names_every_stage(make_pipeline: Make, world: World, tint: Settings) -> None:
    output, _ = run(make_pipeline(world), world, tint)
    assert {"track", "align", "encode", "render", "blend"} <= output.trace.ms.keys()
    assert output.trace.detected


def video_frame(world: World, pts: int, pixel_format: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(world.picture(), format="bgr24").reformat(format=pixel_format)
    frame.pts, frame.time_base = pts, Fraction(1, 90000)
    return frame


def test_an_untouched_video_frame_is_the_same_object(make_pipeline: Make, world: World) -> None:
    frame = video_frame(world, 3000)
    edited, _ = make_pipeline(world).process_video(frame, Settings(editor="tint"))
    assert edited is frame


def test_video_samples_outside_the_edit_are_bit_exact_and_time_is_kept(
    make_pipeline: Make, world: World, tint: Settings
) -> None:
    frame = video_frame(world, 3000)
    edited, output = make_pipeline(world).process_video(frame, tint)
    assert (edited.pts, edited.time_base) == (frame.pts, frame.time_base)
    before, after = frame.to_ndarray()[:240], edited.to_ndarray()[:240]
    assert (before != after).any()
    (region,) = output.regions
    same = np.ones_like(before, bool)
    same[region.y0 & ~1 : region.y1 + 1, region.x0 & ~1 : region.x1 + 1] = False
    np.testing.assert_array_equal(before[same], after[same])


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuvj420p", "yuv444p", "nv12", "rgb24", "rgba", "gray", "yuv420p10le"]
)
def test_every_pixel_format_is_taken(make_pipeline: Make, world: World, tint: Settings, pixel_format: str) -> None:
    edited, output = make_pipeline(world).process_video(video_frame(world, 0, pixel_format), tint)
    assert output.edited
    assert edited.format.name == "yuv420p"


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (2, 400), (33, 17)])
def test_odd_sizes_pass(make_pipeline: Make, tint: Settings, size: tuple[int, int]) -> None:
    world = World(size=size, people=[Person((size[1] / 2, size[0] / 2), 12)])
    edited, _ = make_pipeline(world).process_video(video_frame(world, 0), tint)
    assert (edited.height, edited.width) == size
