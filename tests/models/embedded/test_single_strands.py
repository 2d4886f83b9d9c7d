"""Noise that runs along strands: it follows what is seen, moves with the head, and is steady."""

from __future__ import annotations

import numpy as np
import pytest

from models.arrays import Floats
from models.editor import Crop
from models.embedded.single_strands import MOST, single_strands

SIZE = 200
ALL = slice(0, SIZE), slice(0, SIZE)


def seen_from(x: float = 0.0, y: float = 0.0) -> Crop:
    """A crop whose eyes are 64 pixels apart, moved by so many pixels."""
    points = np.array([[68, 110], [132, 110], [100, 140], [80, 165], [120, 165]], np.float32)
    return Crop(np.zeros((SIZE, SIZE, 3), np.uint8), points + np.array([x, y], np.float32))


def striped(angle: float) -> Floats:
    """Light of strands that run at an angle, radians from across to down, 0..255."""
    rows, columns = np.indices((SIZE, SIZE), np.float32)
    return np.asarray(60 + 30 * np.sin((columns * -np.sin(angle) + rows * np.cos(angle)) * 1.2), np.float32)


def roughness(noise: Floats, angle: float) -> tuple[float, float]:
    """Mean change along and across strands."""
    across, down = np.diff(noise, axis=1)[1:], np.diff(noise, axis=0)[:, 1:]
    along = np.cos(angle) * across + np.sin(angle) * down
    over = -np.sin(angle) * across + np.cos(angle) * down
    inner = slice(20, -20)
    return float(np.abs(along[inner, inner]).mean()), float(np.abs(over[inner, inner]).mean())


@pytest.mark.parametrize("angle", [0.0, 0.6, np.pi / 2, 2.4])
def test_noise_runs_along_the_strands_that_are_seen(angle: float) -> None:
    noise = single_strands(seen_from(), ALL, striped(angle), np.ones((SIZE, SIZE), np.float32))
    along, over = roughness(noise, angle)
    assert noise.shape == (SIZE, SIZE)
    assert noise.dtype == np.float32
    assert np.abs(noise).max() <= MOST
    assert 0.6 < noise.std() < 1.4
    assert along < 0.6 * over


def test_where_nothing_is_seen_strands_run_from_the_crown() -> None:
    noise = single_strands(seen_from(), ALL, np.full((SIZE, SIZE), 20, np.float32), np.ones((SIZE, SIZE), np.float32))
    below_the_crown = noise[60:, 80:120]
    assert np.abs(np.diff(below_the_crown, axis=0)).mean() < 0.6 * np.abs(np.diff(below_the_crown, axis=1)).mean()


def test_noise_moves_with_the_eyes() -> None:
    whole = np.ones((SIZE, SIZE), np.float32)
    flat = np.full((SIZE, SIZE), 20, np.float32)
    before = single_strands(seen_from(), ALL, flat, whole)
    after = single_strands(seen_from(6, 10), ALL, flat, whole)
    assert np.abs(after[60:-20, 46:-40] - before[50:-30, 40:-46]).mean() < 0.02
    assert np.abs(after - before).mean() > 0.2


def test_camera_noise_hardly_moves_strands_of_dark_hair() -> None:
    whole, random = np.ones((SIZE, SIZE), np.float32), np.random.default_rng(2)
    looks = [
        single_strands(
            seen_from(), ALL, np.clip(30 + random.normal(0, 2, (SIZE, SIZE)), 0, 255).astype(np.float32), whole
        )
        for _ in range(2)
    ]
    assert np.abs(looks[0] - looks[1]).mean() < 0.25


def test_a_part_of_a_crop_has_the_strands_of_the_whole() -> None:
    whole = np.ones((SIZE, SIZE), np.float32)
    light = striped(0.6)
    box = slice(30, 150), slice(50, 180)
    part = single_strands(seen_from(), box, light[box], whole[box])
    assert np.abs(part - single_strands(seen_from(), ALL, light, whole)[box])[15:-15, 15:-15].max() < 0.05
