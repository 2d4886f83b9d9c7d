"""A body behind hair has an edge, and colours of its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from models.embedded.body_layers import in_layers
from models.embedded.scalp import CENTER, HeadMap, crop_to_texture

SIZE = 320
FLESH, SHIRT, WALL, SMEAR = (180, 130, 100), (220, 225, 230), (60, 90, 160), (230, 90, 10)
NECK, SHOULDERS = np.s_[266:296, 110:210], np.s_[296:, 50:270]
HAIR = np.s_[262:306, 50:140]


def planes() -> tuple[Floats, Floats, Floats]:
    """Where a body covers the backdrop, where cloth does, and hair over the left half of it."""
    covers, worn, hidden = (np.zeros((SIZE, SIZE), np.float32) for _ in range(3))
    covers[NECK] = covers[SHOULDERS] = worn[SHOULDERS] = hidden[HAIR] = 1
    return covers, worn, hidden


@pytest.fixture
def truth() -> Floats:
    picture = np.full((SIZE, SIZE, 3), WALL, np.float32)
    picture[NECK] = FLESH
    picture[SHOULDERS] = SHIRT
    return picture


def finished(picture: Floats, head: HeadMap, hidden: Floats | None = None) -> Floats:
    covers, worn, hair = planes()
    behind = np.full_like(picture, WALL)
    grain = np.zeros((SIZE, SIZE), np.float32)
    hidden = hair if hidden is None else hidden
    return in_layers(picture, behind, picture, grain, hidden=hidden, covers=covers, worn=worn, head=head)


def test_fog_has_an_edge_again(truth: Floats, head: HeadMap) -> None:
    drawn = truth.copy()
    # what a network draws that does not know where the shoulder ends
    drawn[HAIR] = (0.5 * np.array(WALL) + 0.5 * truth[HAIR]).astype(np.float32)
    better = finished(drawn, head)
    before, after = (np.abs(each - truth)[HAIR].mean() for each in (drawn, better))
    assert after < 0.9 * before
    np.testing.assert_array_equal(better[:, 150:], drawn[:, 150:])


def test_a_smear_is_bounded(truth: Floats, head: HeadMap) -> None:
    drawn = truth.copy()
    drawn[272:290, 116:134] = SMEAR
    before, after = (np.abs(each - truth)[272:290, 116:134].mean() for each in (drawn, finished(drawn, head)))
    assert after < 0.5 * before


def test_what_is_seen_stays(truth: Floats, head: HeadMap) -> None:
    noisy = truth + np.random.default_rng(0).normal(0, 20, truth.shape).astype(np.float32)
    nothing = np.zeros((SIZE, SIZE), np.float32)
    np.testing.assert_array_equal(finished(noisy, head, nothing), noisy)


def test_a_temple_that_hair_covers_is_plain_skin(truth: Floats, head: HeadMap) -> None:
    drawn = truth.copy()
    cv2.fillPoly(drawn, [np.rint(head.oval).astype(np.int32)], FLESH)
    to_texture = crop_to_texture(head)
    x, y = cv2.invertAffineTransform(to_texture) @ np.array([CENTER[0] + 64, CENTER[1] + 18, 1], np.float32)
    temple = slice(int(y) - 4, int(y) + 4), slice(int(x) - 4, int(x) + 4)
    smeared = drawn.copy()
    smeared[temple] = SMEAR
    hair = np.zeros((SIZE, SIZE), np.float32)
    hair[: int(y) + 30, int(x) - 6 :] = 1
    before, after = (np.abs(each - drawn)[temple].mean() for each in (smeared, finished(smeared, head, hair)))
    assert after < 0.7 * before


def test_scalp_and_face_are_none_of_it(truth: Floats, head: HeadMap) -> None:
    noisy = np.random.default_rng(0).uniform(0, 255, truth.shape).astype(np.float32)
    everywhere = np.ones((SIZE, SIZE), np.float32)
    changed = np.abs(finished(noisy, head, everywhere) - noisy).max(2) > 0
    row, column = int(head.oval[:, 1].mean()), int(head.oval[:, 0].mean())
    assert not changed[row - 20 : row + 20, column - 20 : column + 20].any()
    assert not changed[: int(head.oval[:, 1].min()) + 10].any()
    assert changed[270:290, 115:205].all()
