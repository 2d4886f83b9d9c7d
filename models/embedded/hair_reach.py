"""How far the hair of a head reaches in its crop."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats

SURE = 0.5
"""Probability from which a place counts as hair."""
MIDDLE = 0.5
"""Share of the crop's side around its middle that hair of this head reaches into: a neighbour's does not."""
EDGE = 0.045
"""Share of it along its edge: hair that reaches into it goes on beyond, and an edit fades there."""
LEAST = 8e-3
"""Share of the crop that hair may cover outside of the square that is said to hold it: tips that stay are less seen
than straps and collars that are taken for hair there.
"""


def side_of_hair(hair: Floats, size: int, beyond: Floats | None = None) -> int:
    """Side of the square around the middle of a crop that holds the hair of its head, crop pixels.

    Args:
        hair: (M, M) float32 in 0..1.
        size: side of the crop, pixels.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame and is no hair; None for nowhere.

    Returns:
        0 without hair, `size` + 1 where it reaches the edge of the crop.
    """
    side = len(hair)
    there = hair > SURE
    if beyond is not None:
        there &= cv2.resize(beyond, (side, side), interpolation=cv2.INTER_AREA) < SURE
    _, parts = cv2.connectedComponents(there.astype(np.uint8))
    rim = round(side * (1 - MIDDLE) / 2)
    own = np.zeros(int(parts.max()) + 1, bool)
    own[parts[rim : side - rim, rim : side - rim]] = True
    own[0] = False
    axis = np.abs(np.arange(side, dtype=np.float32) - (side - 1) / 2)
    away = np.maximum(axis[:, None], axis)[own[parts]]
    least = round(LEAST * side * side)
    if len(away) <= least:
        return 0
    reach = 2 * float(np.partition(away, len(away) - least - 1)[len(away) - least - 1]) + 1
    return size + 1 if reach > side * (1 - 2 * EDGE) else round(reach * size / side)
