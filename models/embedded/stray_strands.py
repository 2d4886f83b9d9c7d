"""Single strands that the matte misses beside hair that is gone: on a plain backdrop they stay as scratches.

Where a drawing of a plain backdrop and what is seen differ much, beside places where hair was removed, a strand is.
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
class Strays:
    """How strands are told. Lengths are pixels of a picture of half the crop's size; differences are of 0..255.

    Attributes:
        gone: opacity from which hair is gone.
        reach: how far beside that strands are looked for; the backdrop is drawn so far.
        kept: alpha of hair that is left, from which its own strands begin.
        spared: how far beside that they stay.
        outside: signed distances to the skull, crop pixels, over which the backdrop begins.
        person: most of a person's probability in what is a backdrop.
        quantile: of the differences in a backdrop that tells how plain it is.
        plain: differences of that quantile over which it is not.
        odd: multiples of it, and what is added, over which a difference is a strand.
        fewest: least pixels that tell.
    """

    gone: float = 0.8
    reach: int = 6
    kept: float = 0.3
    spared: int = 3
    outside: tuple[float, float] = (-8.0, -4.0)
    person: float = 0.3
    quantile: float = 0.7
    plain: tuple[float, float] = (6.0, 12.0)
    odd: tuple[tuple[float, float], tuple[float, float]] = ((1.5, 3.0), (2.5, 6.0))
    fewest: int = 100


STRAYS = Strays()


def stray_strands(
    image: Image,
    drawn: Image,
    *,
    opacity: Floats,
    hair: Floats,
    person: Floats,
    head: HeadMap,
    beyond: Floats | None = None,
) -> Floats:
    """Where single strands are replaced too.

    Args:
        image: (S, S, 3) uint8 RGB crop.
        drawn: (S, S, 3) uint8 RGB, the head without hair.
        opacity: (S, S) float32 in 0..1, where hair is replaced already.
        hair: (S, S) float32 in 0..1, alpha of the hair.
        person: (M, M) float32 in 0..1, the person.
        head: polar map of the crop.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame; None for nowhere.

    Returns:
        (S, S) float32 in 0..1, the opacity that is due.
    """
    side = len(image) // 2
    half = (side, side)
    seen, bare = (cv2.resize(each, half, interpolation=cv2.INTER_AREA).astype(np.float32) for each in (image, drawn))
    gone, alpha = (cv2.resize(each, half, interpolation=cv2.INTER_AREA) for each in (opacity, hair))
    distance = enlarge(head.distance, half)
    beside = _around(gone > STRAYS.gone, STRAYS.reach) & ~_around(alpha * (1 - gone) > STRAYS.kept, STRAYS.spared)
    backdrop = beside & (enlarge(person, half) < STRAYS.person)
    if beyond is not None:
        backdrop &= cv2.resize(beyond, half, interpolation=cv2.INTER_AREA) < 0.5
    unlike = np.asarray(np.abs(seen - bare).max(2), np.float32)
    untouched = unlike[backdrop & (gone < 0.1) & (distance < STRAYS.outside[0])]
    if len(untouched) < STRAYS.fewest:
        return opacity
    usual = float(np.quantile(untouched, STRAYS.quantile))
    plain = 1 - float(smoothstep(np.asarray(usual), *STRAYS.plain))
    if plain == 0:
        return opacity
    strand = smoothstep(unlike, *(times * usual + added for times, added in STRAYS.odd))
    strand *= plain * backdrop * (1 - smoothstep(distance, *STRAYS.outside))
    whole = cv2.GaussianBlur(cv2.dilate(strand, np.ones((3, 3), np.uint8)), (0, 0), 0.6)
    return np.maximum(opacity, enlarge(np.asarray(whole, np.float32), (len(image), len(image))))


def _around(where: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(where.astype(np.uint8), shape) > 0)
