"""The head upright: a fixed picture of the whole head with its hair, placed by the face mesh's affine map alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.face.texture_space import Fit

HEAD_SIZE = 112
HEAD_EXTENT = 268.0
"""Side of the head picture in texture pixels."""
HEAD_ORIGIN = (-38.0, -86.0)
"""Its corner in texture pixels: the crown is above the texture square."""


def head_picture(
    image: NDArray[np.uint8],
    fit: Fit,
    size: int = HEAD_SIZE,
    turn: NDArray[np.float64] | None = None,
    shift: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Cut the head out of a crop.

    Args:
        image: (S, S, 3) uint8, the crop.
        fit: where the face is in it.
        size: side of the result in pixels.
        turn: (2, 2) linear map around the middle of the head picture, for augmentation.
        shift: (2,) shift in texture pixels, for augmentation.

    Returns:
        (size, size, 3) uint8; what lies outside the crop repeats its edge.
    """
    step = HEAD_EXTENT / size
    linear = np.eye(2) * step
    origin = np.array(HEAD_ORIGIN) + 0.5 * step - 0.5
    if turn is not None:
        middle = np.array([HEAD_EXTENT / 2, HEAD_EXTENT / 2])
        origin = np.array(HEAD_ORIGIN) + middle + turn @ (0.5 * step - 0.5 - middle)
        linear = turn * step
    if shift is not None:
        origin = origin + shift
    affine = fit.affine.astype(np.float64)
    to_crop = np.column_stack([affine[:, :2] @ linear, affine[:, :2] @ origin + affine[:, 2]])
    pixels = float(np.sqrt(abs(np.linalg.det(to_crop[:, :2]))))
    if pixels > 1.3:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 * pixels))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, to_crop, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE))
