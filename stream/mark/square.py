"""Writing a statement into the unwrapped luma of a face, and reading it from many frames.

See `stream.mark.carrier` for the coefficients. The frame is not known here: callers unwrap a face, add what `write`
returns where the edit is, and give unwrapped faces to `Evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from models.arrays import Floats
from stream.mark.carrier import PATTERNS, SIDE, SYNC, carrier
from stream.mark.payload import Bits, Statement, decode, encode

STEP = 27.0
"""Distance between two lattice points of the same bit, grey levels."""
HOLD = 0.65
"""Share of a step by which skin moves before a projection takes another lattice point; without it the mark flickers."""
LEAST_SCORE = 3.0
"""Least score of the synchronisation, standard deviations of what unmarked pictures give."""
LEAST_STILL_SCORE = 3.2
"""The same for one of the 56 readings of a single picture: each reading is a further chance of a false alarm."""
GAINS = (0.8, 0.9, 1.0, 1.11, 1.23)
"""Contrasts, relative to the marked picture, that are tried."""


@dataclass(frozen=True, slots=True)
class Masking:
    """How faint the mark is where the eye sees it best. The reader need not know: it only makes the mark weaker.

    Attributes:
        least: share of the mark on skin without any texture.
        texture: standard deviation of the skin around a pixel from which the whole mark is written, grey levels.
        around: side of the neighbourhood, pixels of the square.
        dark: luma below which the mark fades to nothing at 0, grey levels.
        bright: luma above which the mark fades to nothing at 255.
    """

    least: float = 0.75
    texture: float = 5.0
    around: int = 9
    dark: float = 32.0
    bright: float = 235.0


MASKING = Masking()


class Written(NamedTuple):
    """A mark.

    Attributes:
        residual: (96, 96) float32, to be added to the luma.
        points: (PATTERNS,) float32, the lattice points, to be given back for the next frame of the same face.
    """

    residual: Floats
    points: Floats


def bits_of(statement: Statement) -> Bits:
    """The bit of every group, (PATTERNS,) uint8: zeros for synchronisation, then the code word, scrambled."""
    return np.concatenate([np.zeros(SYNC, np.uint8), encode(statement)]) ^ carrier().scramble


def project(luma: Floats) -> Floats:
    """Projections of an unwrapped luma, (PATTERNS,) float32.

    Args:
        luma: (96, 96) float32, 0..255.
    """
    own = carrier()
    coefficients = (own.transform @ luma @ own.transform.T).ravel()
    return np.asarray((coefficients[own.where] * own.signs).sum(1), np.float32)


def residual_of(projections: Floats) -> Floats:
    """The (96, 96) float32 picture of least energy that has these projections."""
    own = carrier()
    coefficients = np.zeros(SIDE * SIDE, np.float32)
    coefficients[own.where] = own.signs * projections[:, None]
    return np.asarray(own.transform.T @ coefficients.reshape(SIDE, SIDE) @ own.transform, np.float32)


def write(luma: Floats, bits: Bits, held: Floats | None = None) -> Written:
    """Move the projections of a face to the lattices of the bits.

    Args:
        luma: (96, 96) float32, 0..255, the unwrapped luma of the edited face.
        bits: from `bits_of`.
        held: the points of the frame before; None for a new face or other bits.
    """
    size, here = np.float32(STEP), project(luma)
    shift = bits.astype(np.float32) * (size / 2)
    points = np.round((here - shift) / size) * size + shift
    if held is not None:
        points = np.where(np.abs(held - here) < HOLD * size, held, points)
    residual = residual_of((points - here).astype(np.float32)) * visibility(luma)
    return Written(residual, np.asarray(points, np.float32))


def visibility(luma: Floats) -> Floats:
    """What the eye hides: the share of the mark that each pixel gets, (96, 96) float32.

    Args:
        luma: (96, 96) float32, 0..255.
    """
    around = (MASKING.around, MASKING.around)
    mean = cv2.blur(luma, around)
    power = cv2.sqrBoxFilter(luma, cv2.CV_32F, around) - mean * mean
    texture = np.sqrt(np.maximum(power, 0)) * np.float32((1 - MASKING.least) / MASKING.texture)
    light = np.minimum(mean / np.float32(MASKING.dark), (255 - mean) / np.float32(255 - MASKING.bright))
    return np.asarray(np.clip(texture + MASKING.least, 0, 1) * np.clip(light, 0, 1), np.float32)


class Verdict(NamedTuple):
    """What was found.

    Attributes:
        statement: what the mark says; None where there is none that can be read.
        score: of the synchronisation, standard deviations of what unmarked pictures give; `sqrt(SYNC)` at most where
            all groups are equally strong.
        agreement: share of the code's bits that were received as the statement has them; 0 without one.
        faces: number of unwrapped faces that were looked at.
    """

    statement: Statement | None
    score: float
    agreement: float
    faces: int


NOTHING = Verdict(None, 0.0, 0.0, 0)


@dataclass(slots=True)
class Evidence:
    """What unwrapped pictures of one face say, added up: one of each frame, or several readings of one."""

    _sums: Floats = field(default_factory=lambda: np.zeros((len(GAINS), PATTERNS), np.float32))
    faces: int = 0

    def add(self, luma: Floats) -> None:
        """Take in one unwrapped face.

        Args:
            luma: (96, 96) float32, 0..255.
        """
        phases = np.float32(2 * np.pi / STEP) / np.array(GAINS, np.float32)[:, None]
        turned = 1 - 2 * carrier().scramble.astype(np.float32)
        self._sums += np.cos(project(luma) * phases) * turned
        self.faces += 1

    def verdict(self, least: float = LEAST_SCORE) -> Verdict:
        """Decode in every contrast in which the synchronisation shows, the best first.

        An unmarked face gives a score of mean 0 and deviation 1 however many frames of it there are, as the score is
        relative to the strength of all groups. A false alarm needs a score of `least`, a check sum of 16 bits that fits
        by chance, and a version that exists.

        Args:
            least: score from which the rest is decoded.
        """
        if not self.faces:
            return NOTHING
        strength = np.sqrt((self._sums**2).mean(1)) + np.float32(1e-6)
        scores = self._sums[:, :SYNC].mean(1) / strength * np.float32(np.sqrt(SYNC))
        order = np.argsort(-scores)
        for gain in order[scores[order] >= least]:
            soft = -self._sums[gain, SYNC:] / strength[gain]
            decoded = decode(soft)
            if decoded.statement is not None:
                agreement = float(((soft > 0) == (decoded.code == 1)).mean())
                return Verdict(decoded.statement, float(scores[gain]), agreement, self.faces)
        return Verdict(None, float(scores[order[0]]), 0.0, self.faces)

    def merge(self, other: Evidence) -> None:
        """Take in what was added to another one."""
        self._sums += other._sums
        self.faces += other.faces
