"""Picture arithmetic that editors and trainers share: log colour, smooth steps, filters, filling."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)
"""Weights of R, G and B in luminance (ITU-R BT.601, rounded)."""
LOG_OFFSET = 16.0
"""Added to 0..255 before the logarithm: it keeps noise in dark areas small."""
MEMBRANE_HELD = 0.2
"""Share of a coarse pixel that must be known for it to hold a membrane."""
MEMBRANE_ROUNDS = 24
"""Means of the neighbours that are taken at each size."""
MEMBRANE_PULL = np.array([0.25, 0.5, 0.25], np.float32)
"""Weights of these neighbours across and down."""


def box_of(where: NDArray[np.bool_], room: int = 0) -> tuple[slice, slice] | None:
    """The rows and columns of (H, W) that hold something, with room beside them; None where nothing does."""
    slices = []
    for axis in (1, 0):
        held = np.flatnonzero(where.any(axis))
        if not len(held):
            return None
        slices.append(slice(max(int(held[0]) - room, 0), min(int(held[-1]) + room + 1, where.shape[1 - axis])))
    return slices[0], slices[1]


def log_colour(picture: NDArray[Any]) -> Floats:
    """Logarithm of an RGB picture.

    Args:
        picture: (..., 3), 0..255.

    Returns:
        (..., 3) float32, log(value + `LOG_OFFSET`).
    """
    return np.asarray(np.log(picture.astype(np.float32) + LOG_OFFSET))


def smoothstep(x: NDArray[Any], low: float, high: float) -> Floats:
    """Cubic Hermite step from 0 at `low` to 1 at `high`; float32, the shape of `x`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def coherence(light: Floats, window: float, least: float) -> Floats:
    """How much light runs in lines, 0..1, by its structure tensor (Weickert 1999).

    Args:
        light: (H, W) float32, smoothed.
        window: Gaussian of the tensor, pixels.
        least: sum of squared gradients, of `cv2.Sobel`, below which nothing is seen.

    Returns:
        (H, W) float32: 0 where no direction prevails, 1 where one alone does.
    """
    across, down = (cv2.Sobel(light, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    xx, xy, yy = (cv2.GaussianBlur(each, (0, 0), window) for each in (across * across, across * down, down * down))
    return np.asarray(((xx - yy) ** 2 + 4 * xy * xy) / ((xx + yy) ** 2 + np.float32(least * least)), np.float32)


def three_channels(x: Floats) -> Floats:
    """Repeat an (H, W) float32 array to (H, W, 3)."""
    return np.asarray(cv2.merge([x, x, x]), np.float32)


def enlarge(x: Floats, extent: tuple[int, int]) -> Floats:
    """Resize an array bilinearly.

    Args:
        x: (H, W) or (H, W, C) float32.
        extent: (columns, rows) of the result.
    """
    return np.asarray(cv2.resize(x, extent, interpolation=cv2.INTER_LINEAR), np.float32)


def fill(picture: Floats, weight: Floats) -> Floats:
    """Fill unknown pixels from their surroundings, coarse to fine (pull-push, Gortler et al. 1996).

    Args:
        picture: (H, W, 3) float32.
        weight: (H, W) float32, 0 (unknown) to 1 (known).

    Returns:
        (H, W, 3) float32; known pixels keep their value.
    """
    pictures, weights = [cv2.multiply(picture, three_channels(weight))], [weight]
    while min(weights[-1].shape) > 3:
        shape = ((weights[-1].shape[1] + 1) // 2, (weights[-1].shape[0] + 1) // 2)
        smaller = cv2.resize(pictures[-1], shape, interpolation=cv2.INTER_AREA)
        known = cv2.resize(weights[-1], shape, interpolation=cv2.INTER_AREA)
        gain = 1 / np.maximum(known, 0.25)
        pictures.append(cv2.multiply(smaller, three_channels(gain)))
        weights.append(known * gain)
    total = np.maximum(weights[-1].sum(), 1e-3)
    filled = np.broadcast_to(pictures[-1].sum((0, 1)) / total, pictures[-1].shape).astype(np.float32)
    for finer, known in zip(pictures[-1::-1], weights[-1::-1], strict=True):
        filled = cv2.GaussianBlur(cv2.resize(filled, known.shape[::-1], interpolation=cv2.INTER_LINEAR), (0, 0), 1.0)
        filled = cv2.add(finer, cv2.multiply(filled, three_channels(1 - known)))
    return filled


def membrane(picture: Floats, known: Floats) -> Floats:
    """Fill unknown pixels as a membrane that is held by the known ones hangs (Laplace's equation), coarse to fine.

    Light that falls off goes on over the hole, where `fill` soon comes to the mean of all that is around.

    Args:
        picture: (H, W, 3) float32.
        known: (H, W) float32, 0 or 1.

    Returns:
        (H, W, 3) float32; known pixels keep their value.
    """
    pictures, weights = [cv2.multiply(picture, three_channels(known))], [known]
    while min(weights[-1].shape) > 7:
        shape = ((weights[-1].shape[1] + 1) // 2, (weights[-1].shape[0] + 1) // 2)
        smaller, share = (cv2.resize(each[-1], shape, interpolation=cv2.INTER_AREA) for each in (pictures, weights))
        held = share > MEMBRANE_HELD
        weights.append((held if held.any() else share > 0).astype(np.float32))
        pictures.append(cv2.multiply(smaller, three_channels(weights[-1] / np.maximum(share, np.float32(1e-3)))))
    hung = fill(pictures[-1], weights[-1])
    for finer, held in zip(pictures[::-1], weights[::-1], strict=True):
        hung = cv2.resize(hung, held.shape[::-1], interpolation=cv2.INTER_LINEAR)
        free = three_channels(1 - held)
        for _ in range(MEMBRANE_ROUNDS):
            around = cv2.sepFilter2D(hung, -1, MEMBRANE_PULL, MEMBRANE_PULL, borderType=cv2.BORDER_REPLICATE)
            hung = cv2.add(finer, cv2.multiply(around, free))
    return np.asarray(hung, np.float32)


def guided_filter(guide: Floats, signal: Floats, radius: int, epsilon: float) -> Floats:
    """Smooth `signal` and keep the edges of `guide` (guided filter, He et al. 2010).

    Args:
        guide: (H, W) float32, about [0, 1].
        signal: (H, W) float32.
        radius: half of the window's side in pixels.
        epsilon: variance of the guide below which a window is smoothed like a flat one.

    Returns:
        (H, W) float32; near strong edges it overshoots the range of `signal` slightly.
    """
    window = (2 * radius + 1, 2 * radius + 1)
    mean_guide, mean_signal = cv2.blur(guide, window), cv2.blur(signal, window)
    covariance = cv2.blur(guide * signal, window) - mean_guide * mean_signal
    variance = cv2.blur(guide * guide, window) - mean_guide * mean_guide
    slope = covariance / (variance + epsilon)
    offset = mean_signal - slope * mean_guide
    return np.asarray(cv2.blur(slope, window) * guide + cv2.blur(offset, window), np.float32)
