"""Creases that a face does not have yet, lent by machine-made portraits of the old.

Creases taken from a picture look like creases; drawn ones look painted. What is lent is the fine relief of log light
in the texture square, without what all young faces have there (lids, lips, nostrils), as strong as the light on this
face and the sharpness of its camera would show it. The portraits show nobody; MODEL_CARD.md names their sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.embedded.attributes import MALE, SKIN_LIGHTNESS, SMILE
from models.embedded.control import Reading
from models.face.canvas import visible
from models.face.imaging import LUMINANCE, coherence, log_colour, smoothstep
from models.face.texture_space import SIZE, Fit

BROAD_SIGMA = 5.5
"""Light broader than this is no relief, texture pixels."""
MOST_RELIEF = 0.6
"""Relief is clipped to this change of log light, and stored as int8 of it."""
EDGE_FADE = 10
"""Over so many texture pixels relief fades at the edge of the square."""
COVERED = (0.2, 0.5)
"""Cover (0..1) over which skin counts as hidden."""
QUANTILE, RMS_OF_QUANTILE = 0.5, 2.1
"""The quantile that measures contrast, and the root mean square over it in portraits without glasses."""
CREASED = 0.75
"""Contrast of lent creases over that of a face's own relief."""
MOST_CREASED = (0.057, 0.085)
"""Bounds of the contrast of lent creases; photographs of people above 70 have 0.10 in all."""
DEPTH = 2.3
"""Factor of it in `models.embedded.ageing.AGEING_YEARS`, chosen by eye on `val`."""
DARK, DARK_DEPTH = (0.45, 0.62), 1.4
"""Readings of the skin's lightness over which creases get as deep as that, and by how much they are deeper below: as on
39 people above 62 with dark skin.
"""
OTHER_SMILE = 1.6
"""Share of the creases at the corners of the mouth that is left out at a difference of smiles of 1."""
RIDGE = 0.16
"""Bound of the bright side of a crease, log light: beyond, it glows."""
RELIEF_COLOUR = np.array([0.85, 1.06, 1.09], np.float32)
"""Relief of red, green and blue over that of light, the median over 120 portraits of people above 60: skin in the
shade of a crease is redder.
"""
STAIN_SIGMA, LINE_SIGMA = 2.0, 4.0
"""Gaussians over which what is broad in a relief counts as stain, and in which lines are looked for, texture pixels."""
LINE = (0.25, 0.7)
"""Coherence over which something broad counts as a line."""
EDGES, EDGE_SKIN = (slice(50, 155), slice(35, 157)), 0.4
"""The part of the texture square with eyes, brows, nostrils and mouth, and the share of skin that is none of them."""
EDGE_SIGMAS = (1.0, 3.0)
"""Gaussians that part what is fine there."""
BLURS = ((0.25, 0.3, 0.36, 0.43, 0.52, 0.62), (1.8, 1.3, 0.95, 0.7, 0.4, 0.0))
"""Shares of what is fine there, and the blur of the camera, texture pixels: medians over 60 blurred portraits. Lenders
have the largest share.
"""
LEAST_BLUR = 0.3
"""Blur that is none."""
SIDE_SIGMA, SIDE_LEAST = 5.0, 3.0
"""Gaussian over which both sides of a face are likened, texture pixels, and depth at which they are, of 127."""
STAIN_KEPT = 0.15
"""Share of the broad part that is left where there is no line."""
CHEEKS = (50.0, 14.0), (98.0, 24.0)
"""Distance from the middle and height of the cheeks in the texture square, each with half the extent, pixels."""
CHEEK_SIGMA, CHEEK_LOST = 1.3, 0.8
"""Gaussian over which what is broad there counts, and the share of it that is lost: a fold would look like a bruise."""
KNOT, KNOT_LOST = (36.0, 60.0, 15.0), 0.6
"""Rows between the brows and half the width there, texture pixels, and the share of all creases that is lost: who lends
may frown, and a frown over a smile looks pasted.
"""
SHAPE_MODES = 8
"""Modes of shape by which faces are likened."""
SHAPE, SMILING, LIGHTNESS, SEX = 0.6, 2.5, 100 / 12, 3.5
"""What a unit of each of them counts: a standard deviation, a whole smile, all of the lightness, the other sex."""
NEAR = 0.5
"""Distance beyond the nearest at which a portrait lends 1 / e as much: who lends may change, but never in a leap."""


