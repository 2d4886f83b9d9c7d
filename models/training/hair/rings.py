"""Rings of hair whose core is seen and whose rest is to be drawn: how a ring thins out, as photographs show it.

The network of rings is no part of the editor yet; the model card says what it is good for.
"""

from __future__ import annotations

import numpy as np

from models.arrays import Floats
from models.embedded.drawn_edge import EDGE
from models.embedded.hair_loss import ring_depth
from models.embedded.head_rays import Rays
from models.embedded.scalp import COARSE, HeadMap
from models.face.imaging import enlarge, smoothstep

CORE_ANGLES = (1.15, 1.5)
"""Angles from the crown over which the inset of a ring's core falls, radians."""
CORE_EDGE = (-1.5, 1.5)
"""Depths, texture pixels, over which it ends."""
DARK = 8.0
"""Added to colours before their logarithm."""
PIGMENT = np.array([0.88, 1.0, 1.1], np.float32)
"""How much more of each colour pigment takes."""


def ring_core(head: HeadMap, *, inset: tuple[float, float]) -> Floats:
    """Where hair of a ring is the camera's own, whatever is drawn around it, (S, S) float32 in 0..1.

    Args:
        head: polar map of the crop.
        inset: how much less deep than the ring it is beside the brows, and higher up, texture pixels.
    """
    rays = Rays.of(head, np.float32(EDGE.usual))
    low, high = inset
    less = np.float32(high) + np.float32(low - high) * smoothstep(rays.angle, *CORE_ANGLES)
    core = smoothstep(ring_depth(rays) - less - np.maximum(rays.inside, 0), *CORE_EDGE)
    size = COARSE * len(core)
    return enlarge(core, (size, size))


def darkened(picture: Floats, hair: Floats, amount: float) -> Floats:
    """A picture whose hair has more pigment, (256, 256, 3) float32 RGB: most rings are grey, and most hair is dark.

    Args:
        picture: (256, 256, 3) float32 RGB, 0..255.
        hair: (256, 256) float32 in 0..1, where it is.
        amount: log units.
    """
    depth = np.float32(amount) * hair[..., None] * PIGMENT
    return np.asarray(np.maximum((picture + DARK) * np.exp(-depth) - DARK, 0), np.float32)
