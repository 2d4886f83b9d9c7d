from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engines.base import Engine, TensorSpec
from engines.select import load as load_engine
from models.editor import Crop, Editor, Masks
from models.embedded import EMBEDDED
from models.embedded.ageing import COMPRESSED, compress_change, decompress_change, youth_of
from models.embedded.attributes import AGE, AGER, BALD, GREY, HAT, READER, SMILE, TABLES
from models.embedded.editor import EmbeddedControls, load, target_age
from models.embedded.latent import LENGTH, EmbeddedLatent
from models.face.texture_space import FaceSpace
from models.training.apply import apply_edit
from tests.models.editing import rendered

SIZE = 320


class Reader(Engine):
    """A reader that says: 30 years, half bald, no grey."""

    backend, precision = "stub", "f32"
    inputs = (TensorSpec("head", (None, 3, 112, 112), np.dtype(np.float32)),)
    outputs = (TensorSpec("attributes", (None, 8), np.dtype(np.float32)),)

    def _run(self, inputs):
        return {"attributes": np.float32([[0.3, 4, 0.5, 0.0, -4, -4, 0, 0.6]])}


class Ager(Engine):
    """An ager that darkens towards age."""

    backend, precision = "stub", "f32"
    inputs = (
        TensorSpec("texture", (None, 3, 192, 192), np.dtype(np.float32)),
        TensorSpec("covered", (None, 1, 192, 192), np.dtype(np.float32)),
        TensorSpec("male", (None, 1), np.dtype(np.float32)),
    )
    outputs = (TensorSpec("folds", (None, 1, 192, 192), np.dtype(np.float32)),)

    def _run(self, inputs):
        return {"folds": np.full((1, 1, 192, 192), -0.3, np.float32)}


@pytest.fixture(scope="module")
def editor():
    return load(lambda path: Reader() if path.name == READER else Ager(), EMBEDDED)


@pytest.fixture
def crop():
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = FaceSpace.load(EMBEDDED / TABLES).mean + np.array([64, 88])
    image = np.random.default_rng(0).integers(90, 110, (SIZE, SIZE, 3)).astype(np.uint8)
    hair = np.zeros((128, 128), np.float32)
    hair[8:40, 30:98] = 1
    person = np.zeros_like(hair)
    person[8:, 24:104] = 1
    masks = Masks(hair, person, np.zeros_like(hair), person)
    return Crop(image, mesh[[33, 263, 4, 61, 291]], mesh, masks)


def edit(editor, crop, **controls):
    latent = editor.encode(crop, editor.Controls())
    return rendered(editor, crop, latent, EmbeddedControls(**controls))


def test_it_is_an_editor(editor):
    assert isinstance(editor, Editor)
    assert EmbeddedControls().neutral()


def test_the_latent_holds_both_ways_of_the_skin(editor, crop):
    latent = editor.encode(crop, editor.Controls())
    assert latent.shape == (LENGTH,)
    assert latent.dtype == np.float32
    parts = EmbeddedLatent.unpack(latent)
    older, younger = decompress_change(parts.older), decompress_change(parts.younger)
    assert older.shape == younger.shape == (192, 192, 3)
    assert -0.2 > np.median(older) > -0.5
    assert -0.1 < np.median(younger) < 0.1


def test_a_change_of_skin_is_remembered_with_fine_light_and_broad_colour():
    light = np.random.default_rng(0).normal(0, 0.3, (192, 192, 1)).astype(np.float32)
    colour = np.linspace(-0.1, 0.1, 192, dtype=np.float32)[:, None, None] * np.float32([1, 0, -3 / 1.1])
    change = light + colour
    assert compress_change(change).shape == (COMPRESSED,)
    np.testing.assert_allclose(decompress_change(compress_change(change)), change, atol=5e-3)


def test_rendering_runs_no_network(crop):
    class Counted(Ager):
        calls = 0

        def _run(self, inputs):
            self.calls += 1
            return super()._run(inputs)

    ager = Counted()
    editor = load(lambda path: Reader() if path.name == READER else ager, EMBEDDED)
    latent = editor.encode(crop, editor.Controls())
    assert ager.calls == 1
    rendered(editor, crop, latent, EmbeddedControls(age=75, bald=1))
    assert ager.calls == 1


def test_the_warp_fades_out_below_the_chin(editor, crop):
    flow = np.linalg.norm(edit(editor, crop, age=75).flow, axis=2)
    assert np.abs(np.diff(flow, axis=0)).max() < 0.5
    assert np.abs(np.diff(flow, axis=1)).max() < 0.5


