"""Measure the texture square's geometry: mean mesh, shape modes and the lattice's triangles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from models.face.texture_space import SIZE, STEP, VERTICES
from models.training.data import FaceSet

ORIGIN = (32.0, 56.0)
"""Where the texture square's corner lies in the mean aligned portrait, pixels."""
RING_MARGIN = 60.0
"""Distance of the ring from the texture square, pixels."""
MODES = 40
FRONTAL_DEGREES = 14.0


def measure_geometry(faces: FaceSet, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Tables for `models.face.texture_space.FaceSpace`.

    Args:
        faces: the portraits.
        rows: the rows to learn from; their mirror images are added.
    """
    meshes = faces.mesh[rows, :VERTICES].astype(np.float64) - ORIGIN
    frontal = np.abs(faces.labels["yaw"][rows]) < FRONTAL_DEGREES
    mean = meshes[frontal].mean(0)
    home = np.column_stack([mean, np.ones(VERTICES)])
    projector = np.linalg.pinv(home)
    shapes = []
    for mesh in meshes:
        solution = projector @ mesh
        shapes.append((mesh - solution[2]) @ np.linalg.inv(solution[:2]) - mean)
    deviations = np.asarray(shapes).reshape(len(rows), -1)
    _, spread, modes = np.linalg.svd(deviations, full_matrices=False)
    low, high = -RING_MARGIN, SIZE - 1 + RING_MARGIN
    side = np.linspace(low, high, 9)
    ring = np.array([(x, y) for x in side for y in side if x in (low, high) or y in (low, high)])
    corners, weights = _lattice(np.vstack([mean, ring]))
    return {
        "mean": mean.astype(np.float32),
        "ring": ring.astype(np.float32),
        "modes": modes[:MODES].reshape(MODES, VERTICES, 2).astype(np.float32),
        "spread": (spread[:MODES] / np.sqrt(len(rows))).astype(np.float32),
        "corners": corners,
        "weights": weights,
    }


def _lattice(points: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    mesh = Delaunay(points)
    axis = (np.arange(SIZE // STEP) + 0.5) * STEP - 0.5
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    triangle = mesh.find_simplex(nodes)
    transform = mesh.transform[triangle]
    first = np.einsum("nij,nj->ni", transform[:, :2], nodes - transform[:, 2])
    weights = np.column_stack([first, 1 - first.sum(1)])
    shape = (len(axis), len(axis), 3)
    return mesh.simplices[triangle].reshape(shape).astype(np.int32), weights.reshape(shape).astype(np.float32)
