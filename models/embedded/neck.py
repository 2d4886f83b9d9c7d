"""The neck below an old face: cords, folds and crepe, lent as relief by machine-made portraits as creases are.

The relief lies in a frame that the mesh gives: across in distances of the eyes from the chin, down from the jaw. In a
video it sticks to the skin that is seen (`models.editor.Crop.surface`), as a head turns and nods over its neck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.editor import Crop
from models.embedded.creases import RELIEF_COLOUR
from models.embedded.eye_axes import eye_axes
from models.face.imaging import LOG_OFFSET, LUMINANCE, enlarge, smoothstep

JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
"""Mesh points of the jaw, from the right ear to the left."""
CHIN = 8
"""Place of the chin among them."""
NOSE, NOSE_TO_CHIN = 2, 2.42
"""Mesh point below the nose, and how far below the eyes a closed chin is over its distance."""
ACROSS, DOWN = 0.8, 1.07
"""Half the width of the frame and its height, distances of the eyes."""
ROWS, COLUMNS = 64, 96
"""Size of a relief."""
MOST_RELIEF = 0.4
"""Relief is clipped to this change of log light, and stored as int8 of it."""
DEPTH = 17.0
"""Depth of the relief over the contrast of lent creases."""
BEGINS = (-0.03, 0.09)
"""Distances below the jaw over which the relief begins."""
ENDS = (0.6, 1.05)
"""Distances below the chin over which it ends."""
COLOUR = (0.22, 0.42)
"""Distance from the colour of the face, logs of red over blue and over green, over which a pixel is no skin."""
DARK = (-1.9, -1.2)
"""Log light over that of the face, over which a pixel is skin."""
OFFSET = 12.0
"""Added to 0..255 before these logarithms."""
STRAYED = (0.5, 0.9)
"""Distances of chin and nose from their places on the surface, distances of the eyes, over which it is not believed."""
LEAST = 0.02
"""Weight below which a pixel stays."""


@dataclass(frozen=True, slots=True)
class Neck:
    """Relief of necks.

    Attributes:
        relief: (2, `ROWS`, `COLUMNS`) float32, change of log light, for women and men.
    """

    relief: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Neck:
        """Read `creases_neck`, int8 of `MOST_RELIEF`."""
        return Neck(tables["creases_neck"].astype(np.float32) * np.float32(MOST_RELIEF / 127))

    def draw(self, crop: Crop, *, skin: Floats, male: float, depth: float) -> tuple[Floats, Floats]:
        """The residual of an older neck.

        Args:
            crop: the face, with mesh and masks.
            skin: (3,) float32 RGB, 0..255, median of the face.
            male: 0 for a woman, 1 for a man.
            depth: contrast of the creases of the face, log light.

        Returns:
            (S, S, 3) float32 RGB and (S, S) float32, 1 where it may differ from 0.
        """
        size = len(crop.image)
        delta, mask = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
        where, box = neck_places(crop)
        if box is None:
            return delta, mask
        weight = neck_skin(crop, skin, box) * smoothstep(where[..., 2], *BEGINS)
        weight *= 1 - smoothstep(where[..., 1], *ENDS)
        relief = (1 - male) * self.relief[0] + male * self.relief[1]
        at = where[..., :2]
        if crop.surface is not None:
            stuck, trust = _on_surface(crop, crop.surface, box)
            at = at + np.float32(trust) * (stuck - at)
        across, down = cv2.split(at)
        places = np.stack(
            [
                (across / (2 * ACROSS) + 0.5) * COLUMNS - 0.5,
                np.clip(down / DOWN * ROWS - 0.5, 0, ROWS - 1),
            ],
            axis=-1,
        ).astype(np.float32)
        drawn = cv2.remap(relief, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        change = np.exp((np.float32(DEPTH * depth) * drawn * weight)[..., None] * RELIEF_COLOUR) - 1
        delta[box] = (crop.image[box] + np.float32(LOG_OFFSET)) * change
        mask[box] = weight > LEAST
        return delta * mask[..., None], mask


def neck_places(crop: Crop) -> tuple[Floats, tuple[slice, slice] | None]:
    """Where the pixels of a part of the crop are in the frame of the neck, (H, W, 3) float32: across, down, and down
    from the jaw as it is open now, which would carry the neck along; and that part, None where no neck is seen.
    """
    assert crop.mesh is not None
    size = len(crop.image)
    middle, axes = eye_axes(crop)
    jaw = (crop.mesh[list(JAW)] - middle) @ axes.T
    right, down = np.linalg.inv(axes).T
    corners = np.array([[x, y] for x in (-ACROSS, ACROSS) for y in (jaw[:, 1].min(), jaw[:, 1].max() + DOWN)])
    corners[:, 0] += jaw[CHIN, 0]
    reach = corners[:, :1] * right + corners[:, 1:] * down + middle
    (x0, y0), (x1, y1) = np.clip(np.floor(reach.min(0)), 0, size), np.clip(np.ceil(reach.max(0)), 0, size)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return np.zeros((0, 0, 3), np.float32), None
    box = slice(int(y0), int(y1)), slice(int(x0), int(x1))
    x = np.arange(x0, x1, dtype=np.float32) - np.float32(middle[0])
    y = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(middle[1])
    across, below = x * axes[0, 0] + y * axes[0, 1], x * axes[1, 0] + y * axes[1, 1]
    order = np.argsort(jaw[:, 0])
    edge = np.interp(across, jaw[order, 0], jaw[order, 1])
    nose = float((crop.mesh[NOSE] - middle) @ axes[1])
    across, still = _of_neck(across, below, float(jaw[CHIN, 0]), nose)
    return np.stack([across, still, below - edge], axis=-1).astype(np.float32), box


def _of_neck(across: Floats, below: Floats, chin: float, nose: float) -> tuple[Floats, Floats]:
    """Places of the eyes' frame in that of the neck: across from the chin, and down from it as it is when it is closed.

    Args:
        across: (H, W) float32.
        below: (H, W) float32.
        chin: how far across the chin is.
        nose: how far below the eyes the nose ends.
    """
    across = across - np.float32(chin)
    return across, below - np.float32(NOSE_TO_CHIN * nose) + across * across


def _on_surface(crop: Crop, surface: Floats, box: tuple[slice, slice]) -> tuple[Floats, float]:
    """Where the skin in a part of the crop is in the frame of the neck, (H, W, 2) float32, and how far that is to be
    believed, 0..1.

    Chin and nose, which move with the head, have kept their places on the surface as the neck has; but what passes over
    a chin takes these along.
    """
    assert crop.mesh is not None
    size, side = len(crop.image), len(surface)
    ends = (crop.mesh[[JAW[CHIN], NOSE]] + np.float32(0.5)) * np.float32(side / size) - np.float32(0.5)
    chin, nose = cv2.remap(surface, ends[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    middle, axes = eye_axes(crop)
    now = (crop.mesh[[JAW[CHIN], NOSE]] - middle) @ axes.T
    strayed = np.hypot(*(np.stack([chin, nose]) - now).T).max()
    places = enlarge(surface, (size, size))[box]
    stuck = np.dstack(_of_neck(places[..., 0], places[..., 1], float(chin[0]), float(nose[1])))
    return stuck, 1 - float(smoothstep(strayed, *STRAYED))


def neck_skin(crop: Crop, skin: Floats, box: tuple[slice, slice]) -> Floats:
    """How much of each pixel of a part of the crop is skin of the person and not of the face, float32 in 0..1.

    Args:
        crop: the face, with masks.
        skin: (3,) float32 RGB, 0..255, median of the face.
        box: rows and columns.
    """
    assert crop.masks is not None
    masks, size = crop.masks, len(crop.image)
    body = masks.person * (1 - np.maximum.reduce([masks.hair, masks.face, masks.occluder]))
    body = cv2.resize(body, (size, size), interpolation=cv2.INTER_LINEAR)[box]
    logs = np.log(cv2.GaussianBlur(crop.image[box].astype(np.float32), (0, 0), 1.5) + np.float32(OFFSET))
    own = np.log(skin + np.float32(OFFSET))
    away = logs - own
    colour = np.hypot(away[..., 0] - away[..., 2], away[..., 0] - away[..., 1])
    return np.asarray(body * (1 - smoothstep(colour, *COLOUR)) * smoothstep(away @ LUMINANCE, *DARK), np.float32)
