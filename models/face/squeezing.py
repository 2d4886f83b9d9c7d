"""Pictures that a flow presses together, without stair steps.

A pixel of what is shown covers several of the camera's where a flow leads into narrower places: hair that is pressed to
a skull to a third of its thickness. Taking one of them makes combs and steps of its strands. Along the flow, several
are averaged there (anisotropic filtering, McCormack et al. 1999).
"""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.imaging import smoothstep

TAPS = (-0.375, -0.125, 0.125, 0.375)
"""Places, shares of what a pixel covers, whose mean is shown."""
PRESSED = (1.15, 1.5)
"""Pixels of the camera that one pixel covers, over which several are averaged."""
MOST = 3.5
"""Most of them."""
STILL = 0.05
"""Length of a flow, pixels, from which it has a direction."""


def footprint(flow: Floats) -> Floats | None:
    """What each pixel covers of the picture along a flow.

    Args:
        flow: (S, S, 2) float32, from each pixel (x, y) to the one that is shown there, pixels.

    Returns:
        (S, S, 2) float32, from one end of it to the other, pixels, 0 where it is no more than about a pixel; None where
        nothing is pressed together.
    """
    half = (flow.shape[1] // 2, flow.shape[0] // 2)
    x, y = cv2.split(cv2.resize(flow, half, interpolation=cv2.INTER_AREA))
    length = cv2.magnitude(x, y)
    if float(length.max(initial=0)) < STILL:
        return None
    scale = 1 / np.maximum(length, np.float32(STILL))
    x_along, y_along = cv2.multiply(x, scale), cv2.multiply(y, scale)
    covers = []
    for plane, along in ((x, x_along), (y, y_along)):
        # a pixel of the half size is two
        across, down = (cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.25) for dx in (1, 0))
        covers.append(along + x_along * across + y_along * down)
    covered = cv2.magnitude(*covers)
    share = smoothstep(covered, *PRESSED) * np.minimum(np.float32(MOST) / np.maximum(covered, np.float32(1)), 1)
    if not share.any():
        return None
    found = cv2.merge([cv2.multiply(each, share) for each in covers])
    return np.asarray(cv2.resize(found, flow.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def pressed(picture: Image, x: Floats, y: Floats, covers: tuple[Floats, Floats] | None) -> Image:
    """What a picture shows at some places; where a pixel covers several, their mean.

    Args:
        picture: (H, W, 3) uint8.
        x, y: (R, C) float32, the places, pixels.
        covers: two (R, C) float32, of `footprint` at these places; None for one pixel each.

    Returns:
        (R, C, 3) uint8.
    """
    if covers is None:
        return _at(picture, x, y, cv2.INTER_CUBIC)
    total: Floats | None = None
    for tap in TAPS:
        seen = _at(picture, cv2.scaleAdd(covers[0], tap, x), cv2.scaleAdd(covers[1], tap, y), cv2.INTER_LINEAR)
        total = seen.astype(np.float32) if total is None else cv2.add(total, seen, dtype=cv2.CV_32F)
    assert total is not None
    return np.asarray(cv2.convertScaleAbs(total, alpha=1 / len(TAPS)), np.uint8)


def shown_by(picture: Image, flow: Floats) -> Image:
    """A picture, (S, S, 3) uint8, as a flow shows it, (S, S, 2) float32, from each pixel to the one shown there."""
    if not flow.any():
        return picture
    axis = np.arange(len(picture), dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    covers = footprint(flow)
    planes = None if covers is None else (covers[..., 0], covers[..., 1])
    return pressed(picture, x + flow[..., 0], y + flow[..., 1], planes)


def _at(picture: Image, x: Floats, y: Floats, interpolation: int) -> Image:
    """A picture at some places. Linear interpolation by fractions of a pixel takes a quarter of the sharpness."""
    whole, fraction = cv2.convertMaps(x, y, cv2.CV_16SC2)
    return np.asarray(cv2.remap(picture, whole, fraction, interpolation, borderMode=cv2.BORDER_REPLICATE), np.uint8)
