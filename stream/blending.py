"""Paste an edit back into the camera's picture, on the region it touches only.

Everything is prepared at the crop's size, premultiplied, and brought to the camera's resolution by one warp:

    out = camera + j (camera(flow) - camera) + P - k camera
    with  k = mask opacity,  j = mask - k,  P = j delta + k image
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from models.editor import Edit
from stream.alignment import Quad, crop_to_frame, frame_to_crop
from stream.frame import Floats, Image

FEATHER = 0.04
FLOW_FLOOR_PX = 0.05


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a frame, in pixels; the end is exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def empty(self) -> bool:
        return self.x1 <= self.x0 or self.y1 <= self.y0

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def blend(image: Image, out: Image, edit: Edit, quad: Quad, keep: Floats | None = None) -> None:
    """Blend one edit into a picture.

    Args:
        image: (H, W, 3) uint8 BGR, the camera's picture.
        out: (H, W, 3) uint8 BGR, a copy of `image` or of it with other faces edited; changed in place. Pixels where the
            mask is 0 are left alone, bit for bit.
        edit: the edit of a crop.
        quad: where that crop lies in the picture.
        keep: (M, M) float32 in [0, 1], same extent as the crop: 1 where the camera's pixel must stay (an occluder).
    """
    mask = edit.mask * border_feather(edit.mask.shape[0])
    if keep is not None:
        mask = mask * (1 - cv2.resize(keep, mask.shape[::-1], interpolation=cv2.INTER_LINEAR))
    size = mask.shape[0]
    region = touched(mask, quad, image.shape)
    if region.empty:
        return
    to_crop = frame_to_crop(quad, size)
    to_crop[:, 2] += to_crop[:, 0] * region.x0 + to_crop[:, 1] * region.y0
    to_region = cv2.invertAffineTransform(to_crop)
    extent = (region.x1 - region.x0, region.y1 - region.y0)
    target, camera = out[region.slices], image[region.slices]

    paint, moved = _premultiply(edit, mask)
    paint = cv2.warpAffine(paint, to_region, extent, flags=cv2.INTER_LINEAR)
    change = cv2.cvtColor(paint, cv2.COLOR_BGRA2BGR)
    if edit.image is not None:
        change -= cv2.multiply(target, _three(cv2.extractChannel(paint, 3)), dtype=cv2.CV_32F)
    if edit.flow is not None and float(np.abs(edit.flow).max()) > FLOW_FLOOR_PX:
        shift = cv2.warpAffine(_source_map(edit.flow, moved, quad), to_region, extent, flags=cv2.INTER_LINEAR)
        x, y, weight, _ = cv2.split(shift)
        warped = cv2.remap(
            image, *cv2.convertMaps(x, y, cv2.CV_16SC2), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        difference = cv2.subtract(warped, camera, dtype=cv2.CV_32F)
        change += cv2.multiply(difference, _three(weight))
    out[region.slices] = cv2.add(target, change, dtype=cv2.CV_8U)


def touched(mask: Floats, quad: Quad, shape: tuple[int, ...]) -> Region:
    """The part of a frame of shape (H, W, ...) that a crop's (S, S) mask reaches when it is pasted back."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return Region(0, 0, 0, 0)
    x0, x1, y0, y1 = columns[0] - 1, columns[-1] + 1, rows[0] - 1, rows[-1] + 1
    corners = np.array([[x0, y0, 1], [x0, y1, 1], [x1, y0, 1], [x1, y1, 1]], np.float32)
    points = corners @ crop_to_frame(quad, mask.shape[0]).T
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int) + 1
    height, width = shape[:2]
    return Region(max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height))


@lru_cache(maxsize=8)
def border_feather(size: int) -> Floats:
    """(size, size) float32: 1 inside, falling to 0 at the crop's border, so that no edit ends in a straight line."""
    distance = (np.arange(size, dtype=np.float32) + 0.5) / size
    ramp = np.clip((np.minimum(distance, 1 - distance) - 1 / size) / FEATHER, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.minimum.outer(ramp, ramp)


def _premultiply(edit: Edit, mask: Floats) -> tuple[Floats, Floats]:
    """P and k as one (S, S, 4) float32 picture, and j as (S, S): four channels warp faster than three and one."""
    size = mask.shape[0]
    paint = np.zeros((size, size, 4), np.float32)
    moved = mask
    if edit.image is not None:
        replace = mask if edit.opacity is None else mask * edit.opacity
        moved = mask - replace
        paint[..., 3] = replace
        paint[..., :3] = edit.image[..., ::-1] * replace[..., None]
    if edit.delta is not None:
        paint[..., :3] += edit.delta[..., ::-1] * moved[..., None]
    return paint, moved


def _source_map(flow: Floats, moved: Floats, quad: Quad) -> Floats:
    """(S, S, 4) float32: for each crop pixel the frame position (x, y) that its edited colour comes from, j, and 0."""
    size = flow.shape[0]
    u, v = _grid(size)
    u, v = u + flow[..., 0], v + flow[..., 1]
    a = crop_to_frame(quad, size)
    x = a[0, 0] * u + a[0, 1] * v + a[0, 2]
    y = a[1, 0] * u + a[1, 1] * v + a[1, 2]
    return cv2.merge([x, y, moved, np.zeros_like(moved)])


@lru_cache(maxsize=8)
def _grid(size: int) -> tuple[Floats, Floats]:
    line = np.arange(size, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    return u, v


def _three(plane: Floats) -> Floats:
    return cv2.merge([plane, plane, plane])
