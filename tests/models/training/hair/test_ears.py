"""Ears that a matte of hair holds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Floats, Image
from models.training.hair.ears import find_ears

SKIN, EAR, HAIR = (200, 150, 125), (175, 115, 95), (60, 45, 40)
POINTS5 = np.array([[100, 110], [156, 110], [128, 140], [105, 165], [150, 165]], np.float32)


def mesh() -> Floats:
    points = np.full((468, 2), 128, np.float32)
    points[234], points[454] = (76, 125), (180, 125)
    points[1], points[168] = (128, 140), (128, 110)
    return points


def scene(ear: tuple[int, int, int] = EAR) -> tuple[Image, Floats]:
    """A face whose matte holds the hair and the left ear."""
    picture = np.full((256, 256, 3), 120, np.uint8)
    alpha = np.zeros((256, 256), np.float32)
    cv2.ellipse(picture, (128, 100), (80, 80), 0, 0, 360, HAIR, -1)
    cv2.ellipse(alpha, (128, 100), (80, 80), 0, 0, 360, (1.0,), -1)
    cv2.ellipse(picture, (128, 135), (52, 65), 0, 0, 360, SKIN, -1)
    cv2.ellipse(alpha, (128, 135), (52, 65), 0, 0, 360, (0.0,), -1)
    cv2.ellipse(picture, (70, 128), (7, 14), 0, 0, 360, ear, -1)
    cv2.ellipse(alpha, (70, 128), (7, 14), 0, 0, 360, (1.0,), -1)
    return picture, alpha


def test_an_ear_is_no_hair_and_its_edge_is_unsure() -> None:
    picture, alpha = scene()
    ears = find_ears(picture, POINTS5, mesh(), alpha)
    assert ears.skin[120:136, 67:73].mean() > 0.9
    hair = (alpha > 0) & (picture.max(2) < 80)
    assert ears.skin[hair].mean() < 0.005
    assert not (ears.skin * ears.unsure).any()
    assert ears.unsure.any()
    assert not ears.skin[:90].any()


def test_ears_are_found_on_both_sides() -> None:
    picture, alpha = scene()
    flipped = POINTS5.copy()
    flipped[:, 0] = 256 - flipped[[1, 0, 2, 4, 3], 0]
    ears = find_ears(np.ascontiguousarray(picture[:, ::-1]), flipped, mesh(), np.ascontiguousarray(alpha[:, ::-1]))
    assert ears.skin[120:136, -73:-67].mean() > 0.9


@pytest.mark.parametrize("where", ["no ear", "little hair"])
def test_hair_stays_hair(where: str) -> None:
    picture, alpha = scene(HAIR)
    if where == "little hair":
        alpha[:] = 0
    assert find_ears(picture, POINTS5, mesh(), alpha).skin[alpha > 0].sum() < 8, "but for corners beside the face"
    if where == "little hair":
        assert not find_ears(picture, POINTS5, mesh(), alpha).unsure.any()
