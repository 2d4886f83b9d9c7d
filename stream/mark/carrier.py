"""The carrier of the mark: orthonormal patterns on the skin, and lattices that their amplitudes are moved to.

The luma of the face, unwrapped into the texture square, is projected on `PATTERNS` orthonormal patterns. One bit is
written into each projection by quantisation index modulation (Chen and Wornell 2001): the projection is moved to the
nearest point of a lattice, which is shifted by half a step for a 1. Unlike an added pattern, this does not compete with
the face's own texture, which is far stronger than the mark. The first `SYNC` patterns always carry 0: they show
whether, and in which geometry, there is a mark.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded import EMBEDDED
from stream.mark.payload import CODE_BITS

SIDE = 96
"""Side of the unwrapped luma in pixels: half that of the texture square."""
SYNC = 32
"""Patterns that carry a known 0."""
PATTERNS = SYNC + CODE_BITS
BAND = (0.16, 0.40)
"""Spatial frequencies of the patterns, cycles per pixel: features hold lower ones, codecs drop higher ones."""
SEED = 20260802
"""Of the patterns' noise: the day on which article 50 of the European AI Act began to apply."""
LEAST_SKIN = 0.25
"""Share of skin from which a pixel carries the mark."""


class Carrier(NamedTuple):
    """The patterns.

    Attributes:
        where: (N,) int64, positions in the raveled (SIDE, SIDE) square that carry them.
        patterns: (PATTERNS, N) float32, orthonormal.
    """

    where: np.ndarray[tuple[int], np.dtype[np.int64]]
    patterns: Floats


@cache
def carrier() -> Carrier:
    """The patterns: noise of `SEED` in the band, weighted by the skin, orthonormalised in order (Gram-Schmidt)."""
    with np.load(EMBEDDED / "editor_tables.npz", allow_pickle=False) as tables:
        skin = tables["ageing_skin"].astype(np.float32) / 255
    weight = cv2.resize(skin, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    where = np.flatnonzero(weight.ravel() > LEAST_SKIN)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    inside = (frequency >= BAND[0]) & (frequency < BAND[1])
    noise = np.random.Generator(np.random.PCG64(SEED)).standard_normal((PATTERNS, SIDE, SIDE))
    banded = np.fft.ifft2(np.fft.fft2(noise) * inside).real * weight
    basis, upper = np.linalg.qr(banded.reshape(PATTERNS, -1)[:, where].T)
    return Carrier(where, np.ascontiguousarray((basis * np.sign(np.diag(upper))).T, dtype=np.float32))
