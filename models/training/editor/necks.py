"""Relief of the necks of machine-made portraits, which `models.embedded.neck` lends.

Portraits end a hand's width below the chin: cords go on from there as they are, fainter.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.editor import Crop
from models.embedded.eye_axes import eye_axes
from models.embedded.neck import ACROSS, CHIN, COLUMNS, DOWN, JAW, MOST_RELIEF, ROWS, neck_skin
from models.face.imaging import LUMINANCE
from models.face.segmenter import Segmenter
from models.training.apply import portrait_crop
from models.training.data import FaceSet

CORDS, CREPE = ("fk_f93", "fk_f69"), "fk_f96"
"""Portraits whose cords are lent to women and to men, the latter mirrored, and one whose crepe lies over both."""
SHARES = (0.6, 0.5)
"""Of cords and of crepe."""
BROAD_SIGMA = 7.0
"""Light broader than this is no relief, pixels of it."""
CONTRAST = 0.05
"""Mean depth of a stored relief."""


def lent_necks(faces: FaceSet, segmenter: Segmenter) -> NDArray[np.int8]:
    """The table `creases_neck`, (2, `ROWS`, `COLUMNS`) int8, `MOST_RELIEF` / 127."""
    rows = {str(name): row for row, name in enumerate(faces.labels["id"])}

    def relief(name: str) -> Floats:
        row = rows[name]
        return _continued(*_relief(portrait_crop(faces.image(row), faces.points5[row], faces.mesh[row], segmenter)))

    women, men, crepe = (relief(name) for name in (*CORDS, CREPE))
    both = np.stack([SHARES[0] * women + SHARES[1] * crepe, SHARES[0] * men[:, ::-1] + SHARES[1] * crepe[:, ::-1]])
    both *= CONTRAST / np.abs(both).mean(axis=(1, 2), keepdims=True)
    return np.round(np.clip(both / MOST_RELIEF, -1, 1) * 127).astype(np.int8)


def _relief(crop: Crop) -> tuple[Floats, NDArray[np.bool_]]:
    """Fine log light of a neck in the frame below the jaw, and where it is seen."""
    assert crop.mesh is not None
    assert crop.masks is not None
    assert crop.beyond is not None
    size = len(crop.image)
    face = cv2.resize(crop.masks.face, (size, size))
    skin = np.median(crop.image[face > 0.9], axis=0).astype(np.float32)
    whole = neck_skin(crop, skin, (slice(0, size), slice(0, size))) * (1 - crop.beyond)
    middle, axes = eye_axes(crop)
    jaw = (crop.mesh[list(JAW)] - middle) @ axes.T
    order = np.argsort(jaw[:, 0])
    across = np.linspace(-ACROSS, ACROSS, COLUMNS) + jaw[CHIN, 0]
    edge = np.interp(across, jaw[order, 0], jaw[order, 1])
    places = np.stack(np.meshgrid(across, np.linspace(0, DOWN, ROWS)), axis=-1)
    places[..., 1] += edge
    where = (places @ np.linalg.inv(axes).T + middle).astype(np.float32)
    light = np.log(cv2.remap(crop.image.astype(np.float32), where, None, cv2.INTER_LINEAR) + 12) @ LUMINANCE
    seen = cv2.erode(cv2.remap(whole, where, None, cv2.INTER_LINEAR), np.ones((3, 3), np.uint8))
    broad = cv2.GaussianBlur(light * seen, (0, 0), BROAD_SIGMA) / (cv2.GaussianBlur(seen, (0, 0), BROAD_SIGMA) + 1e-3)
    sure = cv2.erode((seen > 0.6).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.clip((light - broad) * seen, -0.3, 0.3).astype(np.float32), sure


def _continued(relief: Floats, seen: NDArray[np.bool_]) -> Floats:
    """A relief that goes on below what is seen, mirrored and without its texture, and fades to all sides."""
    whole = np.zeros_like(relief)
    for column in range(COLUMNS):
        rows = np.flatnonzero(seen[:, column])
        if len(rows) < 4:
            continue
        first, last = int(rows[0]), int(rows[-1])
        period = np.arange(ROWS - last - 1) % (2 * (last - first + 1))
        back = np.minimum(period, 2 * (last - first + 1) - 1 - period)
        whole[:, column] = relief[:, column]
        whole[:first, column] = relief[first, column]
        whole[last + 1 :, column] = relief[last - back, column]
    fine = whole - cv2.GaussianBlur(whole, (0, 0), 1.5)
    below = 1.2 * cv2.GaussianBlur(whole, (0, 0), sigmaX=1.2, sigmaY=14) + 0.5 * fine
    share = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), 2)
    whole = whole * share + below * (1 - share)
    side = np.clip((COLUMNS / 2 - np.abs(np.arange(COLUMNS) - (COLUMNS - 1) / 2)) / 10, 0, 1)
    side = side * side * (3 - 2 * side)
    fade = 1 - 0.65 * np.clip((np.arange(ROWS) / ROWS * DOWN - 0.45) / 0.6, 0, 1)
    whole = whole * (side * fade[:, None])
    return np.asarray((whole - whole[:, 10:-10].mean()) * side, np.float32)
