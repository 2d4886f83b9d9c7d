"""Ears that nobody sees are lent; those that are seen stay."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from models.embedded import EMBEDDED
from models.embedded.attributes import read_tables
from models.embedded.body_behind_hair import EAR_POINTS
from models.embedded.lent_ears import LENDING, Ear, with_lent_ears
from models.embedded.scalp import CENTER, HeadMap, crop_to_texture
from models.face.imaging import LUMINANCE

SIZE = 320
FLESH, WALL, BLOT = (180, 130, 100), (60, 90, 160), (200, 20, 20)


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear.from_tables(read_tables(EMBEDDED))


@pytest.fixture(scope="module")
def drawn(head: HeadMap) -> Floats:
    """A head of one colour, with a blot beside it where a network did not know."""
    picture = np.full((SIZE, SIZE, 3), WALL, np.float32)
    cv2.fillPoly(picture, [np.rint(head.oval).astype(np.int32)], FLESH)
    skull = cv2.resize(head.distance, (SIZE, SIZE)) > 0
    skull[int(head.oval[EAR_POINTS[0], 1]) :] = False
    picture[skull] = FLESH
    for index, side in zip(EAR_POINTS, (-1, 1), strict=True):
        x, y = head.oval[index]
        cv2.circle(picture, (int(x + side * 22), int(y + 20)), 8, BLOT, -1)
    return picture


def lend(ear: Ear, drawn: Floats, head: HeadMap, hidden: Floats | None = None) -> Floats:
    wall = np.full_like(drawn, WALL)
    everywhere = np.ones(drawn.shape[:2], np.float32)
    return with_lent_ears(
        ear,
        drawn,
        wall,
        hidden=everywhere if hidden is None else hidden,
        erased=everywhere,
        person=everywhere,
        covers=0 * everywhere,
        head=head,
        male=0,
    )


def is_ear(picture: Floats, head: HeadMap, index: int) -> Floats:
    """Pixels of an ear: skin beside the face that is no wall, left and right of its point."""
    x, y = head.oval[EAR_POINTS[index]]
    rows = slice(int(y) - 40, int(y) + 40)
    columns = slice(int(x) - 40, int(x) - 2) if index == 0 else slice(int(x) + 3, int(x) + 41)
    away = np.abs(picture[rows, columns] - WALL).max(2)
    return np.asarray(away > 25, np.float32)


def test_hidden_ears_are_lent_on_both_sides(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    lent = lend(ear, drawn, head)
    left, right = (is_ear(lent, head, index) for index in (0, 1))
    assert left.sum() > 400
    assert abs(left.sum() - right.sum()) < 0.15 * left.sum()
    changed = np.abs(lent - drawn).max(2) > 0
    across = np.abs(np.arange(SIZE) - head.oval[list(EAR_POINTS), 0].mean())
    assert not changed[:, across < 50].any(), "the face stays"


def test_an_ear_has_the_colour_of_the_cheek_beside_it(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    x, y = head.oval[EAR_POINTS[1]]
    for colour in (FLESH, (70, 45, 35)):
        other = np.where((drawn == FLESH).all(2)[..., None], np.array(colour, np.float32), drawn)
        lent = lend(ear, other, head)[int(y) - 8 : int(y) + 8, int(x) + 4 : int(x) + 12]
        np.testing.assert_allclose(np.median(lent, (0, 1)), colour, rtol=0.2)


def test_lashes_do_not_darken_the_ear_beside_them(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    made_up = drawn.copy()
    to_texture = crop_to_texture(head)
    rows = np.arange(SIZE)[:, None] * to_texture[1, 1] + np.arange(SIZE) * to_texture[1, 0] + to_texture[1, 2]
    line = (np.abs(rows - CENTER[1] - 13) < 5) & (drawn == FLESH).all(2)
    made_up[line] = (40, 30, 25)
    plain, lent = (lend(ear, each, head) for each in (drawn, made_up))
    left = head.oval[EAR_POINTS[0], 0]
    beside = np.arange(SIZE)[None] < left - 4
    change = np.abs(lent - plain).max(2)[np.broadcast_to(beside, line.shape) & ~line]
    assert change.max() < 12


def test_what_a_network_drew_beside_it_goes(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    lent = lend(ear, drawn, head)
    blot = (drawn == BLOT).all(2)
    assert blot.sum() > 250
    assert (np.abs(lent - drawn).max(2)[blot] > 60).mean() > 0.9


def test_an_ear_that_is_seen_stays(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    nothing = np.zeros((SIZE, SIZE), np.float32)
    np.testing.assert_array_equal(lend(ear, drawn, head, nothing), drawn)
    one = nothing.copy()
    one[:, : SIZE // 2] = 1
    changed = np.abs(lend(ear, drawn, head, one) - drawn).max(2) > 0
    assert changed[:, : SIZE // 2].any()
    assert not changed[:, SIZE // 2 :].any()


def test_of_a_head_that_turns_the_far_ear_is_narrow_and_then_gone(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    def turned(share: float) -> list[float]:
        oval = head.oval.copy()
        middle = oval[list(EAR_POINTS), 0].mean()
        oval[EAR_POINTS[1], 0] -= share * (oval[EAR_POINTS[1], 0] - middle)
        other = replace(head, oval=oval)
        lent = lend(ear, np.full_like(drawn, WALL), other)
        return [float((np.abs(lent - WALL).max(2) > 1)[:, part].sum()) for part in (np.s_[:160], np.s_[160:])]

    near, far = turned(0.3)
    assert far < 0.8 * near
    assert turned(0.7)[1] == 0


def test_beyond_the_crop_nothing_is_lent(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    away = replace(head, oval=head.oval + np.float32(1000))
    np.testing.assert_array_equal(lend(ear, drawn, away), drawn)


def test_the_lent_ear_is_as_deep_as_ears_are(ear: Ear) -> None:
    assert 10 < ear.reach < 25
    inside = ear.relief[80:170, 75:110][ear.alpha[80:170, 75:110] > 0.9]
    assert (inside.std(0) < 0.25).all()
    assert np.abs(np.median(inside, 0)).max() < 0.15
    assert LENDING.narrowest[1] < ear.reach


def test_an_ear_that_stands_out_below_short_hair_is_not_doubled(ear: Ear, drawn: Floats, head: HeadMap) -> None:
    """Hair hides where an ear usually is, and the lobe of a larger one shows beside it."""
    picture, hidden = drawn.copy(), np.ones((SIZE, SIZE), np.float32)
    x, y = (int(value) for value in head.oval[EAR_POINTS[1]])
    picture[y + 10 : y + 34, x + 12 : x + 26] = FLESH
    hidden[y + 10 : y + 34, x + 12 : x + 26] = 0
    changed = np.abs(lend(ear, picture, head, hidden) - picture).max(2) > 0
    assert changed[:, : SIZE // 2].any()
    assert not changed[:, SIZE // 2 :].any()


def test_no_lobe_glows_and_no_ear_is_colder_than_the_cheek() -> None:
    ear = Ear.from_tables(read_tables(EMBEDDED))
    of_it = ear.relief[ear.alpha > 0.9]
    light = of_it @ LUMINANCE
    assert np.percentile(light, 99) < 0.2
    assert np.median(of_it[:, 0] - of_it[:, 2]) > 0
