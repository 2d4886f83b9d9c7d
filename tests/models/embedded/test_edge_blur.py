"""How soft the edges in a picture are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.arrays import Image
from models.embedded.edge_blur import edge_blur

SIZE = 320


def sharp(sigma: float = 0.0) -> Image:
    """What a camera sees: squares, with edges that a Gaussian made softer."""
    rows, columns = np.indices((SIZE, SIZE)) // 40
    squares = np.dstack([60 + 120 * ((rows + columns) % 2)] * 3).astype(np.float32)
    return (squares if sigma == 0 else cv2.GaussianBlur(squares, (0, 0), sigma)).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.7, 1.2, 2.0, 3.0])
def test_the_softness_of_edges_is_measured(sigma: float) -> None:
    assert edge_blur(sharp(sigma)) == pytest.approx(sigma, rel=0.05)


def test_noise_is_no_edge() -> None:
    """A soft camera in a dim room: the outline was as sharp as its noise in some frames, and soft in others."""
    step = np.full((SIZE, SIZE, 3), 60, np.float32)
    step[:, SIZE // 2 :] = 160
    soft = cv2.GaussianBlur(step, (0, 0), 2.5)
    rng = np.random.default_rng(2)
    told = [edge_blur(np.clip(soft + rng.normal(0, 7, soft.shape), 0, 255).astype(np.uint8)) for _ in range(4)]
    assert min(told) > 1.6


def test_without_edges_none_are_soft() -> None:
    assert edge_blur(np.full((SIZE, SIZE, 3), 90, np.uint8)) == 0


def test_what_lies_beyond_the_frame_tells_no_softness() -> None:
    picture, beyond = sharp(2.5), np.zeros((SIZE, SIZE), np.float32)
    picture[:, 160:] = sharp()[:, 160:]
    beyond[:, 150:] = 1
    assert edge_blur(picture, beyond) == pytest.approx(2.5, rel=0.05)
    assert edge_blur(picture) < 1.5
