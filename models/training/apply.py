"""An edit at the crop's own resolution, for measuring; the stream does it at the camera's."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Image
from models.editor import Edit


def apply_edit(edit: Edit, camera: Image) -> Image:
    """What `models.editor.Edit` says, at the crop's resolution.

    Args:
        edit: the edit of the crop.
        camera: (S, S, 3) uint8 RGB.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    edited = camera.astype(np.float32)
    if edit.flow is not None:
        axis = np.arange(len(camera), dtype=np.float32)
        where = np.stack(np.meshgrid(axis, axis), axis=-1) + edit.flow
        edited = cv2.remap(edited, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    if edit.delta is not None:
        edited = edited + edit.delta
    if edit.image is not None:
        opacity = np.ones_like(edit.mask) if edit.opacity is None else edit.opacity
        edited = edited * (1 - opacity[..., None]) + edit.image * opacity[..., None]
    mask = edit.mask[..., None]
    return np.clip(camera * (1 - mask) + edited * mask + 0.5, 0, 255).astype(np.uint8)
