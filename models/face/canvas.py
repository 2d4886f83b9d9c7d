"""Draws changes of a face on a crop: of its skin in the texture square, of its shape by a warp.

The change of skin is a factor on the light of the camera, so drawing it needs no texture. Shape changes are given on
the lattice of the texture square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.editor import Crop
from models.face.imaging import LOG_OFFSET, LUMINANCE, box_of, log_colour, smoothstep
from models.face.texture_space import INVERSE_STEP, SIZE, STEP, YAW_MODE, Box, FaceSpace, Fit

TURNED = (2.6, 4.0)
"""Turns of the head over which the change of skin fades, in units of the yaw mode: 26 to 40 degrees. The texture of the
far cheek is stretched from too few pixels then.
"""
TURNED_FADE = 0.75
"""Share of the change of skin that goes on a turned head."""
TOP_NODES = 7
"""Lattice nodes inside the upper edge of the square over which the change of shape fades."""
NECK_NODES = 10
"""Lattice nodes below the square over which the change of shape fades."""
ROOM = 6.0
"""Distance from what the camera does not show within which the change of shape fades, over its largest displacement:
nothing is drawn from there, where streaks would be.
"""
STEEPEST = 0.85
"""Largest difference of displacement between neighbouring places, over their distance: at 1 the picture folds over."""
LEAST_MOVE = 0.02
"""Displacement below which a node counts as still, texture pixels."""
HIDDEN = (0.25, 0.75)
"""Cover (0..1) over which the change of skin fades."""
BROW_DARK = (0.0, 0.2)
"""Log light below that of the face over which a place among the brows may become lighter."""
BROW_SIGMA = 1.5
"""Gaussian of that light, crop pixels: a brow is lifted as a whole."""
FACING = (0.2, 0.5)
"""Apparent area of a lattice cell, relative to the whole face, over which it counts as turned to the camera."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """The part of a face that may change.

    Attributes:
        skin: (192, 192) float32 in 0..1, where skin may change, in the texture square.
        reach: (4, 2) float32, corners of the part that skin or shape may change, texture pixels.
        brows: (192, 192) float32 in 0..1, where brows may be, in the texture square.
    """

    skin: Floats
    reach: Floats
    brows: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]], *moves: Floats) -> Canvas:
        """Read `ageing_skin` and `skin_brows` (stored as 0..255) from named arrays.

        Args:
            tables: the arrays.
            moves: all changes of shape that will be drawn, (..., 64 + `NECK_NODES`, 64, 2) each, texture pixels.
        """
        skin = tables["ageing_skin"].astype(np.float32) / np.float32(255)
        most = np.maximum.reduce([np.abs(each).max((*range(each.ndim - 3), -1)) for each in moves])
        still = most < LEAST_MOVE
        still[: SIZE // STEP] &= cv2.resize(skin, (SIZE // STEP, SIZE // STEP), interpolation=cv2.INTER_AREA) == 0
        rows, columns = np.flatnonzero(~still.all(1)), np.flatnonzero(~still.all(0))
        (x0, x1), (y0, y1) = ((ends[0] * STEP, (ends[-1] + 1) * STEP) for ends in (columns, rows))
        reach = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], np.float32)
        return Canvas(skin, reach, around_brows(tables["skin_brows"].astype(np.float32) / np.float32(255)))

    def draw(
        self,
        space: FaceSpace,
        fit: Fit,
        crop: Crop,
        *,
        moves: Floats,
        change: Floats,
        features: Floats | None = None,
        tone: Floats | None = None,
    ) -> tuple[Floats, Floats, Floats]:
        """Draw a change of the texture square on the crop.

        What makes brows lighter is shown where the camera has something dark: a brow that is raised further than the
        mesh tells would leave a bright bar below it.

        Args:
            space: the texture square.
            fit: where the face is.
            crop: the face; skin that its masks call hidden keeps its look.
            moves: (64 + `NECK_NODES`, 64, 2) float32, displacement of the lattice, texture pixels; see
                `extend_over_neck`.
            change: (192, 192, 3) float32, change of log colour where skin may change.
            features: (192, 192, 3) float32, change of log colour where skin may not change: at eyes and lips; or None.
            tone: (3,) float32, median log colour of the face, which tells what is dark; None where brows are taken to
                be where the mesh has them.

        Returns:
            (S, S, 2) flow and (S, S, 3) delta as in `models.editor.Edit`, and (S, S) float32, 1 where either may
            differ from 0.
        """
        size = len(crop.image)
        flow, delta = np.zeros((size, size, 2), np.float32), np.zeros((size, size, 3), np.float32)
        support = np.zeros((size, size), np.float32)
        box = _around(self.reach @ fit.affine[:, :2].T + fit.affine[:, 2], size)
        if box is None:
            return flow, delta, support
        part = (slice(box[1], box[3]), slice(box[0], box[2]))
        extent = (box[2] - box[0], box[3] - box[1])

        seen = facing(fit)
        shown = moves * np.pad(seen, ((0, NECK_NODES), (0, 0)), "edge")[..., None]
        where = space.to_texture(fit, box)
        shift = _sample(shown, (where + np.float32(0.5)) * np.float32(1 / STEP) - np.float32(0.5))
        pushed = shift @ np.ascontiguousarray(fit.affine[:, :2].T)
        if crop.beyond is not None and crop.beyond[part].any():
            room = _room(crop.beyond[part], shift.shape[1::-1], ROOM * float(np.abs(pushed).max()))[..., None]
            shift, pushed = shift * room, pushed * room
        # the change lies on the skin that is shown here, wherever that comes from
        drawn = _displaced(where, pushed * np.float32(-1 / INVERSE_STEP))

        turned = float(smoothstep(np.abs(fit.modes[YAW_MODE]), *TURNED))
        weight = seen * (1 - smoothstep(covered(crop, fit, len(seen)), *HIDDEN))
        weight = cv2.resize(weight, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        weight *= np.float32(1 - TURNED_FADE * turned)
        holds = weight * self.skin
        gain = cv2.multiply(change, cv2.merge([holds, holds, holds]))
        if features is not None:
            rest = weight - holds
            cv2.add(gain, cv2.multiply(features, cv2.merge([rest, rest, rest])), dst=gain)
            red, green, blue = cv2.split(features)
            holds = np.maximum(holds, rest * (red * red + green * green + blue * blue > 0))
        cv2.exp(gain, dst=gain)
        cv2.subtract(gain, (1.0, 1.0, 1.0, 0.0), dst=gain)

        both = cv2.resize(np.concatenate([drawn, pushed], axis=2), extent, interpolation=cv2.INTER_LINEAR)
        factor = _sample(gain, np.ascontiguousarray(both[..., :2]))
        np.negative(both[..., 2:], out=flow[part])
        moved = _moved(crop.image, flow[part], box)
        if tone is not None:
            self._spare_bright(factor, moved, drawn, float(tone @ LUMINANCE))
        cv2.multiply(cv2.add(moved, (LOG_OFFSET,) * 3 + (0.0,), dtype=cv2.CV_32F), factor, dst=delta[part])
        touched = (shift[..., 0] != 0) | (shift[..., 1] != 0) | (_sample(holds, drawn) > 0)
        touched = cv2.dilate(touched.astype(np.float32), np.ones((3, 3), np.uint8))
        support[part] = cv2.resize(touched, extent, interpolation=cv2.INTER_NEAREST)
        return flow, delta, support

    def _spare_bright(self, factor: Floats, picture: NDArray[np.uint8], where: Floats, level: float) -> None:
        """Take back what makes bright places among the brows lighter.

        Args:
            factor: (H, W, 3) float32, changed in place: share of the camera's light that is added.
            picture: (H, W, 3) uint8 RGB, the camera's pixels there.
            where: (h, w, 2) float32, the same places in the texture square, coarser.
            level: median log light of the face.
        """
        height, width = factor.shape[:2]
        brows = _sample(self.brows, where)
        coarse = box_of(brows > 0)
        if coarse is None:
            return
        zoom = np.array([height / len(brows), width / brows.shape[1]])
        box = tuple(
            slice(int(each.start * scale), int(each.stop * scale)) for each, scale in zip(coarse, zoom, strict=True)
        )
        part = factor[box]
        light = cv2.GaussianBlur(log_colour(picture[box]) @ LUMINANCE, (0, 0), BROW_SIGMA)
        bright = 1 - smoothstep(np.float32(level) - light, *BROW_DARK)
        bright *= cv2.resize(brows[coarse], part.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        part -= np.maximum(part, 0) * bright[..., None]


def around_brows(brows: Floats) -> Floats:
    """Brows, and a little around them, as no face has them where the mean face has; (192, 192) float32 in 0..1.

    Args:
        brows: (192, 192) float32 in 0..1, the brows of the mean face.
    """
    return np.clip(cv2.GaussianBlur(brows, (0, 0), 2.0) * np.float32(1.6), 0, 1)


def without_overlap(moves: Floats) -> Floats:
    """A displacement of the lattice that is as much smaller as it takes to fold nothing over, see `STEEPEST`."""
    steepest = max(float(np.abs(np.diff(moves[..., axis], axis=1 - axis)).max()) for axis in (0, 1)) / STEP
    return moves * np.float32(min(1.0, STEEPEST / max(steepest, 1e-6)))


def _room(beyond: Floats, size: tuple[int, int], reach: float) -> Floats:
    """How freely each place may move, 0..1.

    Args:
        beyond: (H, W) float32, 1 beyond the camera's frame.
        size: width and height of the answer.
        reach: distance from there within which moves fade, pixels of `beyond`.
    """
    shown = (beyond < 0.5).astype(np.uint8)
    away = cv2.resize(cv2.distanceTransform(shown, cv2.DIST_L2, 3), size, interpolation=cv2.INTER_AREA)
    return smoothstep(np.asarray(away, np.float32), 0, max(reach, 1.0))


def extend_over_neck(moves: Floats) -> Floats:
    """Fade a displacement inside the upper edge of the square and extend it over the neck, so that the collar bends.

    Args:
        moves: (..., 64, 64, 2) float32, displacement of the lattice, texture pixels.

    Returns:
        (..., 64 + `NECK_NODES`, 64, 2) float32.
    """
    top = smoothstep(np.arange(moves.shape[-3]), 0, TOP_NODES)
    below = 1 - smoothstep(np.arange(NECK_NODES), -1, NECK_NODES)
    neck = moves[..., -1:, :, :] * below[:, None, None]
    return np.concatenate([moves * top[:, None, None], neck], axis=-3)


def covered(crop: Crop, fit: Fit, size: int = SIZE) -> Floats:
    """Where hair or an occluder hides the skin: (size, size) float32 in 0..1, in the texture square."""
    if crop.masks is None:
        return np.zeros((size, size), np.float32)
    in_front = np.maximum(crop.masks.hair, crop.masks.occluder)
    scale = np.float32(len(in_front) / len(crop.image))
    nodes = fit.nodes * scale + (scale - 1) / 2
    hidden = cv2.remap(in_front, nodes, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(hidden, (size, size), interpolation=cv2.INTER_LINEAR))


def visible(fit: Fit) -> Floats:
    """Where the skin faces the camera: (192, 192) float32 in 0..1, in the texture square."""
    return np.asarray(cv2.resize(facing(fit), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))


def facing(fit: Fit) -> Floats:
    """Where the skin faces the camera: (64, 64) float32 in 0..1, on the lattice."""
    down, across = np.gradient(fit.nodes, axis=0), np.gradient(fit.nodes, axis=1)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    step = SIZE / area.shape[0]
    share = area / (step * step * np.linalg.det(fit.affine[:, :2]))
    return np.asarray(cv2.GaussianBlur(cv2.erode(smoothstep(share, *FACING), np.ones((3, 3), np.uint8)), (0, 0), 1.5))


def _around(points: Floats, size: int) -> Box | None:
    """The box around some points, clipped to the crop, in whole steps of the inverse map; None if it is empty."""
    low = np.floor(points.min(0) / INVERSE_STEP - 1).astype(int) * INVERSE_STEP
    high = np.ceil(points.max(0) / INVERSE_STEP + 1).astype(int) * INVERSE_STEP
    last = size // INVERSE_STEP * INVERSE_STEP
    (x0, y0), (x1, y1) = np.clip(low, 0, last), np.clip(high, 0, last)
    return None if x1 <= x0 or y1 <= y0 else (int(x0), int(y0), int(x1), int(y1))


def _moved(image: NDArray[np.uint8], flow: Floats, box: Box) -> NDArray[np.uint8]:
    x, y = np.arange(box[0], box[2], dtype=np.float32), np.arange(box[1], box[3], dtype=np.float32)
    where = np.empty(flow.shape, np.float32)
    np.add(flow[..., 0], x, out=where[..., 0])
    np.add(flow[..., 1], y[:, None], out=where[..., 1])
    return np.asarray(cv2.remap(image, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _displaced(values: Floats, by: Floats) -> Floats:
    """A map (H, W, C) at each place plus (H, W, 2) float32, pixels of the map."""
    x = by[..., 0] + np.arange(by.shape[1], dtype=np.float32)
    y = by[..., 1] + np.arange(len(by), dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _sample(texture: Floats, where: Floats) -> Floats:
    return np.asarray(cv2.remap(texture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
