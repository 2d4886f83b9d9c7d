"""Blends an edit into the camera's frame, within the region that its mask reaches.

The edit is premultiplied at the crop's size and warped to the frame's resolution as one picture of four channels:

    out(p) = (1 - k) camera(p + mask flow) + P    with  k = mask opacity,  P = (mask - k) delta + k image
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.crops import Placement
from models.editor import Edit
from models.face.squeezing import footprint, pressed
from stream.frame import Region

FEATHER = 0.04
"""Share of the crop's side over which every edit fades to the crop's border."""
STRIP_ROWS = 32
"""Rows that are blended at once: the intermediate pictures stay in a core's cache."""
TILE = 8
"""Side in pixels of the tiles of a strip; tiles that the mask does not reach are skipped."""
STILL = 1 / 32
"""Least displacement that is warped, frame pixels: `cv2.remap` rounds coordinates to this fraction."""


@dataclass(frozen=True, slots=True)
class Paint:
    """An edit under its visible mask, as far as it does not depend on the place of its crop.

    Made once for an edit that is pasted into many frames.

    Attributes:
        mask: (S, S) float32 in [0, 1], of `visible_mask`.
        colour: (S, S, 4) float32, P in BGR and k.
        painted: (S, S) bool, where the mask is not 0.
        replaced: (S, S) bool, where k is not 0; None without a picture.
        flow: of the edit times the mask, two (S, S) float32 planes in crop pixels; None without one.
        covers: what a pixel covers of the camera's where the edit's flow presses them together, two (S, S) float32
            planes along the crop's axes in pixels, at any scale the same; None for nowhere.
    """

    mask: Floats
    colour: Floats
    painted: NDArray[np.bool_]
    replaced: NDArray[np.bool_] | None
    flow: tuple[Floats, Floats] | None
    covers: tuple[Floats, Floats] | None

    @staticmethod
    def of(edit: Edit, mask: Floats) -> Paint:
        """Prepare an edit.

        Args:
            edit: of a crop.
            mask: from `visible_mask`.
        """
        colour = _premultiply(edit, mask)
        replaced = None if edit.image is None else colour[..., 3] > 0
        if edit.flow is None:
            return Paint(mask, colour, mask > 0, replaced, None, None)
        covers = footprint(edit.flow)
        flow, planes = (
            None if each is None else (each[..., 0] * mask, each[..., 1] * mask) for each in (edit.flow, covers)
        )
        return Paint(mask, colour, mask > 0, replaced, flow, planes)


def blend(image: Image, out: Image, edit: Edit, placement: Placement, keep: Floats | None = None) -> Region:
    """Blend one edit into a picture.

    Args:
        image: (H, W, 3) uint8 BGR, the picture to edit.
        out: (H, W, 3) uint8 BGR, a copy of `image`, changed in place. Pixels where the
            mask is 0 stay unchanged, bit for bit.
        edit: the edit of a crop.
        placement: where that crop lies in the picture.
        keep: (M, M) float32 in [0, 1], same extent as the crop: 1 where the camera's pixel must stay (an occluder).

    Returns:
        The region outside of which nothing changed; empty when nothing did.

    Raises:
        ValueError: the edit and the placement are of crops of different sizes.
    """
    return blend_paint(image, out, Paint.of(edit, visible_mask(edit, keep)), placement)


def visible_mask(edit: Edit, keep: Floats | None = None) -> Floats:
    """The edit's mask, (S, S) float32, feathered towards the crop's border, minus the occluder.

    Args:
        edit: the edit of a crop.
        keep: as for `blend`.
    """
    mask = edit.mask * border_feather(edit.mask.shape[0])
    if keep is not None:
        mask = mask * (1 - cv2.resize(keep, mask.shape[::-1], interpolation=cv2.INTER_LINEAR))
    return mask


