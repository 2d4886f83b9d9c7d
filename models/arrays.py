"""The array types of models and stream, defined once. What a value means (shape, units, range) stands where it is
used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3); RGB in crops and portraits, BGR in frames."""
Floats = NDArray[np.float32]
Points = NDArray[np.float64]
Rows = NDArray[np.int64]
"""Row numbers of a set of portraits."""
Latent = NDArray[np.float32]
