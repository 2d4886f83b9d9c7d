"""What was inpainted, taken apart into a head and the scene behind it, and put together again."""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike

from models.arrays import Floats, Image
from models.editor import Inpainting

STILL = 0.02
"""Displacement below which a pixel stays, pixels: where a neck goes over to a collar both are of the drawing."""


def packed_head(drawn: Inpainting) -> MatLike:
    """The picture and where the head is in it, (S, S, 4) uint8: OpenCV warps four channels faster than three."""
    packed = cv2.cvtColor(drawn.image, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(np.rint(255 * drawn.head).astype(np.uint8), packed, 3)
    return packed


def laid_over(on_head: MatLike, behind: MatLike) -> Inpainting:
    """A head before a scene.

    Args:
        on_head: (S, S, 4) uint8, from `packed_head`, moved or not.
        behind: (S, S, 4) uint8 RGB and whatever.
    """
    weight = cv2.extractChannel(on_head, 3).astype(np.float32) / np.float32(255)
    image, still = (
        np.asarray(cv2.cvtColor(each, cv2.COLOR_RGBA2RGB), np.uint8)
        for each in (cv2.blendLinear(on_head, behind, weight, 1 - weight), behind)
    )
    return Inpainting(image, weight, still)


def with_head_from(drawn: Inpainting, behind: Image, where: tuple[Floats, Floats]) -> Inpainting:
    """A drawing whose head is shown from other places; what stays in its place stays as it is.

    Args:
        drawn: the drawing.
        behind: (S, S, 3) uint8 RGB, the scene.
        where: two (S, S) float32, pixel indices across and down, as of `models.face.head_outline.bend`.
    """
    on_head = cv2.remap(packed_head(drawn), *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    laid = laid_over(on_head, cv2.cvtColor(behind, cv2.COLOR_RGB2RGBA))
    x, y = where
    indices = np.arange(len(x), dtype=np.float32)
    moved = (np.abs(x - indices) > STILL) | (np.abs(y - indices[:, None]) > STILL)
    return Inpainting(np.where(moved[..., None], laid.image, drawn.image), laid.head, laid.behind)
