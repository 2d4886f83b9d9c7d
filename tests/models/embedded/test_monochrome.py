"""Cameras without colour get edits without colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Image
from models.embedded.monochrome import faded, shown_colour


def scene(colour: float) -> Image:
    """A face before a wall, with so much of its colour, under the noise of a camera."""
    picture = np.full((160, 160, 3), 120, np.float32)
    picture[30:150, 40:120] = (190, 140, 120)
    picture[10:30] = (40, 30, 25)
    grey = picture.mean(axis=2, keepdims=True)
    noise = np.random.default_rng(0).normal(0, 1.5, picture.shape)
    return np.clip(grey + colour * (picture - grey) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("colour", "least", "most"), [(1.0, 1.0, 1.0), (0.3, 0.9, 1.0), (0.0, 0.0, 0.1)])
def test_a_picture_shows_colours_or_not(colour: float, least: float, most: float) -> None:
    assert least <= shown_colour(scene(colour)) <= most


def test_a_compressed_grey_picture_shows_none() -> None:
    packed = cv2.imdecode(cv2.imencode(".jpg", scene(0.0), [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    assert shown_colour(np.asarray(packed, np.uint8)) < 0.1


def test_a_dim_room_shows_colours() -> None:
    assert shown_colour((scene(1.0) * 0.2).astype(np.uint8)) > 0.5


def test_what_is_added_loses_its_colour_and_keeps_its_light() -> None:
    delta = np.random.default_rng(1).normal(0, 20, (8, 8, 3)).astype(np.float32)
    assert faded(delta, 1.0) is delta
    grey, half = faded(delta, 0.0), faded(delta, 0.5)
    assert np.ptp(grey, axis=2).max() < 1e-4
    np.testing.assert_allclose(half, (delta + grey) / 2, atol=1e-4)
