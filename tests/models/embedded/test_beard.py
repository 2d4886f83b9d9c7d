"""Beards are found, shadows are not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.beard import LIPS, fairness, find_beard, find_grey_beard, with_fair_ends
from models.embedded.pigment import grey_beard, restore_beard
from models.embedded.strands import Lit
from models.face.texture_space import FaceSpace
from tests.models.hair_looks import shipped_look

SIZE = 320
SKIN = np.array([190, 150, 130], np.float32)
WHITE_LIGHT = Lit(0.0, np.ones(3, np.float32))


@pytest.fixture(scope="module")
def mesh() -> Floats:
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = FaceSpace.load(EMBEDDED / TABLES).mean + np.array([64, 64])
    return mesh


def crop_of(image: Image, mesh: Floats) -> Crop:
    face = np.zeros((128, 128), np.float32)
    points = cv2.convexHull(mesh[:468].astype(np.float32))[:, 0] * (128 / SIZE)
    cv2.fillPoly(face, [np.rint(points).astype(np.int32)], (1.0,))
    none = np.zeros_like(face)
    eyes = [mesh[[33, 133]].mean(0), mesh[[263, 362]].mean(0)]
    points5 = np.array([*eyes, mesh[1], mesh[61], mesh[291]], np.float32)
    return Crop(image, points5, mesh, Masks(none, face, none, np.ones_like(face)))


def bearded(mesh: Floats, strands: Floats, left: bool = True) -> Image:
    image = np.zeros((SIZE, SIZE, 3), np.float32) + SKIN
    top, middle = int(mesh[2, 1]) + 8, int(mesh[152, 0])
    part = image[top:, (0 if left else middle) :]
    part[:] = strands[top:, : part.shape[1]]
    cv2.fillPoly(image, [np.rint(mesh[list(LIPS)]).astype(np.int32)], (150.0, 80.0, 80.0))
    return np.clip(image, 0, 255).astype(np.uint8)


def strands() -> Floats:
    noise = np.random.default_rng(0).normal(60, 28, (SIZE // 2, SIZE // 2, 1)).astype(np.float32)
    return np.repeat(cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)[..., None], 3, axis=2)


def test_a_beard_is_found_around_the_lips(mesh: Floats) -> None:
    found = find_beard(crop_of(bearded(mesh, strands()), mesh))
    chin, lip = (np.rint(mesh[point]).astype(int) for point in (199, 15))
    assert found.shape == (SIZE, SIZE)
    assert found[chin[1] - 4 : chin[1] + 5, chin[0] - 10 : chin[0] + 11].mean() > 0.7
    assert found[lip[1], lip[0]] < 0.1
    assert found[: int(mesh[1, 1]), 120:200].max() < 0.05


def test_a_moustache_is_found_over_a_shaved_chin(mesh: Floats) -> None:
    image = np.zeros((SIZE, SIZE, 3), np.uint8) + SKIN.astype(np.uint8)
    lip = slice(int(mesh[2, 1]), int(mesh[0, 1]))
    image[lip] = np.clip(strands()[lip], 0, 255).astype(np.uint8)
    found = find_beard(crop_of(image, mesh))
    chin, lip = (np.rint(mesh[point]).astype(int) for point in (199, 164))
    assert found[lip[1] - 1 : lip[1] + 3, lip[0] - 10 : lip[0] + 11].mean() > 0.6
    assert found[chin[1] - 4 : chin[1] + 5, chin[0] - 10 : chin[0] + 11].max() < 0.05


def test_a_black_moustache_hangs_over_the_upper_lip(mesh: Floats) -> None:
    image = bearded(mesh, strands() * 0.3)
    upper = slice(int(mesh[0, 1]) + 1, int(mesh[13, 1]) - 1)
    columns = slice(int(mesh[13, 0]) - 8, int(mesh[13, 0]) + 9)
    assert find_beard(crop_of(image, mesh))[upper, columns].mean() < 0.3, "lips are no beard"
    image[upper] = np.clip(0.3 * strands()[upper], 0, 255).astype(np.uint8)
    assert find_beard(crop_of(image, mesh))[upper, columns].mean() > 0.5


def test_ears_are_no_beard(mesh: Floats) -> None:
    image = bearded(mesh, strands())
    ear = (slice(int(mesh[5, 1]), int(mesh[2, 1])), slice(int(mesh[234, 0]) - 12, int(mesh[234, 0]) - 3))
    image[ear] = np.clip(strands()[ear], 0, 255).astype(np.uint8)
    assert find_beard(crop_of(image, mesh))[ear].max() < 0.3


def test_bare_skin_and_a_smooth_shadow_on_one_side_are_no_beard(mesh: Floats) -> None:
    even = np.zeros((SIZE, SIZE, 3), np.float32)
    assert not find_beard(crop_of((even + SKIN).astype(np.uint8), mesh)).any()
    assert not find_beard(crop_of(bearded(mesh, even + np.float32(0.5) * SKIN), mesh)).any()
    assert not find_beard(crop_of(bearded(mesh, strands(), left=False), mesh)).any()


def test_a_grey_beard_is_light_and_without_colour(mesh: Floats) -> None:
    brown = strands() * np.array([1.3, 0.95, 0.6], np.float32)
    image = bearded(mesh, brown)
    crop = crop_of(image, mesh)
    change, where = grey_beard(shipped_look(), crop, find_beard(crop), skin=SKIN, amount=0.9)
    assert not change[where == 0].any()
    x, y = np.rint(mesh[199]).astype(int)
    part = (slice(y - 4, y + 5), slice(x - 10, x + 11))
    before, after = image[part].mean((0, 1)), (image + change)[part].mean((0, 1))
    assert after.mean() > before.mean() + 25
    assert np.ptp(after) < 0.5 * np.ptp(before)


def test_a_red_beard_ends_where_its_colour_does(mesh: Floats) -> None:
    """Where the network sees the upper half of a long beard; a black one may end at dark clothes."""
    x, y = np.rint(mesh[199]).astype(int)
    chin = int(mesh[152, 1])
    below = slice(chin + 6, chin + 20), slice(x - 10, x + 11)
    told = np.zeros((SIZE, SIZE), np.float32)
    told[y - 10 : y + 11, x - 30 : x + 31] = 1
    found = {}
    for name, tint in (("red", (1.9, 0.9, 0.35)), ("black", (0.42, 0.4, 0.38))):
        crop = crop_of(bearded(mesh, strands() * np.array(tint, np.float32)), mesh)
        fair = fairness(crop.image, told, SKIN)
        whole = with_fair_ends(crop, told, fair)
        assert np.all(whole >= told)
        found[name] = fair, float(whole[below].mean())
    assert fairness(bearded(mesh, strands()), np.zeros_like(told), SKIN) == 0
    assert found["red"][0] > 0.5
    assert found["red"][1] > 0.5
    assert found["black"][1] == 0
    assert found["black"][0] < 0


def white(mesh: Floats) -> Image:
    return bearded(mesh, np.float32(0.6) * strands() + 120)


def test_a_white_beard_is_found_and_gets_its_pigment(mesh: Floats) -> None:
    image = white(mesh)
    assert find_beard(crop_of(image, mesh)).max() < 0.1, "it is as light as skin"
    change, where = restore_beard(shipped_look(), crop_of(image, mesh), skin=SKIN, light=WHITE_LIGHT, amount=1)
    assert not change[where == 0].any()
    x, y = np.rint(mesh[199]).astype(int)
    chin, cheek = (slice(y - 4, y + 5), slice(x - 10, x + 11)), (slice(y - 80, y - 60), slice(x + 30, x + 50))
    after = (image + change)[chin].mean((0, 1))
    assert after.mean() < 0.6 * image[chin].mean()
    assert after[0] > 1.3 * after[2]
    assert not change[cheek].any()
    lip = np.rint(mesh[15]).astype(int)
    assert np.abs(change[lip[1], lip[0]]).max() < 12


def test_neither_skin_nor_dark_nor_fair_beards_count_as_grey(mesh: Floats) -> None:
    even = np.zeros((SIZE, SIZE, 3), np.float32) + SKIN
    fair = strands() * np.array([1.6, 0.95, 0.4], np.float32)
    wrinkled = even * (0.6 + strands() / 150)
    blue = bearded(mesh, even * np.array([0.8, 1, 1.25], np.float32))
    noise = np.random.default_rng(1).normal(0, 6, even.shape)
    dim = np.clip(0.4 * blue + noise, 0, 255).astype(np.uint8)
    lined = np.clip(wrinkled, 0, 255).astype(np.uint8)
    for image in (even.astype(np.uint8), bearded(mesh, fair), lined, blue, dim):
        assert find_grey_beard(crop_of(image, mesh)).max() < 0.1
    dark = bearded(mesh, strands() * 0.3)
    change, _ = restore_beard(shipped_look(), crop_of(dark, mesh), skin=SKIN, light=WHITE_LIGHT, amount=1)
    assert np.abs(change).mean() < 1


def test_a_white_collar_is_no_beard(mesh: Floats) -> None:
    """Both are light, rough and without colour: what lies below the face is left alone."""
    y = int(mesh[152, 1])
    assert find_grey_beard(crop_of(white(mesh), mesh))[y + 14 :].max() < 0.05


def test_neither_lips_nor_a_hand_before_the_chin_count_as_grey_beard(mesh: Floats) -> None:
    image = white(mesh)
    lips = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(lips, [np.rint(mesh[list(LIPS)]).astype(np.int32)], (1.0,))
    image[lips > 0] = (np.float32(0.6) * strands() + 120)[lips > 0].astype(np.uint8)
    crop = crop_of(image, mesh)
    assert crop.masks is not None
    lip, chin = (np.rint(mesh[point]).astype(int) for point in (15, 199))
    assert find_grey_beard(crop)[lip[1], lip[0]] < 0.1
    hand = np.zeros_like(crop.masks.face)
    hand[int(chin[1] * 128 / SIZE) - 6 :] = 1
    covered = replace(crop, masks=replace(crop.masks, occluder=hand))
    assert find_grey_beard(covered)[chin[1] - 4 : chin[1] + 5].max() < 0.05


def test_half_a_white_chin_is_no_beard(mesh: Floats) -> None:
    """One side of a face may lie in coloured light."""
    image = bearded(mesh, np.float32(0.6) * strands() + 120, left=False)
    assert not find_grey_beard(crop_of(image, mesh)).any()