@dataclass(frozen=True, slots=True)
class Creases:
    """The lenders.

    Attributes:
        relief: (N, 192, 192) int8, creases, `MOST_RELIEF` / 127.
        contrast: (N,) float32, see `contrast_of`.
        likeness: (N, 11) float32, see `likeness`.
        smile: (N,) float32 in 0..1.
        apart: (N,) float32, distance that is added as a lender is not as old as others.
        skin: (192, 192) float32 in 0..1, where creases may lie.
        mouth: (192, 192) float32 in 0..1, what a smile creases.
    """

    relief: NDArray[np.int8]
    contrast: Floats
    likeness: Floats
    smile: Floats
    apart: Floats
    skin: Floats
    mouth: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Creases:
        """Read the fields from arrays named `creases_<field>`; the last two are stored as 0..255."""
        numbers = (tables[f"creases_{name}"].astype(np.float32) for name in ("contrast", "likeness", "smile", "apart"))
        places = (tables[f"creases_{name}"].astype(np.float32) / np.float32(255) for name in ("skin", "mouth"))
        return Creases(np.stack([without_stains(each) for each in tables["creases_relief"]]), *numbers, *places)

    def contrast_for(self, reading: Reading) -> float:
        """The contrast that lent creases have on a face: its light and its camera bound it."""
        seen = seen_skin(reading.fit, reading.covered)
        own = contrast_of(relief_of(log_colour(reading.texture) @ LUMINANCE, seen) * self.skin, self.skin)
        return float(np.clip(CREASED * own, *MOST_CREASED))

    def blur_of(self, texture: Image) -> float:
        """The Gaussian, texture pixels, that makes creases as soft as a camera shows eyes, brows and mouth."""
        light = log_colour(texture) @ LUMINANCE
        fine, coarse = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in EDGE_SIGMAS)
        edges = self.skin[EDGES] < EDGE_SKIN
        share = np.abs(light - fine)[EDGES][edges].mean() / max(float(np.abs(fine - coarse)[EDGES][edges].mean()), 1e-4)
        return float(np.interp(share, *BLURS))

    def lend(self, reading: Reading, wanted: float) -> Floats:
        """Creases for a face, change of log light in `models.embedded.ageing.AGEING_YEARS`, (192, 192) float32.

        Args:
            reading: the face.
            wanted: their contrast, see `contrast_for`.
        """
        seen = seen_skin(reading.fit, reading.covered)
        attributes = reading.attributes
        face = likeness(reading.fit, attributes[SMILE], attributes[SKIN_LIGHTNESS], attributes[MALE])
        away = np.abs(self.likeness - face).sum(axis=1) + self.apart
        shares = np.exp((away.min() - away) / np.float32(NEAR))
        # Creases of several do not lie on each other: their powers add up, not their depths.
        shares /= np.sqrt((shares**2).sum())
        lent = np.zeros((SIZE, SIZE), np.float32)
        for lender in np.flatnonzero(shares > 0.1):
            smiles = 1 - min(1.0, OTHER_SMILE * abs(float(self.smile[lender] - attributes[SMILE]))) * self.mouth
            depth = shares[lender] * wanted / self.contrast[lender] * (MOST_RELIEF / 127)
            lent += self.relief[lender] * (np.float32(depth) * smiles)
        blur = self.blur_of(reading.texture)
        if blur > LEAST_BLUR:
            lent = np.asarray(cv2.GaussianBlur(lent, (0, 0), blur), np.float32)
        dark = 1 - float(smoothstep(np.asarray(attributes[SKIN_LIGHTNESS]), *DARK))
        lent *= np.float32(DEPTH * (1 + (DARK_DEPTH - 1) * dark))
        lit = np.float32(RIDGE) * np.tanh(np.maximum(lent, 0) / np.float32(RIDGE))
        return np.asarray((lit + np.minimum(lent, 0)) * seen, np.float32)


