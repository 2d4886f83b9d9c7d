"""The carrier of the mark: coefficients of the unwrapped face, and which of them carry which bit.

The luma of the face, unwrapped into a square of `SIDE` pixels, goes through a lapped cosine transform (MDCT with a sine
window, Princen and Bradley 1986) along both axes. It is orthonormal, and its functions are two blocks wide and fade to
their ends: they show no edges and stay on the skin. Coefficients of medium frequency that lie on skin are dealt out to
`PATTERNS` groups. A group's projection is the sum of its coefficients with fixed signs, divided by the square root of
their number; one bit is written into it by quantisation index modulation (Chen and Wornell 2001), see
`stream.mark.square`. The first `SYNC` groups always carry the same bits: they show whether there is a mark.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded import EMBEDDED
from stream.mark.payload import CODE_BITS

SIDE = 96
"""Side of the unwrapped luma in pixels: half that of the texture square."""
BLOCK = 8
"""Bands of the transform, and pixels from one of its functions to the next."""
SYNC = 32
"""Groups that carry a known bit, an even number."""
PATTERNS = SYNC + CODE_BITS
BAND = (0.08, 0.25)
"""Spatial frequencies that carry the mark, cycles per pixel: features hold lower ones, codecs drop higher ones."""
LEAST_SKIN = 0.7
"""Share of a coefficient's energy that lies on skin."""
SEED = 20260802
"""Of the deal: the day on which article 50 of the European AI Act began to apply."""


class Carrier(NamedTuple):
    """Which coefficients carry the mark.

    Attributes:
        transform: (SIDE, SIDE) float32, orthonormal: the coefficients of x are transform @ x @ transform.T.
        where: (PATTERNS, N) int64, positions in the raveled (SIDE, SIDE) coefficients.
        signs: (PATTERNS, N) float32, 1 or -1 over the square root of N.
        scramble: (PATTERNS,) uint8, added to the bits: 0 or 1, as often as each other in the first `SYNC`. The
            projections of a blurred face are all near 0, and would look like the lattice of all zeros.
        energy: (SIDE, SIDE) float32, share of the mark's energy at each pixel; it sums to 1.
    """

    transform: Floats
    where: NDArray[np.int64]
    signs: Floats
    scramble: NDArray[np.uint8]
    energy: Floats


@cache
def carrier() -> Carrier:
    """The carrier; the same everywhere."""
    with np.load(EMBEDDED / "editor_tables.npz", allow_pickle=False) as tables:
        skin = tables["ageing_skin"].astype(np.float32) / 255
    area = cv2.resize(skin, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    transform = lapped_transform()
    power = transform**2
    band = (np.arange(SIDE) % BLOCK + 0.5) / (2 * BLOCK)
    frequency = np.hypot(*np.meshgrid(band, band))
    usable = (power @ area @ power.T > LEAST_SKIN) & (frequency >= BAND[0]) & (frequency < BAND[1])
    found = np.flatnonzero(usable.ravel())
    rng = np.random.Generator(np.random.PCG64(SEED))
    each = len(found) // PATTERNS
    where = rng.permutation(found)[: each * PATTERNS].reshape(PATTERNS, each)
    signs = rng.choice(np.array([-1, 1], np.float32), where.shape) / np.sqrt(np.float32(each))
    scramble = np.concatenate([rng.permutation(np.arange(SYNC) % 2), rng.integers(0, 2, CODE_BITS)]).astype(np.uint8)
    used = np.zeros(SIDE * SIDE, np.float32)
    used[where.ravel()] = 1
    energy = power.T @ used.reshape(SIDE, SIDE) @ power
    return Carrier(transform, where, signs, scramble, energy / energy.sum())


def lapped_transform() -> Floats:
    """The (SIDE, SIDE) float32 matrix of the MDCT over a line that is taken as a ring.

    Row b * BLOCK + k is band k of block b. Over the 2 * BLOCK pixels n that begin at b * BLOCK - BLOCK / 2 it is
    sqrt(2 / BLOCK) sin(pi (n + 1/2) / (2 BLOCK)) cos(pi / BLOCK (n + 1/2 + BLOCK / 2) (k + 1/2)).
    """
    n, k = np.arange(2 * BLOCK) + 0.5, np.arange(BLOCK) + 0.5
    window = np.sqrt(2 / BLOCK) * np.sin(np.pi * n / (2 * BLOCK))
    functions = window * np.cos(np.pi / BLOCK * np.outer(k, n + BLOCK / 2))
    rows = np.zeros((SIDE, SIDE))
    for block in range(SIDE // BLOCK):
        pixels = (np.arange(2 * BLOCK) + block * BLOCK - BLOCK // 2) % SIDE
        rows[block * BLOCK : (block + 1) * BLOCK, pixels] = functions
    return rows.astype(np.float32)
