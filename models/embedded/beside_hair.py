"""What lies beside hair that is gone: single strands go too, and what was drawn passes over softly to what is seen.

A matte misses single strands, which stay on a plain backdrop as scratches: where a drawing of a plain backdrop and what
is seen differ much, a strand is. Hair leaves a halo in a picture as well, some levels lighter or darker than the rest.
Where a drawing ends within it, an arc shows the outline of the hair that was there.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.embedded.scalp import HeadMap
from models.face.imaging import enlarge, smoothstep


@dataclass(frozen=True, slots=True)
class Beside:
    """How strands are told, and how a drawing ends. Lengths are pixels of a picture of half the crop's size;
    differences are of 0..255.

    Attributes:
        gone, untouched: opacities from which hair is gone, and up to which the camera is seen.
        reach: how far beside that strands are looked for; the backdrop is drawn so far.
        kept: alpha of hair that is left, from which its own strands begin.
        spared: how far beside that they stay.
        outside: signed distances to the skull, crop pixels, over which the backdrop begins.
        person: most of a person's probability in what is a backdrop.
        quantile: of the differences in a backdrop that tells how plain it is.
        plain: differences of that quantile over which it is not.
        odd: multiples of it, and what is added, over which a difference is a strand.
        fewest: least pixels that tell.
        passage: how far beside what is gone a drawing passes over to what is seen.
        broad, unlike: differences of means by this Gaussian over which it does not: another thing begins there.
        rough: mean differences from these means over which it does not either: a texture that is seen is no halo.
    """

    gone: float = 0.8
    untouched: float = 0.1
    reach: int = 6
    kept: float = 0.3
    spared: int = 3
    outside: tuple[float, float] = (-8.0, -4.0)
    person: float = 0.3
    quantile: float = 0.7
    plain: tuple[float, float] = (6.0, 12.0)
    odd: tuple[tuple[float, float], tuple[float, float]] = ((1.5, 3.0), (2.5, 6.0))
    fewest: int = 100
    passage: float = 5.0
    broad: float = 2.0
    unlike: tuple[float, float] = (20.0, 40.0)
    rough: tuple[float, float] = (3.0, 6.0)


BESIDE = Beside()


def replaced_beside(
    image: Image,
    drawn: Image,
    *,
    opacity: Floats,
    hair: Floats,
    person: Floats,
    head: HeadMap,
    beyond: Floats | None = None,
) -> Floats:
    """Where the drawing is shown when single strands go too and it ends softly.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        drawn: (S, S, 3) uint8 RGB, the head without hair.
        opacity: (S, S) float32 in 0..1, where hair is replaced already.
        hair: (S, S) float32 in 0..1, alpha of the hair.
        person: (M, M) float32 in 0..1, the person.
        head: polar map of the crop.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame; None for nowhere.

    Returns:
        (S, S) float32 in 0..1, the opacity that is due, nowhere less than `opacity`.
    """
    side = len(image) // 2
    half = (side, side)
    seen, bare = (cv2.resize(each, half, interpolation=cv2.INTER_AREA).astype(np.float32) for each in (image, drawn))
    gone, alpha = (cv2.resize(each, half, interpolation=cv2.INTER_AREA) for each in (opacity, hair))
    distance = enlarge(head.distance, half)
    beside = _around(gone > BESIDE.gone, BESIDE.reach) & ~_around(alpha * (1 - gone) > BESIDE.kept, BESIDE.spared)
    backdrop = beside & (enlarge(person, half) < BESIDE.person)
    if beyond is not None:
        backdrop &= cv2.resize(beyond, half, interpolation=cv2.INTER_AREA) < 0.5
    if not backdrop.any():
        return opacity
    difference = seen - bare
    where = np.asarray(backdrop * (1 - smoothstep(distance, *BESIDE.outside)), np.float32)
    due = _passage(difference, where, gone)
    untouched = backdrop & (gone < BESIDE.untouched) & (distance < BESIDE.outside[0])
    strands = _strands(np.asarray(np.abs(difference).max(2), np.float32), where, untouched)
    return np.maximum(opacity, enlarge(np.maximum(due, strands), (len(image), len(image))))


def _passage(difference: Floats, where: Floats, gone: Floats) -> Floats:
    """How much of a drawing is shown beside what is gone: less the further away."""
    away = cv2.distanceTransform((gone <= BESIDE.gone).astype(np.uint8), cv2.DIST_L2, 3)
    near = cv2.GaussianBlur(where, (0, 0), 1.0) * (1 - smoothstep(away, 0, BESIDE.passage))
    # hair that is gone tells nothing of what lies beside it
    told = np.asarray(where * (gone < BESIDE.untouched), np.float32)
    total = cv2.GaussianBlur(told, (0, 0), BESIDE.broad) + np.float32(1e-3)

    def mean(values: Floats) -> Floats:
        weighed = cv2.GaussianBlur(values * (told if values.ndim == 2 else told[..., None]), (0, 0), BESIDE.broad)
        return np.asarray(weighed / (total if values.ndim == 2 else total[..., None]), np.float32)

    broad = mean(difference)
    rough = mean(np.asarray(np.abs(difference - broad).max(2), np.float32))
    alike = (1 - smoothstep(np.abs(broad).max(2), *BESIDE.unlike)) * (1 - smoothstep(rough, *BESIDE.rough))
    return np.asarray(near * alike, np.float32)


def _strands(unlike: Floats, where: Floats, untouched: NDArray[np.bool_]) -> Floats:
    """Where single strands are, by differences of a drawing from what is seen, if the backdrop is plain."""
    if np.count_nonzero(untouched) < BESIDE.fewest:
        return np.zeros_like(where)
    usual = float(np.quantile(unlike[untouched], BESIDE.quantile))
    plain = 1 - float(smoothstep(np.asarray(usual), *BESIDE.plain))
    strand = smoothstep(unlike, *(times * usual + added for times, added in BESIDE.odd)) * plain * where
    return np.asarray(cv2.GaussianBlur(cv2.dilate(strand, np.ones((3, 3), np.uint8)), (0, 0), 0.6), np.float32)


def _around(where: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(where.astype(np.uint8), shape) > 0)