def without_stains(relief: NDArray[np.int8]) -> NDArray[np.int8]:
    """A relief with less of what is neither fine nor a line, or on one side alone: elsewhere it would look like stains.

    A line is told by the coherence of its structure tensor (Weickert 1999).
    """
    light = relief.astype(np.float32)
    broad = cv2.GaussianBlur(light, (0, 0), STAIN_SIGMA)
    line = coherence(broad, LINE_SIGMA, 0.03)
    kept = STAIN_KEPT + (1 - STAIN_KEPT) * smoothstep(line, *LINE)
    clean = light - broad + broad * kept
    clean -= np.float32(CHEEK_LOST) * _cheeks() * cv2.GaussianBlur(clean, (0, 0), CHEEK_SIGMA)
    clean *= 1 - np.float32(KNOT_LOST) * _between_brows()
    # creases are about as deep on both sides; what one cheek has alone is a mark or a shadow
    depth = cv2.GaussianBlur(np.abs(clean), (0, 0), SIDE_SIGMA) + np.float32(SIDE_LEAST)
    clean *= np.minimum(1, depth[:, ::-1] / depth)
    return np.clip(np.rint(clean), -127, 127).astype(np.int8)


@lru_cache(maxsize=1)
def _cheeks() -> Floats:
    """The cheeks beside the folds of nose and mouth, (192, 192) float32 in 0..1."""
    down, across = np.indices((SIZE, SIZE), np.float32)
    (middle, half_width), (height, half_height) = CHEEKS
    away = np.abs(across - np.float32((SIZE - 1) / 2)) - np.float32(middle)
    inside = np.exp(
        -((away / np.float32(half_width)) ** 4) - ((down - np.float32(height)) / np.float32(half_height)) ** 4
    )
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 3.0), np.float32)


@lru_cache(maxsize=1)
def _between_brows() -> Floats:
    """The place of frowns, (192, 192) float32 in 0..1."""
    down, across = np.indices((SIZE, SIZE), np.float32)
    top, bottom, half_width = KNOT
    away = np.abs(across - np.float32((SIZE - 1) / 2))
    inside = smoothstep(down, top - 8, top + 8) * smoothstep(-down, -bottom - 6, -bottom + 6)
    return np.asarray(inside * smoothstep(-away, -half_width - 8, -half_width + 4), np.float32)


def likeness(fit: Fit, smile: float, lightness: float, male: float) -> Floats:
    """What makes faces look alike, (11,) float32; the sum of absolute differences is their distance.

    Args:
        fit: the face's shape.
        smile: 0..1.
        lightness: L* of the skin / 100.
        male: probability of a man.
    """
    return np.array(
        [*(SHAPE * fit.modes[:SHAPE_MODES]), SMILING * smile, LIGHTNESS * lightness, SEX * male], np.float32
    )


def relief_of(light: Floats, seen: Floats) -> Floats:
    """The fine part of a (192, 192) log light where skin is seen, see `seen_skin`; what hides it is no light on it."""
    broad = cv2.GaussianBlur(light * seen, (0, 0), BROAD_SIGMA) / (cv2.GaussianBlur(seen, (0, 0), BROAD_SIGMA) + 1e-3)
    return np.asarray((light - broad) * seen, np.float32)


def contrast_of(relief: Floats, skin: Floats) -> float:
    """Strength of a relief by its median on the `skin`: lids, nostrils and glasses are rare and strong."""
    return RMS_OF_QUANTILE * float(np.quantile(np.abs(relief[skin > 0.5]), QUANTILE))


def seen_skin(fit: Fit, covered: Floats) -> Floats:
    """Where a face shows skin in the texture square, faded at its edge: (192, 192) float32 in 0..1.

    Args:
        fit: the face.
        covered: (192, 192) float32 in 0..1, where hair or an occluder hides it.
    """
    axis = smoothstep(np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1]), 0, EDGE_FADE)
    return np.asarray(visible(fit) * (1 - smoothstep(covered, *COVERED)) * axis[:, None] * axis, np.float32)
