"""Boxes, motions and mirror images of face meshes.

Coordinates are (x, y) pixels with pixel centres at integers; 2x3 matrices map source to destination as in
`cv2.warpAffine`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from models.arrays import Floats

FOREHEAD = (10, 109, 338)
CHIN = 152
LEFT_EYE, RIGHT_EYE = 468, 473
"""Iris centres, left and right in the picture of an upright face that is not mirrored."""
EARS, NOSE = (234, 454), 1
HAIRLINE = 0.13
"""Extent of a face box above the mesh, in mesh heights: the box ends at the hairline, the mesh below it."""


def with_hairline(mesh: Floats) -> Floats:
    """Append three points at the hairline to a mesh.

    Args:
        mesh: (..., 478, 2).

    Returns:
        (..., 481, 2).
    """
    up = mesh[..., 10:11, :] - mesh[..., CHIN : CHIN + 1, :]
    return np.concatenate([mesh, mesh[..., FOREHEAD, :] + np.float32(HAIRLINE) * up], axis=-2)


def face_box(mesh: Floats) -> Floats:
    """The upright box of a face as detectors draw it, hairline to chin.

    Args:
        mesh: (..., 478, 2).

    Returns:
        (..., 4): left, top, right, bottom.
    """
    points = with_hairline(mesh)
    return np.concatenate([points.min(-2), points.max(-2)], axis=-1)


def eye_distance(mesh: Floats) -> Floats:
    """Distance between the iris centres of (..., 478, 2): (...)."""
    return np.asarray(np.linalg.norm(mesh[..., LEFT_EYE, :] - mesh[..., RIGHT_EYE, :], axis=-1))


def transform(points: Floats, matrix: Floats) -> Floats:
    """Apply a 2x3 matrix to (..., 2) points."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def compose_matrices(second: Floats, first: Floats) -> Floats:
    """The 2x3 matrix that applies `first`, then `second`."""
    return np.asarray(second @ np.vstack([first, [0, 0, 1]]), np.float32)


def rotation(centre: Floats, degrees: float, scale: float, target: Floats) -> Floats:
    """Turn around `centre` (clockwise as seen), scale, and put `centre` on `target`."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, target - turn @ centre]).astype(np.float32)


def mirror_order(mesh: Floats) -> NDArray[np.int64]:
    """Permutation of the mesh points under mirroring, by linear assignment between faces and their mirror images.

    Args:
        mesh: (N, 478, 2), a varied sample of faces; some mouths are open, or the lips are confused.

    Returns:
        (478,) row order: `mirrored_mesh = flipped[order]`.

    Raises:
        ValueError: the permutation is not its own inverse: the faces are too few or too similar.
    """
    centred = mesh - mesh.mean(1, keepdims=True)
    across = centred[:, RIGHT_EYE] - centred[:, LEFT_EYE]
    cosine, sine = (across / np.linalg.norm(across, axis=1, keepdims=True)).T
    turn = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2)
    upright = np.einsum("nij,nkj->nki", turn, centred) / np.linalg.norm(across, axis=1)[:, None, None]
    flipped = upright * np.array([-1, 1], np.float32)
    cost = np.zeros((mesh.shape[1], mesh.shape[1]))
    for own, other in zip(upright, flipped, strict=True):
        cost += np.square(own[:, None] - other[None]).sum(-1)
    order = np.asarray(linear_sum_assignment(cost)[1], np.int64)
    if not np.array_equal(order[order], np.arange(len(order))):
        raise ValueError("the mirrored faces do not match themselves: give more varied faces")
    return order


def pixel(point: NDArray[np.float64] | Floats | Sequence[float]) -> tuple[int, int]:
    """The pixel, (column, row), that a point lies in, as OpenCV draws at."""
    return round(float(point[0])), round(float(point[1]))
