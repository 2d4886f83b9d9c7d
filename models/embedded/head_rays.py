"""A head along rays from the point between the brows: sums and values along each, directions, distances."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.scalp import CENTER, HeadMap, texture_scale

RAYS = 48
"""Rays from ear to ear."""


@dataclass(frozen=True, slots=True)
class Rays:
    """A head along its rays; each map is (S / 4, S / 4) float32.

    Attributes:
        head: polar map of the crop.
        scale: crop pixels per texture pixel.
        above: height above the brows, texture pixels.
        angle: from the crown, radians.
        length: distance from the point between the brows, texture pixels.
        inside: distance within the edge of the skull, texture pixels.
    """

    head: HeadMap
    scale: np.float32
    above: Floats
    angle: Floats
    length: Floats
    inside: Floats

    @classmethod
    def of(cls, head: HeadMap, edge: Floats | np.float32) -> Rays:
        """The rays of a head whose skull ends so many crop pixels within its outline."""
        scale = np.float32(texture_scale(head))
        above = np.asarray(np.float32(CENTER[1]) - head.texture[..., 1], np.float32)
        return cls(
            head=head,
            scale=scale,
            above=above,
            angle=np.asarray(np.abs(head.angle - np.float32(np.pi / 2)), np.float32),
            length=np.asarray(cv2.magnitude(head.texture[..., 0] - np.float32(CENTER[0]), above), np.float32),
            inside=np.asarray((head.distance - edge) / scale, np.float32),
        )

    def sums(self, values: Floats) -> Floats:
        """Sums of a map over the rays above the brows, each place by the share of its ray that it is, (`RAYS`,)."""
        share = np.where(self.above > 0, values / np.maximum(self.length, 1), 0)
        ray = np.minimum((self.head.angle * np.float32(RAYS / np.pi)).astype(np.intp), RAYS - 1)
        return np.bincount(ray.ravel(), share.ravel(), RAYS).astype(np.float32)

    def spread(self, values: Floats) -> Floats:
        """The value of the ray of each place, from (`RAYS`,) float32."""
        column = self.head.angle * np.float32(RAYS / np.pi) - np.float32(0.5)
        row = np.zeros_like(column)
        spread = cv2.remap(values[None], column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(spread, np.float32)

    def outwards(self) -> tuple[Floats, Floats]:
        """Unit vectors along the rays, crop axes: across and down."""
        texture = self.head.texture
        corner, side = texture[0, 0], len(texture)
        right, below = (texture[0, -1] - corner) / (side - 1), (texture[-1, 0] - corner) / (side - 1)
        middle = np.linalg.solve(np.column_stack([right, below]).astype(np.float64), np.array(CENTER) - corner)
        axis = np.arange(side, dtype=np.float32)
        across, down = np.meshgrid(axis - np.float32(middle[0]), axis - np.float32(middle[1]))
        length = np.maximum(cv2.magnitude(across, down), 1)
        return np.asarray(across / length, np.float32), np.asarray(down / length, np.float32)
