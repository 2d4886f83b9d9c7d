"""Crop quads from 68 landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.quads import LATS_MOUTH_FACTOR, alae_celeba_quad, ffhq_quad


@pytest.fixture
def face() -> np.ndarray:
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = (-30, 0), (30, 0)
    points[48], points[54] = (-20, 60), (20, 60)
    return points + 200


def test_an_upright_face(face: np.ndarray) -> None:
    centre, half = (200, 206), max(2 * 60, 1.8 * 60)
    want = np.array([[-half, -half], [-half, half], [half, half], [half, -half]]) + centre
    assert_allclose(ffhq_quad(face), want)
    assert np.ptp(ffhq_quad(face, LATS_MOUTH_FACTOR)[:, 0]) == pytest.approx(2 * 2.2 * 60)


@pytest.mark.parametrize("draw", [ffhq_quad, alae_celeba_quad])
def test_the_quad_turns_with_the_face(face: np.ndarray, draw: object) -> None:
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert_allclose(draw(face @ turn.T), draw(face) @ turn.T)  # type: ignore[operator]
