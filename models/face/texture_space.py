"""The texture square: an unwrapped face in which eyes, mouth and wrinkles of every face lie at the same place.

A drawing in the square sticks to the skin, so an edit made there is steady in video however the head moves. The map to
the crop and back is smooth and fitted to the face mesh. The mesh is first projected on a few shape modes, which removes
most of the noise of the tracker.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

SIZE = 192
"""Side of the texture square in pixels."""
VERTICES = 468
"""Number of mesh points in use: those of MediaPipe without the irises."""
YAW_MODE = 0
"""Number of the shape mode that is the yaw of the head, about 10 degrees per unit."""
SKULL = (33, 133, 362, 263, 168, 6, 197, 195, 5, 127, 356, 234, 454, 162, 389)
"""Mesh points that move with the skull, not with the expression: corners of the eyes, bridge of nose, temples."""
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Outline of the face in the 478-point mesh, from the middle of the forehead clockwise in mesh order."""
STEP = 3
"""Spacing of the lattice, texture pixels."""
INVERSE_STEP = 4
"""Spacing of the inverse map, crop pixels."""
INVERSE_ROUNDS = 5
"""Iterations of the inverse map."""
INVERSE_DAMPING = 0.9
"""Length of a step of an iteration, relative to the step by the affine map."""

Box = tuple[int, int, int, int]
"""A box in a crop: x0, y0, x1, y1 in pixels, the ends exclusive."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Where the texture square of one face lies in its crop.

    Attributes:
        affine: (2, 3) float32, texture -> crop pixels, the best affine map of the whole face.
        upright: (2, 3) float32, texture -> crop pixels, the best turn, scale and shift of the `SKULL`.
        points: (V, 2) float32, crop pixels of the regularised mesh and the ring around it.
        modes: (K,) float32, the face's shape in units of each mode's standard deviation.
        nodes: (L, L, 2) float32, crop pixels of the lattice nodes.
    """

    affine: Floats
    upright: Floats
    points: Floats
    modes: Floats
    nodes: Floats


