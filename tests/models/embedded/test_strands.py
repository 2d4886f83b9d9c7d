"""The look of hair, and the light on a face."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.strands import (
    LIT_LENGTH,
    LOOK_LENGTH,
    Lit,
    Look,
    look_of,
    measure_light,
    measure_look,
)

SIDE = 96
BLACK, BLOND = np.array([28, 23, 20], np.float32), np.array([180, 150, 110], np.float32)


def strands(level: float, contrast: float) -> Floats:
    """(SIDE, SIDE, 3): vertical strands of grey hair."""
    noise = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    along = cv2.GaussianBlur(noise, (0, 0), sigmaX=1.2, sigmaY=20)
    light = np.exp(np.log(level) + contrast * along / along.std())
    return np.asarray(np.repeat(light[..., None], 3, axis=2), np.float32)


def test_a_look_survives_its_numbers() -> None:
    first = look_of(BLOND)
    assert first.pack().shape == (LOOK_LENGTH,)
    np.testing.assert_array_equal(Look.unpack(first.pack()).pack(), first.pack())
    light = Lit(0.5, np.array([1.1, 1, 0.8], np.float32))
    assert light.pack().shape == (LIT_LENGTH,)
    np.testing.assert_array_equal(Lit.unpack(light.pack()).tint, light.tint)


def test_light_is_told_from_tone() -> None:
    room = np.full((64, 64, 3), 60, np.uint8)
    bright = room.copy()
    bright[:20] = 250
    dark_skin = np.array([90, 65, 52], np.float32)
    assert measure_light(bright, dark_skin).exposure > 0.7 * measure_light(room, dark_skin).exposure
    assert measure_light(room, dark_skin).exposure < -0.7
    assert measure_light(bright, np.array([200, 130, 80], np.float32)).tint[2] < 0.95


def test_too_little_hair_has_no_look() -> None:
    assert measure_look(strands(30, 0.3), np.zeros((SIDE, SIDE), np.float32)) is None
