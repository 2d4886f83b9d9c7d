"""Whom the edit is on."""

from __future__ import annotations

import numpy as np

from stream.frame import Face
from stream.selection import LARGER, LOCK_S, Selection
from stream.settings import Settings

LARGEST = Settings(faces="largest")


def face(identity: int, side: float) -> Face:
    box = np.array([10, 10, 10 + side, 10 + side], np.float32)
    return Face(identity, box, np.zeros((5, 2), np.float32), None, 1.0)


def chosen(selection: Selection, *faces: Face, time: float = 0.0) -> list[int]:
    ordered = tuple(sorted(faces, key=lambda each: -each.box[2]))
    return [each.id for each in selection(ordered, LARGEST, time)]


def test_the_edit_does_not_leap_between_two_faces_of_one_size() -> None:
    selection = Selection()
    assert chosen(selection, face(1, 50), face(2, 49)) == [1]
    for step in range(6):
        assert chosen(selection, face(1, 50), face(2, 48 + step % 2 * 4)) == [1]


def test_the_edit_goes_to_who_is_clearly_larger_and_stays_there() -> None:
    selection = Selection()
    nearer = 50 * LARGER**0.5
    assert chosen(selection, face(1, 50), face(2, 40)) == [1]
    assert chosen(selection, face(1, 50), face(2, nearer + 1)) == [2]
    assert chosen(selection, face(1, 52), face(2, 50)) == [2]


def test_who_leaves_for_long_gives_the_edit_to_the_largest_that_is_left() -> None:
    selection = Selection()
    assert chosen(selection, face(1, 50), face(2, 40)) == [1]
    assert chosen(selection, face(2, 40), face(3, 45), time=0.1) == [3]
    assert chosen(selection, face(2, 40), face(3, 45), time=LOCK_S + 0.1) == [3]
    assert chosen(selection, time=LOCK_S + 0.2) == []
    assert chosen(selection, face(1, 50), face(3, 45), time=LOCK_S + 0.3) == [3]


def test_who_is_missed_for_a_moment_gets_the_edit_back() -> None:
    selection = Selection()
    assert chosen(selection, face(1, 50), face(2, 48)) == [1]
    assert chosen(selection, face(2, 48), time=0.1) == [2]
    assert chosen(selection, face(1, 50), face(2, 52), time=0.2) == [1]
