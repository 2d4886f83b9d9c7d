"""The shape of ageing, and where its change of colour lands on a face that is bent."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.editor import Crop, Edit
from models.embedded import EMBEDDED
from models.embedded.ageing import MOUTH, with_lips_together
from models.embedded.attributes import read_tables
from models.face.canvas import Canvas, extend_over_neck
from models.face.imaging import LOG_OFFSET
from models.face.texture_space import SIZE, STEP, YAW_MODE, FaceSpace
from models.training.apply import apply_edit

SIDE = 320
UPPER_LIP, LOWER_LIP = 13, 14


def test_a_change_of_shape_opens_no_mouth() -> None:
    tables = read_tables(EMBEDDED)
    middle = round(MOUTH.middle / STEP - 0.5)
    rows = [round(edge / STEP - 0.5) for edge in (MOUTH.upper, MOUTH.upper + MOUTH.gap)]
    for moves in tables["ageing_shape"].astype(np.float32):
        together = with_lips_together(moves)
        before, after = (float(np.ptp(each[rows, middle, 1])) for each in (moves, together))
        assert before > 1.5
        assert after < 0.5
        assert np.array_equal(together[: rows[0] - 8], moves[: rows[0] - 8])
        assert np.array_equal(together[..., 0], moves[..., 0])


def test_the_mean_mouth_is_where_it_is_said_to_be() -> None:
    mean = FaceSpace.from_tables(read_tables(EMBEDDED)).mean
    assert mean[UPPER_LIP] == pytest.approx([MOUTH.middle, MOUTH.upper], abs=1.5)
    assert mean[LOWER_LIP] == pytest.approx([MOUTH.middle, MOUTH.upper + MOUTH.gap], abs=1.5)


@pytest.mark.parametrize("turned", [-2.0, 0.0, 2.0])
def test_a_change_of_colour_lies_on_the_skin_that_is_shown(turned: float) -> None:
    """A dark line that is lifted and moved is gone, on a head that turns as well; beside its place it would be two."""
    tables = read_tables(EMBEDDED)
    space = FaceSpace.from_tables(tables)
    shape = space.mean + turned * space.spread[YAW_MODE] * space.modes[YAW_MODE]
    fit = space.fit(np.asarray(shape + np.array([64, 88]), np.float32))
    place = cv2.resize(space.to_texture(fit, (0, 0, SIDE, SIDE)), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    column = 80 if turned <= 0 else SIZE - 80  # the cheek that is seen
    dark = np.exp(-(((np.arange(SIZE, dtype=np.float32) - column) / 4) ** 2))
    lifted = np.repeat(np.tile(np.log(1 + dark), (SIZE, 1))[..., None], 3, axis=2)
    texture = (120 + 4) / np.exp(lifted) - 4
    image = cv2.remap(texture, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    crop = Crop(np.rint(image).astype(np.uint8), np.zeros((5, 2), np.float32))
    moves = np.zeros((SIZE // STEP, SIZE // STEP, 2), np.float32)
    moves[..., 0] = 8 * np.hanning(SIZE // STEP)[:, None]
    moves = extend_over_neck(moves)
    flow, delta, _ = Canvas.from_tables(tables, moves).draw(space, fit, crop, moves=moves, change=lifted)
    edited = apply_edit(Edit(np.ones((SIDE, SIDE), np.float32), flow=flow, delta=delta), crop.image)
    cheek = (np.abs(place[..., 1] - 110) < 12) & (np.abs(place[..., 0] - column) < 16)
    assert np.abs(crop.image[cheek].astype(float) - 120).max() > 50
    assert np.abs(edited[cheek].astype(float) - 120).max() < 18


def test_a_raised_brow_leaves_no_bright_bar_below_it() -> None:
    """The mesh rises less than a brow does: what makes brows grey lies on the skin below it then."""
    tables = read_tables(EMBEDDED)
    space = FaceSpace.from_tables(tables)
    fit = space.fit(np.asarray(space.mean + np.array([64, 88]), np.float32))
    still = np.zeros((SIZE // STEP, SIZE // STEP, 2), np.float32)
    moves = extend_over_neck(still)
    canvas = Canvas.from_tables(tables, moves)
    brows = np.repeat((canvas.brows > 0.5)[..., None], 3, axis=2).astype(np.float32)
    place = cv2.resize(space.to_texture(fit, (0, 0, SIDE, SIDE)), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    where = cv2.remap(brows[..., 0], place, None, cv2.INTER_LINEAR) > 0.95
    skin = np.full((SIDE, SIDE, 3), 160, np.uint8)
    tone = np.full(3, np.log(160 + LOG_OFFSET), np.float32)

    def added(grey: int) -> float:
        image = np.where(where[..., None], np.uint8(grey), skin)
        crop = Crop(image, np.zeros((5, 2), np.float32))
        drawn = canvas.draw(space, fit, crop, moves=moves, change=np.float32(0.5) * brows, tone=tone)
        return float(drawn[1][cv2.erode(where.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0].mean())

    assert where.any()
    assert abs(added(160)) < 5 < 0.05 * (160 + LOG_OFFSET) * (np.exp(0.5) - 1)
    assert added(50) == pytest.approx((50 + LOG_OFFSET) * (np.exp(0.5) - 1), rel=0.1)
    # what becomes darker there does so
    darker = canvas.draw(
        space, fit, Crop(skin, np.zeros((5, 2), np.float32)), moves=moves, change=np.float32(-0.5) * brows, tone=tone
    )
    assert darker[1][where].mean() < -30


def test_no_shape_is_drawn_from_beyond_the_frame() -> None:
    """A chin that moves up over the frame's lower edge would draw the neck from there: streaks."""
    tables = read_tables(EMBEDDED)
    space = FaceSpace.from_tables(tables)
    fit = space.fit(np.asarray(space.mean + np.array([64, 88]), np.float32))
    lowest = round(float(fit.nodes[-1, :, 1].mean())) + 6
    beyond = np.zeros((SIDE, SIDE), np.float32)
    beyond[lowest:] = 1
    moves = np.zeros((SIZE // STEP, SIZE // STEP, 2), np.float32)
    moves[..., 1] = -6
    moves = extend_over_neck(moves)
    still = np.zeros((SIZE, SIZE, 3), np.float32)
    flows = [
        Canvas.from_tables(tables, moves).draw(space, fit, crop, moves=moves, change=still)[0]
        for crop in (
            Crop(np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((5, 2), np.float32), beyond=each)
            for each in (None, beyond)
        )
    ]
    rows = np.arange(SIDE, dtype=np.float32)[:, None]
    free, held = ((rows + flow[..., 1])[:lowest].max() for flow in flows)
    assert free > lowest + 2
    assert held < lowest
    middle = slice(lowest - 80, lowest - 40)
    assert np.allclose(flows[0][middle], flows[1][middle], atol=1e-3)
