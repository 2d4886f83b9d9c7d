import cv2
import numpy as np
import pytest

from models.catalog import EMBEDDED
from models.embedded_editor import TABLES
from models.face_space import FaceSpace
from models.scalp import ScalpModel, fill, head_map, loss_order, outline_features, render_scalp, smoothstep

SIZE = 320
SKIN = (200, 150, 120)
BACKDROP = (40, 90, 200)
HAIR = (30, 20, 15)


@pytest.fixture(scope="module")
def tables():
    with np.load(EMBEDDED / TABLES) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def model(tables):
    return ScalpModel.from_tables(tables)


@pytest.fixture(scope="module")
def fit(tables):
    space = FaceSpace.from_tables(tables)
    return space.fit(space.mean + np.float32([64, 88]))


@pytest.fixture(scope="module")
def head(model, fit):
    return head_map(fit, model.radii(outline_features(fit)), SIZE)


@pytest.fixture(scope="module")
def scene(head):
    """A head of flat skin with a cap of hair, before a flat backdrop."""
    distance = cv2.resize(head.distance, (SIZE, SIZE))
    radius = cv2.resize(head.radius, (SIZE, SIZE))
    rows = np.arange(SIZE)[:, None]
    person = distance > 0
    hair = (radius > 0.6) & (radius < 1.15) & (rows < 130)
    image = np.where(person[..., None], np.uint8(SKIN), np.uint8(BACKDROP))
    image = np.where(hair[..., None], np.uint8(HAIR), image)
    return image, hair.astype(np.float32), (person | hair).astype(np.float32)


def bald(model, head, scene, amount):
    image, hair, person = scene
    skin = np.log(np.float32(SKIN) + 16)
    return render_scalp(
        model, image, hair=hair, person=person, head=head, light=np.zeros(6, np.float32), skin=skin, amount=amount
    )


def test_nothing_is_shown_before_hair_is_lost(model, head, scene):
    _, opacity = bald(model, head, scene, 0.0)
    assert not opacity.any()


def test_hair_is_lost_steadily_and_at_last_all_of_it(model, head, scene):
    shown = [bald(model, head, scene, amount)[1].sum() for amount in (0.25, 0.5, 0.75, 1.0)]
    assert shown == sorted(shown)
    assert shown[0] > 0
    _, opacity = bald(model, head, scene, 1.0)
    top = np.arange(SIZE)[:, None] < 110
    assert opacity[(scene[1] > 0) & top].min() > 0.95


def test_a_receding_hairline_is_an_edge_and_no_fade(model, head, scene):
    _, opacity = bald(model, head, scene, 0.5)
    hair = opacity[scene[1] > 0]
    assert ((hair > 0.1) & (hair < 0.9)).mean() < 0.2
    assert 0.1 < (hair > 0.9).mean() < 0.9


def test_lost_hair_becomes_skin_on_the_skull_and_backdrop_beyond(model, head, scene):
    image, opacity = bald(model, head, scene, 1.0)
    distance = cv2.resize(head.distance, (SIZE, SIZE))
    sure = opacity > 0.95
    on, off = image[sure & (distance > 8)].mean(0), image[sure & (distance < -4)].mean(0)
    assert np.abs(on - SKIN).max() < 60
    assert np.abs(off - BACKDROP).max() < 12


def test_long_hair_is_kept_below_the_ears_only(model, head, scene):
    image, hair, person = scene
    long = np.maximum(hair, (np.abs(np.arange(SIZE) - 160) > 70)[None, :] * (np.arange(SIZE)[:, None] > 90))
    _, opacity = bald(model, head, (image, long.astype(np.float32), person), 1.0)
    assert opacity[95:125, 80:86].min() > 0.95
    assert not opacity[190:, 75:245].any()
    lowest = [np.flatnonzero(opacity[:, x] > 0.5).max() for x in (40, 60, 80)]
    assert lowest == sorted(lowest, reverse=True)


def test_noise_in_the_picture_hardly_moves_the_hairline(model, head, scene):
    image, hair, person = scene
    generator = np.random.default_rng(0)
    shown = []
    for _ in range(2):
        noisy = np.clip(image + generator.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        shown.append(bald(model, head, (noisy, hair, person), 0.5)[1])
    assert np.abs(shown[0] - shown[1])[hair > 0].mean() < 0.02


def test_temples_go_before_the_front_and_sides_last(head):
    order = loss_order(head)

    def at(angle, radius):
        far = (head.angle - angle) ** 2 + (head.radius - radius) ** 2
        return order.ravel()[far.argmin()]

    assert at(np.pi / 2 - 0.7, 0.75) < at(np.pi / 2, 0.75) < at(0.1, 0.85)


def test_fill_keeps_what_is_known_and_spreads_it():
    picture = np.zeros((40, 40, 3), np.float32)
    picture[:, :10] = 100
    weight = np.zeros((40, 40), np.float32)
    weight[:, :10] = 1
    filled = fill(picture, weight)
    np.testing.assert_allclose(filled[:, :10], 100, atol=1e-3)
    np.testing.assert_allclose(filled, 100, atol=1)


def test_smoothstep_ends():
    np.testing.assert_allclose(smoothstep(np.array([-1, 0, 0.5, 1, 2]), 0, 1), [0, 0, 0.5, 1, 1])
