from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.hair_removal import loss_order, remove_hair
from models.embedded.scalp import BROW_LINE, HeadMap, ScalpModel, head_map, outline_features, skin_tone
from models.face.imaging import fill, smoothstep
from models.face.texture_space import FaceSpace, Fit

SIZE = 320
Scene = tuple[Image, Floats, Floats]
"""A picture, the hair and the person in it."""
SKIN = (200, 150, 120)
BACKDROP = (40, 90, 200)
HAIR = (30, 20, 15)


@pytest.fixture(scope="module")
def tables() -> dict[str, NDArray[Any]]:
    with np.load(EMBEDDED / TABLES) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def model(tables: dict[str, NDArray[Any]]) -> ScalpModel:
    return ScalpModel.from_tables(tables)


@pytest.fixture(scope="module")
def fit(tables: dict[str, NDArray[Any]]) -> Fit:
    space = FaceSpace.from_tables(tables)
    return space.fit(space.mean + np.array([64, 88], np.float32))


@pytest.fixture(scope="module")
def head(model: ScalpModel, fit: Fit) -> HeadMap:
    return head_map(fit, model.radii(outline_features(fit)), SIZE)


@pytest.fixture(scope="module")
def scene(head: HeadMap) -> Scene:
    """A head of flat skin with a cap of hair, before a flat backdrop."""
    distance = cv2.resize(head.distance, (SIZE, SIZE))
    radius = cv2.resize(head.radius, (SIZE, SIZE))
    rows = np.arange(SIZE)[:, None]
    person = distance > 0
    hair = (radius > 0.6) & (radius < 1.15) & (rows < 130)
    image = np.where(person[..., None], np.array(SKIN, np.uint8), np.array(BACKDROP, np.uint8))
    image = np.where(hair[..., None], np.array(HAIR, np.uint8), image)
    return image, hair.astype(np.float32), (person | hair).astype(np.float32)


def bald(model: ScalpModel, head: HeadMap, scene: Scene, amount: float) -> tuple[Image, Floats]:
    image, hair, person = scene
    skin = np.log(np.array(SKIN, np.float32) + 16)
    return remove_hair(
        model, image, hair=hair, person=person, head=head, light=np.zeros(6, np.float32), skin=skin, amount=amount
    )


def test_nothing_is_shown_before_hair_is_lost(model: ScalpModel, head: HeadMap, scene: Scene) -> None:
    _, opacity = bald(model, head, scene, 0.0)
    assert not opacity.any()


def test_hair_is_lost_steadily_and_at_last_all_of_it(model: ScalpModel, head: HeadMap, scene: Scene) -> None:
    shown = [bald(model, head, scene, amount)[1].sum() for amount in (0.25, 0.5, 0.75, 1.0)]
    assert shown == sorted(shown)
    assert shown[0] > 0
    _, opacity = bald(model, head, scene, 1.0)
    top = np.arange(SIZE)[:, None] < 110
    assert opacity[(scene[1] > 0) & top].min() > 0.95


def test_a_receding_hairline_is_an_edge_and_no_fade(model: ScalpModel, head: HeadMap, scene: Scene) -> None:
    _, opacity = bald(model, head, scene, 0.5)
    hair = opacity[scene[1] > 0]
    assert ((hair > 0.1) & (hair < 0.9)).mean() < 0.2
    assert 0.1 < (hair > 0.9).mean() < 0.9


def test_lost_hair_becomes_skin_on_the_skull_and_backdrop_beyond(
    model: ScalpModel, head: HeadMap, scene: Scene
) -> None:
    image, opacity = bald(model, head, scene, 1.0)
    distance = cv2.resize(head.distance, (SIZE, SIZE))
    sure = opacity > 0.95
    on, off = image[sure & (distance > 8)].mean(0), image[sure & (distance < -4)].mean(0)
    assert np.abs(on - SKIN).max() < 60
    assert np.abs(off - BACKDROP).max() < 12


def test_long_hair_is_kept_below_the_ears_only(model: ScalpModel, head: HeadMap, scene: Scene) -> None:
    image, hair, person = scene
    long = np.maximum(hair, (np.abs(np.arange(SIZE) - 160) > 70)[None, :] * (np.arange(SIZE)[:, None] > 90))
    _, opacity = bald(model, head, (image, long.astype(np.float32), person), 1.0)
    assert opacity[95:125, 80:86].min() > 0.95
    assert not opacity[190:, 75:245].any()
    lowest = [np.flatnonzero(opacity[:, x] > 0.5).max() for x in (40, 60, 80)]
    assert lowest == sorted(lowest, reverse=True)


def brow_row(fit: Fit) -> int:
    """The crop row of the brows' upper edge."""
    return int(fit.points[list(BROW_LINE.points), 1].min())


def test_short_hair_leaves_no_wings(model: ScalpModel, head: HeadMap, scene: Scene, fit: Fit) -> None:
    image, hair, person = scene
    rows = np.arange(SIZE)[:, None]
    out = cv2.resize(head.out, (SIZE, SIZE))
    bob = (hair > 0) | ((np.abs(out - 5) < 25) & (rows > 90) & (rows < brow_row(fit) + 60))
    image = np.where(bob[..., None], np.array(HAIR, np.uint8), image)
    _, opacity = bald(model, head, (image, bob.astype(np.float32), np.maximum(person, bob)), 1.0)
    left = bob & (opacity < 0.5)
    assert left.any()
    assert not (left & (out > 9)).any()
    assert not (left & (rows < brow_row(fit))).any()


