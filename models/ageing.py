"""Ageing drawn on a crop: skin changes in the face's texture square, shape changes by a warp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.editor import Crop
from models.face_space import SIZE, YAW_MODE, FaceSpace, Fit
from models.scalp import LOG_OFFSET, smoothstep

Floats = NDArray[np.float32]

AGEING_YEARS = 45.0
"""The step of age that the networks and tables describe: strength 1."""
MOST_AGEING = 1.7
"""The strength that no difference of ages exceeds."""

TURNED, TURNED_AWAY = (2.6, 4.0), 0.75
"""Between these turns of the head (in units of the yaw mode, 26 to 40 degrees) so much of the change of skin goes: the
texture of the far cheek is stretched from too few pixels.
"""


@dataclass(frozen=True, slots=True)
class Ageing:
    """Measured statistics of ageing, in the texture square.

    Attributes:
        shape: (2, 64, 64, 2) float32, how women's and men's faces move in `AGEING_YEARS`, texture pixels.
        skin: (192, 192) float32, where skin may change.
    """

    shape: Floats
    skin: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Ageing:
        """Take `ageing_shape` and `ageing_skin` (x 255) from named arrays."""
        skin = tables["ageing_skin"].astype(np.float32) / np.float32(255)
        return Ageing(tables["ageing_shape"].astype(np.float32), skin)


def strength_of(years: float) -> float:
    """How strongly to draw a difference of ages; bends towards `MOST_AGEING`, so that long ways stay plausible."""
    return MOST_AGEING * float(np.tanh(years / AGEING_YEARS / MOST_AGEING))


def covered(space: FaceSpace, crop: Crop, fit: Fit) -> Floats:
    """Where hair or something in front hides the skin, (192, 192) float32 in the texture square."""
    if crop.masks is None:
        return np.zeros((SIZE, SIZE), np.float32)
    size = crop.image.shape[0]
    hidden = cv2.resize(np.maximum(crop.masks.hair, crop.masks.occluder), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(space.unwrap(hidden, fit), np.float32)


def draw_ageing(
    space: FaceSpace,
    ageing: Ageing,
    fit: Fit,
    *,
    size: int,
    texture: NDArray[np.uint8],
    hidden: Floats,
    gain: Floats,
    male: float,
    strength: float,
) -> tuple[Floats, Floats, Floats]:
    """Turn a change in the texture square into an edit of the crop.

    Args:
        space: the texture square.
        ageing: the statistics.
        fit: where the face is.
        size: side of the crop in pixels.
        texture: (192, 192, 3) uint8 RGB, the face unwrapped.
        hidden: (192, 192) float32, where the skin is not seen.
        gain: (192, 192, 3) float32, change of log colour at strength 1 (-1 for younger).
        male: 0 for a woman, 1 for a man.
        strength: how much of it, negative for younger.

    Returns:
        flow (S, S, 2) and delta (S, S, 3) as in `models.editor.Edit`, and where either is not zero, (S, S) float32.
    """
    seen = visible(space, fit)
    turned = smoothstep(np.abs(fit.modes[YAW_MODE]), *TURNED)
    weight = abs(strength) * (1 - TURNED_AWAY * turned) * ageing.skin * seen * (1 - smoothstep(hidden, 0.25, 0.75))
    change = (texture.astype(np.float32) + np.float32(LOG_OFFSET)) * np.expm1(gain * weight[..., None])

    moves = (1 - male) * ageing.shape[0] + male * ageing.shape[1]
    nodes = cv2.resize(seen, moves.shape[1::-1], interpolation=cv2.INTER_AREA)
    moves = (moves @ fit.affine[:, :2].T) * (strength * nodes)[..., None]
    moves = cv2.resize(moves.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    where = space.to_texture(fit, size)
    shift = _sample(moves, where)
    back = np.linalg.inv(fit.affine[:, :2]).T.astype(np.float32)
    drawn = where - shift @ back
    delta = _sample(change.astype(np.float32), drawn)
    support = (shift[..., 0] != 0) | (shift[..., 1] != 0) | (_sample(weight.astype(np.float32), drawn) > 0)
    return -shift, delta, support.astype(np.float32)


def visible(space: FaceSpace, fit: Fit) -> Floats:
    """Where the texture square's skin faces the camera, (192, 192) float32: what turns away is left alone."""
    grid = space.to_crop(fit)
    down, across = np.gradient(grid, axis=0), np.gradient(grid, axis=1)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    step = SIZE / area.shape[0]
    share = area / (step * step * np.linalg.det(fit.affine[:, :2]))
    facing = cv2.erode(smoothstep(share, 0.2, 0.5), np.ones((3, 3), np.uint8))
    soft = cv2.GaussianBlur(facing, (0, 0), 1.5)
    return np.asarray(cv2.resize(soft, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))


def _sample(texture: Floats, where: Floats) -> Floats:
    return np.asarray(cv2.remap(texture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
