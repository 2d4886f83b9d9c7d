"""What is behind long hair: what the network is told, and the guess that is made of what it says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.embedded.body_behind_hair import (
    BACKDROP,
    CLOTH,
    EAR_POINTS,
    LAYERS,
    PLANES,
    SKIN,
    Body,
    BodyBehindHair,
    above_shoulders,
    bare_shoulders,
    body_colours,
    layers,
    layout_input,
)
from models.embedded.scalp import CENTER, COARSE, HeadMap
from models.face.imaging import log_colour
from tests.models.bodies import ToldBody

SIDE = 80
FLESH, SHIRT = (190, 140, 110), (240, 240, 240)
TONE = log_colour(np.array(FLESH))
OVAL_PLANE = 9


@pytest.fixture
def body() -> Body:
    """A neck in the middle of the lower half, shoulders below it; at twice the coarse grid."""
    kinds = np.full((2 * SIDE, 2 * SIDE), BACKDROP)
    kinds[90:, 60:100] = SKIN
    kinds[140:, 20:140] = CLOTH
    return BodyBehindHair(ToldBody(kinds)).read(np.zeros((PLANES, SIDE, SIDE), np.float32))


def test_a_layout_is_probabilities(body: Body) -> None:
    assert body.skin[100, 80] > 0.99
    assert body.cloth[150, 30] > 0.99
    assert (body.skin + body.cloth)[20, 20] < 0.01


def test_hair_and_what_lies_beyond_the_frame_tell_nothing(head: HeadMap) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32) for _ in range(2)]
    gone = np.zeros((SIDE, SIDE), np.float32)
    gone[40:, :30] = 1
    shown = np.where(gone[..., None] > 0, pictures[1], pictures[0])
    person = (1 - gone).astype(np.float32)
    tone = np.log(np.array(FLESH, np.float32))
    one = layout_input(pictures[0], gone, np.ones_like(person), head, tone, male=1)
    other = layout_input(shown, gone, person, head, tone, male=1)
    np.testing.assert_array_equal(one, other)
    assert np.abs(one).max() <= 4
    assert one[3, 60, 10] == 0
    assert one[3, 60, 60] == 1


def test_it_is_told_where_the_face_is(head: HeadMap) -> None:
    given = layout_input(
        np.zeros((SIDE, SIDE, 3), np.float32),
        np.zeros((SIDE, SIDE), np.float32),
        np.zeros((SIDE, SIDE), np.float32),
        head,
        np.zeros(3, np.float32),
        male=0,
    )
    column, row = (head.oval.mean(0) / COARSE).astype(int)
    chin = int(head.oval[:, 1].max() / COARSE)
    assert given[OVAL_PLANE, row, column] > 0.5
    assert given[OVAL_PLANE, row, 1] < -0.5
    assert given[OVAL_PLANE, chin - 2, column] > 0 > given[OVAL_PLANE, chin + 2, column]


def test_a_body_covers_what_lies_below_the_brows_alone(head: HeadMap) -> None:
    everywhere = np.ones((2 * SIDE, 2 * SIDE), np.float32)
    covers, clothed = layers(Body(0 * everywhere, everywhere), head, SIDE * COARSE, male=0)
    below = cv2.resize(head.texture[..., 1], (SIDE * COARSE,) * 2) - CENTER[1]
    assert covers[below < 0].max() == 0
    assert covers[below > 20].min() > 0.99
    assert clothed.min() > 0.99


def test_edges_are_drawn_where_more_likely_than_not_something_is(head: HeadMap) -> None:
    """A guess of half a shoulder all over is fog."""
    ramp = np.broadcast_to(np.linspace(0, 1, 2 * SIDE, dtype=np.float32), (2 * SIDE, 2 * SIDE))
    covers, _ = layers(Body(0 * ramp, ramp), head, SIDE * COARSE, male=0)
    row = covers[-10]
    assert (row[:90] == 0).all()
    assert (row[230:] == 1).all()
    assert ((row > 0.01) & (row < 0.99)).sum() <= 8


def test_between_ear_and_neck_a_head_is_as_wide_as_its_mesh(head: HeadMap) -> None:
    """A layout of what may be is wider there: flaps of skin stood out below the ears."""
    everywhere = np.ones((2 * SIDE, 2 * SIDE), np.float32)
    low, middle = int(head.oval[list(EAR_POINTS), 1].mean()), float(head.oval[list(EAR_POINTS), 0].mean())
    women, men = (layers(Body(everywhere, 0 * everywhere), head, SIDE * COARSE, male=male)[0] for male in (0, 1))
    jaw = head.oval[(head.oval[:, 1] > low + 44) & (head.oval[:, 1] < low + 64)]
    for x, y in jaw:
        out = np.sign(x - middle)
        assert women[int(y), int(x + 10 * out)] < 0.5 < women[int(y), int(x - 3 * out)]
    assert women.sum() < men.sum()
    below = int(head.oval[:, 1].max()) + 12
    assert women[below, int(middle)] == 1


def test_the_outline_beside_a_jaw_is_even(head: HeadMap) -> None:
    """A cheek that is seen beside locks ends in steps."""
    nothing, seen = np.zeros((2 * SIDE, 2 * SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32)
    low = int(head.oval[list(EAR_POINTS), 1].mean())
    rows = np.arange(low + 30, low + 70)
    middle = int(head.oval[list(EAR_POINTS), 0].mean())
    right = head.oval[(head.oval[:, 0] > middle) & (head.oval[:, 1] > low)]
    right = right[np.argsort(right[:, 1])]
    for row in np.unique(rows // COARSE):
        end = int(np.interp(COARSE * row, right[:, 1], right[:, 0])) // COARSE + (2 if row % 4 < 2 else 0)
        seen[row, middle // COARSE : end] = 1
    covers = layers(Body(nothing, nothing), head, SIDE * COARSE, male=0, seen=seen)[0]
    ends = (covers[rows, middle:] > 0.5).sum(axis=1)
    # along the jaw it slopes; a step of 8 pixels would go to and fro
    to_and_fro = np.abs(np.diff(ends)).sum() - abs(int(ends[-1]) - int(ends[0]))
    assert to_and_fro <= 6


def test_a_neck_is_filled_from_skin_and_a_jacket_from_cloth(body: Body, head: HeadMap) -> None:
    picture = np.full((SIDE, SIDE, 3), (20, 60, 200), np.float32)
    picture[45:70, 30:50] = FLESH
    picture[70:, 10:70] = SHIRT
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[50:70, 32:48] = seen[71:, 10:18] = 1
    skin, cloth = body_colours(picture, seen, body, head, TONE)
    np.testing.assert_allclose(skin[65, 20], FLESH, atol=2)
    np.testing.assert_allclose(cloth[78, 60], SHIRT, atol=15)


def test_lips_do_not_colour_the_cheek_beside_them(body: Body, head: HeadMap) -> None:
    """They are seen next to the hair that hides it where a head turns."""
    picture, seen = np.full((SIDE, SIDE, 3), FLESH, np.float32), np.zeros((SIDE, SIDE), np.float32)
    picture[55:60, 42:48] = (170, 70, 80)
    seen[40:70, 30:48] = 1
    skin, _ = body_colours(picture, seen, body, head, TONE)
    np.testing.assert_allclose(skin[57, 52], FLESH, atol=4)
    shaded = np.float32(0.6) * picture
    np.testing.assert_allclose(body_colours(shaded, seen, body, head, TONE)[0][57, 52], np.multiply(FLESH, 0.6), atol=4)


def test_made_up_eyes_do_not_colour_temples_and_cheeks(body: Body, head: HeadMap) -> None:
    """A line that goes on from a lid ends at the hair."""
    picture, seen = np.full((SIDE, SIDE, 3), FLESH, np.float32), np.zeros((SIDE, SIDE), np.float32)
    below = head.texture[..., 1] - np.float32(CENTER[1])
    lids = (np.abs(below - 13) < 6) & (np.abs(head.texture[..., 0] - np.float32(CENTER[0])) < 48)
    picture[lids] = (90, 66, 52)
    seen[(below > -4) & (below < 60) & (np.abs(head.texture[..., 0] - np.float32(CENTER[0])) < 48)] = 1
    skin, _ = body_colours(picture, seen, body, head, TONE)
    beside = (np.abs(below - 13) < 6) & (np.abs(np.abs(head.texture[..., 0] - np.float32(CENTER[0])) - 60) < 6)
    assert beside.sum() > 10
    np.testing.assert_allclose(skin[beside], np.broadcast_to(FLESH, (beside.sum(), 3)), atol=6)


def test_a_white_collar_does_not_make_a_white_jacket(body: Body, head: HeadMap) -> None:
    picture = np.full((SIDE, SIDE, 3), FLESH, np.float32)
    picture[70:, 36:44] = SHIRT
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[50:78, 36:44] = 1
    _, cloth = body_colours(picture, seen, body, head, TONE)
    assert cloth[78, 60].max() < 170


def test_cloth_that_nobody_sees_is_dark(body: Body, head: HeadMap) -> None:
    picture = np.full((SIDE, SIDE, 3), FLESH, np.float32)
    _, cloth = body_colours(picture, np.zeros((SIDE, SIDE), np.float32), body, head, TONE)
    np.testing.assert_allclose(cloth[40, 40], LAYERS.cloth, atol=1)


def test_bare_shoulders_are_told_by_their_colour(head: HeadMap) -> None:
    skin = np.full((SIDE, SIDE, 3), FLESH, np.float32)
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[70:, :] = 1
    everywhere = np.ones((2 * SIDE, 2 * SIDE), np.float32)
    body = Body(0 * everywhere, everywhere)
    picture = skin.copy()
    assert bare_shoulders(picture, seen, skin, body, head) == 1
    # straps
    picture[:, 10:16] = SHIRT
    assert bare_shoulders(picture, seen, skin, body, head) == 1
    picture[:, :26] = picture[:, -26:] = SHIRT
    assert bare_shoulders(picture, seen, skin, body, head) == 0
    assert bare_shoulders(skin, 0 * seen, skin, body, head) == 0
    # a wall of the colour of skin
    assert bare_shoulders(skin, seen, skin, Body(0 * everywhere, 0 * everywhere), head) == 0


def test_a_neck_is_bounded_and_shoulders_are_not(head: HeadMap) -> None:
    """A limit that went on made a straight cut down a bare shoulder."""
    everywhere = np.ones((2 * SIDE, 2 * SIDE), np.float32)
    covers, _ = layers(Body(everywhere, 0 * everywhere), head, SIDE * COARSE, male=0)
    down = cv2.resize(head.texture[..., 1], (SIDE * COARSE,) * 2) - np.interp(
        head.oval[list(EAR_POINTS), 1].mean() / COARSE, np.arange(SIDE), head.texture[:, SIDE // 2, 1]
    )
    assert covers[(down > 108)].min() == 1
    assert above_shoulders(head)[-1].max() == 0
    assert above_shoulders(head)[int(head.oval[:, 1].mean() / COARSE)].min() == 1


def test_no_ear_and_no_skull_are_behind_the_far_cheek_of_a_head_that_turns(head: HeadMap) -> None:
    """An ear was drawn beside the far eye."""
    everywhere = np.ones((2 * SIDE, 2 * SIDE), np.float32)
    left, right = head.oval[list(EAR_POINTS)]
    turned = head.oval.copy()
    turned[:, 0] += np.where(np.arange(len(turned)) == 0, 0.5 * (right[0] - left[0]) / 2, 0)  # forehead, to the right
    ahead, aside = (
        layers(Body(everywhere, 0 * everywhere), replace(head, oval=oval), SIDE * COARSE, male=0)[0]
        for oval in (head.oval, turned)
    )
    row = int(left[1])
    beside_right, beside_left = int(right[0] + 10), int(left[0] - 10)
    assert ahead[row, beside_right] == ahead[row, beside_left] == 1
    assert aside[row, beside_right] == 0
    assert aside[row, beside_left] == 1
    assert aside[row, int(right[0] - 6)] == 1


def test_a_cheek_that_is_seen_is_part_of_the_head(head: HeadMap) -> None:
    """The mesh of the far cheek may be narrower: it was cut off."""
    nothing = np.zeros((2 * SIDE, 2 * SIDE), np.float32)
    row, column = (int(each) for each in (head.oval[list(EAR_POINTS)].mean(0)[1] + 40, head.oval[:, 0].max() + 6))
    seen = np.zeros((SIDE, SIDE), np.float32)
    seen[:, : column // COARSE + 1] = 1
    told, untold = (layers(Body(nothing, nothing), head, SIDE * COARSE, male=0, seen=each)[0] for each in (seen, None))
    assert told[row, column] > 0.5 > untold[row, column]
    assert told[row, column + 30] == 0
    assert told[row, 4] == 0
