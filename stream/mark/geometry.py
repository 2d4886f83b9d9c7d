"""Between a frame and the square that the mark is written in, fast enough for every frame of a stream.

The square is the face's texture square (`models.face.texture_space`) at half its resolution, and its map is the same,
on a lattice of half the density.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.embedded import EMBEDDED
from models.face.texture_space import SIZE, VERTICES, FaceSpace
from stream.mark.carrier import SIDE

STEP = 6
"""Spacing of the lattice, texture pixels; its first node is at texture pixel 1."""
LEAST_RATIO = 1.25
"""Pixels of the window per pixel of the square to which large faces are shrunk, at least."""
MARGIN = 0.08
"""Of the window around the mesh, shares of its extent."""
LEAST_SIDE = 16
"""Pixels of the window's sides in the frame."""
INVERSE_STEP = 4
"""Spacing at which the inverse map is computed, pixels of the window."""
INVERSE_ROUNDS = 3
INVERSE_DAMPING = 0.9
"""Length of a step of an iteration, relative to the step by the affine map."""
SHAPE_LIMIT = 4.0
"""Standard deviations to which the face's shape is kept, as in `FaceSpace.fit`."""


class Window(NamedTuple):
    """A face in a frame.

    Attributes:
        x0, y0: corner in the frame, pixels.
        width, height: in the frame, pixels; multiples of `shrink`.
        shrink: frame pixels per pixel of the window.
        nodes: (L, L, 2) float32, window pixel indices of the lattice nodes.
        linear: (2, 2) float32, texture -> window pixels, without the shift.
        shift: (2,) float32, of the same map.
    """

    x0: int
    y0: int
    width: int
    height: int
    shrink: int
    nodes: Floats
    linear: Floats
    shift: Floats

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y0 + self.height), slice(self.x0, self.x0 + self.width)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the window."""
        return self.width // self.shrink, self.height // self.shrink


class _Space(NamedTuple):
    """The face space with what does not depend on the face.

    Attributes:
        affine_of: (3, 468) float64, the least squares inverse of the mean mesh.
        mean, ring, modes, spread: as in `FaceSpace`; modes is (K, 936).
        corners: (L * L, 3) int64.
        weights: (3, L * L, 1) float32.
        grid_x, grid_y: (SIDE, SIDE) float32, lattice position of each pixel of the square.
    """

    affine_of: NDArray[np.float64]
    mean: Floats
    ring: Floats
    modes: Floats
    spread: Floats
    corners: NDArray[np.int64]
    weights: Floats
    grid_x: Floats
    grid_y: Floats


@cache
def _space() -> _Space:
    space = FaceSpace.load(EMBEDDED / "editor_tables.npz")
    home = np.column_stack([space.mean, np.ones(VERTICES)]).astype(np.float64)
    every = STEP // 3
    corners, weights = space.corners[::every, ::every], space.weights[::every, ::every]
    texture = (np.arange(SIDE, dtype=np.float32) + 0.5) * (SIZE / SIDE) - 0.5
    x, y = np.meshgrid((texture - 1) / STEP, (texture - 1) / STEP)
    return _Space(
        np.asarray(np.linalg.solve(home.T @ home, home.T), np.float64),
        space.mean,
        space.ring,
        np.ascontiguousarray(space.modes.reshape(len(space.modes), -1)),
        space.spread,
        corners.reshape(-1, 3).astype(np.int64),
        np.ascontiguousarray(weights.reshape(-1, 3, 1).transpose(1, 0, 2)),
        x.astype(np.float32),
        y.astype(np.float32),
    )


def window_of(mesh: Floats, shape: tuple[int, ...]) -> Window | None:
    """Where the square of a face lies in a frame.

    Args:
        mesh: (>= 468, 2) float32, in continuous frame coordinates.
        shape: of the frame, (H, W, ...).

    Returns:
        None where the face is too small, or outside of the frame.
    """
    low, high = mesh[:VERTICES].min(0), mesh[:VERTICES].max(0)
    margin = MARGIN * (high - low)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (high - low).min() >= LEAST_SIDE):
        return None
    x0, y0 = (max(int(value), 0) for value in np.floor(low - margin))
    x1, y1 = (min(int(value), most) for value, most in zip(np.ceil(high + margin), (shape[1], shape[0]), strict=True))
    if min(x1 - x0, y1 - y0) < LEAST_SIDE:
        return None
    space = _space()
    points = mesh[:VERTICES].astype(np.float64) - (x0, y0)
    affine = (space.affine_of @ points).T
    size = 2 * float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))  # frame pixels per pixel of the square
    shrink = max(1, int(size / LEAST_RATIO))
    affine = affine / shrink
    affine[:, 2] -= 0.5  # continuous coordinates have pixel centres at halves
    linear, shift = affine[:, :2], affine[:, 2]
    points = points / shrink - 0.5
    unposed = ((points - shift) @ np.linalg.inv(linear).T - space.mean).astype(np.float32)
    limit = SHAPE_LIMIT * space.spread
    form = np.clip(space.modes @ unposed.ravel(), -limit, limit) @ space.modes
    placed = np.vstack([space.mean + form.reshape(-1, 2), space.ring]) @ linear.T.astype(np.float32)
    placed = (placed + shift).astype(np.float32)
    side = SIZE // STEP
    nodes = sum(placed[space.corners[:, corner]] * space.weights[corner] for corner in range(3))
    return Window(
        x0,
        y0,
        (x1 - x0) // shrink * shrink,
        (y1 - y0) // shrink * shrink,
        shrink,
        np.asarray(nodes, np.float32).reshape(side, side, 2),
        linear.astype(np.float32),
        shift.astype(np.float32),
    )


def unwrap(image: Image, window: Window) -> Floats:
    """The luma of a face in its square, (SIDE, SIDE) float32, 0..255; beyond the window its edge is repeated.

    Args:
        image: (H, W, 3) uint8 BGR, of the shape that the window was made for.
        window: of the face.
    """
    luma = cv2.cvtColor(image[window.slices], cv2.COLOR_BGR2GRAY)
    if window.shrink > 1:
        luma = cv2.resize(luma, window.size, interpolation=cv2.INTER_AREA)
    space = _space()
    grid = cv2.remap(window.nodes, space.grid_x, space.grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.remap(luma, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def wrap(square: Floats, window: Window) -> Floats:
    """Bring a picture of the square, (SIDE, SIDE) float32, to the pixels of the window; 0 outside of the square."""
    width, height = window.size
    columns, rows = -(-width // INVERSE_STEP), -(-height // INVERSE_STEP)
    middle = (INVERSE_STEP - 1) / 2
    x = np.arange(columns, dtype=np.float32) * INVERSE_STEP + np.float32(middle)
    y = np.arange(rows, dtype=np.float32) * INVERSE_STEP + np.float32(middle)
    wanted = np.stack(np.meshgrid(x, y), axis=-1)
    back = np.ascontiguousarray(np.linalg.inv(window.linear).T, np.float32)
    texture = (wanted - window.shift) @ back
    last = window.nodes.shape[0] - 1
    for _ in range(INVERSE_ROUNDS):
        node = (texture - 1) * np.float32(1 / STEP)
        inside = np.clip(node, 0, last)
        here = cv2.remap(window.nodes, inside, None, cv2.INTER_LINEAR)
        beyond = (node - inside) * np.float32(STEP)
        texture += np.float32(INVERSE_DAMPING) * ((wanted - here) @ back - beyond)
    where = cv2.resize(texture, (columns * INVERSE_STEP, rows * INVERSE_STEP), interpolation=cv2.INTER_LINEAR)
    # cubic enlargement and linear sampling keep as much as cubic sampling, in a fifth of the time
    fine = cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    wrapped = cv2.remap(fine, where[:height, :width], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(wrapped, np.float32)
