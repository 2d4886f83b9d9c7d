"""Picture filters that several editors and trainers share."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats


def guided_filter(guide: Floats, signal: Floats, radius: int, epsilon: float) -> Floats:
    """Smooth `signal` except where `guide` has edges (He et al. 2010).

    Args:
        guide: (H, W) float32, about [0, 1].
        signal: (H, W) float32.
        radius: half the window's side in pixels.
        epsilon: variance of the guide below which a window counts as flat.

    Returns:
        (H, W) float32; near strong edges it may leave the range of `signal` a little.
    """
    window = (2 * radius + 1, 2 * radius + 1)
    mean_guide, mean_signal = cv2.blur(guide, window), cv2.blur(signal, window)
    covariance = cv2.blur(guide * signal, window) - mean_guide * mean_signal
    variance = cv2.blur(guide * guide, window) - mean_guide * mean_guide
    slope = covariance / (variance + epsilon)
    offset = mean_signal - slope * mean_guide
    return np.asarray(cv2.blur(slope, window) * guide + cv2.blur(offset, window), np.float32)
