"""Brows take the dye where they are hair, and skin stays."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from models.editor import Crop, Masks
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.facial_hair import BROWS, COLOURS_LENGTH, MIXTURE, brow_colours, dye_brows
from models.embedded.hair import HairControls
from models.embedded.strands import FILTER, Look
from models.face.imaging import LUMINANCE
from models.face.texture_space import FaceSpace
from tests.models.editing import rendered
from tests.models.matting import coarse_hair

SIZE = 320
SKIN, BROWN = np.array([200, 150, 125], np.float32), np.array([70, 50, 40], np.float32)
NOTHING = np.zeros((SIZE, SIZE), np.float32)


def look(colour: tuple[float, float, float]) -> Look:
    rgb = np.array(colour, np.float32)
    light = float(rgb @ LUMINANCE)
    return Look(float(np.log(light + FILTER.offset)), 0.2, 0.1, np.asarray(rgb / light, np.float32))


RED, BLOND, BLACK = look((130, 50, 25)), look((190, 160, 100)), look((14, 13, 13))


@pytest.fixture(scope="module")
def mesh() -> Floats:
    mesh = np.zeros((478, 2), np.float32)
    mesh[:468] = FaceSpace.load(EMBEDDED / TABLES).mean + np.array([64, 64])
    return mesh


def brows_of(mesh: Floats) -> Floats:
    """Where they are, thin towards their edge."""
    place = np.zeros((SIZE, SIZE), np.uint8)
    for upper, lower in BROWS:
        cv2.fillPoly(place, [np.rint(mesh[[*upper, *lower]]).astype(np.int32)], 255)
    return cv2.GaussianBlur(place.astype(np.float32) / np.float32(255), (0, 0), 1.0)


def crop_of(mesh: Floats, brow: Floats = BROWN) -> Crop:
    image = SKIN + brows_of(mesh)[..., None] * (brow - SKIN)
    eyes = [mesh[[33, 133]].mean(0), mesh[[263, 362]].mean(0)]
    points5 = np.array([*eyes, mesh[1], mesh[61], mesh[291]], np.float32)
    face = np.zeros((128, 128), np.float32)
    cv2.fillPoly(face, [np.rint(cv2.convexHull(mesh[:468])[:, 0] * (128 / SIZE)).astype(np.int32)], (1.0,))
    hair = np.zeros_like(face)
    hair[: int(mesh[10, 1] * 128 / SIZE) - 2, 30:98] = 1
    dark = cv2.resize(hair, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)[..., None] > 0
    strands = np.random.default_rng(1).normal(0, 8, (SIZE, SIZE, 1))
    image = np.where(dark, BROWN + strands, image)
    none = np.zeros_like(face)
    return Crop(np.clip(image, 0, 255).astype(np.uint8), points5, mesh, Masks(hair, face, none, np.ones_like(face)))


def dyed(crop: Crop, wanted: Look, covered: Floats = NOTHING, amount: float = 1) -> Floats:
    colours = brow_colours(crop, covered)
    change, where = dye_brows(crop, colours=colours, covered=covered, dye=wanted, amount=amount)
    assert not change[where == 0].any()
    return crop.image + change


@pytest.mark.parametrize("wanted", [RED, BLOND])
def test_brows_take_the_colour_of_the_dye(mesh: Floats, wanted: Look) -> None:
    crop = crop_of(mesh)
    inside = brows_of(mesh) > 0.95
    colour = dyed(crop, wanted)[inside].mean(0)
    share = colour / (colour @ LUMINANCE)
    before = BROWN / (BROWN @ LUMINANCE)
    assert np.abs(share - wanted.colour).max() < 0.25 * np.abs(before - wanted.colour).max() + 0.02
    # darker than the hair, and no paint on the skin
    assert colour @ LUMINANCE < np.exp(wanted.level) - FILTER.offset
    assert colour @ LUMINANCE < (MIXTURE.lightest + 0.05) * (SKIN @ LUMINANCE)


def test_skin_beside_a_brow_stays(mesh: Floats) -> None:
    crop = crop_of(mesh)
    bare = brows_of(mesh) < 0.01
    assert np.abs(dyed(crop, RED) - crop.image)[bare].max() < 3


def test_thin_hair_is_no_paint(mesh: Floats) -> None:
    """Fair brows that were dyed black looked drawn."""
    fair = np.array([150, 110, 80], np.float32)
    colour = dyed(crop_of(mesh, fair), BLACK)[brows_of(mesh) > 0.95].mean(0)
    assert colour @ LUMINANCE > 0.9 * MIXTURE.darkest * (fair @ LUMINANCE)
    assert colour @ LUMINANCE < 0.8 * (fair @ LUMINANCE)


def test_half_of_the_dye_is_half_of_the_change(mesh: Floats) -> None:
    crop = crop_of(mesh)
    whole, half, none = (dyed(crop, RED, amount=amount) - crop.image for amount in (1.0, 0.5, 0.0))
    np.testing.assert_allclose(half, whole / 2, atol=0.01)
    assert not none.any()


def test_what_covers_a_brow_keeps_its_colour(mesh: Floats) -> None:
    covered = NOTHING.copy()
    covered[:, : SIZE // 2] = 1
    change = dyed(crop_of(mesh), RED, covered) - crop_of(mesh).image
    assert not change[:, : SIZE // 2 - 2].any()
    assert np.abs(change[:, SIZE // 2 :]).max() > 20


def test_light_dye_darkens_no_brow(mesh: Floats) -> None:
    """Fair brows turned olive under blond hair."""
    fair = np.array([155, 120, 95], np.float32)
    crop = crop_of(mesh, fair)
    inside = brows_of(mesh) > 0.95
    assert (dyed(crop, BLOND)[inside] @ LUMINANCE).mean() > 0.97 * (crop.image[inside] @ LUMINANCE).mean()


def test_no_mesh_and_no_brow_are_left_alone(mesh: Floats) -> None:
    crop = crop_of(mesh)
    for other in (replace(crop, mesh=None), replace(crop, mesh=mesh + np.float32(1000))):
        colours = brow_colours(other, NOTHING)
        assert colours.shape == (COLOURS_LENGTH,)
        assert not colours.any()
        assert not dye_brows(other, colours=colours, covered=NOTHING, dye=RED, amount=1)[0].any()
    bare = crop_of(mesh, SKIN)
    assert np.abs(dyed(bare, RED) - bare.image).max() < 3


def test_colours_may_be_averaged_with_times_when_brows_are_hidden(mesh: Floats) -> None:
    crop = crop_of(mesh)
    colours = brow_colours(crop, NOTHING)
    whole, faded = (
        dye_brows(crop, colours=colours * np.float32(share), covered=NOTHING, dye=RED, amount=1)[0]
        for share in (1, 0.6)
    )
    np.testing.assert_allclose(whole, faded, atol=0.05)


def test_more_dye_is_more_change(mesh: Floats) -> None:
    """The amount was taken twice, so that brows turned late, and dark first."""
    crop, editor = crop_of(mesh), coarse_hair()
    latent = editor.encode(crop, HairControls())
    inside = brows_of(mesh) > 0.95
    means = []
    for amount in (0.25, 0.5, 0.75, 1.0):
        edit = rendered(editor, crop, latent, HairControls(colour="blond", amount=amount, brows=True))
        assert edit.delta is not None
        means.append(float((edit.mask[..., None] * edit.delta)[inside].mean()))
    np.testing.assert_allclose(means, means[-1] * np.array([0.25, 0.5, 0.75, 1.0]), rtol=0.05)


def test_brows_follow_the_hair_by_a_setting(mesh: Floats) -> None:
    crop, editor = crop_of(mesh), coarse_hair()
    latent = editor.encode(crop, HairControls())
    inside = brows_of(mesh) > 0.95
    changes = []
    for brows in (False, True):
        edit = rendered(editor, crop, latent, HairControls(colour="red", brows=brows))
        assert edit.delta is not None
        changes.append(np.abs(edit.mask[..., None] * edit.delta)[inside].max())
    assert changes[0] < 1
    assert changes[1] > 10
