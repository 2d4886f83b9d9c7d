"""What occluders are drawn with: the face they cover, round limbs with shading, fabrics, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

Kind = Literal["hand", "microphone", "cup", "card", "cloth", "glasses", "strands"]

CHEEKS = (50, 101, 205, 280, 330, 425)
"""Mesh points whose skin stands for that of a hand."""
SUBPIXEL_BITS = 4
"""OpenCV's drawing takes fixed-point coordinates with this many fractional bits."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """An occluder on an empty canvas.

    Attributes:
        colour: (S, S, 3) float32 RGB, 0..255, premultiplied by `alpha`.
        alpha: (S, S) float32 in [0, 1].
        kind: what it is; a hand belongs to the person, a lock of hair to the hair.
    """

    colour: Floats
    alpha: Floats
    kind: Kind


@dataclass(frozen=True, slots=True)
class Scene:
    """Inputs of the drawing functions: random generator, face, fabrics."""

    rng: np.random.Generator
    image: Floats
    mesh: Floats
    fabrics: Sequence[NDArray[np.uint8]]

    @property
    def size(self) -> int:
        return len(self.image)

    @property
    def face_height(self) -> float:
        return float(np.linalg.norm(self.mesh[10] - self.mesh[152]))

    def spot(self, low: float = 0.0, high: float = 1.0) -> Floats:
        """Sample a point over the face, `low`..`high` of the way from the forehead to the chin."""
        along = self.rng.uniform(low, high)
        centre = self.mesh[10] * (1 - along) + self.mesh[152] * along
        across = self.mesh[454] - self.mesh[234]
        return np.asarray(centre + across * self.rng.uniform(-0.6, 0.6), np.float32)

    def skin(self) -> Floats:
        """Sample a skin colour near the face's own, or an independent one with probability 0.15."""
        rng, size = self.rng, self.size
        points = np.clip(self.mesh[list(CHEEKS)].round().astype(int), 0, size - 1)
        tone = np.median(self.image[points[:, 1], points[:, 0]], axis=0)
        if rng.random() < 0.15:
            tone = np.array([235, 200, 175]) * rng.uniform(0.25, 1.0)
        doubt = 1.0 if rng.random() < 0.5 else 0.35
        tone = tone * np.exp(rng.normal(0, 0.16 * doubt)) * np.exp(rng.normal(0, 0.04 * doubt, 3))
        return np.asarray(np.clip(tone, 12, 250), np.float32)

    def fabric(self) -> Floats:
        """(S, S, 3) float32 texture: a stretched strip of a picture, or a plain colour with folds."""
        rng, size = self.rng, self.size
        if self.fabrics and rng.random() < 0.65:
            picture = self.fabrics[int(rng.integers(len(self.fabrics)))]
            side = len(picture)
            part = int(rng.uniform(0.12, 0.3) * side)
            top = side - part if rng.random() < 0.7 else 0
            left = int(rng.integers(0, side - part))
            piece = picture[top : top + part, left : left + part].astype(np.float32)
            piece = np.rot90(piece, int(rng.integers(4)))
            surface = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=cv2.INTER_LINEAR)
        else:
            surface = np.broadcast_to(any_colour(rng), (size, size, 3)).astype(np.float32)
        folds = 1 + rng.uniform(0, 0.3) * smooth_noise(rng, size, int(rng.integers(3, 9)))
        return np.asarray(np.clip(surface * folds[..., None], 0, 255), np.float32)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """(size, size) float32 noise in about [-1, 1] that varies over 1/cells of the side."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def any_colour(rng: np.random.Generator) -> Floats:
    if rng.random() < 0.5:
        return np.asarray(rng.uniform(5, 70) + rng.normal(0, 6, 3), np.float32).clip(0, 255)
    return np.asarray(rng.uniform(10, 250, 3), np.float32)


def subpixel(point: NDArray[np.floating[Any]]) -> tuple[int, int]:
    scaled = np.round(np.asarray(point) * (1 << SUBPIXEL_BITS)).astype(int)
    return int(scaled[0]), int(scaled[1])


def polygon(canvas: Floats, points: NDArray[np.floating[Any]], value: float) -> None:
    corners = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [corners], value, cv2.LINE_AA, SUBPIXEL_BITS)


@dataclass(frozen=True, slots=True)
class Limb:
    """A rounded, tapering stick: from `start` (radius `first`) to `end` (radius `last`), in pixels."""

    start: Floats
    end: Floats
    first: float
    last: float

    def fill(self, canvas: Floats, value: float) -> None:
        along = self.end - self.start
        normal = np.array([-along[1], along[0]], np.float32) / max(float(np.linalg.norm(along)), 1e-6)
        sides = [
            self.start + normal * self.first,
            self.end + normal * self.last,
            self.end - normal * self.last,
            self.start - normal * self.first,
        ]
        polygon(canvas, np.stack(sides), value)
        for centre, radius in ((self.start, self.first), (self.end, self.last)):
            reach = round(radius * (1 << SUBPIXEL_BITS))
            cv2.circle(canvas, subpixel(centre), reach, value, -1, cv2.LINE_AA, SUBPIXEL_BITS)


@dataclass(frozen=True, slots=True)
class ShadedCanvas:
    """Alpha and shading of a round object under directional light (`light`, a unit vector in the picture's plane)."""

    alpha: Floats
    shade: Floats
    light: Floats

    @staticmethod
    def empty(size: int, light: Floats) -> ShadedCanvas:
        unit = light / max(float(np.linalg.norm(light)), 1e-6)
        return ShadedCanvas(np.zeros((size, size), np.float32), np.full((size, size), 0.7, np.float32), unit)

    def add(self, limb: Limb) -> None:
        """Draw a limb shaded like a cylinder: a bright axis, and a dark rim that separates it from its neighbours."""
        limb.fill(self.alpha, 1.0)
        for inset, value in ((1.0, 0.62), (0.86, 0.82), (0.62, 0.95), (0.34, 1.04)):
            shift = self.light * (1 - inset) * (limb.first + limb.last) * 0.3
            inner = Limb(limb.start + shift, limb.end + shift, limb.first * inset, limb.last * inset)
            inner.fill(self.shade, value)


def ramp(size: int, direction: Floats, centre: Floats, extent: float) -> Floats:
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    along = (columns - centre[0]) * direction[0] + (rows - centre[1]) * direction[1]
    return np.asarray(np.clip(along / max(extent, 1.0), -1, 1), np.float32)


def finish(rng: np.random.Generator, colour: Floats, alpha: Floats, kind: Kind) -> Cutout:
    alpha = np.clip(alpha, 0, 1)
    return Cutout(np.asarray(np.clip(colour, 0, 255) * alpha[..., None], np.float32), alpha, kind)


def over(below: Cutout, above: Cutout) -> Cutout:
    rest = 1 - above.alpha
    return Cutout(below.colour * rest[..., None] + above.colour, below.alpha * rest + above.alpha, above.kind)
