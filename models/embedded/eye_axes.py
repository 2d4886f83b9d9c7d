"""The frame of a face that its eyes give: where it is found and drawn does not depend on size or tilt."""

from __future__ import annotations

import numpy as np

from models.arrays import Floats, Points
from models.editor import Crop


def eye_axes(crop: Crop) -> tuple[Points, Floats]:
    """The middle of the eyes, crop pixels, and two axes: (place - middle) @ axes.T is across and down.

    The unit is the distance of the eyes.

    Returns:
        (2,) float32 and (2, 2) float32.
    """
    apart = crop.points5[1] - crop.points5[0]
    square = max(float(apart @ apart), 1.0)
    return crop.points5[:2].mean(axis=0), np.array([apart, [-apart[1], apart[0]]], np.float32) / np.float32(square)
