"""Hair of another look: the look asked for, with the hair's own strands, and no glow at its edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from models.embedded.strands import (
    LIT_LENGTH,
    LOOK_LENGTH,
    Lit,
    Look,
    look_of,
    measure_light,
    measure_look,
    repaint,
)
from models.face.imaging import LUMINANCE

SIDE = 96
BLACK, BLOND = np.array([28, 23, 20], np.float32), np.array([180, 150, 110], np.float32)


def strands(level: float, contrast: float) -> Floats:
    """(SIDE, SIDE, 3): vertical strands of grey hair."""
    noise = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    along = cv2.GaussianBlur(noise, (0, 0), sigmaX=1.2, sigmaY=20)
    light = np.exp(np.log(level) + contrast * along / along.std())
    return np.asarray(np.repeat(light[..., None], 3, axis=2), np.float32)


def everywhere() -> Floats:
    return np.ones((SIDE, SIDE), np.float32)


def inner(picture: Floats) -> Floats:
    return picture[12:-12, 12:-12]


def look(picture: Floats) -> Look:
    found = measure_look(picture, everywhere())
    assert found is not None
    return found


def test_a_look_survives_its_numbers() -> None:
    first = look_of(BLOND)
    assert first.pack().shape == (LOOK_LENGTH,)
    np.testing.assert_array_equal(Look.unpack(first.pack()).pack(), first.pack())
    light = Lit(0.5, np.array([1.1, 1, 0.8], np.float32))
    assert light.pack().shape == (LIT_LENGTH,)
    np.testing.assert_array_equal(Lit.unpack(light.pack()).tint, light.tint)


@pytest.mark.parametrize(("level", "contrast", "wanted"), [(25, 0.35, BLOND), (150, 0.2, BLACK), (60, 0.3, BLOND)])
def test_hair_gets_the_look_asked_for_and_keeps_its_strands(level: float, contrast: float, wanted: Floats) -> None:
    before = strands(level, contrast)
    want = look_of(wanted)
    after = before + repaint(before, everywhere(), now=look(before), wanted=want)
    have = look(after)
    assert have.level == pytest.approx(want.level, abs=0.12)
    assert np.abs(have.colour - want.colour).max() < 0.08
    assert 0.5 * want.fine < have.fine < 1.3 * want.fine
    order = [np.argsort(np.argsort(inner(each).mean(2).ravel())).astype(np.float64) for each in (before, after)]
    assert np.atleast_2d(np.corrcoef(np.stack(order)))[0, 1] > 0.8


def test_the_own_look_changes_little() -> None:
    before = strands(90, 0.2)
    own = look(before)
    change = repaint(before, everywhere(), now=own, wanted=own)
    assert np.abs(inner(change)).mean() < 0.06 * before.mean()


def test_on_the_way_bright_strands_turn_first() -> None:
    before = strands(25, 0.35)
    now, want = look(before), look_of(BLOND)
    whole = inner(repaint(before, everywhere(), now=now, wanted=want)).mean(2)
    half = inner(repaint(before, everywhere(), now=now, wanted=want, amount=0.5)).mean(2)
    share = half / np.maximum(whole, 1)
    bright = inner(before).mean(2) > np.median(before)
    assert share[bright].mean() > share[~bright].mean() + 0.1
    assert 0.35 < share.mean() < 0.65


def test_single_strands_of_blond_hair_are_lighter_and_paler_than_others() -> None:
    """Hair of one hue, as smooth as dark hair looks, is a wig's."""
    before = strands(30, 0.02)
    single = np.tile(np.random.default_rng(1).choice([-1.5, 0.0, 1.5], SIDE // 4).repeat(4), (SIDE, 1))
    single = single.astype(np.float32)
    now, want = look(before), look_of(BLOND)
    plain, varied = (
        before + repaint(before, everywhere(), now=now, wanted=want, single=each) for each in (None, single)
    )
    light, dark = (inner(varied)[inner(single) == side] for side in (1.5, -1.5))
    assert light.mean() > 1.1 * dark.mean()
    assert (light[:, 0] / light[:, 2]).mean() < 0.93 * (dark[:, 0] / dark[:, 2]).mean()
    assert abs(np.median(inner(varied) @ LUMINANCE) / np.median(inner(plain) @ LUMINANCE) - 1) < 0.06


def test_edges_towards_skin_do_not_glow() -> None:
    """A soft camera mixes hair and skin at the edge; that light was taken for hair and bleached to a bright line."""
    skin, hair = np.array([190, 140, 120], np.float32), np.array([24, 20, 18], np.float32)
    rows = np.arange(SIDE, dtype=np.float32)[:, None] + np.zeros((1, SIDE), np.float32)
    mixed = np.clip((rows - 44) / 8, 0, 1)  # 0 is hair
    picture = np.asarray(hair + mixed[..., None] * (skin - hair), np.float32)
    read = np.asarray(np.clip((52 - rows) / 3, 0, 1), np.float32)
    now = measure_look(picture, read)
    assert now is not None
    after = picture + repaint(picture, read, now=now, wanted=look_of(BLOND))
    assert after.max() < 1.22 * max(float(skin.max()), float(BLOND.max()))


def test_mixed_pixels_before_a_bright_wall_leave_no_dark_line() -> None:
    """Half hair, half wall: what is added is half of what hair gets, even where that is brighter than the dye."""
    wall, hair = np.full(3, 235, np.float32), np.array([24, 20, 18], np.float32)
    rows = np.arange(SIDE, dtype=np.float32)[:, None] + np.zeros((1, SIDE), np.float32)
    alpha = np.asarray(np.clip((52 - rows) / 8, 0, 1), np.float32)
    picture = np.asarray(wall + alpha[..., None] * (hair - wall), np.float32)
    now = measure_look(picture, alpha)
    assert now is not None
    after = (picture + repaint(picture, alpha, now=now, wanted=look_of(BLOND))) @ LUMINANCE
    dyed = float(after[10:30].mean())
    right = 235 + alpha * (dyed - 235)
    assert np.abs(after - right)[44:52].mean() < 0.12 * (235 - dyed)


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
