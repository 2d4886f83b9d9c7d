from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Crop
from models.embedded.pigment import grey_hair, hair_look, restore_pigment
from models.embedded.strands import Lit
from tests.models.hair_looks import shipped_look

SKIN = np.array([200, 160, 140], np.float32)
WHITE_LIGHT = Lit(0.0, np.ones(3, np.float32))


def hair() -> Floats:
    mask = np.zeros((32, 32), np.float32)
    mask[:16] = 1
    return mask


in_white_light = partial(restore_pigment, shipped_look(), skin=SKIN, light=WHITE_LIGHT)
grey = partial(grey_hair, shipped_look(), skin=SKIN)


def turned(function: Any, image: Image, mask: Floats, amount: float = 1.0) -> Floats:
    look = hair_look(image, mask if mask.any() else hair())
    crop = Crop(image, np.array([[20, 44], [44, 44], [32, 52], [24, 58], [40, 58]], np.float32))
    alpha = np.asarray(cv2.resize(mask, image.shape[:2], interpolation=cv2.INTER_LINEAR), np.float32)
    change, where = function(crop, alpha, now=look, amount=amount)
    assert not change[where == 0].any()
    return change


def test_grey_hair_loses_its_colour_and_skin_keeps_it() -> None:
    image = np.zeros((64, 64, 3), np.uint8) + np.array([120, 60, 20], np.uint8)
    after = image + turned(grey, image, hair())
    spread = after.max(2) - after.min(2)
    assert np.median(spread[:20]) < 25
    assert spread[:20].max() < 45, "gaps between white strands are warmer"
    assert after[:20].mean() > image[:20].mean()
    np.testing.assert_array_equal(after[48:], image[48:])


def test_noise_of_dark_hair_is_not_multiplied_when_it_turns_white() -> None:
    generator = np.random.default_rng(0)
    clean = np.full((64, 64, 3), 25.0) + 12 * (np.arange(64) % 8 < 4)[None, :, None]
    two = [np.clip(clean + generator.normal(0, 2, (64, 64, 1)), 0, 255).astype(np.uint8) for _ in range(2)]
    after = [one + turned(grey, one, hair()) for one in two]
    top = slice(4, 24)
    assert after[0][top].mean() > 90
    before = np.abs(two[0][top].astype(np.float32) - two[1][top]).mean()
    assert np.abs(after[0][top] - after[1][top]).mean() < 2 * before


def test_brown_hair_has_strands_again() -> None:
    image = np.full((64, 64, 3), 170, np.uint8)
    image[:, ::4] = 200
    after = image + turned(in_white_light, image, hair())
    top = after[4:20]
    assert top.mean() < 90
    assert (top[..., 0] > top[..., 2] + 10).all()
    assert top[:, ::4].mean() > top[:, 2::4].mean() + 3
    np.testing.assert_array_equal(after[48:], image[48:])


def test_in_cold_light_brown_hair_is_not_orange() -> None:
    """Grey hair is blue there; what is as warm as in white light looks like copper."""
    neutral, cold = (
        np.zeros((64, 64, 3), np.uint8) + np.array(colour, np.uint8) for colour in ((178, 172, 160), (150, 172, 190))
    )
    warmth = []
    for image in (neutral, cold):
        red, _, blue = (image + turned(in_white_light, image, hair()))[4:20].mean((0, 1))
        warmth.append(float(np.log(red / blue)))
    assert warmth[0] > 0.35
    assert 0.05 < warmth[1] < warmth[0] - 0.2


def test_dark_hair_and_none_at_all_stay() -> None:
    dark = np.full((64, 64, 3), 25, np.uint8)
    assert np.abs(turned(in_white_light, dark, hair())).max() < 1
    light = np.full((64, 64, 3), 170, np.uint8)
    assert not turned(in_white_light, light, np.zeros((32, 32), np.float32)).any()
    assert not turned(in_white_light, light, hair(), 0.0).any()
