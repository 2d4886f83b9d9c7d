"""What the hair removal network is shown: a first guess of the head without hair, and what is known around it.

The guess is the statistical scalp (`models.embedded.hair_removal.scalp_colour`) inside the skull, and outside of it the
backdrop, filled from backdrop alone. Training and the editor share this module, so that both show the same.
"""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.embedded.hair_removal import background_behind, scalp_colour
from models.embedded.scalp import CENTER, COARSE, HeadMap, ScalpModel
from models.face.imaging import enlarge, fill, smoothstep

SIZE = 256
"""Side of the network's picture in pixels."""
CHANNELS = 9
GUESS, ERASED, DISTANCE, BODY, PERSON = slice(0, 3), 3, 4, slice(5, 8), 8
"""Channels of the input: the picture with the guess in the erased part, how far each pixel is erased (0..1), the signed
distance to the skull, neighbouring skin and cloth continued over the erased part, and the visible person (0..1).
"""
GREY_LEVELS = 64.0
"""Colours are given as value / 64 - 2."""
DISTANCE_SCALE = 40.0
"""Distances are given in units of so many crop pixels, clipped to +-1.5."""
BELOW_BROWS = 20.0
"""Texture pixels below the brows at which the scalp of the guess ends."""


def network_input(
    model: ScalpModel,
    image: Image,
    *,
    erased: Floats,
    person: Floats,
    head: HeadMap,
    light: Floats,
    skin: Floats,
) -> Floats:
    """Make the input of the removal network.

    Args:
        model: statistics of the scalp.
        image: (256, 256, 3) uint8 RGB, the head with its hair.
        erased: (256, 256) float32 in 0..1, hair and its surroundings: these pixels are not shown.
        person: (256, 256) float32 in 0..1, the person.
        head: polar map of this picture, from `models.embedded.scalp.head_map`.
        light: light coefficients, from `ScalpModel.light`.
        skin: (3,) float32, median log colour of the face.

    Returns:
        (9, 256, 256) float32; see `GUESS` and the other channels.
    """
    side = SIZE // COARSE
    coarse = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    gone = cv2.resize(erased, (side, side), interpolation=cv2.INTER_AREA)
    body = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
    scalp = scalp_colour(model, coarse, hair=gone, head=head, light=light, skin=skin)
    backdrop = background_behind(coarse, gone, body, head.distance)
    unseen = smoothstep(cv2.dilate(gone, np.ones((3, 3), np.uint8)), 0.03, 0.2)
    below = head.texture[..., 1] - np.float32(CENTER[1])
    visible_body = smoothstep(cv2.erode(body, np.ones((3, 3), np.uint8)), 0.5, 0.9) * (1 - unseen)
    continued = fill(coarse, np.asarray(visible_body * smoothstep(below, 40, 60), np.float32))

    full = (SIZE, SIZE)
    distance = enlarge(head.distance, full)
    inside = smoothstep(distance, -2, 2) * (1 - smoothstep(enlarge(below, full), BELOW_BROWS - 6, BELOW_BROWS + 6))
    guess = enlarge(backdrop, full) + inside[..., None] * (enlarge(scalp, full) - enlarge(backdrop, full))
    shown = image + erased[..., None] * (guess - image)
    planes = [
        shown / GREY_LEVELS - 2,
        erased,
        np.clip(distance / DISTANCE_SCALE, -1.5, 1.5),
        enlarge(continued, full) / GREY_LEVELS - 2,
        person * (1 - erased),
    ]
    return np.ascontiguousarray(np.dstack(planes).transpose(2, 0, 1), np.float32)


def erase(hair: Floats, spread: int) -> Floats:
    """How far each pixel is erased, (H, W) float32 in 0..1: hair and `spread` pixels around it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * spread + 1, 2 * spread + 1))
    return smoothstep(cv2.GaussianBlur(cv2.dilate(hair, kernel), (0, 0), 1.2), 0.1, 0.5)
