"""Stubble on a head that is shaved: hair of its own colour, cut short where it grew.

A head whose hair was cut off has a shade of it, with an edge where hair began and single dots. Without it a scalp is an
egg of another skin than the face. How much of the skin hair covers follows its density (Beer and Lambert).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.embedded.hair_loss import LOSS
from models.embedded.head_noise import between, hairs, noise_on
from models.embedded.scalp import CENTER, HeadMap
from models.face.imaging import LOG_OFFSET, box_of, enlarge, smoothstep


@dataclass(frozen=True, slots=True)
class Shaved:
    """How the stubble of a scalp looks.

    Attributes:
        depth: optical depth.
        contrast: of the logarithm of the density from hair to hair.
        thinly: Gaussians, texture pixels, between which it grows more or less thinly, and how much they differ.
        hairline: fractions of the way from the brows to the edge of the skull, from the hairline on, over which it
            begins.
        rim: distances within the skull, crop pixels, over which it begins.
        below: heights below the brows over which it ends, texture pixels.
        grown: share of hair around a place, of this Gaussian, crop pixels, over which hair grew there.
        around: see `grown`.
        surely: alpha of hair that tells its colour.
        fewest: pixels of it over which stubble is drawn.
        dark: its light, of that of long hair.
    """

    depth: float = 0.15
    contrast: float = 0.16
    thinly: tuple[float, float, float] = (3.0, 8.0, 0.12)
    hairline: tuple[float, float] = (-0.08, 0.26)
    rim: tuple[float, float] = (1.0, 7.0)
    below: tuple[float, float] = (-2.0, 16.0)
    grown: tuple[float, float] = (0.2, 0.95)
    around: float = 11.0
    surely: float = 0.9
    fewest: tuple[float, float] = (40.0, 160.0)
    dark: float = 0.85


SHAVED = Shaved()


def with_stubble(
    colours: Floats, image: Image, *, hair: Floats, erased: Floats, head: HeadMap, amount: float
) -> Floats:
    """Draw stubble on a scalp.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a head without hair.
        image: (S, S, 3) uint8 RGB, the camera's crop: it tells the colour of the hair.
        hair: (S, S) float32 in 0..1, its hair.
        erased: (S, S) float32 in 0..1, where the drawing is shown.
        head: polar map; each hair moves with it.
        amount: 0..1.

    Returns:
        (S, S, 3) float32 RGB.
    """
    sure = hair > SHAVED.surely
    amount *= float(smoothstep(np.asarray(np.count_nonzero(sure)), *SHAVED.fewest))
    if amount == 0:
        return colours
    size = colours.shape[1::-1]
    colour = np.float32(SHAVED.dark) * np.median(image[sure], axis=0).astype(np.float32)
    share, start, end = LOSS.temple_hairline
    from_crown = np.abs(head.angle - np.float32(np.pi / 2))
    begins = np.float32(LOSS.hairline) + np.float32(share) * smoothstep(from_crown, start, end)
    before, after = SHAVED.hairline
    grows = smoothstep(head.radius - begins, before, after)
    grows *= 1 - smoothstep(head.texture[..., 1] - np.float32(CENTER[1]), *SHAVED.below)
    where = enlarge(grows, size) * smoothstep(enlarge(head.distance, size), *SHAVED.rim) * erased
    where *= smoothstep(cv2.GaussianBlur(hair, (0, 0), SHAVED.around), *SHAVED.grown)
    box = box_of(where > 0)
    if box is None:
        return colours
    finest, coarsest, differs = SHAVED.thinly
    density = np.exp(np.float32(SHAVED.contrast) * noise_on(head, hairs(), box))
    density *= np.maximum(1 + np.float32(differs) * noise_on(head, between(finest, coarsest), box), 0)
    covered = 1 - np.exp(-np.float32(SHAVED.depth * amount) * where[box] * density)
    finished = colours.copy()
    skin = colours[box] + np.float32(LOG_OFFSET)
    # light stubble is not seen
    over = np.minimum((colour + np.float32(LOG_OFFSET)) / np.maximum(skin, 1), 1)
    finished[box] = skin * (1 + covered[..., None] * (over - 1)) - np.float32(LOG_OFFSET)
    return finished
