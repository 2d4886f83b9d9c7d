"""Stubble: short hair of the head's own colour where beards grow, in the texture square.

Where beards grow is a mean over bearded men. How much of the skin hair covers follows its density (Beer and Lambert),
which differs from hair to hair. Fuller beards look like a veil: they have strands, which this has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded.strands import FILTER, Look
from models.face.imaging import LOG_OFFSET, LUMINANCE, enlarge, smoothstep
from models.face.texture_space import SIZE


@dataclass(frozen=True, slots=True)
class StubbleGrowth:
    """How stubble looks. Lengths are texture pixels.

    Attributes:
        fullest: optical depth of all of it, where beards are thickest.
        filled: power of the place: beards get denser before they spread.
        hair: Gaussian of a single hair, across and down.
        contrast: of the logarithm of the density from hair to hair.
        patches: Gaussian of places where it grows more thinly, and how much they differ.
        drawn_out: shortest over longest side of a texture pixel in the crop, over which single hairs are told apart.
        dark: luminance of a beard, of that of the hair of the head.
        between: luminances that it has at least and at most, of that of the skin.
        unknown: luminance where no hair of the head is seen, of that of the skin.
        chin, cheeks: rows and columns that show a beard of one's own, and the skin that tells it.
        own: how much darker than the cheeks the chin of a shaven and of a bearded man is, log units.
        fine, rough: how much rougher it is, where it is dark: log light less its mean by this Gaussian.
        grey: the same of a beard of any colour.
        seen: cover up to which skin tells, and the least share of a place that must be seen.
    """

    fullest: float = 0.36
    filled: float = 0.8
    hair: tuple[float, float] = (0.45, 0.9)
    contrast: float = 0.38
    patches: tuple[float, float] = (5.0, 0.25)
    drawn_out: tuple[float, float] = (0.5, 0.8)
    dark: float = 0.85
    between: tuple[float, float] = (0.16, 0.62)
    unknown: float = 0.35
    chin: tuple[slice, slice] = (slice(150, 185), slice(76, 116))
    cheeks: tuple[slice, slice] = (slice(78, 104), slice(44, 148))
    own: tuple[float, float] = (0.25, 0.6)
    fine: float = 1.5
    rough: tuple[float, float] = (-0.002, 0.01)
    grey: tuple[float, float] = (0.015, 0.028)
    seen: tuple[float, float] = (0.3, 0.3)


GROWTH = StubbleGrowth()


@dataclass(frozen=True, slots=True)
class Stubble:
    """Where beards grow.

    Attributes:
        place: (192, 192) float32 in 0..1, how often a beard grows there.
    """

    place: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Stubble:
        """Read `beard_place`, (192, 192) uint8, 0..255."""
        return Stubble(tables["beard_place"].astype(np.float32) / np.float32(255))

    def change(self, colour: Floats, skin: Floats, amount: float, told: Floats | None = None) -> Floats:
        """Change of the log colour of the skin, (192, 192, 3) float32.

        Args:
            colour: (3,) float32 RGB, 0..255, of the stubble.
            skin: (3,) float32 RGB, 0..255, of the face.
            amount: 0..1.
            told: (192, 192) float32 in 0..1, where single hairs are told apart, from `told_apart`; None for everywhere.
        """
        over = (colour + np.float32(LOG_OFFSET)) / (skin + np.float32(LOG_OFFSET))
        depth = np.float32(GROWTH.fullest * amount) * self.place ** np.float32(GROWTH.filled)
        strands = _strands() if told is None else np.float32(1) + told * (_strands() - np.float32(1))
        covered = 1 - np.exp(-depth * strands)
        return np.log1p(covered[..., None] * (np.asarray(over, np.float32) - 1))


def told_apart(nodes: Floats) -> Floats:
    """Where single hairs are told apart: not where a cheek is seen from its side, and dots would be drawn out to lines.

    Args:
        nodes: (64, 64, 2) float32, crop pixels of the lattice nodes, `Fit.nodes`.

    Returns:
        (192, 192) float32 in 0..1.
    """
    across, down = (np.gradient(nodes, axis=axis) for axis in (1, 0))
    # singular values of the 2 x 2 derivatives, by their squared norm and determinant
    norm = np.square(across).sum(2) + np.square(down).sum(2)
    area = np.abs(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])
    total, difference = np.sqrt(norm + 2 * area), np.sqrt(np.maximum(norm - 2 * area, 0))
    shape = np.asarray((total - difference) / np.maximum(total + difference, 1e-6), np.float32)
    square = smoothstep(cv2.GaussianBlur(shape, (0, 0), 2.0), *GROWTH.drawn_out)
    return enlarge(square, (SIZE, SIZE))


def beard_colour(hair: Look | None, skin: Floats) -> Floats:
    """(3,) float32 RGB, 0..255, of a beard: darker than the hair of the head, and never as light as the skin."""
    light = float(skin @ LUMINANCE)
    if hair is None:
        return np.asarray(GROWTH.unknown * skin, np.float32)
    luminance = GROWTH.dark * float(np.exp(hair.level) - FILTER.offset)
    lowest, highest = (share * light for share in GROWTH.between)
    return np.asarray(hair.colour * np.clip(luminance, lowest, highest), np.float32)


def own_beard(texture: NDArray[np.uint8], covered: Floats) -> float:
    """How much of a beard a face has already, 0..1: its chin is rougher than its cheeks, and mostly darker.

    Args:
        texture: (192, 192, 3) uint8 RGB, the face unwrapped.
        covered: (192, 192) float32 in 0..1, where hair or an occluder hides the skin.

    Returns:
        0 where chin or cheeks are hidden.
    """
    logs = np.log(texture @ LUMINANCE + np.float32(LOG_OFFSET)).astype(np.float32)
    fine = np.abs(logs - cv2.GaussianBlur(logs, (0, 0), GROWTH.fine))
    most, least = GROWTH.seen
    found = []
    for part in (GROWTH.cheeks, GROWTH.chin):
        free = covered[part] < most
        if free.mean() < least:
            return 0.0
        found.append((float(np.median(logs[part][free])), float(np.median(fine[part][free]))))
    (light, smooth), (dark, rough) = found
    darker, rougher = np.asarray(light - dark), np.asarray(rough - smooth)
    # a chin in the shade is dark and smooth
    dark_beard = smoothstep(darker, *GROWTH.own) * smoothstep(rougher, *GROWTH.rough)
    return float(np.maximum(dark_beard, smoothstep(rougher, *GROWTH.grey)))


@lru_cache(maxsize=1)
def _strands() -> Floats:
    """What the density is multiplied by from hair to hair, (192, 192) float32: the same in every frame."""
    noise = np.random.default_rng(4).standard_normal((2, SIZE, SIZE)).astype(np.float32)
    across, down = GROWTH.hair
    hairs = cv2.GaussianBlur(noise[0], (0, 0), sigmaX=across, sigmaY=down)
    patches = cv2.GaussianBlur(noise[1], (0, 0), GROWTH.patches[0])
    thin = np.maximum(1 + np.float32(GROWTH.patches[1]) * patches / patches.std(), 0)
    return np.asarray(np.exp(np.float32(GROWTH.contrast) * hairs / hairs.std()) * thin, np.float32)
