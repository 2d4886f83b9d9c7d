from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Latent
from models.editor import Crop, Edit, Inpainting
from models.embedded import EMBEDDED
from models.face.texture_space import FaceSpace
from stream.fallback import BLUR_DIVISOR, blurred
from stream.frame import Frame, Output
from stream.look import Layer, Look
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.tracking import Tracker
from tests.stream.conftest import Person, Tint, World, look_of

Make = Callable[[World], Pipeline]


def run(pipeline: Pipeline, world: World, settings: Settings, frame: int = 0) -> tuple[Output, Frame]:
    shown = Frame(world.picture(), frame / 30)
    return pipeline.process(shown, look_of(settings)), shown


def test_no_control_moved_gives_the_very_input(make_pipeline: Make, world: World) -> None:
    output, shown = run(make_pipeline(world), world, Settings(editor="tint", controls={"amount": 0.0}))
    assert output.image is shown.image
    assert not output.edited
    assert not output.regions
    assert len(output.faces) == 1


@pytest.mark.parametrize(("faces", "found"), [("all", 0), ("largest", 0), ("locked", 1)])
def test_a_live_stream_without_an_edit_runs_no_network_unless_a_face_is_to_be_picked(
    world: World, faces: Any, found: int
) -> None:
    pipeline = Pipeline(Tracker(world.detect, world.landmarks), live=True)
    try:
        output, shown = run(pipeline, world, Settings(editor="tint", controls={"amount": 0.0}, faces=faces))
    finally:
        pipeline.close()
    assert output.image is shown.image
    assert len(output.faces) == found
    assert ("track" in output.trace.ms) is bool(found)


def test_what_a_layer_takes_beside_the_stream_is_counted(world: World, tint: Settings) -> None:
    """Readings of a live stream hold no frame up, and cost the machine something all the same."""
    ticks = iter(range(10**6))

    class Read(Tint):
        encode_seconds = 0.01

    pipeline = Pipeline(Tracker(world.detect, world.landmarks), live=True, clock=lambda: float(next(ticks)))
    look = look_of(tint, Read())
    try:
        first = pipeline.process(Frame(world.picture(), 0), look)
        assert first.trace.beside == {"tint": 0.0}, "the first reading is within its frame"
        pipeline.process(Frame(world.picture(), 1), look)
        assert pipeline._background is not None
        pipeline._background.submit(lambda: None).result()
        assert pipeline.process(Frame(world.picture(), 1.001), look).trace.beside["tint"] > 0
    finally:
        pipeline.close()


class Hairless(Tint):
    """Finds nothing to tint on faces in the left half of the world."""

    def obstacles(self, crop: Crop, latent: Latent, controls: Any) -> dict[str, str]:
        return {} if self.finds(crop) else {"amount": "no hair is seen"}

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        edit = super().render(crop, latent, steered, controls)
        return edit if self.finds(crop) else Edit(mask=np.zeros_like(edit.mask))

    def finds(self, crop: Crop) -> bool:
        return bool(crop.image[32, 32, 0] > 100)


def test_an_edit_that_finds_nothing_says_so_and_counts_as_none(
    make_pipeline: Make, world: World, tint: Settings
) -> None:
    world.people = [Person((90, 120), colour=(200, 90, 40))]
    pipeline, look = make_pipeline(world), look_of(tint, Hairless())
    output = pipeline.process(Frame(world.picture(), 0), look)
    assert output.obstacles == {"tint": {"amount": "no hair is seen"}}
    assert not output.edited
    assert not output.regions
    blur = look_of(tint.model_copy(update={"lost": "blur"}), Hairless())
    blurred_output = make_pipeline(world).process(Frame(world.picture(), 0), blur)
    assert (blurred_output.image != world.picture()).any(), "nobody is shown unedited"


def test_a_control_that_changes_one_of_several_faces_acts(make_pipeline: Make, world: World, tint: Settings) -> None:
    world.people = [Person((90, 120), colour=(200, 90, 40)), Person((230, 120))]
    output = make_pipeline(world).process(Frame(world.picture(), 0), look_of(tint, Hairless()))
    assert len(output.faces) == 2
    assert len(output.edited) == 1
    assert output.obstacles == {}


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
    make_pipeline(world).process(shown, look_of(tint.model_copy(update={"label": "words"})))


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
        output = pipeline.process(shown, look_of(settings))
        assert np.abs(output.image.astype(int) - shown.image).mean() > 5
        np.testing.assert_array_equal(output.image, blurred(shown.image))