def test_long_hair_widens_downwards(model: ScalpModel, head: HeadMap, scene: Scene, fit: Fit) -> None:
    image, hair, person = scene
    rows = np.arange(SIZE)[:, None]
    out = cv2.resize(head.out, (SIZE, SIZE))
    long = (hair > 0) | ((out > -15) & (out < 40) & (rows > 90))
    image = np.where(long[..., None], np.array(HAIR, np.uint8), image)
    _, opacity = bald(model, head, (image, long.astype(np.float32), np.maximum(person, long)), 1.0)
    left = long & (opacity < 0.5)
    widths = [left[brow_row(fit) + below].sum() for below in (10, 30, 50, 70, 90, 110)]
    assert widths == sorted(widths)
    assert widths[0] < 0.5 * widths[-1]
    assert not opacity[brow_row(fit) + 140 :].any()


def test_a_fringe_goes_with_its_shadow_down_to_the_brows_and_leaves_skin(
    model: ScalpModel, head: HeadMap, scene: Scene, fit: Fit
) -> None:
    image, hair, person = scene
    rows = np.arange(SIZE)[:, None]
    middle = slice(SIZE // 2 - 40, SIZE // 2 + 40)
    brows = brow_row(fit)
    fringe = (hair > 0) | ((cv2.resize(head.distance, (SIZE, SIZE)) > 0) & (rows < brows - 14))
    shadow = ~fringe & (rows < brows)
    image = np.where(fringe[..., None], np.array(HAIR, np.uint8), image)
    image = np.where(shadow[..., None], image // 2, image)
    for amount in (0.5, 1.0):
        shown, opacity = bald(model, head, (image, fringe.astype(np.float32), person), amount)
        above = np.s_[brows - 30 : brows - 2, middle]
        assert opacity[above].min() > 0.9
        assert np.abs(shown[above].mean((0, 1)) - SKIN).max() < 45
        assert np.ptp(shown[above].mean((1, 2))) < 15
        assert opacity[brows + 16 :, middle].max() == 0


def test_the_hair_of_others_stays(model: ScalpModel, head: HeadMap, scene: Scene) -> None:
    image, hair, person = scene
    other = np.zeros((SIZE, SIZE), bool)
    other[20:90, 4:40] = True
    image = np.where(other[..., None], np.array(HAIR, np.uint8), image)
    _, opacity = bald(
        model,
        head,
        (image, np.maximum(hair, other).astype(np.float32), np.maximum(person, other).astype(np.float32)),
        1.0,
    )
    assert opacity[other].max() == 0


def test_light_and_tone_are_those_of_the_visible_skin(model: ScalpModel) -> None:
    rows, columns = np.mgrid[:192, :192].astype(np.float32)
    lit = np.array(SKIN, np.float32) * (0.7 + 0.4 * columns / 191)[..., None]
    texture = lit.astype(np.uint8)
    hidden = (rows < 48).astype(np.float32)
    fringed = np.where(hidden[..., None] > 0, np.array(HAIR, np.uint8), texture)
    seen = model.light(texture)
    np.testing.assert_allclose(model.light(fringed, hidden), seen, atol=0.6)
    assert np.abs(model.light(fringed) - seen).max() > 1
    np.testing.assert_allclose(skin_tone(fringed, hidden), skin_tone(texture, np.zeros_like(hidden)), atol=0.01)


def test_noise_in_the_picture_hardly_moves_the_hairline(model: ScalpModel, head: HeadMap, scene: Scene) -> None:
    image, hair, person = scene
    generator = np.random.default_rng(0)
    shown = []
    for _ in range(2):
        noisy = np.clip(image + generator.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
        shown.append(bald(model, head, (noisy, hair, person), 0.5)[1])
    assert np.abs(shown[0] - shown[1])[hair > 0].mean() < 0.02


def test_temples_go_before_the_front_and_sides_last(head: HeadMap) -> None:
    order = loss_order(head)

    def at(angle: float, radius: float) -> float:
        far = (head.angle - angle) ** 2 + (head.radius - radius) ** 2
        return order.ravel()[far.argmin()]

    assert at(np.pi / 2 - 0.7, 0.75) < at(np.pi / 2, 0.75) < at(0.1, 0.95)


def test_fill_keeps_what_is_known_and_spreads_it() -> None:
    picture = np.zeros((40, 40, 3), np.float32)
    picture[:, :10] = 100
    weight = np.zeros((40, 40), np.float32)
    weight[:, :10] = 1
    filled = fill(picture, weight)
    np.testing.assert_allclose(filled[:, :10], 100, atol=1e-3)
    np.testing.assert_allclose(filled, 100, atol=1)


def test_smoothstep_ends() -> None:
    np.testing.assert_allclose(smoothstep(np.array([-1, 0, 0.5, 1, 2]), 0, 1), [0, 0, 0.5, 1, 1])