def blend_paint(image: Image, out: Image, paint: Paint, placement: Placement) -> Region:
    """As `blend`, with an edit that is prepared.

    Raises:
        ValueError: the edit and the placement are of crops of different sizes.
    """
    if paint.mask.shape[0] != placement.size:
        raise ValueError(f"an edit of {paint.mask.shape[0]} pixels cannot be pasted as a crop of {placement.size}")
    region = touched(paint.mask, placement, image.shape)
    if region.empty:
        return region
    painted = _spans(paint.painted, placement, region)
    shift: tuple[Floats, Floats] | None = None
    covers: tuple[Floats, Floats] | None = None
    squeezed: list[tuple[int, int] | None] = [None] * len(painted)
    moved: list[tuple[int, int] | None] = [None] * len(painted)
    replaced = [None] * len(painted) if paint.replaced is None else _spans(paint.replaced, placement, region)
    if paint.flow is not None:
        shift = _frame_shift(paint.flow, placement)
        moved = _spans((np.abs(shift[0]) > STILL) | (np.abs(shift[1]) > STILL), placement, region)
    if paint.covers is not None:
        turned = 1 / float(np.hypot(*placement.to_frame[:2, 0]))
        across, down = _frame_shift(paint.covers, placement)
        covers = np.asarray(across * turned, np.float32), np.asarray(down * turned, np.float32)
        squeezed = _spans((across != 0) | (down != 0), placement, region)
    for index, (span, move, squeeze, replace) in enumerate(zip(painted, moved, squeezed, replaced, strict=True)):
        if span is None:
            continue
        y0 = region.y0 + index * STRIP_ROWS
        strip = Region(region.x0 + span[0], y0, region.x0 + span[1], min(y0 + STRIP_ROWS, region.y1))
        base = out[strip.slices]
        if shift is not None and move is not None:
            base = base.copy()
            part = Region(max(region.x0 + move[0], strip.x0), y0, min(region.x0 + move[1], strip.x1), strip.y1)
            if not part.empty:
                seen = _moved(image, part, shift, _at(placement, part), None if squeeze is None else covers)
                base[:, part.x0 - strip.x0 : part.x1 - strip.x0] = seen
        above = _warp_to_frame(paint.colour, _at(placement, strip), strip)
        change = cv2.cvtColor(above, cv2.COLOR_BGRA2BGR)
        if replace is not None:
            weight = cv2.cvtColor(cv2.extractChannel(above, 3), cv2.COLOR_GRAY2BGR)
            cv2.subtract(change, cv2.multiply(base, weight, dtype=cv2.CV_32F), dst=change)
        out[strip.slices] = cv2.add(base, change, dtype=cv2.CV_8U)
    return region


def _at(placement: Placement, part: Region) -> Floats:
    """The (2, 3) map from pixel indices of a part of the frame to crop pixel indices."""
    to_crop = placement.to_crop.copy()
    to_crop[:, 2] += to_crop[:, 0] * part.x0 + to_crop[:, 1] * part.y0
    return to_crop


