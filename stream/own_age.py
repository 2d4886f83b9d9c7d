"""The age that one face is read as, steady enough to add years to it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from models.editor import Crop
from models.embedded.own_age import AgeReader
from stream.filters import ExponentialMean

EVERY_S = 0.5
"""Between two readings."""
MEAN_S = 4.0
"""Time constant of their mean."""
STICKS = 0.75
"""Years by which the mean has to leave the whole year that is given: another one redraws the face."""


class OwnAge:
    """Follows the age of one face.

    Attributes:
        years: whole years; None while it is not known.
    """

    def __init__(self) -> None:
        self.years: float | None = None
        self._mean = ExponentialMean(MEAN_S)
        self._read_at = -math.inf

    def update(self, reader: AgeReader, crop: Callable[[], Crop], time: float) -> None:
        """Read again, if it is time.

        Args:
            reader: of ages.
            crop: cuts the face out as the reader wants it.
            time: of the frame, seconds.

        Raises:
            ValueError: the face cannot be cut out, or its mesh is not known.
            engines.batching.Dropped: the reader is busy.
        """
        if time - self._read_at < EVERY_S:
            return
        self._read_at = time  # a face that cannot be read is not asked again on every frame
        read = np.array([reader.read(crop())], np.float32)
        mean = float(self._mean(read, time)[0])
        if self.years is None or abs(mean - self.years) > STICKS:
            self.years = float(round(mean))
