"""Procedural occluders: in range, in reach of the face, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from models.face.texture_space import FACE_OVAL
from models.training.segmenter import occluders
from models.training.segmenter.occluder_drawing import Kind

SIZE = 160


@pytest.fixture
def mesh() -> np.ndarray:
    """A face-like set of 478 points: an oval with eyes at their places."""
    rng = np.random.default_rng(0)
    points = rng.uniform(60, 100, (478, 2)).astype(np.float32)
    turn = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False) - np.pi / 2
    points[list(FACE_OVAL)] = 80 + np.stack([40 * np.cos(turn), 55 * np.sin(turn)], 1)
    for corners, x in zip(occluders.EYES, (62, 98), strict=True):
        points[list(corners)] = [(x - 8, 70), (x + 8, 70), (x, 67), (x, 73)]
    return points


@pytest.mark.parametrize("kind", occluders.KINDS)
def test_every_kind_covers_something_and_stays_in_range(kind: Kind, mesh: np.ndarray) -> None:
    image = np.full((SIZE, SIZE, 3), 128, np.float32)
    fabrics = [np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)]
    covered = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        cutout = occluders.draw(rng, image, mesh, fabrics, kind)
        composed, alpha = occluders.paste(rng, image, cutout)
        for values, high in ((cutout.alpha, 1), (alpha, 1), (cutout.colour, 255), (composed, 256)):
            assert np.isfinite(values).all()
            assert values.min() >= -1e-3
            assert values.max() <= high + 1e-3
        assert composed.shape == (SIZE, SIZE, 3)
        # shadows only darken what is not covered
        assert (composed[alpha == 0] <= 128 + 1e-3).all()
        covered.append(float((alpha > 0.5).mean()))
    assert np.median(covered) > 0.002
    assert max(covered) < 0.8


def test_the_same_seed_draws_the_same(mesh: np.ndarray) -> None:
    image = np.full((SIZE, SIZE, 3), 128, np.float32)
    first, second = (occluders.draw(np.random.default_rng(5), image, mesh, []) for _ in range(2))
    assert first.kind == second.kind
    np.testing.assert_array_equal(first.colour, second.colour)


def test_hands_have_the_faces_skin(mesh: np.ndarray) -> None:
    image = np.zeros((SIZE, SIZE, 3), np.float32)
    image[...] = (200, 140, 110)
    hues = []
    for seed in range(20):
        cutout = occluders.draw(np.random.default_rng(seed), image, mesh, [], "hand")
        solid = cutout.alpha > 0.99
        if solid.sum() > 50:
            colour = np.median(cutout.colour[solid], axis=0)
            hues.append(colour[0] / max(float(colour[2]), 1.0))
    assert 1.3 < np.median(hues) < 2.6


@pytest.mark.parametrize("length", [0.1, 1.0, 4.5, 14.0])
def test_motion_kernels_keep_brightness(length: float) -> None:
    for seed in range(8):
        kernel = occluders.motion_kernel(np.random.default_rng(seed), length)
        assert kernel.shape[0] == kernel.shape[1]
        assert kernel.shape[0] % 2 == 1
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        assert kernel.min() >= 0


@pytest.mark.parametrize("kind", occluders.THIN)
def test_fine_drawing_covers_pixels_in_part(kind: Kind, mesh: np.ndarray) -> None:
    image = np.full((160, 160, 3), 128, np.float32)
    cutout = occluders.draw_fine(np.random.default_rng(3), image, mesh, [], kind)
    assert cutout.alpha.shape == (160, 160)
    assert cutout.colour.shape == (160, 160, 3)
    partly = (cutout.alpha > 0.1) & (cutout.alpha < 0.9)
    assert partly.sum() > 0.2 * (cutout.alpha > 0.1).sum()
    assert np.isfinite(cutout.colour).all()