def test_blur_leaves_nothing_finer_than_its_blocks() -> None:
    image = np.random.default_rng(0).integers(0, 256, (BLUR_DIVISOR * 8, BLUR_DIVISOR * 12, 3)).astype(np.uint8)
    assert np.abs(np.diff(blurred(image).astype(int), axis=1)).max() < 12


def test_the_label_is_drawn_on_edited_frames_only(make_pipeline: Make, world: World, tint: Settings) -> None:
    words = tint.model_copy(update={"label": "words"})
    labelled, _ = run(make_pipeline(world), world, words)
    without, _ = run(make_pipeline(world), world, tint)
    assert labelled.badge is not None
    assert labelled.badge in labelled.regions
    assert (labelled.image[labelled.badge.slices] != without.image[labelled.badge.slices]).any()
    off, shown = run(make_pipeline(world), world, words.model_copy(update={"controls": {"amount": 0.0}}))
    assert off.image is shown.image


class MeanFace(Person):
    """A person whose mesh is that of a face."""

    @property
    def mesh(self) -> Floats:
        mean = FaceSpace.load(EMBEDDED / "editor_tables.npz").mean
        home = (mean - mean.mean(0)) * np.float32(self.size / np.ptp(mean, axis=0).max())
        return np.vstack([home, np.zeros((10, 2), np.float32)]) + np.array(self.centre, np.float32)


