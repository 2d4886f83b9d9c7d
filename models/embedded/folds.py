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
from models.editor import Crop
from models.embedded.beard import LIPS
from models.face.canvas import TURNED
from models.face.imaging import LUMINANCE, box_of, smoothstep
from models.face.texture_space import SIZE, STEP, YAW_MODE, Fit


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
        lips: how far around the lips nothing is filled: the corners of a mouth are dark.
        largest: largest side of the closing, pixels.
    """

    away: tuple[float, ...] = (20.0, 36.0, 41.0)
    rows: tuple[float, ...] = (96.0, 125.0, 172.0)
    half_width: float = 8.0
    soft: float = 2.5
    widest: int = 11
    around: float = 6.0
    many: tuple[float, float] = (0.12, 0.2)
    lips: float = 6.0
    largest: int = 31


FOLDS = Folds()
POINTS = 9
"""Points of a fold that are carried from the texture square to the crop."""


def fill_folds(crop: Crop, fit: Fit) -> tuple[Floats, Floats]:
    """What fills the folds of a crop.

    Args:
        crop: the face, with its mesh; what its masks do not call skin of the face stays.
        fit: where the face is.

    Returns:
        (S, S, 3) float32 RGB, what is added, 0 elsewhere; and (S, S) float32, 1 where it may differ from 0.
    """
    size = len(crop.image)
    scale = float(np.sqrt(abs(np.linalg.det(fit.affine[:, :2]))))
    lines = []
    for side in (-1, 1):
        at = ((_path(side) + np.float32(0.5)) * np.float32(1 / STEP) - np.float32(0.5))[None]
        lines.append(cv2.remap(fit.nodes.astype(np.float32), at, None, cv2.INTER_LINEAR)[0])
    skin = np.full((size, size), 1 - smoothstep(np.abs(fit.modes[YAW_MODE]), *TURNED), np.float32)
    if crop.masks is not None:
        face = crop.masks.face * (1 - np.maximum(crop.masks.hair, crop.masks.occluder))
        skin *= smoothstep(cv2.resize(face, (size, size), interpolation=cv2.INTER_LINEAR), 0.4, 0.8)
    if crop.mesh is not None:
        lips = np.zeros((size, size), np.float32)
        outline = [np.rint(np.clip(crop.mesh[list(LIPS)], -size, 2 * size)).astype(np.int32)]
        cv2.fillPoly(lips, outline, (1.0,))
        cv2.polylines(lips, outline, True, (1.0,), max(round(2 * FOLDS.lips * scale), 1))
        skin *= 1 - cv2.GaussianBlur(lips, (0, 0), 0.5 * FOLDS.lips * scale)
    return _filled(crop.image, lines, scale, skin)


def without_folds(texture: Image, skin: Floats) -> Image:
    """A texture with filled folds: the change of skin that is read of it fills no line.

    Args:
        texture: (192, 192, 3) uint8 RGB.
        skin: (192, 192) float32 in 0..1, where it shows skin beside the lips.
    """
    added, _ = _filled(texture, [_path(side) for side in (-1, 1)], 1.0, skin)
    return np.clip(texture + added + 0.5, 0, 255).astype(np.uint8)


def _path(side: int) -> Floats:
    """The fold on the left (-1) or on the right (1), (`POINTS`, 2) float32, texture pixels."""
    rows = np.linspace(FOLDS.rows[0], FOLDS.rows[-1], POINTS)
    return np.stack([(SIZE - 1) / 2 + side * np.interp(rows, FOLDS.rows, FOLDS.away), rows], -1).astype(np.float32)


def _filled(image: Image, lines: list[Floats], scale: float, skin: Floats) -> tuple[Floats, Floats]:
    """Close what is dark along lines, (N, 2) pixels each, on skin, at a scale in pixels per texture pixel."""
    where, size = np.zeros(image.shape[:2], np.float32), len(image)
    points = [np.rint(np.clip(line, -size, 2 * size) * 8).astype(np.int32)[:, None] for line in lines]
    cv2.polylines(where, points, False, (1.0,), max(round(2 * FOLDS.half_width * scale), 1), cv2.LINE_8, 3)
    box = box_of(where > 0, round(8 * scale) + 1)
    added, support = np.zeros(image.shape, np.float32), np.zeros(image.shape[:2], np.float32)
    if box is None:
        return added, support
    part = image[box]
    side = min(2 * round(FOLDS.widest * scale / 2) + 1, FOLDS.largest)
    closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    filling = cv2.GaussianBlur(closed, (0, 0), 0.35 * side).astype(np.float32) - part
    lost = cv2.subtract(closed, part).astype(np.float32) @ LUMINANCE / (closed.astype(np.float32) @ LUMINANCE + 8)
    lines_around = cv2.GaussianBlur(lost, (0, 0), FOLDS.around * scale)
    weight = cv2.GaussianBlur(where[box], (0, 0), FOLDS.soft * scale) * smoothstep(lost, 0.02, 0.08)
    weight *= skin[box] * (1 - smoothstep(lines_around, *FOLDS.many))
    added[box] = filling * weight[..., None]
    support[box] = weight > 0
    return added, support
