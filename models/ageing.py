"""Ageing drawn on a crop: skin changes in the face's texture square, shape changes by a warp.

The change of skin is a factor on the camera's own light, so it needs no texture when it is drawn: it is small enough to
be remembered (`remembered`), and a stream smooths it over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.editor import Crop
from models.face_space import INVERSE_STEP, SIZE, STEP, YAW_MODE, Box, FaceSpace, Fit
from models.scalp import LOG_OFFSET, LUMINANCE, smoothstep

Floats = NDArray[np.float32]

AGEING_YEARS = 45.0
"""The step of age that the networks and tables describe: strength 1."""
GROWN = 25.0
"""Below this age faces grow; `Ageing.youth` describes ten years of it."""
MOST_AGEING = 1.7
"""The strength that no difference of ages exceeds."""

TURNED, TURNED_AWAY = (2.6, 4.0), 0.75
"""Between these turns of the head (in units of the yaw mode, 26 to 40 degrees) so much of the change of skin goes: the
texture of the far cheek is stretched from too few pixels.
"""
TOP_NODES, NECK_NODES = 7, 10
"""Lattice nodes over which the change of shape fades: inside the square's upper edge and below its lower one."""
LEAST_MOVE = 0.02
"""Texture pixels below which a shape counts as still."""

COLOUR_SIZE = 48
"""Side to which the colour of a change is reduced: skin changes its colour broadly, its lightness finely."""
REMEMBERED = SIZE * SIZE + 3 * COLOUR_SIZE * COLOUR_SIZE
"""Numbers that hold a change."""


@dataclass(frozen=True, slots=True)
class Ageing:
    """Measured statistics of ageing, in the texture square.

    Attributes:
        shape: (2, 64 + `NECK_NODES`, 64, 2) float32, how women's and men's faces move in `AGEING_YEARS`, texture
            pixels, on the lattice continued over the neck: there it fades to 0, or the collar would break in a line.
        youth: as `shape`, how they differ at 15 from what they are at 25.
        skin: (192, 192) float32, where skin may change.
        reach: (4, 2) float32, corners of what may change at all, texture pixels.
    """

    shape: Floats
    youth: Floats
    skin: Floats
    reach: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Ageing:
        """Take `ageing_shape`, `ageing_youth` and `ageing_skin` (x 255) from named arrays."""
        skin = tables["ageing_skin"].astype(np.float32) / np.float32(255)
        shape, youth = (_continued(tables[name].astype(np.float32)) for name in ("ageing_shape", "ageing_youth"))
        still = np.maximum(np.abs(shape), np.abs(youth)).max((0, 3)) < LEAST_MOVE
        still[: SIZE // STEP] &= cv2.resize(skin, (SIZE // STEP, SIZE // STEP), interpolation=cv2.INTER_AREA) == 0
        rows, columns = np.flatnonzero(~still.all(1)), np.flatnonzero(~still.all(0))
        (x0, x1), (y0, y1) = ((ends[0] * STEP, (ends[-1] + 1) * STEP) for ends in (columns, rows))
        return Ageing(shape, youth, skin, np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], np.float32))


def strength_of(years: float) -> float:
    """How strongly to draw a difference of ages; bends towards `MOST_AGEING`, so that long ways stay plausible."""
    return MOST_AGEING * float(np.tanh(years / AGEING_YEARS / MOST_AGEING))


def youth_of(years: float, target: float) -> float:
    """How much of the growth between 15 and 25 lies between two ages: 1 from 25 to 15, negative the other way."""
    own, wanted = np.clip((GROWN - np.array([years, target])) / 10, 0, 1)
    return float(wanted - own)


def remembered(change: Floats) -> Floats:
    """Reduce a (192, 192, 3) float32 change of log colour to (`REMEMBERED`,) float32."""
    light = change @ LUMINANCE
    colour = cv2.resize(change - light[..., None], (COLOUR_SIZE, COLOUR_SIZE), interpolation=cv2.INTER_AREA)
    return np.concatenate([light.ravel(), colour.ravel()])


def recalled(memory: Floats) -> Floats:
    """The (192, 192, 3) float32 change of log colour that `remembered` reduced."""
    light = memory[: SIZE * SIZE].reshape(SIZE, SIZE)
    colour = memory[SIZE * SIZE :].reshape(COLOUR_SIZE, COLOUR_SIZE, 3)
    change = cv2.resize(colour, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(change, cv2.merge([light, light, light]), dst=change))


def covered(crop: Crop, fit: Fit, size: int = SIZE) -> Floats:
    """Where hair or something in front hides the skin, (size, size) float32 in the texture square."""
    if crop.masks is None:
        return np.zeros((size, size), np.float32)
    in_front = np.maximum(crop.masks.hair, crop.masks.occluder)
    scale = np.float32(len(in_front) / len(crop.image))
    nodes = fit.nodes * scale + (scale - 1) / 2
    hidden = cv2.remap(in_front, nodes, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(hidden, (size, size), interpolation=cv2.INTER_LINEAR))


