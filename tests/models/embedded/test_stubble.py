"""The shadow of shaved hair at the sides of a bald head."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.embedded.scalp import CENTER, HeadMap
from models.embedded.stubble import with_stubble

SIZE = 320
SKIN = (200.0, 150.0, 120.0)
BLACK, BLOND = (25, 20, 18), (225, 200, 160)


def full(head: HeadMap, part: Floats) -> Floats:
    return np.asarray(cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def hair_of(head: HeadMap) -> Floats:
    """Short hair: the crown, and the sides down to the ears."""
    below = full(head, head.texture[..., 1]) - CENTER[1]
    across = np.abs(full(head, head.texture[..., 0]) - CENTER[0])
    distance = full(head, head.distance)
    return ((distance > -12) & ((below < -40) | ((across > 58) & (below < 15)))).astype(np.float32)


def shaved(head: HeadMap, colour: tuple[int, int, int], hidden: Floats) -> Floats:
    image: Image = np.where(hidden[..., None] > 0, np.array(colour), np.array(SKIN)).astype(np.uint8)
    drawn = np.full((SIZE, SIZE, 3), SKIN, np.float32)
    return with_stubble(drawn, image, hidden=hidden, erased=hidden, head=head) - drawn


def sides(head: HeadMap, hidden: Floats) -> np.ndarray:
    """The temples, well within what was hair."""
    below = full(head, head.texture[..., 1]) - CENTER[1]
    within = cv2.erode(hidden, np.ones((17, 17), np.uint8)) > 0
    return within & (below > -25) & (below < 5) & (full(head, head.distance) > 8)


def test_dark_hair_shadows_the_sides_and_not_the_crown(head: HeadMap) -> None:
    hidden = hair_of(head)
    change = shaved(head, BLACK, hidden)
    assert change[sides(head, hidden)].mean() < -15
    crown = (hidden > 0) & (full(head, head.texture[..., 1]) - CENTER[1] < -85)
    assert crown.any()
    assert np.abs(change[crown]).max() < 2


def test_light_hair_leaves_little(head: HeadMap) -> None:
    hidden = hair_of(head)
    dark, light = (np.abs(shaved(head, colour, hidden)[sides(head, hidden)]).mean() for colour in (BLACK, BLOND))
    assert light < 0.25 * dark


def test_no_stubble_grows_where_no_hair_did(head: HeadMap) -> None:
    """Ears and foreheads stay as they are drawn."""
    hidden = hair_of(head)
    hidden[:, SIZE // 2 :] = 0
    change = shaved(head, BLACK, hidden)
    assert np.array_equal(change[hidden == 0], np.zeros_like(change[hidden == 0]))
    assert np.abs(change).max() > 15
    assert not shaved(head, BLACK, np.zeros_like(hidden)).any()


def test_stubble_is_always_the_same(head: HeadMap) -> None:
    """New noise in every picture would flicker on a still head."""
    hidden = hair_of(head)
    first, second = (shaved(head, BLACK, hidden) for _ in range(2))
    assert np.array_equal(first, second)
    assert first[sides(head, hidden)].std() > 2
