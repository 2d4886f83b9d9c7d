"""Texture for a drawn backdrop: pieces of the one that is seen, moved and fitted to what is around the hole.

A network draws the broad colours of what is behind hair, but no leaves, books or stars. A picture repeats itself at few
offsets (He and Sun 2012): here those at which the surroundings of the hole look like those of the piece. Neighbouring
pieces overlap (Orchard and Sullivan 1994), and what they differ by from the surroundings is continued over the hole,
so that no seam is seen (Farbman et al. 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.imaging import LUMINANCE, box_of, enlarge, fill, smoothstep


@dataclass(frozen=True, slots=True)
class Pieces:
    """How pieces are found. Lengths are cells unless said.

    Attributes:
        cell: crop pixels.
        whole: share of a cell that must be seen.
        across, down: offsets that are tried: the largest, and the step between two.
        nearest: the shortest of them.
        reach: Gaussians over what is seen around a place, by which an offset is judged there.
        weaker: weight of the second of them.
        uneven: weight of the difference in contrast beside that in colour.
        further: what an offset costs per cell, and what one that leaves the row does besides, levels of 255.
        several: how many different offsets are used.
        nearly: how much more than the best one such an offset may cost, levels of 255.
        unsure: weight of what is seen around, below which an offset is not judged, and what it costs then.
        plain: contrast of what is seen, levels of 255, up to which nothing is taken of it.
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
    further: tuple[float, float] = (0.1, 0.4)
    several: int = 12
    nearly: float = 5.0
    unsure: tuple[float, float] = (1e-5, 30.0)
    plain: tuple[float, float] = (1.2, 2.0)
    poor: tuple[float, float] = (45.0, 80.0)
    rim: int = 2
    most: float = 40.0


PIECES = Pieces()


