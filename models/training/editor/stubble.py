"""Where beards grow: a mean over bearded men, in the texture square."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows
from models.embedded.beard import find_beard
from models.embedded.stubble import GROWTH
from models.face.segmenter import Segmenter
from models.face.texture_space import FaceSpace
from models.training.apply import portrait_crop
from models.training.data import FaceSet

COUNT, MOST_YAW = 700, 15.0
"""Portraits of men that are looked at, at most, and how far these are turned, degrees."""
BEARDED = 0.4
"""Mean over the chin from which a man counts as bearded."""
WHOLE = 0.99
"""Quantile of the mean that counts as a whole beard."""
SOFT = 1.2
"""Gaussian over the mean, texture pixels."""


def stubble_tables(faces: FaceSet, space: FaceSpace, rows: Rows, segmenter: Segmenter) -> dict[str, NDArray[np.uint8]]:
    """The table of `models.embedded.stubble.Stubble`.

    Args:
        faces: the portraits.
        space: the texture square.
        rows: portraits of adults.
        segmenter: reads where the face is.
    """
    labels = faces.labels
    men = rows[(labels["sex"][rows] == "M") & (np.abs(labels["yaw"][rows]) < MOST_YAW)]
    found = list[Floats]()
    for row in np.random.default_rng(0).permutation(men)[:COUNT]:
        crop = portrait_crop(faces.image(int(row)), faces.points5[row], faces.mesh[row], segmenter)
        if crop.mesh is None:
            continue
        beard = np.rint(255 * find_beard(crop)).astype(np.uint8)
        unwrapped = space.unwrap(cv2.merge([beard] * 3), space.fit(crop.mesh))[..., 0] / np.float32(255)
        if unwrapped[GROWTH.chin].mean() > BEARDED:
            found.append(np.asarray(unwrapped, np.float32))
    return {"beard_place": beard_place(np.stack(found))}


def beard_place(beards: Floats) -> NDArray[np.uint8]:
    """How often a beard grows somewhere, the same on both sides, (192, 192) uint8; 255 where beards are whole.

    Args:
        beards: (N, 192, 192) float32 in 0..1, those of bearded men.
    """
    mean = beards.mean(0)
    mean = (mean + mean[:, ::-1]) / 2
    smooth = cv2.GaussianBlur(mean / np.quantile(mean, WHOLE), (0, 0), SOFT)
    return np.rint(255 * np.clip(smooth, 0, 1)).astype(np.uint8)