def test_controls_off_render_nothing(editor, crop):
    done = edit(editor, crop)
    assert not done.mask.any()
    assert done.flow is done.delta is done.image is done.opacity is None


def test_age_moves_and_colours_the_face_only(editor, crop):
    done = edit(editor, crop, age=40)
    face = np.zeros((SIZE, SIZE), bool)
    face[180:230, 130:190] = True
    assert done.delta[face].mean() < -3
    assert np.abs(done.flow).max() > 0.3
    assert done.mask[:40].max() == 0
    assert done.image is None


def test_younger_is_the_other_way(editor, crop):
    older, younger = edit(editor, crop, age=60), edit(editor, crop, age=15)
    assert older.delta.sum() < 0
    assert np.abs(younger.delta).max() > 0
    grown = edit(editor, crop, age=25)
    assert (older.flow * grown.flow).sum() < 0
    assert np.abs(younger.flow - grown.flow).max() > 0.5


def test_between_15_and_25_faces_grow():
    assert youth_of(40, 15) == 1
    assert youth_of(40, 30) == 0
    assert youth_of(20, 15) == pytest.approx(0.5)
    assert youth_of(15, 60) == -1


def test_more_years_change_more(editor, crop):
    change = [np.abs(edit(editor, crop, age=age).delta).sum() for age in (35, 50, 65, 80)]
    assert change == sorted(change)


def test_skin_under_an_occluder_stays(editor, crop):
    hand = crop.masks.face * 0
    hand[60:100] = 1
    hidden = Crop(crop.image, crop.points5, crop.mesh, Masks(crop.masks.hair, crop.masks.face, hand, crop.masks.person))
    assert np.abs(edit(editor, hidden, age=75).delta[165:235]).max() < 1


def test_a_smile_lifts_the_corners_of_the_mouth(editor, crop):
    smile, frown = edit(editor, crop, smile=1), edit(editor, crop, smile=-1)
    left, right = (tuple(crop.mesh[vertex].astype(int)[::-1]) for vertex in (61, 291))
    for x, y in (left, right):
        assert smile.flow[x, y, 1] > 3  # from below
        assert frown.flow[x, y, 1] < -1
    assert smile.flow[left][0] > 1 > -1 > smile.flow[right][0]
    assert smile.delta.min() < -5
    assert not frown.delta.any()


def test_a_smile_parts_no_lips(editor, crop):
    flow = edit(editor, crop, smile=1).flow[..., 1]
    (x, above), (_, below) = crop.mesh[13].astype(int), crop.mesh[14].astype(int)
    assert abs(flow[above, x] - flow[below, x]) < 0.5


def test_a_smile_and_age_add_up(editor, crop):
    smile, age, both = (
        edit(editor, crop, **controls) for controls in ({"smile": 1}, {"age": 60}, {"smile": 1, "age": 60})
    )
    np.testing.assert_allclose(both.flow, smile.flow + age.flow, atol=0.02)
    assert both.delta.min() < min(smile.delta.min(), age.delta.min())


def test_faces_that_smile_may_smile_more(editor, crop):
    latent = editor.encode(crop, editor.Controls())
    once = rendered(editor, crop, latent, EmbeddedControls(smile=0.5))
    latent[SMILE] = 1
    again = rendered(editor, crop, latent, EmbeddedControls(smile=0.5))
    np.testing.assert_allclose(once.flow, again.flow, atol=1e-3)


def test_bald_replaces_and_starts_from_the_reading(editor, crop):
    done = edit(editor, crop, bald=1)
    assert done.opacity.max() > 0.95
    assert done.mask[done.opacity > 0].min() == 1
    assert done.flow is None
    latent = editor.encode(crop, editor.Controls())
    assert latent[BALD] == pytest.approx(0.5)
    assert editor.steer(latent, EmbeddedControls(bald=0.5))[BALD] == pytest.approx(0.75)


def test_a_hat_stays(editor, crop):
    latent = editor.encode(crop, editor.Controls())
    latent[HAT] = 0.95
    assert editor.steer(latent, EmbeddedControls(bald=1))[BALD] == latent[BALD]
    latent[HAT] = 0.1
    assert editor.steer(latent, EmbeddedControls(bald=1))[BALD] == 1


def test_age_greys_hair_moderately(editor, crop):
    latent = editor.encode(crop, editor.Controls())
    assert 0.3 < editor.steer(latent, EmbeddedControls(age=75))[GREY] < 0.9
    assert editor.steer(latent, EmbeddedControls(age=35))[GREY] == latent[GREY]
    assert editor.steer(latent, EmbeddedControls(age=75))[AGE] == pytest.approx(0.75)