def backdrop_texture(picture: Floats, known: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Fill a hole in a backdrop with pieces of what is seen of it.

    Args:
        picture: (S, S, 3) float32 RGB, 0..255.
        known: (S, S), where the backdrop is seen.
        wanted: (S, S), where it is wanted.

    Returns:
        (S, S, 3) float32 RGB; and (S, S) float32 in 0..1, how well it fits, 0 where nothing was found.
    """
    size = len(picture)
    side = size // PIECES.cell
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    free, hole = (
        cv2.resize(each.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) for each in (known, wanted)
    )
    seen = free > PIECES.whole
    around = cv2.dilate((hole > 0).astype(np.uint8), np.ones((2 * PIECES.rim + 1,) * 2, np.uint8)) > 0
    contrast = _contrast(picture, side)
    nothing = np.zeros_like(picture), np.zeros((size, size), np.float32)
    rich = float(smoothstep(np.quantile(contrast[seen], 0.8), *PIECES.plain)) if seen.any() else 0.0
    if rich == 0 or not around.any():
        return nothing
    offsets, costs = _costs(np.dstack([small, np.float32(PIECES.uneven) * contrast]), seen, around)
    number, cost = _few(costs)
    found = np.isfinite(cost)
    if not found.any():
        return nothing
    texture, total = _overlapping(picture, PIECES.cell * offsets[number], found)
    # what is seen beside the hole tells how a piece differs
    away = small - cv2.resize(texture, (side, side), interpolation=cv2.INTER_AREA)
    added = fill(np.clip(away, -PIECES.most, PIECES.most), (seen & around & found).astype(np.float32))
    texture += enlarge(added, (size, size))
    fits = np.where(found, 1 - smoothstep(np.where(found, cost, 0), *PIECES.poor), 0)
    return texture, enlarge(np.asarray(rich * fits, np.float32), (size, size)) * total


def _contrast(picture: Floats, side: int) -> Floats:
    """How uneven the picture is around each cell, levels of 255."""
    light = cv2.transform(picture, LUMINANCE[None])
    fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), PIECES.cell / 2))
    cells = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), 0.8), np.float32)


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


def _costs(features: Floats, seen: NDArray[np.bool_], around: NDArray[np.bool_]) -> tuple[NDArray[np.intp], Floats]:
    """Offsets, (N, 2); and what each costs at each cell, (N, side, side) float32, infinite where it leads nowhere."""
    side = len(seen)
    offsets = _offsets(side)
    costs = np.full((len(offsets), side, side), np.inf, np.float32)
    box = box_of(around, int(2 * PIECES.reach[0]))
    if box is None:
        return offsets, costs
    rows, columns = box
    known = seen.astype(np.float32)
    pad = max(PIECES.across[0], PIECES.down[0])
    stack = np.pad(np.dstack([features, known]).transpose(2, 0, 1), ((0, 0), (pad, pad), (pad, pad)))
    extent = rows.stop - rows.start, columns.stop - columns.start
    windows = np.lib.stride_tricks.sliding_window_view(stack, extent, axis=(1, 2))
    there = windows[:, pad + rows.start + offsets[:, 1], pad + columns.start + offsets[:, 0]]
    both = known[box] * there[-1]
    unlike = np.abs(there[:-1] - features.transpose(2, 0, 1)[:, None, rows, columns])
    total = (unlike[0] + unlike[1] + unlike[2]) * np.float32(1 / 3) + unlike[3]
    weight = _around(both)
    here = _around(both * total) / np.maximum(weight, np.float32(1e-6))
    here[weight < PIECES.unsure[0]] = PIECES.unsure[1]
    distance = np.hypot(*offsets.T) * PIECES.further[0] + np.abs(offsets[:, 1]) * PIECES.further[1]
    here += distance.astype(np.float32)[:, None, None]
    here[(there[-1] == 0) | ~around[box]] = np.inf
    costs[:, rows, columns] = here
    return offsets, costs


def _around(values: Floats) -> Floats:
    """Sums around each cell: of what is near by, and where nothing is, of what is further away."""
    height, width = values.shape[-2:]
    near, far = (_gaussian(height, sigma) @ values @ _gaussian(width, sigma) for sigma in PIECES.reach)
    return np.asarray(near + np.float32(PIECES.weaker) * far, np.float32)


def _few(costs: Floats) -> tuple[NDArray[np.intp], Floats]:
    """The number of the best offset at each cell, of few that are used, and its cost: so pieces are large.

    Offsets are taken one after the other, each the one that is good enough for most cells that have none yet.
    """
    number, best = costs.argmin(0), costs.min(0)
    lacking = np.isfinite(best)
    suits = (costs <= best + np.float32(PIECES.nearly)) & lacking
    for _ in range(PIECES.several):
        if not lacking.any():
            break
        most = int(np.count_nonzero(suits[:, lacking], axis=1).argmax())
        taken = lacking & suits[most]
        number[taken] = most
        lacking &= ~taken
    return number, np.take_along_axis(costs, number[None], 0)[0]


def _overlapping(picture: Floats, offsets: NDArray[np.intp], found: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The picture moved by the offsets of the four cells that are nearest, (side, side, 2) pixels; and their weight."""
    size, side, cell = len(picture), len(found), PIECES.cell
    texture, total = np.zeros_like(picture), np.zeros((size, size), np.float32)
    box = box_of(found, 1)
    if box is None:
        return texture, total
    part = tuple(slice(each.start * cell, min(each.stop * cell, size)) for each in box)
    rows, columns = (np.arange(each.start, each.stop, dtype=np.float32) for each in part)
    places = [(each + np.float32(0.5)) / np.float32(cell) - np.float32(0.5) for each in (rows, columns)]
    weights = [np.stack([1 - each % 1, each % 1]) for each in places]
    first = [np.floor(each).astype(np.intp) for each in places]
    cells = [np.clip(np.stack([each, each + 1]), 0, side - 1) for each in first]
    for below in (0, 1):
        for right in (0, 1):
            grid = np.ix_(cells[0][below], cells[1][right])
            weight = np.outer(weights[0][below], weights[1][right]) * found[grid]
            across, down = cv2.split(offsets.astype(np.float32)[grid])
            moved = cv2.remap(picture, across + columns, down + rows[:, None], cv2.INTER_NEAREST)
            texture[part] += cv2.multiply(moved, cv2.merge([weight] * 3))
            total[part] += weight
    texture[part] /= np.maximum(total[part], np.float32(1e-3))[..., None]
    return texture, total
