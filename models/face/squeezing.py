"""Pictures that a flow presses together, without stair steps.

A pixel of what is shown covers several of the camera's where a flow leads into narrower places: hair that is pressed to
a skull to a third of its thickness. Taking one of them makes combs and steps of its strands. Along the direction of
most pressure several are averaged there (anisotropic filtering, McCormack et al. 1999).
"""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.imaging import box_of, smoothstep

TAPS = (-0.375, -0.125, 0.125, 0.375)
"""Places, shares of what a pixel covers, whose mean is shown."""
PRESSED = (1.15, 1.5)
"""Pixels of the camera that one pixel covers, over which several are averaged."""
MOST = 3.5
"""Most of them."""
SHOWN = (0.5, 1.0)
"""What a pixel covers by `footprint` over which the mean takes the place of the one pixel."""


def footprint(flow: Floats) -> Floats | None:
    """What each pixel covers of the picture where a flow presses it together, along the direction of most pressure.

    That is the major axis of the ellipse that a round pixel comes from (Heckbert 1989).

    Args:
        flow: (S, S, 2) float32, from each pixel (x, y) to the one that is shown there, pixels; S is even.

    Returns:
        (S, S, 2) float32, from one end of it to the other, pixels, 0 where it is no more than about a pixel; None where
        nothing is pressed together.
    """
    half = (flow.shape[1] // 2, flow.shape[0] // 2)
    if not flow.any():
        return None
    x, y = cv2.split(cv2.resize(flow, half, interpolation=cv2.INTER_AREA))
    # a pixel of the half size is two
    (x_across, x_down), (y_across, y_down) = (
        [cv2.Sobel(each, cv2.CV_32F, dx, 1 - dx, ksize=1, scale=0.25, borderType=cv2.BORDER_REPLICATE) for dx in (1, 0)]
        for each in (x, y)
    )
    x_across, y_down = x_across + 1, y_down + 1
    a, c = cv2.magnitude(x_across, x_down) ** 2, cv2.magnitude(y_across, y_down) ** 2
    b = cv2.multiply(x_across, y_across) + cv2.multiply(x_down, y_down)
    most = (a + c) / 2 + cv2.magnitude((a - c) / 2, b)
    covered = np.sqrt(most)
    share = smoothstep(covered, *PRESSED) * np.minimum(covered, np.float32(MOST))
    if not share.any():
        return None
    wide = a >= c
    along = np.where(wide, most - c, b), np.where(wide, b, most - a)
    share = share / np.maximum(cv2.magnitude(*along), np.float32(1e-6))
    found = cv2.merge([np.asarray(each * share, np.float32) for each in along])
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
    # Cubic: linear interpolation by fractions of a pixel takes a quarter of the skin's sharpness.
    shown = _at(picture, x, y, cv2.INTER_CUBIC)
    if covers is None:
        return shown
    weight = smoothstep(cv2.magnitude(*covers), *SHOWN)
    middle = weight.shape[1] // 2
    # hair is pressed at both sides of a head
    for side in (slice(0, middle), slice(middle, None)):
        box = box_of(weight[:, side] > 0)
        if box is None:
            continue
        part = box[0], slice(box[1].start + (side.start or 0), box[1].stop + (side.start or 0))
        total = np.zeros((*weight[part].shape, 3), np.float32)
        for tap in TAPS:
            across, down = (cv2.scaleAdd(c[part], tap, at[part]) for c, at in zip(covers, (x, y), strict=True))
            total = cv2.add(total, _at(picture, across, down, cv2.INTER_LINEAR), dtype=cv2.CV_32F)
        mean = total * np.float32(1 / len(TAPS))
        one = shown[part].astype(np.float32)
        shown[part] = np.rint(one + weight[part][..., None] * (mean - one)).astype(np.uint8)
    return shown


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
    whole, fraction = cv2.convertMaps(x, y, cv2.CV_16SC2)
    return np.asarray(cv2.remap(picture, whole, fraction, interpolation, borderMode=cv2.BORDER_REPLICATE), np.uint8)
