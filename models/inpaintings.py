"""What was inpainted, taken apart into a head and the scene behind it, and put together again."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike

from models.arrays import Floats, Image
from models.editor import Inpainting


def packed_head(drawn: Inpainting) -> MatLike:
    """The picture and where the head is in it, (S, S, 4) uint8: OpenCV warps four channels faster than three."""
    packed = cv2.cvtColor(drawn.image, cv2.COLOR_RGB2RGBA)
    cv2.insertChannel(np.rint(255 * drawn.head).astype(np.uint8), packed, 3)
    return packed


def of_side(drawn: Inpainting, side: int) -> Inpainting:
    """A drawing in the middle of a larger crop, whose rest repeats its edge, or the middle of it as a smaller one."""
    return Inpainting(*(in_middle(each, side) for each in (drawn.image, drawn.head, drawn.behind)))


def in_middle(picture: MatLike, side: int) -> Any:
    """The middle of a picture (S, S) or (S, S, C), or the picture in the middle of its repeated edge; (side, side) or
    (side, side, C).
    """
    more = (side - len(picture)) // 2
    if more <= 0:
        return np.ascontiguousarray(picture[-more : len(picture) + more, -more : len(picture) + more])
    return cv2.copyMakeBorder(picture, more, more, more, more, cv2.BORDER_REPLICATE)


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


def bent(drawn: Inpainting, behind: Image, where: tuple[Floats, Floats]) -> Inpainting:
    """A drawing that is shown from other places near by.

    The picture is bent as it is, head and scene: laid over the scene once more, its soft edge would shrink.

    Args:
        drawn: the drawing.
        behind: (S, S, 3) uint8 RGB, the scene.
        where: two (S, S) float32, pixel indices across and down, as of `models.face.head_outline.bend`.
    """
    moved = cv2.remap(packed_head(drawn), *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    head = cv2.extractChannel(moved, 3).astype(np.float32) / np.float32(255)
    return Inpainting(np.asarray(cv2.cvtColor(moved, cv2.COLOR_RGBA2RGB), np.uint8), head, behind)