def _spans(active: NDArray[np.bool_], placement: Placement, region: Region) -> list[tuple[int, int] | None]:
    """Start and end column, in whole tiles, that an active part of the crop covers in each strip of a region.

    Args:
        active: (S, S) bool.
        placement: where the crop lies.
        region: of the frame, cut into strips of `STRIP_ROWS`.
    """
    to_crop = placement.to_crop.copy()
    # Dilated so that a tile of which only a corner is reached is active in its middle.
    reach = int(np.ceil(0.75 * TILE * float(np.hypot(*to_crop[:, 0])))) + 1
    wide = cv2.dilate(active.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    columns, rows = -(-(region.x1 - region.x0) // TILE), -(-(region.y1 - region.y0) // TILE)
    middle = (TILE - 1) / 2
    to_crop[:, 2] += to_crop[:, 0] * (region.x0 + middle) + to_crop[:, 1] * (region.y0 + middle)
    to_crop[:, :2] *= TILE
    tiles = cv2.warpAffine(wide, to_crop, (columns, rows), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    spans: list[tuple[int, int] | None] = []
    for start in range(0, rows, STRIP_ROWS // TILE):
        reached = np.flatnonzero(tiles[start : start + STRIP_ROWS // TILE].any(0))
        end = region.x1 - region.x0
        spans.append((int(reached[0]) * TILE, min(int(reached[-1] + 1) * TILE, end)) if len(reached) else None)
    return spans


def _warp_to_frame(plane: Floats, to_crop: Floats, strip: Region) -> Floats:
    extent = (strip.x1 - strip.x0, strip.y1 - strip.y0)
    return cv2.warpAffine(plane, to_crop, extent, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _moved(
    image: Image,
    strip: Region,
    shift: tuple[Floats, Floats],
    to_crop: Floats,
    covers: tuple[Floats, Floats] | None,
) -> Image:
    """Warp the camera's pixels by the flow; where the flow is 0 the integer grid returns the camera's pixel exactly."""
    u, v = _grid(strip.x1 - strip.x0, STRIP_ROWS)
    rows = strip.y1 - strip.y0
    x = cv2.add(_warp_to_frame(shift[0], to_crop, strip), u[:rows])
    y = cv2.add(_warp_to_frame(shift[1], to_crop, strip), v[:rows])
    cv2.add(x, float(strip.x0), dst=x)
    cv2.add(y, float(strip.y0), dst=y)
    if covers is not None:
        covers = _warp_to_frame(covers[0], to_crop, strip), _warp_to_frame(covers[1], to_crop, strip)
    return pressed(image, x, y, covers)


def touched(mask: Floats, placement: Placement, shape: tuple[int, ...]) -> Region:
    """The region of a frame of shape (H, W, ...) that a crop's (S, S) mask covers."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return Region(0, 0, 0, 0)
    x0, x1, y0, y1 = columns[0] - 1, columns[-1] + 1, rows[0] - 1, rows[-1] + 1
    corners = np.array([[x0, y0, 1], [x0, y1, 1], [x1, y0, 1], [x1, y1, 1]], np.float32)
    points = corners @ placement.to_frame.T
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int) + 1
    height, width = shape[:2]
    return Region(max(int(low[0]), 0), max(int(low[1]), 0), min(int(high[0]), width), min(int(high[1]), height))


@lru_cache(maxsize=8)
def border_feather(size: int) -> Floats:
    """(size, size) float32: 1 inside, falling to 0 at the crop's border: no edit ends in a straight edge."""
    distance = (np.arange(size, dtype=np.float32) + 0.5) / size
    ramp = np.clip((np.minimum(distance, 1 - distance) - 1 / size) / FEATHER, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.minimum.outer(ramp, ramp)


def _premultiply(edit: Edit, mask: Floats) -> Floats:
    """P (BGR) and k as one (S, S, 4) float32 picture: four channels warp faster than three and one."""
    replace = np.zeros_like(mask) if edit.image is None else mask if edit.opacity is None else mask * edit.opacity
    paint = None
    if edit.delta is not None:
        moved = cv2.cvtColor(mask - replace, cv2.COLOR_GRAY2BGRA)
        paint = cv2.multiply(cv2.cvtColor(edit.delta, cv2.COLOR_RGB2BGRA), moved, dst=moved)
    if edit.image is not None:
        weight = cv2.cvtColor(replace, cv2.COLOR_GRAY2BGRA)
        colour = cv2.multiply(cv2.cvtColor(edit.image, cv2.COLOR_RGB2BGRA), weight, dst=weight, dtype=cv2.CV_32F)
        paint = colour if paint is None else cv2.add(paint, colour, dst=colour)
    if paint is None:
        return np.zeros((*mask.shape, 4), np.float32)
    return np.asarray(cv2.insertChannel(replace, paint, 3), np.float32)


def _frame_shift(flow: tuple[Floats, Floats], placement: Placement) -> tuple[Floats, Floats]:
    """A flow of crop pixels in frame pixels: two (S, S) float32 planes."""
    u, v = flow
    a = placement.to_frame
    return a[0, 0] * u + a[0, 1] * v, a[1, 0] * u + a[1, 1] * v


@lru_cache(maxsize=64)
def _grid(width: int, height: int) -> tuple[Floats, Floats]:
    u, v = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return u, v