def draw_ageing(
    space: FaceSpace,
    ageing: Ageing,
    fit: Fit,
    crop: Crop,
    *,
    gain: Floats,
    male: float,
    strength: float,
    youth: float = 0.0,
) -> tuple[Floats, Floats, Floats]:
    """Turn a change in the texture square into an edit of the crop.

    Args:
        space: the texture square.
        ageing: the statistics.
        fit: where the face is.
        crop: the face; what its masks say is hidden keeps its look.
        gain: (192, 192, 3) float32, change of log colour at strength 1 (-1 for younger).
        male: 0 for a woman, 1 for a man.
        strength: how much of it, negative for younger.
        youth: how much of the growth up to 25 is undone, see `youth_of`.

    Returns:
        flow (S, S, 2) and delta (S, S, 3) as in `models.editor.Edit`, and where either may not be zero, (S, S)
        float32 of 0 and 1.
    """
    size = len(crop.image)
    flow, delta = np.zeros((size, size, 2), np.float32), np.zeros((size, size, 3), np.float32)
    support = np.zeros((size, size), np.float32)
    box = _around(ageing.reach @ fit.affine[:, :2].T + fit.affine[:, 2], size)
    if box is None:
        return flow, delta, support
    part = (slice(box[1], box[3]), slice(box[0], box[2]))
    extent = (box[2] - box[0], box[3] - box[1])

    seen = facing(fit)
    moves = cv2.addWeighted(ageing.shape[0], (1 - male) * strength, ageing.shape[1], male * strength, 0)
    if youth:
        moves += ((1 - male) * youth) * ageing.youth[0] + (male * youth) * ageing.youth[1]
    moves *= np.pad(seen, ((0, NECK_NODES), (0, 0)), "edge")[..., None]
    where = space.to_texture(fit, box)
    shift = _sample(moves, (where + np.float32(0.5)) * np.float32(1 / STEP) - np.float32(0.5))
    drawn = where - shift
    pushed = shift @ np.ascontiguousarray(fit.affine[:, :2].T)

    turned = float(smoothstep(np.abs(fit.modes[YAW_MODE]), *TURNED))
    weight = seen * (1 - smoothstep(covered(crop, fit, len(seen)), 0.25, 0.75))
    weight = cv2.resize(weight, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) * ageing.skin
    weight *= np.float32(abs(strength) * (1 - TURNED_AWAY * turned))
    change = cv2.multiply(gain, cv2.merge([weight, weight, weight]))
    cv2.exp(change, dst=change)
    cv2.subtract(change, (1.0, 1.0, 1.0, 0.0), dst=change)

    both = cv2.resize(np.concatenate([drawn, pushed], axis=2), extent, interpolation=cv2.INTER_LINEAR)
    factor = _sample(change, np.ascontiguousarray(both[..., :2]))
    np.negative(both[..., 2:], out=flow[part])
    moved = _moved(crop.image, flow[part], box)
    cv2.multiply(cv2.add(moved, (LOG_OFFSET,) * 3 + (0.0,), dtype=cv2.CV_32F), factor, dst=delta[part])
    touched = (shift[..., 0] != 0) | (shift[..., 1] != 0) | (_sample(weight, drawn) > 0)
    touched = cv2.dilate(touched.astype(np.float32), np.ones((3, 3), np.uint8))
    support[part] = cv2.resize(touched, extent, interpolation=cv2.INTER_NEAREST)
    return flow, delta, support


def visible(fit: Fit) -> Floats:
    """Where the texture square's skin faces the camera, (192, 192) float32: what turns away is left alone."""
    return np.asarray(cv2.resize(facing(fit), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR))


def facing(fit: Fit) -> Floats:
    """As `visible`, on the lattice."""
    down, across = np.gradient(fit.nodes, axis=0), np.gradient(fit.nodes, axis=1)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    step = SIZE / area.shape[0]
    share = area / (step * step * np.linalg.det(fit.affine[:, :2]))
    return np.asarray(cv2.GaussianBlur(cv2.erode(smoothstep(share, 0.2, 0.5), np.ones((3, 3), np.uint8)), (0, 0), 1.5))


def _continued(shape: Floats) -> Floats:
    """A change of shape, faded inside the square's upper edge and continued over the neck."""
    top = smoothstep(np.arange(shape.shape[1]), 0, TOP_NODES)
    below = 1 - smoothstep(np.arange(NECK_NODES), -1, NECK_NODES)
    neck = shape[:, -1:] * below[:, None, None]
    return np.concatenate([shape * top[:, None, None], neck], axis=1)


def _around(points: Floats, size: int) -> Box | None:
    """The part of a crop that holds some points, in whole steps of the inverse map; None where there is none."""
    low = np.floor(points.min(0) / INVERSE_STEP - 1).astype(int) * INVERSE_STEP
    high = np.ceil(points.max(0) / INVERSE_STEP + 1).astype(int) * INVERSE_STEP
    last = size // INVERSE_STEP * INVERSE_STEP
    (x0, y0), (x1, y1) = np.clip(low, 0, last), np.clip(high, 0, last)
    return None if x1 <= x0 or y1 <= y0 else (int(x0), int(y0), int(x1), int(y1))


def _moved(image: NDArray[np.uint8], flow: Floats, box: Box) -> NDArray[np.uint8]:
    x, y = np.arange(box[0], box[2], dtype=np.float32), np.arange(box[1], box[3], dtype=np.float32)
    where = np.empty(flow.shape, np.float32)
    np.add(flow[..., 0], x, out=where[..., 0])
    np.add(flow[..., 1], y[:, None], out=where[..., 1])
    return np.asarray(cv2.remap(image, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _sample(texture: Floats, where: Floats) -> Floats:
    return np.asarray(cv2.remap(texture, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
