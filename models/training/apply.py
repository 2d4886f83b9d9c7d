"""A portrait as the editor's crop, and an edit at the crop's own resolution; the stream does both at the camera's."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.editor import Crop, Edit
from models.face.segmenter import Segmenter
from models.face.squeezing import shown_by

PAD = 32
"""Pixels around a portrait of 256 pixels in the embedded editor's crop of 320; they lie beyond the picture."""


def padded(picture: Image) -> Image:
    """A picture (S, S, 3) uint8 and, around it, its last pixels repeated, as the embedded editor's crops show it."""
    return np.asarray(cv2.copyMakeBorder(picture, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE), np.uint8)


def beyond_picture(side: int) -> Floats:
    """(side, side) float32: 1 where a padded picture shows what lies beyond it."""
    inside = np.zeros((side - 2 * PAD, side - 2 * PAD), np.float32)
    return np.asarray(cv2.copyMakeBorder(inside, PAD, PAD, PAD, PAD, cv2.BORDER_CONSTANT, value=1), np.float32)


def portrait_crop(picture: Image, points5: Floats, mesh: Floats, segmenter: Segmenter) -> Crop:
    """The crop of a portrait, with masks.

    Args:
        picture: (256, 256, 3) uint8 RGB.
        points5: (5, 2) float32, pixels of the portrait.
        mesh: (478, 2) float32, pixels of the portrait.
        segmenter: reads the masks.
    """
    image, shift = padded(picture), np.float32(PAD)
    return Crop(image, points5 + shift, mesh + shift, segmenter.read(image), beyond=beyond_picture(len(image)))


def inner(image: Image) -> Image:
    """A crop (S, S, 3) without what lies beyond the portrait."""
    return np.ascontiguousarray(image[PAD:-PAD, PAD:-PAD])


def apply_edit(edit: Edit, camera: Image) -> Image:
    """What `models.editor.Edit` says, at the crop's resolution.

    Args:
        edit: the edit of the crop.
        camera: (S, S, 3) uint8 RGB.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    edited = (camera if edit.flow is None else shown_by(camera, edit.flow)).astype(np.float32)
    if edit.delta is not None:
        edited = edited + edit.delta
    if edit.image is not None:
        opacity = np.ones_like(edit.mask) if edit.opacity is None else edit.opacity
        edited = edited * (1 - opacity[..., None]) + edit.image * opacity[..., None]
    mask = edit.mask[..., None]
    return np.clip(camera * (1 - mask) + edited * mask + 0.5, 0, 255).astype(np.uint8)