@dataclass(frozen=True, slots=True)
class FaceSpace:
    """The geometry of the texture square, in texture pixels.

    Attributes:
        mean: (468, 2) float32, the mean mesh.
        ring: (R, 2) float32, points around the square that follow the face affinely.
        modes: (K, 468, 2) float32, orthonormal deviations of shape from the mean.
        spread: (K,) float32, their standard deviations.
        corners: (L, L, 3) int32, for each lattice node the corners (mesh, then ring) of the triangle it lies in.
        weights: (L, L, 3) float32, its barycentric coordinates there.
    """

    mean: Floats
    ring: Floats
    modes: Floats
    spread: Floats
    corners: NDArray[np.int32]
    weights: Floats

    @staticmethod
    def load(path: Path) -> FaceSpace:
        """Read the tables that `models.training.editor.texture_space` wrote.

        Raises:
            ValueError: a table is missing or of the wrong shape.
        """
        with np.load(path, allow_pickle=False) as tables:
            return FaceSpace.from_tables({name: tables[name] for name in tables.files})

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> FaceSpace:
        """Read `mean`, `ring`, `modes`, `spread`, `corners` and `weights` from named arrays; errors as in `load`."""
        missing = {"mean", "ring", "modes", "spread", "corners", "weights"} - tables.keys()
        if missing:
            raise ValueError(f"face space tables lack {sorted(missing)}")
        lattice = SIZE // STEP
        if tables["mean"].shape != (VERTICES, 2) or tables["corners"].shape != (lattice, lattice, 3):
            raise ValueError("face space tables have the wrong shape")
        return FaceSpace(
            mean=tables["mean"].astype(np.float32),
            ring=tables["ring"].astype(np.float32),
            modes=tables["modes"].astype(np.float32),
            spread=tables["spread"].astype(np.float32),
            corners=tables["corners"].astype(np.int32),
            weights=tables["weights"].astype(np.float32),
        )

    def fit(self, mesh: Floats) -> Fit:
        """Fit the texture square to a face.

        Args:
            mesh: (>= 468, 2) float32, MediaPipe mesh in crop pixels.
        """
        points = mesh[:VERTICES].astype(np.float64)
        home = np.column_stack([self.mean, np.ones(VERTICES)]).astype(np.float64)
        affine = np.linalg.solve(home.T @ home, home.T @ points).T
        linear, shift = affine[:, :2], affine[:, 2]
        unposed = (points - shift) @ np.linalg.inv(linear).T - self.mean
        along = self.modes.reshape(len(self.modes), -1) @ unposed.ravel().astype(np.float32)
        coefficients = np.clip(along / self.spread, -4, 4)
        shape = self.mean + np.tensordot(coefficients * self.spread, self.modes, 1)
        placed = np.vstack([shape, self.ring]) @ linear.T + shift
        upright = _similarity(self.mean[list(SKULL)], points[list(SKULL)])
        placed = placed.astype(np.float32)
        return Fit(affine.astype(np.float32), upright, placed, coefficients.astype(np.float32), self._nodes(placed))

    def _nodes(self, points: Floats) -> Floats:
        """Crop coordinates of the lattice nodes, (L, L, 2) float32."""
        corners, weights = self.corners.reshape(-1, 3), self.weights.reshape(-1, 3, 1)
        nodes = points[corners[:, 0]] * weights[:, 0]
        nodes += points[corners[:, 1]] * weights[:, 1]
        nodes += points[corners[:, 2]] * weights[:, 2]
        return nodes.reshape(*self.corners.shape[:2], 2)

    def unwrap(self, picture: NDArray[Any], fit: Fit, size: int = SIZE) -> NDArray[Any]:
        """Sample a picture of the crop's extent into the texture square.

        Args:
            picture: (S, S) or (S, S, C), crop pixels.
            fit: where the face is.
            size: side of the result.

        Returns:
            (size, size) or (size, size, C) of the picture's dtype; beyond its edge the picture is repeated.
        """
        grid = cv2.resize(fit.nodes, (size, size), interpolation=cv2.INTER_LINEAR)
        return cv2.remap(picture, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def to_texture(self, fit: Fit, box: Box) -> Floats:
        """Texture coordinates of a part of the crop, the inverse of the lattice, by damped fixed-point iteration.

        Args:
            fit: where the face is.
            box: the part; its sides are multiples of `INVERSE_STEP`.

        Returns:
            (H / 4, W / 4, 2) float32, at the centre of each block of `INVERSE_STEP` pixels, to be enlarged linearly.
            Far outside the texture square the values are approximate.
        """
        axes = (np.arange(low, high, INVERSE_STEP) + (INVERSE_STEP - 1) / 2 for low, high in (box[::2], box[1::2]))
        wanted = np.stack(np.meshgrid(*axes), axis=-1).astype(np.float32)
        back = np.ascontiguousarray(np.linalg.inv(fit.affine[:, :2]).T, dtype=np.float32)
        texture = (wanted - fit.affine[:, 2]) @ back
        last = SIZE // STEP - 1
        for _ in range(INVERSE_ROUNDS):
            node = (texture + np.float32(0.5 - STEP / 2)) * np.float32(1 / STEP)
            inside = np.clip(node, 0, last)
            here = cv2.remap(fit.nodes, inside, None, cv2.INTER_LINEAR)
            beyond = (node - inside) * np.float32(STEP)
            texture += np.float32(INVERSE_DAMPING) * ((wanted - here) @ back - beyond)
        return np.asarray(texture, np.float32)


def _similarity(home: Floats, points: NDArray[np.float64]) -> Floats:
    """Least squares turn, scale and shift from `home` to `points`, as complex numbers: (2, 3) float32."""
    start = (home[:, 0] + 1j * home[:, 1]).astype(np.complex128)
    end = points[:, 0] + 1j * points[:, 1]
    away = start - start.mean()
    turn = np.vdot(away, end - end.mean()) / np.vdot(away, away)
    shift = end.mean() - turn * start.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32)
