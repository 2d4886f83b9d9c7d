"""Where the edge of a skull is drawn, which need not be where its outline is known to be."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.embedded.head_rays import Rays
from models.embedded.scalp import HeadMap
from models.face.imaging import smoothstep


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """How the edge of a skull that was drawn is found. Lengths are crop pixels.

    Attributes:
        usual: how far within the outline it is, where it is not seen.
        deepest, farthest: how far within and beyond it is looked for.
        bounds: least and most of it.
        differs: differences between head and scene, 0..255, over which they tell.
        part: shares of that difference over which a place is head.
        smooth: Gaussian over rays.
        least: weight of the usual edge.
    """

    usual: float = 3.5
    deepest: float = 18.0
    farthest: float = 8.0
    bounds: tuple[float, float] = (-2.0, 7.0)
    differs: tuple[float, float] = (12.0, 40.0)
    part: tuple[float, float] = (0.1, 0.6)
    smooth: float = 2.0
    least: float = 0.3


EDGE = DrawnEdge()


def drawn_edge(head: HeadMap, drawn: Image, behind: Image) -> Floats:
    """How far within the outline the edge of a skull is drawn, by what differs from the scene behind it.

    Args:
        head: polar map of the crop.
        drawn: (S, S, 3) uint8 RGB, the head without hair.
        behind: (S, S, 3) uint8 RGB, the scene without the head.

    Returns:
        (S / 4, S / 4) float32, crop pixels, the same along each ray.
    """
    rays = Rays.of(head, np.float32(0))
    side = head.distance.shape[::-1]
    bare, scene = (cv2.resize(each, side, interpolation=cv2.INTER_AREA).astype(np.float32) for each in (drawn, behind))
    unlike = np.asarray(np.abs(bare - scene).max(2), np.float32)
    around, surely = (
        np.asarray((head.distance > start) & (head.distance < end), np.float32)
        for start, end in ((-EDGE.farthest, EDGE.deepest), (EDGE.deepest, 2 * EDGE.deepest))
    )
    contrast = rays.sums(surely * unlike) / np.maximum(rays.sums(surely), np.float32(1e-6))
    # towards its edge a head may be as dark as the scene
    part = smoothstep(unlike / np.maximum(rays.spread(np.asarray(contrast, np.float32)), 1), *EDGE.part)
    found = rays.sums(around * part) / np.maximum(rays.sums(around), np.float32(1e-6))
    depth = np.float32(EDGE.deepest) - np.float32(EDGE.deepest + EDGE.farthest) * found
    # where the scene looks like skin its edge is not seen
    weight = smoothstep(contrast, *EDGE.differs)
    lack = np.clip(depth, *EDGE.bounds) - np.float32(EDGE.usual)
    seen, weight = (
        cv2.GaussianBlur(each[None], (0, 0), EDGE.smooth, borderType=cv2.BORDER_REPLICATE)[0]
        for each in (lack * weight, weight)
    )
    return rays.spread(np.asarray(np.float32(EDGE.usual) + seen / (weight + np.float32(EDGE.least)), np.float32))
