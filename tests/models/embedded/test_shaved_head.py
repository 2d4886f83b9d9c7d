"""Stubble on a head that is shaved."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.embedded.removal import keeps_ring
from models.embedded.scalp import CENTER, HeadMap
from models.embedded.shaved_head import with_stubble

SIZE = 320
FLESH, WALL, DARK, LIGHT = (190, 140, 115), (60, 90, 160), (35, 28, 24), (235, 225, 200)


@pytest.fixture(scope="module")
def hair(head: HeadMap) -> Floats:
    """All over the skull and beside it."""
    radius, below = (cv2.resize(each, (SIZE, SIZE)) for each in (head.radius, head.texture[..., 1] - CENTER[1]))
    return np.asarray((radius > 0.5) & (radius < 1.3) & (below < 40), np.float32)


def scene(head: HeadMap, hair: Floats, colour: tuple[int, int, int]) -> tuple[Floats, Image]:
    """A head without hair, and the camera's picture of it."""
    inside = (cv2.resize(head.distance, (SIZE, SIZE)) > 0)[..., None]
    bare = np.where(inside, np.array(FLESH, np.float32), np.array(WALL, np.float32))
    return bare, np.where(hair[..., None] > 0, np.array(colour), bare).astype(np.uint8)


def shaved(head: HeadMap, hair: Floats, colour: tuple[int, int, int], amount: float = 1.0) -> tuple[Floats, Floats]:
    bare, image = scene(head, hair, colour)
    return bare, with_stubble(bare, image, hair=hair, erased=np.ones_like(hair), head=head, amount=amount)


def test_a_scalp_has_a_shade_of_dark_hair_and_a_forehead_none(head: HeadMap, hair: Floats) -> None:
    bare, grown = shaved(head, hair, DARK)
    change = (grown - bare).mean(2)
    radius, distance = (cv2.resize(each, (SIZE, SIZE)) for each in (head.radius, head.distance))
    up = CENTER[1] - cv2.resize(head.texture[..., 1], (SIZE, SIZE))
    across = np.abs(cv2.resize(head.texture[..., 0], (SIZE, SIZE)) - CENTER[0])
    crown = (radius > 0.75) & (distance > 8) & (up > 40) & (across < 40)
    assert -45 < change[crown].mean() < -8
    assert change[crown].std() > 1, "single hairs"
    assert np.abs(change[(radius < 0.44) & (distance > 0)]).max() < 0.1
    assert np.abs(change[distance < 0]).max() < 0.1
    assert np.abs(change[up < -20]).max() == 0


def test_light_stubble_is_not_seen(head: HeadMap, hair: Floats) -> None:
    bare, grown = shaved(head, hair, LIGHT)
    assert np.abs(grown - bare).max() < 1e-3


def test_where_no_hair_grew_no_stubble_is(head: HeadMap, hair: Floats) -> None:
    one_side = hair.copy()
    one_side[:, : SIZE // 2] = 0
    bare, grown = shaved(head, one_side, DARK)
    assert np.abs(grown - bare)[:, : SIZE // 2 - 20].max() == 0
    assert np.abs(grown - bare)[:, SIZE // 2 + 20 :].max() > 5
    for amount, other in ((0.0, hair), (1.0, 0 * hair)):
        bare, grown = shaved(head, other, DARK, amount)
        np.testing.assert_array_equal(grown, bare)


def test_women_keep_no_ring() -> None:
    assert [keeps_ring(male) for male in (0.0, 0.4, 0.6, 1.0)] == [0, 0, 1, 1]
