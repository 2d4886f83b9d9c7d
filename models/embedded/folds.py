"""The folds from the nose past the corners of the mouth to the jaw: lines too deep and too fine for the texture square.

A change of skin that is drawn from a texture lies beside such a line by a share of a pixel, and leaves it as a dark and
a light one. It is filled in the camera's own pixels instead, by a closing (Serra 1982): what is darker than both of its
sides takes their light.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.imaging import LUMINANCE, box_of, smoothstep
from models.face.texture_space import SIZE, STEP, Fit


@dataclass(frozen=True, slots=True)
class Folds:
    """Where folds are and what counts as one. Lengths are texture pixels.

    Attributes:
        away: distances from the middle of the face of a fold: its upper end, its place beside the mouth, its lower
            end.
        rows: rows of these.
        half_width: how far around a fold is looked for.
        soft: Gaussian of the edge of that.
        widest: side of the closing.
        around: Gaussian over which lines are counted.
        many: share of the light that all lines around take, over which they are those of a beard.
    """

    away: tuple[float, ...] = (20.0, 36.0, 41.0)
    rows: tuple[float, ...] = (96.0, 125.0, 172.0)
    half_width: float = 8.0
    soft: float = 2.5
    widest: int = 11
    around: float = 6.0
    many: tuple[float, float] = (0.18, 0.3)


FOLDS = Folds()
POINTS = 9
"""Points of a fold that are carried from the texture square to the crop."""


def fill_folds(image: Image, fit: Fit) -> tuple[Floats, Floats]:
    """What fills the folds of a crop.

    Args:
        image: (S, S, 3) uint8 RGB.
        fit: where the face is.

    Returns:
        (S, S, 3) float32 RGB, what is added, 0 elsewhere; and (S, S) float32, 1 where it may differ from 0.
    """
    lines = []
    for side in (-1, 1):
        at = ((_path(side) + np.float32(0.5)) * np.float32(1 / STEP) - np.float32(0.5))[None]
        lines.append(cv2.remap(fit.nodes.astype(np.float32), at, None, cv2.INTER_LINEAR)[0])
    scale = float(np.sqrt(abs(np.linalg.det(fit.affine[:, :2]))))
    return _filled(image, lines, scale)


def without_folds(texture: Image) -> Image:
    """A texture, (192, 192, 3) uint8 RGB, with filled folds: the change of skin that is read of it fills no line."""
    added, _ = _filled(texture, [_path(side) for side in (-1, 1)], 1.0)
    return np.clip(texture + added + 0.5, 0, 255).astype(np.uint8)


def _path(side: int) -> Floats:
    """The fold on the left (-1) or on the right (1), (`POINTS`, 2) float32, texture pixels."""
    rows = np.linspace(FOLDS.rows[0], FOLDS.rows[-1], POINTS)
    return np.stack([(SIZE - 1) / 2 + side * np.interp(rows, FOLDS.rows, FOLDS.away), rows], -1).astype(np.float32)


def _filled(image: Image, lines: list[Floats], scale: float) -> tuple[Floats, Floats]:
    """Close what is dark along lines, (N, 2) pixels each, at a scale in pixels per texture pixel."""
    where = np.zeros(image.shape[:2], np.float32)
    points = [np.rint(line * 8).astype(np.int32)[:, None] for line in lines]
    cv2.polylines(where, points, False, (1.0,), max(round(2 * FOLDS.half_width * scale), 1), cv2.LINE_8, 3)
    box = box_of(where > 0, round(8 * scale) + 1)
    added, support = np.zeros(image.shape, np.float32), np.zeros(image.shape[:2], np.float32)
    if box is None:
        return added, support
    part = image[box]
    side = 2 * round(FOLDS.widest * scale / 2) + 1
    closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    filling = cv2.GaussianBlur(closed, (0, 0), 0.35 * side).astype(np.float32) - part
    lost = cv2.subtract(closed, part).astype(np.float32) @ LUMINANCE / (closed.astype(np.float32) @ LUMINANCE + 8)
    lines_around = cv2.GaussianBlur(lost, (0, 0), FOLDS.around * scale)
    weight = cv2.GaussianBlur(where[box], (0, 0), FOLDS.soft * scale) * smoothstep(lost, 0.02, 0.08)
    weight *= 1 - smoothstep(lines_around, *FOLDS.many)
    added[box] = filling * weight[..., None]
    support[box] = weight > 0
    return added, support
