"""A body that was drawn behind hair, in layers: skin and cloth, of their own colours, with an edge before the backdrop.

Where a network does not know on which side of an edge a place lies it draws the mean of both: fog beside the neck and
shoulders that run into the backdrop. `models.embedded.body_behind_hair` says where the edge is; one of several that
may be, but one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.body_behind_hair import LAYERS, beside_collar, beside_eyes, unlike_skin, within_oval
from models.embedded.finish import FINISH
from models.embedded.head_noise import between, noise_on
from models.embedded.scalp import CENTER, COARSE, HeadMap
from models.face.imaging import LOG_OFFSET, box_of, enlarge, fill, smoothstep


@dataclass(frozen=True, slots=True)
class BodyFinish:
    """How layers are drawn. Lengths are crop pixels.

    Attributes:
        room: around what is hidden that tells its colours.
        inner: sides of the squares by which a layer is eroded: so near its edge what is seen and what is drawn is not
            believed.
        enough: coarse pixels of a layer that must be seen, from none to all that is believed of the camera's colours
            instead of those of the guess.
        broad: Gaussian of the broad colours of a layer, coarse pixels.
        skin, cloth: how far a drawing may be from these, log colour.
        shade: Gaussian of the shade where skin and cloth meet.
        shaded: the most that it takes of the light, of skin and of cloth.
        round: Gaussian of the edge of cloth before the backdrop.
        rounded: what it takes there of the log light.
        folds: Gaussians between which cloth has folds, texture pixels.
        fold: their strength, log light.
        face: distances inside the oval of the face over which this ends at eyes and brows.
        temple: the same beside these: nose and mouth are no plain skin.
        cheeks: heights below the brows over which temples end, texture pixels.
    """

    room: int = 32
    inner: tuple[int, int] = (5, 11)
    enough: tuple[float, float] = (2.0, 8.0)
    broad: float = 1.5
    skin: float = 0.2
    cloth: float = 0.12
    shade: float = 4.0
    shaded: tuple[float, float] = (0.3, 0.5)
    round: float = 6.0
    rounded: float = 0.7
    folds: tuple[float, float] = (6.0, 18.0)
    fold: float = 0.09
    face: tuple[float, float] = (-3.0, 3.0)
    temple: tuple[float, float] = (8.0, 18.0)
    cheeks: tuple[float, float] = (22.0, 32.0)


BODY_FINISH = BodyFinish()


def in_layers(
    colours: Floats,
    behind: Floats,
    guess: Floats,
    grain: Floats,
    *,
    hidden: Floats,
    covers: Floats,
    worn: Floats,
    head: HeadMap,
) -> Floats:
    """Draw a body that hair hid in layers.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255: what the camera sees, and a drawing where hair is.
        behind: (S, S, 3) float32 RGB, the backdrop.
        guess: (S, S, 3) float32 RGB, the first guess: it counts where nothing of a layer is seen.
        grain: (S, S) float32, of `models.embedded.finish.camera_grain`.
        hidden: (S, S) float32 in 0..1, hair.
        covers: (S, S) float32 in 0..1, where a body covers the backdrop, below the brows.
        worn: (S, S) float32 in 0..1, where cloth does.
        head: polar map.

    Returns:
        (S, S, 3) float32 RGB.
    """
    size = colours.shape[1::-1]
    within, apart = enlarge(within_oval(head), size), enlarge(beside_eyes(head), size)
    outside = 1 - smoothstep(within, *BODY_FINISH.face)
    # a temple that hair covers is plain skin too
    outside = np.maximum(outside, apart * (1 - smoothstep(within, *BODY_FINISH.temple)))
    heights = head.texture[..., 1] - np.float32(CENTER[1])
    where = hidden * outside * enlarge(smoothstep(heights, *FINISH.brows), size)
    # above, the skull covers the backdrop, and the temples do
    skull = smoothstep(head.distance, -2, 2) * (1 - smoothstep(heights, *LAYERS.below))
    temples = smoothstep(within, -1, 2) * (1 - smoothstep(enlarge(heights, size), *BODY_FINISH.cheeks))
    covers = np.maximum(covers, np.maximum(enlarge(skull, size), temples))
    box = box_of(where > 0, BODY_FINISH.room)
    if box is None:
        return colours
    # whole coarse pixels
    box = (slice(box[0].start // COARSE * COARSE, box[0].stop), slice(box[1].start // COARSE * COARSE, box[1].stop))
    drawn, covered, clothed = colours[box], covers[box], worn[box]
    seen = np.asarray(1 - hidden[box], np.float32)
    skin = _plain(drawn, guess[box], covered - clothed, np.asarray(seen * apart[box], np.float32), BODY_FINISH.skin)
    told = seen * enlarge(beside_collar(head), size)[box]
    if skin is None:
        skin = drawn
    else:
        told = told * unlike_skin(np.maximum(drawn, 0), skin)
    cloth = _plain(drawn, guess[box], clothed, np.asarray(told, np.float32), BODY_FINISH.cloth)
    if cloth is None:
        cloth = drawn
    share = clothed / np.maximum(covered, np.float32(1e-3))
    # a collar lies in the shade of the neck, and the neck in that of the collar
    worn_near, body_near = (cv2.GaussianBlur(each, (0, 0), BODY_FINISH.shade) for each in (clothed, covered))
    near = worn_near / np.maximum(body_near, np.float32(1e-3))
    on_skin, on_cloth = BODY_FINISH.shaded
    skin = skin * (1 - np.float32(on_skin) * near)[..., None]
    # and it is round, with folds
    edge = cv2.GaussianBlur(1 - covered, (0, 0), BODY_FINISH.round)
    folds = noise_on(head, between(*BODY_FINISH.folds), box)
    light = (1 - np.float32(on_cloth) * (1 - near)) * np.exp(
        np.float32(BODY_FINISH.fold) * folds - np.float32(BODY_FINISH.rounded) * edge
    )
    cloth = cloth * light[..., None]
    body = skin + share[..., None] * (cloth - skin) + grain[box][..., None]
    layered = behind[box] + covered[..., None] * (body - behind[box])
    finished = colours.copy()
    finished[box] += where[box][..., None] * (layered - drawn)
    return finished


def _plain(colours: Floats, guess: Floats, layer: Floats, seen: Floats, most: float) -> Floats | None:
    """The colours of a layer, carried on over its edge and bounded by how far they are from what is seen of them; None
    where there is none of it.
    """
    coarse = (-(-colours.shape[1] // COARSE), -(-colours.shape[0] // COARSE))
    known, guessed = (
        cv2.resize(_eroded(layer, side) * each, coarse, interpolation=cv2.INTER_AREA)
        for each, side in zip((_eroded(seen, BODY_FINISH.inner[0]), 1 - seen), BODY_FINISH.inner, strict=True)
    )
    guessed *= 1 - smoothstep(known.sum(), *BODY_FINISH.enough)
    weight = np.asarray(known + guessed, np.float32)
    if not weight.any():
        return None
    small, other = (cv2.resize(each, coarse, interpolation=cv2.INTER_AREA) for each in (colours, guess))
    mixed = small + (guessed / np.maximum(weight, np.float32(1e-3)))[..., None] * (other - small)
    filled = fill(mixed, weight)
    broad = enlarge(cv2.GaussianBlur(filled, (0, 0), BODY_FINISH.broad), colours.shape[1::-1])
    broad = cv2.log(np.maximum(broad, 0) + np.float32(LOG_OFFSET))
    logs = cv2.log(np.maximum(colours, 0) + np.float32(LOG_OFFSET))
    away = np.float32(most) * np.tanh((logs - broad) * np.float32(1 / most))
    return np.asarray(cv2.exp(broad + away) - np.float32(LOG_OFFSET), np.float32)


def _eroded(mask: Floats, side: int) -> Floats:
    return np.asarray(cv2.erode(mask, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE), np.float32)
