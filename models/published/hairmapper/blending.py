"""HairMapper's blend: the camera's face is cloned into the drawing of the bald head (Pérez et al., SIGGRAPH 2003)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image


@dataclass(frozen=True, slots=True)
class BlendSizes:
    """Of the authors' script, pixels of a face of 1024."""

    dilation: int = 50
    """Side of the square by which the hair's mask grows."""
    blur: int = 30
    """Side of the box that softens what it grew by."""


SIZES = BlendSizes()


def clone_face(camera: Image, drawn: Image, hair: Floats) -> Image:
    """The drawing with the camera's gradients in it wherever no hair was, solved for by Poisson's equation.

    Args:
        camera: (S, S, 3) uint8 RGB.
        drawn: (S, S, 3) uint8 RGB, the same face without hair.
        hair: (M, M) float32 in [0, 1], hair of the camera's face, the crop's extent.

    Returns:
        (S, S, 3) uint8 RGB; the drawing itself where there is hair everywhere, the camera where there is none.
    """
    kept = kept_mask(hair, len(camera))
    if kept.min() == 255:
        return camera
    kept[[0, -1]] = kept[:, [0, -1]] = 0  # as OpenCV does
    if not kept.any():
        return drawn
    rows, columns = np.nonzero(kept)
    # The middle of the mask as OpenCV rounds it; another one would shift the face by a pixel.
    centre = (int(columns.min() + columns.max() + 1) // 2, int(rows.min() + rows.max() + 1) // 2)
    out: Image = cv2.seamlessClone(camera, drawn, kept, centre, cv2.NORMAL_CLONE)
    return out


def kept_mask(hair: Floats, side: int) -> Image:
    """Where the camera is kept, (side, side) uint8: 0 in the hair, soft around it, 255 elsewhere."""
    scale = side / 1024
    grown, blur = (max(round(size * scale), 1) for size in (SIZES.dilation, SIZES.blur))
    sized = cv2.resize(hair, (side, side), interpolation=cv2.INTER_LINEAR)
    mask = np.where(sized > 0.5, 255, 0).astype(np.uint8)
    soft = cv2.blur(cv2.dilate(mask, np.ones((grown, grown), np.uint8)), (blur, blur))
    return np.asarray(255 - np.maximum(mask, soft), np.uint8)
