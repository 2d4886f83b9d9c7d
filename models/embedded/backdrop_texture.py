"""What is known of a backdrop behind hair, by what is seen beside it.

A network draws the broad colours of what is there, with a ghost of the hair before a plain wall, and no leaves, books
or stars. Where the backdrop is plain its colours go on. Elsewhere pieces of it are moved: a picture repeats itself at
few offsets (He and Sun 2012), here those at which the surroundings of the hole look like those of the piece. Pieces
overlap (Orchard and Sullivan 1994), and what they differ by from the surroundings is continued over the hole, so that
no seam is seen (Farbman et al. 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.imaging import LUMINANCE, box_of, enlarge, fill, membrane, smoothstep, three_channels


@dataclass(frozen=True, slots=True)
class Pieces:
    """How pieces are found. Lengths are cells unless said.

    Attributes:
        cell: crop pixels.
        whole: share of a cell that must be seen.
        across, down: offsets that are tried: the largest, and the step between two.
        nearest: the shortest of them.
        reach: Gaussians over what is seen around a place, near by and further away, by which an offset is judged there.
        weaker: weight of what is further away.
        uneven: weight of the difference in contrast beside that in colour.
        expected: weight of the difference from what is around the hole, continued over it.
        further: what an offset costs for each cell of its length, and for each row that it leaves, levels of 255.
        several: how many different offsets are used.
        nearly: how much more than the best one such an offset may cost, levels of 255.
        unsure: least weight of what is seen around by which an offset is judged, and what it costs without.
        plain: contrast of what is around, levels of 255, up to which no piece is needed.
        poor: costs, levels of 255, over which a piece is no better than none.
        rim: how far around the hole a piece is compared with what is seen.
        most: largest correction of a piece, levels of 255.
    """

    cell: int = 8
    whole: float = 0.98
    across: tuple[int, int] = (24, 1)
    down: tuple[int, int] = (4, 2)
    nearest: float = 3.0
    reach: tuple[float, float] = (2.0, 7.0)
    weaker: float = 0.02
    uneven: float = 1.5
    expected: float = 0.4
    further: tuple[float, float] = (0.1, 0.4)
    several: int = 12
    nearly: float = 5.0
    unsure: tuple[float, float] = (1e-5, 52.0)
    plain: tuple[float, float] = (1.2, 2.0)
    poor: tuple[float, float] = (45.0, 80.0)
    rim: int = 2
    most: float = 40.0


PIECES = Pieces()
EVERYWHERE = (slice(None), slice(None))
COARSE = 4
"""Crop pixels of a pixel of the grid on which a plain backdrop is continued."""
BROAD = 5.0
"""Gaussian of the broad colours of a backdrop, coarse pixels."""
STRANDS = 5
"""Side of the median that leaves out single strands, pixels of a picture of half the size."""
ENOUGH = (40.0, 160.0)
"""Coarse pixels of a backdrop that must be seen, from none to all that is believed of it."""
UNEVEN = (1.5, 4.0)
"""Differences from these, levels of 255, over which a backdrop is no longer plain."""


@dataclass(frozen=True, slots=True)
class SeenBackdrop:
    """What is known of a backdrop that hair hides.

    Attributes:
        calm: (S, S, 3) float32 RGB, 0..255, its broad colours.
        calmness: (S, S) float32 in 0..1, how plain it is.
        texture: (S, S, 3) float32 RGB, pieces of it.
        fits: (S, S) float32 in 0..1, how well they fit, 0 where there is none.
    """

    calm: Floats
    calmness: Floats
    texture: Floats
    fits: Floats

    @classmethod
    def of(
        cls, picture: Floats, known: NDArray[np.bool_], wanted: NDArray[np.bool_], *, textured: bool = True
    ) -> SeenBackdrop:
        """What a picture tells where it is wanted: arguments of `backdrop_texture`, and whether pieces are taken."""
        texture = (
            backdrop_texture(picture, known, wanted)
            if textured
            else (np.zeros_like(picture), np.zeros_like(picture[..., 0]))
        )
        return cls(*plain_backdrop(picture, known), *texture)

    def instead_of(self, drawn: Floats, grain: Floats | None = None, box: tuple[slice, slice] = EVERYWHERE) -> Floats:
        """What is known, and what was drawn of the rest.

        Args:
            drawn: (H, W, 3) float32 RGB, 0..255.
            grain: (H, W) float32, of the camera, which pieces have already; None for none.
            box: rows and columns of the crop that these are.
        """
        shown = drawn + self.calmness[box][..., None] * (self.calm[box] - drawn)
        if grain is not None:
            shown = shown + grain[..., None]
        return np.asarray(shown + self.fits[box][..., None] * (self.texture[box] - shown), np.float32)


def plain_backdrop(picture: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Continue the broad colours of a backdrop over what hides it.

    Args:
        picture: (S, S, 3) float32 RGB, 0..255.
        known: (S, S), where the backdrop is seen.

    Returns:
        (S, S, 3) float32 RGB; and (S, S) float32 in 0..1, how plain it is around, 0 where nothing is seen.
    """
    size = len(picture)
    side = (size // COARSE, size // COARSE)
    weight = cv2.resize(known.astype(np.float32), side, interpolation=cv2.INTER_AREA)
    weight = (weight > PIECES.whole).astype(np.float32)
    if not weight.any():
        return np.zeros_like(picture), np.zeros((size, size), np.float32)
    # beside hair are single strands, which would go on as shade
    half = cv2.resize(picture, (size // 2, size // 2), interpolation=cv2.INTER_AREA)
    cleared = cv2.medianBlur(np.clip(half, 0, 255).astype(np.uint8), STRANDS)
    small = cv2.resize(cleared, side, interpolation=cv2.INTER_AREA).astype(np.float32)
    away = np.abs(small - _mean_within(small, weight, BROAD)).max(2)
    uneven = fill(three_channels(away), weight)[..., 0]
    calmness = 1 - smoothstep(cv2.GaussianBlur(uneven, (0, 0), BROAD / 2), *UNEVEN)
    calmness *= smoothstep(weight.sum(), *ENOUGH)
    return enlarge(membrane(small, weight), (size, size)), enlarge(calmness, (size, size))


def backdrop_texture(picture: Floats, known: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Fill a hole in a backdrop with pieces of what is seen of it.

    Args:
        picture: (S, S, 3) float32 RGB, 0..255; S is a multiple of 8.
        known: (S, S), where the backdrop is seen.
        wanted: (S, S), where it is wanted.

    Returns:
        (S, S, 3) float32 RGB, which may leave 0..255; and (S, S) float32 in 0..1, how well it fits, 0 where nothing was
        found.
    """
    size = len(picture)
    side = size // PIECES.cell
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    free, hole = (
        cv2.resize(each.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) for each in (known, wanted)
    )
    seen = free > PIECES.whole
    around = cv2.dilate((hole > 0).astype(np.uint8), np.ones((2 * PIECES.rim + 1,) * 2, np.uint8)) > 0
    contrast = _contrast(picture, known, seen)
    nothing = np.zeros_like(picture), np.zeros((size, size), np.float32)
    if not seen.any() or not around.any():
        return nothing
    expected = fill(three_channels(contrast), seen.astype(np.float32))[..., 0]
    # a sign on a wall is no texture of it
    least = cv2.erode(np.where(seen, contrast, np.float32(255)), np.ones((5, 5), np.uint8))
    least = fill(three_channels(least), seen.astype(np.float32))[..., 0]
    rich = smoothstep(least, *PIECES.plain)
    if not rich[around].any():
        return nothing
    features = np.dstack([small, np.float32(PIECES.uneven) * contrast])
    continued = np.dstack([fill(small, seen.astype(np.float32)), np.float32(PIECES.uneven) * expected])
    offsets, costs = _costs(features, continued, seen, around)
    if not len(offsets):
        return nothing
    number, cost = _few(costs)
    found = np.isfinite(cost)
    texture, total = _overlapping(picture, known, PIECES.cell * offsets[number], found)
    # what is seen beside the hole tells how a piece differs
    away = small - cv2.resize(texture, (side, side), interpolation=cv2.INTER_AREA)
    added = fill(np.clip(away, -PIECES.most, PIECES.most), (seen & around & found).astype(np.float32))
    texture += enlarge(added, (size, size))
    fits = np.where(found, 1 - smoothstep(np.where(found, cost, 0), *PIECES.poor), 0)
    return texture, enlarge(np.asarray(rich * fits, np.float32), (size, size)) * total


def _contrast(picture: Floats, known: NDArray[np.bool_], seen: NDArray[np.bool_]) -> Floats:
    """How uneven what is known of a picture is around each cell that is seen, levels of 255."""
    light, weight = cv2.transform(picture, LUMINANCE[None]), known.astype(np.float32)
    broad = _mean_within(light, weight, PIECES.cell / 2)
    fine = np.abs(light - broad) * weight
    cells = cv2.resize(fine, seen.shape[::-1], interpolation=cv2.INTER_AREA)
    return _mean_within(cells, seen.astype(np.float32), 0.8)


def _mean_within(values: Floats, weight: Floats, sigma: float) -> Floats:
    """Gaussian mean by weight, (H, W) or (H, W, C)."""
    total = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), np.float32(1e-3))
    parts = values * (weight if values.ndim == 2 else weight[..., None])
    return np.asarray(cv2.GaussianBlur(parts, (0, 0), sigma) / (total if values.ndim == 2 else total[..., None]))


@lru_cache(maxsize=4)
def _offsets(side: int) -> NDArray[np.intp]:
    """(N, 2), offsets across and down."""
    across, down = (
        np.arange(-min(most, side - 1) // step * step, min(most, side - 1) + 1, step)
        for most, step in (PIECES.across, PIECES.down)
    )
    offsets = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    return offsets[np.hypot(*offsets.T) >= PIECES.nearest]


@lru_cache(maxsize=16)
def _gaussian(side: int, sigma: float) -> Floats:
    """(side, side) matrix that blurs columns."""
    place = np.arange(side, dtype=np.float32)
    return np.exp(-np.square((place[:, None] - place) / np.float32(sigma)) / 2) / np.float32(sigma * np.sqrt(2 * np.pi))


def _costs(
    features: Floats, expected: Floats, seen: NDArray[np.bool_], around: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], Floats]:
    """What offsets cost.

    Args:
        features: (side, side, 4) float32, colour and contrast of each cell.
        expected: the same, of what is seen, continued over the hole.
        seen, around: (side, side), where the backdrop is seen, and where it is wanted.

    Returns:
        Offsets, (N, 2); and what each costs at each cell, (N, side, side) float32, infinite where it leads nowhere.
    """
    side = len(seen)
    offsets = _offsets(side)
    # the surroundings of the hole tell
    box = box_of(around, int(2 * PIECES.reach[0])) or (slice(0, side), slice(0, side))
    rows, columns = box
    known = seen.astype(np.float32)
    pad = max(PIECES.across[0], PIECES.down[0])
    broad = _mean_within(features, known, PIECES.reach[0])
    stack = np.pad(np.dstack([features, broad, known]).transpose(2, 0, 1), ((0, 0), (pad, pad), (pad, pad)))
    extent = rows.stop - rows.start, columns.stop - columns.start
    windows = np.lib.stride_tricks.sliding_window_view(stack, extent, axis=(1, 2))
    starts = pad + rows.start + offsets[:, 1], pad + columns.start + offsets[:, 0]
    useful = (windows[-1][starts] * around[box]).any((1, 2))
    offsets, starts = offsets[useful], (starts[0][useful], starts[1][useful])
    there = windows[:, starts[0], starts[1]]
    both = known[box] * there[-1]
    weight = _around(both)
    here = _around(both * _unlike(there[:4], features[box])) / np.maximum(weight, np.float32(1e-6))
    here[weight < PIECES.unsure[0]] = PIECES.unsure[1]
    here += np.float32(PIECES.expected) * _unlike(there[4:-1], expected[box])
    distance = np.hypot(*offsets.T) * PIECES.further[0] + np.abs(offsets[:, 1]) * PIECES.further[1]
    here += distance.astype(np.float32)[:, None, None]
    here[(there[-1] == 0) | ~around[box]] = np.inf
    costs = np.full((len(offsets), side, side), np.inf, np.float32)
    costs[:, rows, columns] = here
    return offsets, costs


def _unlike(there: Floats, here: Floats) -> Floats:
    """Differences of features, (4, N, H, W) from (H, W, 4), levels of 255."""
    red, green, blue, contrast = (np.abs(a - b) for a, b in zip(there, cv2.split(here), strict=True))
    return np.asarray((red + green + blue) * np.float32(1 / 3) + contrast, np.float32)


def _around(values: Floats) -> Floats:
    """Sums around each cell: of what is near by, and where nothing is, of what is further away."""
    height, width = values.shape[-2:]
    near, far = (_gaussian(height, sigma) @ values @ _gaussian(width, sigma) for sigma in PIECES.reach)
    return np.asarray(near + np.float32(PIECES.weaker) * far, np.float32)


def _few(costs: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The number of the offset of each cell, of at most `several` that are used, and its cost: so pieces are large.

    Offsets are taken one after the other, each the one that is good enough for most cells that have none yet. What has
    none in the end takes the best of them.
    """
    best = costs.min(0)
    lacking = np.isfinite(best)
    suits = (costs <= best + np.float32(PIECES.nearly)) & lacking
    number = np.zeros(best.shape, np.intp)
    used: list[int] = []
    while lacking.any() and len(used) < PIECES.several:
        used.append(int(np.count_nonzero(suits[:, lacking], axis=1).argmax()))
        taken = lacking & suits[used[-1]]
        number[taken] = used[-1]
        lacking &= ~taken
    if used:
        number[lacking] = np.array(used)[costs[used].argmin(0)][lacking]
    return number, np.take_along_axis(costs, number[None], 0)[0]


def _overlapping(
    picture: Floats, known: NDArray[np.bool_], offsets: NDArray[np.intp], found: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """What is known of a picture, moved by the offsets of the four nearest cells, pixels; and its weight."""
    size, side, cell = len(picture), len(found), PIECES.cell
    texture, total = np.zeros_like(picture), np.zeros((size, size), np.float32)
    box = box_of(found, 1)
    if box is None:
        return texture, total
    part = tuple(slice(each.start * cell, min(each.stop * cell, size)) for each in box)
    rows, columns = (np.arange(each.start, each.stop, dtype=np.float32) for each in part)
    middles = [(each + np.float32(0.5)) / np.float32(cell) - np.float32(0.5) for each in (rows, columns)]
    weights = [np.stack([1 - each % 1, each % 1]) for each in middles]
    first = [np.floor(each).astype(np.intp) for each in middles]
    cells = [np.clip(np.stack([each, each + 1]), 0, side - 1) for each in first]
    for below in (0, 1):
        for right in (0, 1):
            grid = np.ix_(cells[0][below], cells[1][right])
            weight = np.outer(weights[0][below], weights[1][right]) * found[grid]
            across, down = cv2.split(offsets.astype(np.float32)[grid])
            places = across + columns, down + rows[:, None]
            moved, there = (cv2.remap(each, *places, cv2.INTER_NEAREST) for each in (picture, known.astype(np.float32)))
            weight *= there
            texture[part] += cv2.multiply(moved, three_channels(weight))
            total[part] += weight
    texture[part] /= np.maximum(total[part], np.float32(1e-3))[..., None]
    return texture, total
