"""The frame of a face that its eyes give: it does not depend on size or tilt."""

from __future__ import annotations

import numpy as np

from models.arrays import Floats


def eye_frame(points5: Floats) -> tuple[Floats, Floats]:
    """The middle of the eyes and two axes: (place - middle) @ axes.T is across and down, distances of the eyes.

    Args:
        points5: (5, 2) float32, eyes first.

    Returns:
        (2,) float32 and (2, 2) float32.
    """
    apart = points5[1] - points5[0]
    square = max(float(apart @ apart), 1.0)
    return points5[:2].mean(axis=0), np.array([apart, [-apart[1], apart[0]]], np.float32) / np.float32(square)


def eye_places(points5: Floats, size: int, side: int) -> Floats:
    """Where the pixels of a crop lie in the frame of the eyes.

    Args:
        points5: (5, 2) float32, crop pixels.
        size: side of the crop, pixels.
        side: of the grid that is wanted.

    Returns:
        (side, side, 2) float32, across and down, distances of the eyes.
    """
    middle, axes = eye_frame(points5)
    axis = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(size / side) - np.float32(0.5)
    x, y = axis - np.float32(middle[0]), axis[:, None] - np.float32(middle[1])
    return np.stack([x * across + y * down for across, down in axes], axis=-1).astype(np.float32)
