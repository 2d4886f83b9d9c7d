"""What is known of a head without its hair: the colour of its scalp, the backdrop behind it, and which hair is its own.

`models.embedded.removal` gives a network the first two as its first guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.scalp import CENTER, HeadMap, ScalpModel, sample_at_angle
from models.face.imaging import LOG_OFFSET, fill, log_colour, smoothstep, three_channels
from models.face.texture_space import SIZE


@dataclass(frozen=True, slots=True)
class OwnHair:
    """Which hair belongs to this head.

    Attributes:
        connected: probability above which neighbouring hair pixels count as connected.
        reach: distance from the skull within which hair belongs to this head, crop pixels.
        beside, down: how far from the middle of the face, and between which heights below the brows, a lock belongs to
            it as well: a cheek may hide where it comes from. Texture pixels.
        within: shares of a lock that lie there, over which it does: the hair of others reaches further out.
        shadow: rows below hair that it shades, coarse pixels.
    """

    connected: float = 0.15
    reach: float = 8.0
    beside: float = 86.0
    down: tuple[float, float] = (-10.0, 115.0)
    within: tuple[float, float] = (0.45, 0.7)
    shadow: int = 5


OWN = OwnHair()
FOREHEAD_PIXELS = 20.0
"""Visible forehead at which the measured scalp colour gets half of the weight, coarse pixels."""


def scalp_colour(
    model: ScalpModel, coarse: Floats, *, hair: Floats, head: HeadMap, light: Floats, skin: Floats
) -> Floats:
    """Colour of the bare scalp: the statistics, corrected by the visible forehead.

    Args:
        model: statistics of the scalp.
        coarse: (H, W, 3) float32 RGB, 0..255, the crop on the coarse grid.
        hair: (H, W) float32, hair probability.
        head: the crop's polar map.
        light: (LIGHT_MODES,) float32, from `ScalpModel.light`.
        skin: (3,) float32, median log colour of the face.

    Returns:
        (H, W, 3) float32 RGB, 0..255.
    """
    polar = model.mean + skin + np.tensordot(light, model.shading, 1).astype(np.float32)
    radii = polar.shape[1]
    # the shading maps never reach the brows, which the statistics contain
    expected = sample_at_angle(
        polar.transpose(1, 0, 2), head.shade_angle, np.clip(head.shade_radius * radii - 0.5, 0, radii - 1)
    )
    across, down = head.texture[..., 0], head.texture[..., 1]
    forehead = smoothstep(across, 24, 34) * smoothstep(SIZE - across, 24, 34) * smoothstep(down, -34, -26)
    forehead = forehead * smoothstep(head.distance, 1, 6) * (1 - smoothstep(down, 34, 46))
    visible = forehead * (1 - smoothstep(_with_shadow(hair), 0.05, 0.25))
    error = log_colour(coarse) - expected
    known = float(visible.sum()) + FOREHEAD_PIXELS
    usual = visible.ravel() @ np.clip(error, -0.6, 0.6).reshape(-1, 3) / known
    half = (coarse.shape[1] // 2, coarse.shape[0] // 2)
    own = cv2.resize(np.clip(error - usual, -0.5, 0.4).astype(np.float32), half, interpolation=cv2.INTER_AREA)
    local = cv2.resize(fill(own, cv2.resize(visible, half, interpolation=cv2.INTER_AREA)), coarse.shape[1::-1])
    trust = np.clip(cv2.GaussianBlur(visible, (0, 0), 6) * 4, 0, 1)
    shade = expected + usual.astype(np.float32) + cv2.multiply(local, three_channels(trust))
    return np.asarray(cv2.subtract(cv2.exp(shade), (LOG_OFFSET,) * 3 + (0.0,)))


def own_hair(hair: Floats, head: HeadMap) -> Floats:
    """1 on and around what is connected with this head, and locks beside its face; 0 on the hair of others."""
    count, labels = cv2.connectedComponents((hair > OWN.connected).astype(np.uint8))
    across = np.abs(head.texture[..., 0] - np.float32(CENTER[0]))
    below = head.texture[..., 1] - np.float32(CENTER[1])
    face = (across < OWN.beside) & (below > OWN.down[0]) & (below < OWN.down[1])
    sizes, beside = np.bincount(labels.ravel()), np.bincount(labels[face], minlength=count)
    touching = smoothstep((beside / np.maximum(sizes, 1)).astype(np.float32), *OWN.within)
    touching[labels[head.distance > -OWN.reach]] = 1
    touching[0] = 0
    return np.asarray(cv2.dilate(touching[labels], np.ones((5, 5), np.uint8)), np.float32)


def _with_shadow(hair: Floats) -> Floats:
    """Hair and the skin below it that it shades."""
    around = cv2.dilate(hair, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.dilate(around, np.ones((OWN.shadow, 1), np.uint8), anchor=(0, OWN.shadow - 1)), np.float32)


def background_behind(coarse: Floats, hair: Floats, person: Floats, distance: Floats) -> Floats:
    """Background without person and hair, filled from what is visible of it; (H, W, 3) float32 RGB, 0..255."""
    solid = cv2.dilate(np.maximum(person, hair), np.ones((5, 5), np.uint8))
    background = (1 - smoothstep(solid, 0.05, 0.3)) * (1 - smoothstep(distance, -6, -1))
    return fill(coarse, background)
