"""The outline of a head that was drawn, and a drawing bent to another outline.

Two drawings of one head that turns differ most where it ends: shown one after the other, the head would jump, and
faded one into the other it would have two outlines. Bent along rays to an outline between them, both agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from models.arrays import Floats
from models.face.imaging import smoothstep

RAYS = 64
"""Rays from the middle of the face, from one side of the head over its crown to the other."""
SIDEWAYS = 88.0
"""Degrees from the crown at which they end, above the ears; towards there heads are bent less and less."""
FADES = 25.0
"""Degrees before that over which they are."""
LENGTH = 128
"""Places along each ray that are looked at."""
BENT = (0.45, 0.9)
"""Shares of the way to the outline over which a head is bent: a face stays."""
AROUND = (1.1, 1.5)
"""Shares of that way over which what is beside the head is bent less and less."""
MOST = 0.2
"""Largest change of a radius."""
SMOOTH = 2.0
"""Gaussian over the changes, rays."""
GRID = 4
"""Pixels between the places at which the bend is computed."""


@dataclass(frozen=True, slots=True)
class HeadFrame:
    """Where the rays of a head begin.

    Attributes:
        middle: (2,) float32, pixel indices.
        up: (2,) float32 of length 1, from there towards the crown.
    """

    middle: Floats
    up: Floats

    @staticmethod
    def of(anchors: Floats) -> HeadFrame | None:
        """The frame of a face.

        Args:
            anchors: (N, 2) float32, points around the upper face, the first of them the top of the forehead; None comes
                back where that lies in their middle.
        """
        middle = anchors.mean(axis=0) - np.float32(0.5)
        up = anchors[0] - np.float32(0.5) - middle
        length = float(np.hypot(*up))
        return None if length < 1 else HeadFrame(middle, np.asarray(up / np.float32(length), np.float32))


def outline(head: Floats, frame: HeadFrame) -> Floats:
    """How far a head reaches along each ray, (RAYS,) float32, pixels; NaN where it does not reach beyond the middle.

    Args:
        head: (S, S) float32 in 0..1, where the head is.
        frame: of its face.
    """
    angles = np.radians(_angles())
    across = np.array([-frame.up[1], frame.up[0]], np.float32)
    ways = np.cos(angles)[:, None] * frame.up + np.sin(angles)[:, None] * across
    lengths = np.linspace(0, len(head), LENGTH, dtype=np.float32)
    places = (frame.middle + ways[:, None] * lengths[:, None]).astype(np.float32)
    along = cv2.remap(head, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    inside = along >= np.float32(0.5)
    last = LENGTH - 1 - np.argmax(inside[:, ::-1], axis=1)
    here = np.take_along_axis(along, last[:, None], 1)[:, 0]
    beyond = np.take_along_axis(along, np.minimum(last + 1, LENGTH - 1)[:, None], 1)[:, 0]
    # between two places the edge is where half of the head is left
    part = np.clip((here - np.float32(0.5)) / np.maximum(here - beyond, np.float32(1e-3)), 0, 1)
    found = inside.any(axis=1) & (last > 0)
    return np.where(found, lengths[last] + part * lengths[1], np.float32(np.nan)).astype(np.float32)


def apart(first: Floats, second: Floats) -> float:
    """Largest distance of two outlines where both are known, as far as heads are bent there, pixels."""
    away = np.abs(first - second) * _shares()
    return float(np.nanmax(away, initial=0.0))


def bend(frame: HeadFrame, drawn: Floats, wanted: Floats, size: int) -> tuple[Floats, Floats]:
    """Where the pixels of a bent head come from.

    Args:
        frame: of its face.
        drawn: its outline, from `outline`.
        wanted: the outline that it shall have.
        size: S, side of the picture.

    Returns:
        Two (S, S) float32, pixel indices across and down.
    """
    wanted = np.maximum(wanted, 1)
    change = np.nan_to_num(np.clip(drawn / wanted, 1 - MOST, 1 + MOST) - 1).astype(np.float32)
    change = cv2.GaussianBlur(change[None], (0, 0), SMOOTH, borderType=cv2.BORDER_REPLICATE)
    change *= _shares()
    reach = np.nan_to_num(wanted, nan=float(size))[None]
    x, y = _pixels(size, GRID)
    x, y = x - frame.middle[0], y - frame.middle[1]
    ahead, aside = x * frame.up[0] + y * frame.up[1], y * frame.up[0] - x * frame.up[1]
    angle = np.degrees(np.arctan2(aside, ahead)).astype(np.float32)
    ray = np.clip((angle + np.float32(SIDEWAYS)) * np.float32((RAYS - 1) / (2 * SIDEWAYS)), 0, RAYS - 1)
    row = np.zeros_like(ray)
    by, end = (cv2.remap(each, ray, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for each in (change, reach))
    way = cv2.magnitude(x, y) / end
    by = by * smoothstep(way, *BENT) * (1 - smoothstep(way, *AROUND))
    across, down = (cv2.resize(by * each, (size, size), interpolation=cv2.INTER_LINEAR) for each in (x, y))
    whole = _pixels(size, 1)
    return np.asarray(whole[0] + across, np.float32), np.asarray(whole[1] + down, np.float32)


@lru_cache(maxsize=1)
def _angles() -> Floats:
    return np.linspace(-SIDEWAYS, SIDEWAYS, RAYS, dtype=np.float32)


@lru_cache(maxsize=1)
def _shares() -> Floats:
    """How far a head is bent along each ray, 0..1."""
    return np.clip((np.float32(SIDEWAYS) - np.abs(_angles())) / np.float32(FADES), 0, 1)


@lru_cache(maxsize=4)
def _pixels(size: int, grid: int) -> tuple[Floats, Floats]:
    """The places of a grid over a picture, pixel indices across and down."""
    axis = (np.arange(size // grid, dtype=np.float32) + np.float32(0.5)) * np.float32(grid) - np.float32(0.5)
    x, y = np.meshgrid(axis, axis)
    return x, y
