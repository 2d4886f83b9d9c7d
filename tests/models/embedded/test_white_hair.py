"""White hair in the light of the hair that it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.editor import Crop, Masks
from models.embedded.pigment import grey_hair, hair_look
from models.embedded.strands import Look
from models.embedded.white_hair import (
    GREYED,
    ears,
    half_white,
    matt,
    ornaments,
    stranded,
    white_in,
    white_level,
    without_outline,
    without_red,
)
from models.face.imaging import LUMINANCE
from tests.models.hair_looks import shipped_look

SKIN = np.array([200, 160, 140], np.float32)
SIZE = 128


def scene() -> tuple[Image, Masks]:
    """Dark hair with lighter locks over a face, and eight pixels between them that are ever more skin."""
    image = np.zeros((SIZE, SIZE, 3), np.float32) + SKIN
    locks = 25 + 20 * (np.arange(SIZE) % 16 < 8)
    image[:60] = locks[None, :, None] * np.array([1.15, 0.98, 0.8])
    for row in range(8):
        share = (row + 0.5) / 8
        image[60 + row] = (1 - share) * image[50] + share * SKIN
    down = np.arange(SIZE // 2)[:, None] + np.zeros(SIZE // 2)
    hair = np.clip((32.5 - down) / 2, 0, 1).astype(np.float32)
    none = np.zeros_like(hair)
    return image.astype(np.uint8), Masks(hair, 1 - hair, none, np.ones_like(hair))


def greyed(image: Image, masks: Masks, amount: float = 0.9) -> Floats:
    look = hair_look(image, masks.hair)
    assert look is not None
    crop = Crop(image, np.array([[40, 90], [88, 90], [64, 105], [50, 115], [78, 115]], np.float32), masks=masks)
    alpha = np.asarray(cv2.resize(masks.hair, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)
    change, _ = grey_hair(shipped_look(), crop, alpha, skin=SKIN, now=look, amount=amount)
    return image + change


def test_hair_runs_into_skin_without_a_dark_line_and_never_glows() -> None:
    image, masks = scene()
    light = (greyed(image, masks) @ LUMINANCE)[:, 32:96].mean(1)
    assert light[20:50].mean() > 100
    assert light[52:70].min() > 0.7 * light[20:50].mean()
    assert light[52:].max() < 1.05 * float(SKIN @ LUMINANCE)


def test_black_hair_turns_as_white_as_brown_hair_but_glows_in_no_dim_room() -> None:
    colour = np.ones(3, np.float32)
    levels = {name: Look(np.log(4 + light), 0.1, 0.1, colour) for name, light in (("black", 12), ("brown", 55))}
    black, brown = (float(np.exp(white_level(look, SKIN))) for look in levels.values())
    assert 0.7 * brown < black < brown
    dim = np.float32(0.1) * SKIN
    assert float(np.exp(white_level(levels["brown"], dim))) < 2.2 * (float(dim @ LUMINANCE) + 4)


def test_half_grey_hair_keeps_some_of_its_colour_and_white_hair_none() -> None:
    brown = Look(4.0, 0.1, 0.1, np.array([1.3, 0.95, 0.7], np.float32))
    white = white_in(SKIN)
    warm = [float(np.log(colour[0] / colour[2])) for colour in (half_white(white, brown, share) for share in (0.6, 1))]
    assert warm[1] == pytest.approx(float(np.log(white[0] / white[2])), abs=1e-4)
    assert warm[1] + 0.04 < warm[0] < 0.4 * np.log(1.3 / 0.7)


def test_half_grey_hair_differs_from_lock_to_lock() -> None:
    image, masks = scene()
    after = (greyed(image, masks, 0.5) @ LUMINANCE)[10:40]
    light, dark = after[:, 4::16].mean(), after[:, 12::16].mean()
    assert light > dark + 15


def test_white_hair_is_warm_in_warm_light_and_never_yellow() -> None:
    cold, warm, brown = (white_in(np.array(skin, np.float32)) for skin in ((160, 150, 150), SKIN, (150, 80, 40)))
    assert cold[0] / cold[2] < warm[0] / warm[2]
    assert brown[0] / brown[2] < 1.2
    for colour in (cold, warm, brown):
        assert abs(float(colour @ LUMINANCE) - 1) < 1e-3


def test_white_hair_is_half_as_red_as_it_is_warm() -> None:
    """As on 286 people: otherwise it looks lilac."""
    for skin in ([190, 150, 125], [180, 160, 150], [120, 80, 50]):
        red, green, blue = np.log(white_in(np.array(skin, np.float32)))
        assert abs((red - green) - 0.5 * (red - blue)) < 0.02


def test_white_hair_is_warmer_the_warmer_skin_is_and_bluish_where_skin_is_pale() -> None:
    warmth = [np.log(white[0] / white[2]) for blue in (185, 160, 145, 130, 112) if (white := white_in_skin(blue)).any()]
    assert np.all(np.diff(warmth) > 0)
    assert warmth[0] < -0.05
    assert warmth[-1] < 0.18


def test_white_hair_is_a_little_redder_where_skin_is() -> None:
    """As on 239 people: by the warmth of skin alone it looks khaki."""
    less, more = (np.log(white_in(np.array(skin, np.float32))) for skin in ([200, 165, 140], [200, 150, 140]))
    reds = [float(white[0] + white[2] - 2 * white[1]) for white in (less, more)]
    assert reds[0] + 0.01 < reds[1] < 0.05


def white_in_skin(blue: float) -> Floats:
    return white_in(np.array([200, 160, blue], np.float32))


def test_black_hair_is_brown_where_it_turns_grey() -> None:
    black = Look(2.5, 0.1, 0.1, np.ones(3, np.float32))
    white = white_in(SKIN)
    warmth = [
        np.log(colour[0] / colour[2]) for amount in (0.4, 0.7, 1.0) for colour in [half_white(white, black, amount)]
    ]
    assert warmth[0] > warmth[1] > warmth[2]
    assert warmth[0] > warmth[2] + 0.01
    assert warmth[2] == pytest.approx(np.log(white[0] / white[2]), abs=1e-4)


def test_white_hair_shines_less_and_has_no_dark_sides() -> None:
    drawn = np.full((64, 288, 3), 120, np.float32)
    drawn[:, 96:192] = 200
    drawn[:, 192:] = 35
    weight = np.ones((64, 288), np.float32)
    weight[48:] = 0
    after = drawn + matt(drawn, weight, float(np.log(120)), 1.0)
    middle, gloss, side = (float(after[24, at].mean()) for at in (30, 144, 270))
    assert middle == pytest.approx(120, abs=4)
    assert 150 < gloss < 175
    assert 45 < side < 70
    np.testing.assert_array_equal(after[48:], drawn[48:])
    half = (drawn + matt(drawn, weight, float(np.log(120)), 0.5))[24, 144].mean()
    assert gloss + 10 < half < 190


def test_dark_lines_go_where_white_hair_ends_and_stay_within_it() -> None:
    drawn = np.full((64, 64, 3), 160, np.float32)
    drawn[:, 30:32] = 40
    drawn[:, 54:56] = 40
    alpha = np.zeros((64, 64), np.float32)
    alpha[:, 31:] = 1
    colour = np.ones(3, np.float32)
    after = drawn + without_outline(drawn, alpha, colour, 1.0)
    assert after[32, 31].mean() > 110
    assert after[32, 54].mean() == 40
    np.testing.assert_array_equal(after[:, :24], drawn[:, :24])
    assert not without_outline(drawn, alpha, colour, 0.0).any()


def test_nothing_beside_a_red_beard_stays_redder_than_skin() -> None:
    drawn = np.zeros((60, 60, 3), np.float32) + SKIN
    drawn[:, 20:40] = (170, 90, 30)
    beard = np.zeros((60, 60), np.float32)
    beard[:, 22:30] = 1
    after = drawn + without_red(drawn, beard, SKIN)
    warmth = np.log((after[30, :, 0] + GREYED.dark) / (after[30, :, 2] + GREYED.dark))
    usual = np.log((SKIN[0] + GREYED.dark) / (SKIN[2] + GREYED.dark))
    assert np.all(warmth[20:32] < usual + 0.1)
    assert warmth[39] > usual + 0.8
    np.testing.assert_allclose(after @ LUMINANCE, drawn @ LUMINANCE, rtol=0.01)
    np.testing.assert_allclose(after[:, :15], drawn[:, :15], atol=1e-3)


def test_gaps_between_white_strands_are_dark() -> None:
    wave = np.sin(np.arange(96) * 2 * np.pi / 5).astype(np.float32)
    drawn = np.zeros((64, 96, 3), np.float32) + (150 + 20 * wave)[None, :, None]
    weight = np.ones((64, 96), np.float32)
    weight[48:] = 0
    even = np.full((64, 96), 40, np.float32)
    after = drawn + stranded(drawn, weight, even, 1.0)
    light, before = np.log(after[20, 10:-10, 0]), np.log(drawn[20, 10:-10, 0])
    usual = np.log(150)
    assert usual - light.min() > 1.5 * (usual - before.min())
    assert light.max() - usual < 0.9 * (before.max() - usual)
    np.testing.assert_array_equal(after[48:], drawn[48:])
    own = even * (1 + 0.3 * wave)
    assert (drawn + stranded(drawn, weight, own, 1.0))[20, 10:-10].std() > after[20, 10:-10].std()
    assert not stranded(drawn, weight, own, 0.0).any()


def test_the_first_step_to_grey_is_small() -> None:
    black, white = Look(2.5, 0.1, 0.1, np.ones(3, np.float32)), white_in(SKIN)
    first, next_one = (np.log(half_white(white, black, amount)) for amount in (0.0, 0.01))
    assert np.abs(first - next_one).max() < 0.01
    assert np.abs(first[0] - first[2] - (1 - GREYED.pigment) * np.log(white[0] / white[2])) < 0.01


def test_skin_beside_hair_gets_lighter_as_white_hair_shades_it_less() -> None:
    image, masks = scene()
    change = (greyed(image, masks, 1.0) - image) @ LUMINANCE
    assert change[66:69, 32:96].mean() > 2
    assert np.abs(change[90:]).max() < 1


def test_hair_under_light_of_two_colours_keeps_both() -> None:
    """Grey of one hue looks painted."""
    image, masks = scene()
    image[:60, :64] = np.clip(image[:60, :64] * np.array([1.3, 1.0, 0.75]), 0, 255).astype(np.uint8)
    image[:60, 64:] = np.clip(image[:60, 64:] * np.array([0.85, 1.0, 1.2]), 0, 255).astype(np.uint8)
    after = greyed(image, masks, 1.0)[10:45]
    warm, cold = (np.log(part[..., 0].mean() / part[..., 2].mean()) for part in (after[:, 8:52], after[:, 76:120]))
    assert 0.03 < warm - cold < 0.4


@pytest.mark.parametrize(
    ("worn", "kept"),
    [((230, 200, 40), True), ((40, 90, 220), True), ((220, 60, 120), True), ((150, 140, 130), False), (SKIN, False)],
    ids=["yellow", "blue", "pink", "gloss", "skin"],
)
def test_what_is_worn_in_the_hair_keeps_its_colour(worn: tuple[int, int, int], kept: bool) -> None:
    """It is bright and of another colour; gloss is bright, and skin is little unlike hair."""
    image, masks = scene()
    image[20:29, 44:54] = worn
    look = hair_look(image, masks.hair)
    assert look is not None
    share = ornaments(image.astype(np.float32), cv2.resize(masks.hair, (SIZE, SIZE)), look)
    inner = np.s_[23:26, 47:51]
    assert share[:16].max() < 0.02
    assert (share[inner].min() > 0.9) if kept else (share[inner].max() < 0.1)
    changed = np.abs(greyed(image, masks) - image)[inner].max()
    assert not kept or changed < 12


def test_locks_of_another_colour_are_hair() -> None:
    """A dyed crown, or light of a screen on all of it, is no ornament."""
    image, masks = scene()
    look = hair_look(image, masks.hair)
    assert look is not None
    hair = np.asarray(cv2.resize(masks.hair, (SIZE, SIZE)), np.float32)
    locks, lit = image.copy(), image.copy()
    locks[4:40, 40:60] = (220, 60, 120)
    for column in range(8, 120, 12):
        lit[8:50, column : column + 2] = (40, 90, 220)
    for picture in (locks, lit):
        assert ornaments(picture.astype(np.float32), hair, look).max() < 0.1


@pytest.mark.parametrize(("hair", "found"), [((46, 38, 34), True), ((150, 84, 50), False)], ids=["brown", "copper"])
def test_red_hair_in_the_shade_is_no_ear(hair: tuple[int, int, int], found: bool) -> None:
    """Beside brown hair a place that is redder than skin is an ear; beside copper hair it is more of it."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8) + np.array(hair, np.uint8)
    image[90:110, 8:24] = (120, 46, 36)
    crop = Crop(image, np.array([[40, 90], [88, 90], [64, 105], [50, 115], [78, 115]], np.float32))
    level = float(np.log(np.dot(hair, LUMINANCE)))
    now = Look(level, 0.1, 0.1, np.array(hair, np.float32) / float(np.dot(hair, LUMINANCE)))
    everywhere = np.s_[0:SIZE, 0:SIZE]
    assert (ears(crop, everywhere, SKIN, now)[95:105, 12:16].mean() > 0.5) == found
