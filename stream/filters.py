"""Steadiness over time: the One-Euro filter and an exponential mean. Both take a frame's time; neither has a clock."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from models.arrays import Floats

DERIVATIVE_CUTOFF_HZ = 1.0


class OneEuro:
    """One-Euro filter (Casiez, Roussel, Vogel 2012) over an array of points.

    A still point is smoothed with `min_cutoff`; the faster it moves the less it is smoothed, so that a moving face does
    not lag. The speed is the norm over the last axis: the coordinates of one point are smoothed together.
    """

    def __init__(self, min_cutoff: float, beta: float, lost: float = math.inf) -> None:
        """Make a filter.

        Args:
            min_cutoff: cutoff frequency in Hz at rest; 0 or less turns smoothing off.
            beta: how much the cutoff rises, in Hz per unit of speed (units of the input per second).
            lost: when a sample is on average further than this from what was expected, the filter starts anew.
        """
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.lost = lost
        self._value: Floats | None = None
        self._speed: Floats | None = None
        self._time = -math.inf

    def __call__(self, value: Floats, time: float, moved: Floats | None = None) -> Floats:
        """Filter one sample.

        Args:
            value: (..., D) float32.
            time: seconds; a sample that is not later than the last one replaces it.
            moved: how far the last filtered value has moved since, by other evidence, shaped as `value`: only what
                differs from that is smoothed.

        Returns:
            The filtered value, shaped as `value`.
        """
        if self.min_cutoff <= 0 or self._value is None or self._speed is None or self._value.shape != value.shape:
            self._value, self._speed, self._time = value, np.zeros_like(value), time
            return value
        step = time - self._time
        if step <= 0:
            return self._value
        self._time = time
        expected = self._value if moved is None else self._value + moved
        away = value - expected
        if float(np.sqrt((away * away).sum(-1)).mean()) > self.lost:
            self._value, self._speed = value, np.zeros_like(value)
            return value
        raw_speed = away / np.float32(step)
        self._speed = self._speed + _gain(DERIVATIVE_CUTOFF_HZ, step) * (raw_speed - self._speed)
        norm = np.sqrt((self._speed * self._speed).sum(-1, keepdims=True))
        cutoff = self.min_cutoff + self.beta * norm
        gain = 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff * step))
        self._value = (expected + gain * away).astype(np.float32)
        return self._value


class ExponentialMean:
    """Running mean with a time constant; the first sample counts in full."""

    def __init__(self, time_constant: float, lasting: Mapping[int, float] | None = None) -> None:
        """Make a mean.

        Args:
            time_constant: seconds after which a step has been followed to 63 %; 0 or less turns smoothing off.
            lasting: places of a one-dimensional input and longer time constants for these. Until then they are the mean
                of all that came: a wrong first sample is outweighed by the next ones.
        """
        self.time_constant = time_constant
        self._places = np.array(list(lasting or {}), np.intp)
        self._lasting = np.array(list((lasting or {}).values()), np.float64)
        self._value: Floats | None = None
        self._time = -math.inf
        self._count = 0

    def __call__(self, value: Floats, time: float) -> Floats:
        """Add one sample at `time` seconds and return the mean, shaped as `value`."""
        if self.time_constant <= 0 or self._value is None or self._value.shape != value.shape:
            self._value, self._time, self._count = value, time, 1
            return value
        step = max(time - self._time, 0.0)
        self._time = max(time, self._time)
        away = value - self._value
        gain = np.full(value.shape, 1.0 - math.exp(-step / self.time_constant), np.float32)
        if len(self._places) and step > 0:
            self._count += 1
            gain[self._places] = np.maximum(1 - np.exp(-step / self._lasting), 1 / self._count)
        self._value = self._value + gain * away
        return self._value


def _gain(cutoff: float, step: float) -> np.float32:
    return np.float32(1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff * step)))
