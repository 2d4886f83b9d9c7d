"""What was seen of the backdrop is remembered, follows the light, and is forgotten when the camera moves."""

from __future__ import annotations

import numpy as np
import pytest

from models.arrays import Floats, Image
from models.crops import Placement, Quad, cut_placed
from models.editor import Crop, Masks
from stream.plate import Plate

HEIGHT, WIDTH, SIDE = 240, 320, 96
POINTS5 = np.zeros((5, 2), np.float32)


def scene(shift: float = 0.0, gain: float = 1.0) -> Image:
    """A gradient with a soft grid, as a frame (HEIGHT, WIDTH, 3)."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    light = 90 + 40 * np.sin((columns + shift) / 18) + 30 * np.cos(rows / 22)
    return np.clip(gain * np.stack([light, light * 0.8, light * 0.6], -1), 0, 255).astype(np.uint8)


def at(x: float) -> Placement:
    return Placement.of(Quad(np.array([x, 120], np.float32), np.array([75, 0], np.float32)), SIDE)


def crop(frame: Image, placement: Placement, hidden: bool = True) -> Crop:
    """A crop with a person in its middle, painted white."""
    image = cut_placed(frame, placement).copy()
    person = np.zeros((SIDE, SIDE), np.float32)
    if hidden:
        person[20:, 34:62] = 1
        image[person > 0] = 255
    nothing = np.zeros_like(person)
    return Crop(image, POINTS5, None, Masks(nothing, person, nothing, person))


def error(plate: Plate, frame: Image, x: float) -> tuple[float, Floats]:
    placement = at(x)
    backdrop = plate(crop(frame, placement), placement, (HEIGHT, WIDTH))
    away = np.abs(backdrop.colour - cut_placed(frame, placement)).max(2)
    return float(away[backdrop.known > 0.5].mean()), backdrop.known


def test_what_a_moving_head_uncovers_is_remembered() -> None:
    plate, frame = Plate(), scene()
    _, before = error(plate, frame, 150)
    assert before[50, 48] == 0
    for x in (165, 180, 195, 210):
        error(plate, frame, x)
    away, known = error(plate, frame, 150)
    assert known[50, 48] > 0.9
    assert known[10, 10] > 0.9
    assert away < 4


def test_places_out_of_sight_follow_the_light() -> None:
    plate = Plate()
    for x in (100, 160):
        error(plate, scene(), x)
    for step in range(12):
        away, known = error(plate, scene(gain=1 - 0.01 * step), 100)
    assert known[50, 48] > 0.9
    assert away < 6


def test_a_camera_that_moves_is_noticed() -> None:
    plate = Plate()
    for x in (100, 160):
        error(plate, scene(), x)
    _, known = error(plate, scene(shift=40), 100)
    assert known[50, 48] == 0


@pytest.mark.parametrize("frame", [(HEIGHT, WIDTH), (1080, 1920)])
def test_frames_may_change_their_size_and_crops_may_lie_outside(frame: tuple[int, int]) -> None:
    plate = Plate()
    plate(crop(scene(), at(100)), at(100), (HEIGHT, WIDTH))
    far = at(5000)
    backdrop = plate(crop(scene(), far), far, frame)
    assert backdrop.known.max() == 0
    assert np.isfinite(backdrop.colour).all()


@pytest.mark.parametrize("apart", [88, 90, 92, 94])
def test_a_slit_that_nobody_saw_is_not_black(apart: float) -> None:
    """Between two places of a head single pixels may stay unseen; they stood on the wall as black dots."""
    plate, frame = Plate(), scene()
    for x in (110, 110 + apart):
        error(plate, frame, x)
    placement = at(110 + apart / 2)
    backdrop = plate(crop(frame, placement), placement, (HEIGHT, WIDTH))
    away = np.abs(backdrop.colour - cut_placed(frame, placement)).max(2)
    assert (backdrop.known > 0.6).mean() > 0.5
    assert away[backdrop.known > 0.2].max() < 35