def test_the_mark_is_on_by_default_and_stays_inside_of_the_edit(
    make_pipeline: Make, world: World, tint: Settings
) -> None:
    world.people = [MeanFace((160, 120), size=150, colour=(120, 140, 170))]
    marked, shown = run(make_pipeline(world), world, tint)
    plain, _ = run(make_pipeline(world), world, tint.model_copy(update={"mark": False}))
    added = (marked.image != plain.image).any(2)
    assert added.sum() > 500
    edited = (plain.image != shown.image).any(2)
    edited |= (shown.image == 255).all(2)  # red added to white changes nothing
    assert not added[cv2.dilate(edited.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0].any()
    assert "mark" in marked.trace.ms
    assert "mark" not in plain.trace.ms
    assert marked.kinds == {"other"}
    off, shown = run(make_pipeline(world), world, tint.model_copy(update={"bypass": True}))
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
    pipeline = Pipeline(Tracker(world.detect, world.landmarks))
    for k in range(12):
        pipeline.process(Frame(world.picture(), k / 30), look_of(tint, editor))
    assert editor.encoded == reads


def test_what_is_inpainted_is_carried_to_the_frames_between(world: World, tint: Settings) -> None:
    class Painting(Tint):
        inpaint_seconds = 0.1
        drawn = 0

        def inpaint(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Inpainting:
            self.drawn += 1
            grey = np.full_like(crop.image, 90)
            return Inpainting(grey, np.ones(crop.image.shape[:2], np.float32), grey)

        def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
            assert crop.inpainting is not None
            mask = super().render(crop, latent, steered, controls).mask
            return Edit(mask=mask, image=crop.inpainting.image, opacity=mask)

        def wants_backdrop(self, controls: Any) -> bool:
            return True

    editor, shown = Painting(), []
    settings = tint.model_copy(update={"mark": False})
    pipeline = Pipeline(Tracker(world.detect, world.landmarks))
    for k in range(12):
        world.people[0].centre = (160.0 + k, 120.0)
        output = pipeline.process(Frame(world.picture(), k / 30), look_of(settings, editor))
        shown.append(output.image[120, 160 + k])
    assert editor.drawn == 4
    assert np.abs(np.stack(shown).astype(int) - 90).max() <= 1


def test_a_picture_by_itself_has_no_backdrop_that_was_seen_earlier(world: World, tint: Settings) -> None:
    """Its editor takes pieces of what is seen instead, which in a video would be others in every drawing."""
    plates = []

    class Looking(Tint):
        def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
            plates.append(crop.backdrop)
            return super().render(crop, latent, steered, controls)

        def wants_backdrop(self, controls: Any) -> bool:
            return True

    editor, pipeline = Looking(), Pipeline(Tracker(world.detect, world.landmarks))
    for smoothing in (0.0, 0.5):
        settings = tint.model_copy(update={"smoothing": smoothing})
        pipeline.process(Frame(world.picture(), smoothing), look_of(settings, editor))
    assert plates[0] is None
    assert plates[1] is not None


def test_what_lasts_in_a_latent_is_averaged_for_longer(world: World, tint: Settings) -> None:
    """A reading that flips once moves a lasting number by a bit, and the others at once."""
    latents = list[Latent]()

    class Flipping(Tint):
        lasting = MappingProxyType({1: 4.0})

        def encode(self, crop: Crop, controls: Any) -> Latent:
            return np.full(2, len(latents) >= 40, np.float32)

        def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
            latents.append(latent.copy())
            return super().render(crop, latent, steered, controls)

    editor, pipeline = Flipping(), Pipeline(Tracker(world.detect, world.landmarks))
    settings = tint.model_copy(update={"smoothing": 0.5})
    for k in range(46):
        pipeline.process(Frame(world.picture(), k / 25), look_of(settings, editor))
    assert latents[-1][0] > 0.5
    assert 0.02 < latents[-1][1] < 0.2


def test_the_trace_names_every_stage(make_pipeline: Make, world: World, tint: Settings) -> None:
    output, _ = run(make_pipeline(world), world, tint)
    assert {"track", "align", "encode", "render", "blend"} <= output.trace.ms.keys()
    assert output.trace.detected


def test_layers_are_drawn_one_on_another(make_pipeline: Make, world: World, tint: Settings) -> None:
    one = look_of(tint.model_copy(update={"controls": {"amount": 0.25}}))
    two = Look(tint, (*one.layers, *one.layers))
    shown = Frame(world.picture(), 0.0)
    red = [int(make_pipeline(world).process(shown, look).image[120, 160, 2]) for look in (one, two)]
    once = red[0] - int(shown.image[120, 160, 2])
    assert once == 20
    assert red[1] == red[0] + once


def test_a_layer_shows_as_much_as_its_amount(make_pipeline: Make, world: World, tint: Settings) -> None:
    shown = Frame(world.picture(), 0.0)
    (layer,) = look_of(tint.model_copy(update={"controls": {"amount": 0.5}})).layers
    change = {}
    for amount in (0.0, 0.5, 1.0):
        look = Look(tint, (Layer(layer.name, layer.editor, layer.controls, amount),))
        output = make_pipeline(world).process(shown, look)
        change[amount] = int(output.image[120, 160, 2]) - int(shown.image[120, 160, 2])
        assert bool(output.edited) == bool(amount)
    assert change[0.0] == 0
    assert change[1.0] == 40
    assert abs(change[0.5] - 20) <= 1


def test_another_smoothing_starts_with_new_filters(make_pipeline: Make, world: World, tint: Settings) -> None:
    pipeline, fresh = make_pipeline(world), make_pipeline(world)
    smooth = tint.model_copy(update={"smoothing": 0.9})
    for k in range(5):
        world.people[0].centre = (140 + 4 * k, 120)
        run(pipeline, world, smooth, k)
    raw, _ = run(pipeline, world, tint, 5)
    for k in range(5):
        run(fresh, world, tint, k)
    np.testing.assert_array_equal(raw.image, run(fresh, world, tint, 5)[0].image)


def test_the_spans_of_a_trace_add_up_to_its_stages(make_pipeline: Make, world: World, tint: Settings) -> None:
    output, _ = run(make_pipeline(world), world, tint)
    for stage, ms in output.trace.ms.items():
        spans = [span for span in output.trace.spans if span.stage == stage]
        assert sum(1e3 * (span.end - span.start) for span in spans) == pytest.approx(ms)


@pytest.mark.parametrize("lost", ["blur", "hold"])
def test_a_camera_that_changes_its_size_shows_no_raw_frame(
    make_pipeline: Make, world: World, tint: Settings, lost: str
) -> None:
    """Another size begins anew with tracking; a picture that is held does not fit any more."""
    settings = tint.model_copy(update={"lost": lost})
    sizes = [(480, 640), (720, 1280), (1280, 720), (361, 641), (480, 640), (720, 1280), (480, 640)]
    pipeline = make_pipeline(world)
    [person] = world.people
    time, seen = 0.0, set[str]()
    for size in sizes:
        world.size = size
        for step, away in enumerate((False, False, True, True, False)):
            person.centre = (-500.0, -500.0) if away else (size[1] / 2, size[0] / 2)
            time += 1 / 30
            shown = Frame(world.picture(), time)
            output = pipeline.process(shown, look_of(settings))
            assert output.image.shape == shown.image.shape
            if output.edited:
                seen.add("edited")
                continue
            if lost == "blur" or step > 1:
                seen.add("lost")
                assert not (output.image == shown.image).all(), (size, step)
            if lost == "blur":
                np.testing.assert_array_equal(output.image, blurred(shown.image))
    assert seen == {"edited", "lost"}
