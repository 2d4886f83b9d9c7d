from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.embedded import EMBEDDED
from models.embedded.attributes import TABLES
from models.embedded.skin import OLDER, Skin, middle_band, visibility_gain
from models.face.imaging import LUMINANCE


@pytest.fixture(scope="module")
def skin() -> Skin:
    with np.load(EMBEDDED / TABLES) as file:
        return Skin.from_tables({name: file[name] for name in file.files})


@pytest.fixture
def texture() -> Image:
    """Even skin with a wrinkle across the forehead and the frame of a pair of glasses over the cheeks."""
    picture = np.zeros((192, 192, 3), np.uint8) + np.array([180, 140, 120], np.uint8)
    picture[20:22, 60:130] = [150, 115, 100]
    picture[100:103, 40:150] = 15
    return picture


def light(change: Floats) -> Floats:
    return change @ LUMINANCE


def test_youth_fills_wrinkles_without_a_highlight(skin: Skin, texture: Image) -> None:
    bare = texture.copy()
    bare[20:22] = bare[30, 30]
    lifted = light(skin.younger(texture, 0.0) - skin.younger(bare, 0.0))[20:22, 70:120]
    depth = np.log((180 + 16) / (150 + 16))
    assert 0.4 * depth < lifted.mean() < 1.1 * depth


def test_youth_leaves_the_skin_its_grain(skin: Skin) -> None:
    """Of shallow lines more is left than of deeper ones."""
    even = np.zeros((192, 192, 3), np.uint8) + np.array([180, 140, 120], np.uint8)
    lines = np.where(np.arange(192) // 3 % 2, 1, -1)[:, None, None]
    part = slice(60, 90), slice(60, 130)
    left = []
    for depth in (2, 8):
        lined = (even + depth * lines).astype(np.uint8)
        own = light(np.log(lined + 16.0) - np.log(even + 16.0))
        change = light(skin.younger(lined, 0.0) - skin.younger(even, 0.0))
        left.append((own + change)[part].std() / own[part].std())
    assert left[0] > left[1] + 0.03


def test_frames_of_glasses_stay(skin: Skin, texture: Image) -> None:
    bare = texture.copy()
    bare[100:103] = bare[30, 30]
    for draw in (skin.younger, skin.older):
        assert np.abs(light(draw(texture, 1.0) - draw(bare, 1.0)))[101, 50:140].max() < 0.25


def test_age_deepens_the_faces_own_creases(skin: Skin, texture: Image) -> None:
    change = light(skin.older(texture, 0.0))
    assert change[20:22, 70:120].mean() < change[30:34, 70:120].mean() - 0.03


def test_brows_grow_pale_where_the_face_has_them(skin: Skin) -> None:
    even = np.zeros((192, 192, 3), np.uint8) + np.array([180, 140, 120], np.uint8)
    brows = skin.brows > 0.8
    dark = np.where(brows[..., None], np.array([60, 45, 40], np.uint8), even)
    bare, grown = (light(skin.older(picture, 0.0))[brows] for picture in (even, dark))
    assert np.abs(bare).max() < 0.1
    assert grown.max() > 0.25


def test_the_sex_blends(skin: Skin, texture: Image) -> None:
    ways = [skin.older(texture, male) for male in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(ways[1], (ways[0] + ways[2]) / 2, atol=1e-5)


def test_the_middle_band_has_neither_light_nor_pores() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (192, 192)).astype(np.float32)
    assert np.abs(middle_band(noise)).max() < 0.05
    np.testing.assert_allclose(middle_band(np.full((192, 192), 4.5, np.float32)), 0, atol=1e-4)


def test_dark_brows_turn_grey_and_a_bare_face_stays(skin: Skin) -> None:
    even = np.zeros((192, 192, 3), np.uint8) + np.array([180, 140, 120], np.uint8)
    brows = skin.brows > 0.8
    dark = np.where(brows[..., None], np.array([60, 45, 40], np.uint8), even)
    white = np.ones(3, np.float32)
    assert np.abs(skin.greyed(even, white, 0.5)).max() < 0.02
    change = skin.greyed(dark, white, 0.5)
    after = np.exp(np.log(dark + 16.0) + change) - 16
    assert after[brows].mean() > 70
    woman, man = (skin.greyed(dark, white, male)[brows].mean() for male in (0.0, 1.0))
    assert woman > man + 0.05
    # skin is seen through them
    assert np.ptp(after[brows].mean(0)) < 0.6 * np.ptp(even[0, 0].astype(int))
    assert np.abs(change[:20]).max() < 0.02


def test_a_lifted_fold_does_not_glow_red(skin: Skin, texture: Image) -> None:
    texture[20:23, 60:130] = [150, 95, 75]
    young = np.log(texture + 16.0) + skin.younger(texture, 0.0)
    redness = young[..., 0] - young[..., 2]
    before = np.log(texture + 16.0)
    glow = redness[21, 70:120] - redness[32, 70:120]
    had = (before[21, 95, 0] - before[21, 95, 2]) - (before[32, 95, 0] - before[32, 95, 2])
    assert np.abs(glow).max() < 0.4 * had


def test_ageing_is_drawn_more_strongly_on_dark_skin() -> None:
    tones = [np.log(np.full(3, tone, np.float32) + 16) for tone in (60, 90, 130, 170, 220)]
    strengths = [visibility_gain(tone) for tone in tones]
    assert strengths[0] == pytest.approx(OLDER.dark_gain)
    assert strengths[-1] == pytest.approx(1)
    assert np.all(np.diff(strengths) <= 0)


def test_lines_deepen_and_stains_do_not(skin: Skin) -> None:
    """A shade on the cheek that deepens looks like a bruise."""
    even = np.zeros((192, 192, 3), np.uint8) + np.array([190, 150, 130], np.uint8)
    lined, stained = even.copy(), even.copy()
    lined[20:24, 60:130] -= 25
    cv2.circle(stained, (130, 110), 5, (165, 125, 105), -1)
    usual = skin.older(even, 1.0).mean(axis=2)
    line = (skin.older(lined, 1.0).mean(axis=2) - usual)[21:23, 70:120].mean()
    stain = (skin.older(stained, 1.0).mean(axis=2) - usual)[108:113, 128:133].mean()
    assert line < -0.05
    assert stain > 0.5 * line