def test_youth_gives_grey_hair_its_pigment_back(editor, crop):
    latent = editor.encode(crop, editor.Controls())
    latent[AGE], latent[GREY], latent[BALD] = 0.7, 0.8, 0.0
    assert editor.steer(latent, EmbeddedControls(age=30))[GREY] == 0
    assert 0 < editor.steer(latent, EmbeddedControls(age=60))[GREY] < 0.8
    assert editor.steer(latent, EmbeddedControls(age=30, hair_grey=1))[GREY] == 1
    light = Crop(np.full_like(crop.image, 190), crop.points5, crop.mesh, crop.masks)
    done = rendered(editor, light, latent, EmbeddedControls(age=30))
    assert done.delta[40:80, 120:200].mean() < -60
    assert done.mask[40:80, 120:200].min() == 1


def test_youth_leaves_thin_hair_its_colour(editor, crop):
    latent = editor.encode(crop, editor.Controls())
    latent[AGE], latent[GREY], latent[BALD] = 0.7, 0.8, 0.45
    assert editor.steer(latent, EmbeddedControls(age=30))[GREY] == pytest.approx(0.8)


def test_without_masks_hair_stays(editor, crop):
    bare = Crop(crop.image, crop.points5, crop.mesh)
    assert not edit(editor, bare, bald=1, hair_grey=1).mask.any()


def test_a_crop_without_mesh_is_refused(editor, crop):
    with pytest.raises(ValueError, match="mesh"):
        editor.encode(Crop(crop.image, crop.points5), editor.Controls())


def test_camera_noise_changes_an_edit_no_more_than_the_camera(editor, crop):
    still = crop.image.astype(np.float32)
    generator = np.random.default_rng(0)
    frames = [np.clip(still + generator.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(3)]
    latent = editor.encode(crop, editor.Controls())
    for controls in ({"age": 75}, {"age": 20}, {"bald": 1}, {"hair_grey": 1}):
        steered = editor.steer(latent, EmbeddedControls(**controls))
        shown = [
            apply_edit(
                editor.render(replace(crop, image=frame), latent, steered, EmbeddedControls(**controls)), frame
            ).astype(np.float32)
            for frame in frames
        ]
        where = np.abs(shown[0] - frames[0]).max(2) > 2
        ours = np.mean([np.abs(a - b)[where].mean() for a, b in pairwise(shown)])
        camera = np.mean([np.abs(a.astype(np.float32) - b)[where].mean() for a, b in pairwise(frames)])
        assert ours < 1.15 * camera, controls


def test_many_threads_render_alike(editor, crop):
    latent = editor.encode(crop, editor.Controls())
    steered = editor.steer(latent, EmbeddedControls(age=75, bald=1))
    expected = editor.render(crop, latent, steered, EmbeddedControls(age=75, bald=1))
    with ThreadPoolExecutor(4) as pool:
        for done in pool.map(
            lambda _: editor.render(crop, latent, steered, EmbeddedControls(age=75, bald=1)), range(8)
        ):
            np.testing.assert_array_equal(done.delta, expected.delta)
            np.testing.assert_array_equal(done.image, expected.image)


@pytest.mark.parametrize("name", [READER, AGER])
def test_the_shipped_networks_run(name):
    engine = load_engine(EMBEDDED / name, backend="onnxruntime", precision="f32", threads=1)
    generator = np.random.default_rng(0)
    given = {
        spec.name: generator.random([size or 2 for size in spec.shape]).astype(np.float32) for spec in engine.inputs
    }
    for value in engine.run(given).values():
        assert value.shape[0] == 2
        assert np.isfinite(value).all()


@pytest.mark.parametrize(
    ("wanted", "own", "shown"),
    [
        (60.0, 30, 60),
        ("+20", 30, 50),
        ("+20", 80, 85),
        ("-20", 30, 15),
        ("-20", 12, 12),
        ("+5", 90, 90),
        ("-9", 50, 41),
    ],
)
def test_a_difference_of_ages_is_from_the_own_age(wanted, own, shown):
    assert target_age(wanted, own) == shown


def test_a_difference_follows_each_person(editor, crop):
    latent = editor.encode(crop, EmbeddedControls())
    controls = EmbeddedControls(age="+20")
    for own in (0.25, 0.45):
        other = latent.copy()
        other[AGE] = own
        assert editor.steer(other, controls)[AGE] == pytest.approx(own + 0.2)


@pytest.mark.parametrize("age", ["20", "+0", "+200", "older", "+1.5"])
def test_other_differences_are_refused(age):
    if age == "20":  # a number as text is a number
        assert EmbeddedControls(age=age).age == 20
    else:
        with pytest.raises(ValueError, match="validation error"):
            EmbeddedControls(age=age)
