"""Writing a statement into the unwrapped luma of a face, and reading it from many frames.

See `stream.mark.carrier` for the patterns. The frame is not known here: callers unwrap a face, add what `write` returns
where the skin is, and give unwrapped faces to `Evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from models.arrays import Floats
from stream.mark.carrier import PATTERNS, SIDE, SYNC, carrier
from stream.mark.payload import Bits, Statement, decode, encode

PSNR_DB = 44.0
"""Peak signal-to-noise ratio of the mark on the skin that carries it."""
HOLD = 0.75
"""Share of a step by which skin moves before a projection takes another lattice point; without it the mark flickers."""
LEAST_SCORE = 6.0
"""Least score of the synchronisation, standard deviations of what unmarked pictures give."""


def step() -> float:
    """Distance between two lattice points of the same bit, grey levels.

    A projection is uniformly distributed between two points, so that the mean squared change of a pixel is
    PATTERNS * step^2 / 12 / (number of pixels).
    """
    pixels = len(carrier().where)
    return float(np.sqrt(12 * 255**2 / 10 ** (PSNR_DB / 10) * pixels / PATTERNS))


class Written(NamedTuple):
    """A mark.

    Attributes:
        residual: (96, 96) float32, to be added to the luma; 0 beside the skin.
        points: (PATTERNS,) float32, the lattice points, to be given back for the next frame of the same face.
    """

    residual: Floats
    points: Floats


def bits_of(statement: Statement) -> Bits:
    """The bit of every pattern, (PATTERNS,) uint8: zeros for synchronisation, then the code word."""
    return np.concatenate([np.zeros(SYNC, np.uint8), encode(statement)])


def project(luma: Floats) -> Floats:
    """Projections of an unwrapped luma on the patterns, (PATTERNS,) float32.

    Args:
        luma: (96, 96) float32, 0..255.
    """
    patterns = carrier()
    return np.asarray(patterns.patterns @ luma.ravel()[patterns.where], np.float32)


def write(luma: Floats, bits: Bits, held: Floats | None = None) -> Written:
    """Move the projections of a face to the lattices of the bits.

    Args:
        luma: (96, 96) float32, 0..255, the unwrapped luma of the edited face.
        bits: from `bits_of`.
        held: the points of the frame before; None for a new face or other bits.
    """
    size, here = np.float32(step()), project(luma)
    shift = bits.astype(np.float32) * (size / 2)
    points = np.round((here - shift) / size) * size + shift
    if held is not None:
        points = np.where(np.abs(held - here) < HOLD * size, held, points)
    patterns = carrier()
    residual = np.zeros(SIDE * SIDE, np.float32)
    residual[patterns.where] = patterns.patterns.T @ (points - here).astype(np.float32)
    return Written(residual.reshape(SIDE, SIDE), np.asarray(points, np.float32))


class Verdict(NamedTuple):
    """What was found.

    Attributes:
        statement: what the mark says; None where there is none that can be read.
        score: of the synchronisation, standard deviations of what unmarked pictures give.
        mirrored: whether the picture is a mirror image.
        faces: number of faces that were looked at.
    """

    statement: Statement | None
    score: float
    mirrored: bool
    faces: int


@dataclass(slots=True)
class Evidence:
    """What the faces of a video or picture say, added up."""

    _sums: Floats = field(default_factory=lambda: np.zeros((2, PATTERNS), np.float32))
    _faces: int = 0

    def add(self, luma: Floats) -> None:
        """Take in one unwrapped face.

        Args:
            luma: (96, 96) float32, 0..255.
        """
        size = np.float32(step())
        for index, view in enumerate((luma, luma[:, ::-1])):
            self._sums[index] += np.cos(2 * np.pi * project(np.ascontiguousarray(view)) / size)
        self._faces += 1

    def verdict(self) -> Verdict:
        """Decode. The theoretical rate of false alarms is that of `LEAST_SCORE` times 2^-16 of the check sum."""
        if not self._faces:
            return Verdict(None, 0.0, False, 0)
        # a cosine of a uniform phase has variance 1/2
        scores = self._sums[:, :SYNC].sum(1) / np.sqrt(SYNC * self._faces / 2)
        best = int(scores.argmax())
        statement = None
        if scores[best] >= LEAST_SCORE:
            statement = decode(-self._sums[best, SYNC:]).statement
        return Verdict(statement, float(scores[best]), bool(best), self._faces)
