"""A head that is bent to another outline."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats
from models.face.head_outline import RAYS, HeadFrame, apart, bend, outline

SIZE = 160
MIDDLE = (80, 90)


def disc(radius: float, wider: float = 0.0) -> Floats:
    """A soft disc around `MIDDLE`, that reaches further out to its right."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    x, y = columns - MIDDLE[0], rows - MIDDLE[1]
    right = np.clip(x / np.maximum(np.hypot(x, y), 1), 0, 1) ** 2
    return np.clip(radius + wider * right - np.hypot(x, y) + 0.5, 0, 1).astype(np.float32)


@pytest.fixture(params=[(0.0, -1.0), (0.6, -0.8)])
def frame(request: pytest.FixtureRequest) -> HeadFrame:
    return HeadFrame(np.array(MIDDLE, np.float32), np.array(request.param, np.float32))


def test_an_outline_is_found_to_a_fraction_of_a_pixel(frame: HeadFrame) -> None:
    np.testing.assert_allclose(outline(disc(40.3), frame), 40.3, atol=0.35)


def test_what_reaches_beyond_the_picture_ends_there(frame: HeadFrame) -> None:
    assert np.isfinite(outline(np.ones((SIZE, SIZE), np.float32), frame)).all()


def test_no_head_has_no_outline(frame: HeadFrame) -> None:
    nothing = outline(np.zeros((SIZE, SIZE), np.float32), frame)
    assert np.isnan(nothing).all()
    assert apart(nothing, nothing) == 0
    x, y = bend(frame, nothing, outline(disc(40), frame), SIZE)
    np.testing.assert_array_equal(x[0], np.arange(SIZE))
    np.testing.assert_array_equal(y[:, 0], np.arange(SIZE))


@pytest.mark.parametrize("wanted", [disc(45), disc(36), disc(40, 5)])
def test_a_bent_head_has_the_outline_that_is_wanted(frame: HeadFrame, wanted: Floats) -> None:
    drawn, ends = disc(40), outline(wanted, frame)
    bent = cv2.remap(drawn, *bend(frame, outline(drawn, frame), ends, SIZE), cv2.INTER_LINEAR)
    upper = slice(RAYS // 4, -RAYS // 4)
    assert np.abs(outline(drawn, frame) - ends)[upper].max() > 1.5
    assert np.abs(outline(bent, frame) - ends)[upper].max() < 0.8


def test_a_face_stays_where_it_is(frame: HeadFrame) -> None:
    x, y = bend(frame, np.full(RAYS, 40, np.float32), np.full(RAYS, 46, np.float32), SIZE)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    near = np.hypot(columns - MIDDLE[0], rows - MIDDLE[1]) < 14
    assert np.abs(x - columns)[near].max() < 0.1
    below = ((columns - MIDDLE[0]) * frame.up[0] + (rows - MIDDLE[1]) * frame.up[1]) < -20
    aside = np.abs((columns - MIDDLE[0]) * frame.up[1] - (rows - MIDDLE[1]) * frame.up[0]) < 20
    assert np.abs(y - rows)[below & aside].max() < 0.1


def test_a_wild_outline_bends_little(frame: HeadFrame) -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for drawn, wanted in ((10, 70), (40, 0), (0, 40)):
        x, y = bend(frame, np.full(RAYS, drawn, np.float32), np.full(RAYS, wanted, np.float32), SIZE)
        assert np.hypot(x - columns, y - rows).max() < 0.21 * SIZE


def test_a_face_without_extent_has_no_frame() -> None:
    assert HeadFrame.of(np.zeros((5, 2), np.float32)) is None
    found = HeadFrame.of(np.array([[80, 50], [60, 90], [100, 90]], np.float32))
    assert found is not None
    np.testing.assert_allclose(found.up, [0, -1], atol=1e-6)
