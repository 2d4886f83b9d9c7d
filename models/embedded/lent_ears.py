"""Ears that hair hides, lent by a machine-made portrait as creases are: a silhouette, and a relief over skin.

Nobody knows what an ear looks like that is not seen, and what a network draws of it is the mean of all: a blot. An ear
of somebody else, in the light and the colour of the cheek beside it, looks like one.

The relief lies in a frame beside the point of the mesh where the face ends: outwards and down, texture pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded.body_behind_hair import EAR_POINTS, LAYERS, unlike_skin, within_oval, without_ears
from models.embedded.scalp import CENTER, HeadMap, crop_to_texture
from models.face.imaging import LOG_OFFSET, LUMINANCE, enlarge, smoothstep

OUT, DOWN = (-20.0, 36.0), (-42.0, 42.0)
"""The frame: from the cheek outwards, and from above to below the point, texture pixels."""
FINE = 3
"""Pixels of the relief per texture pixel."""
ROWS, COLUMNS = (int(FINE * (high - low)) for low, high in (DOWN, OUT))
MOST_RELIEF = 1.0
"""Relief is clipped to this change of log colour, and stored as int8 of it."""


@dataclass(frozen=True, slots=True)
class Lending:
    """How an ear is laid beside a head. Lengths are texture pixels.

    Attributes:
        hidden: shares of the ear under hair over which another one is lent: what is seen of the own one is better.
        seen: areas of skin beside the cheek, shares of that of an ear, over which the own ear is seen: it may stand out
            further than the one that is lent.
        unlike: distances from the log colour of the cheek over which something is no ear: it may be in other light.
        beside: distance outwards from which skin is that of an ear.
        heights: heights, above and below the point, between which it is.
        width: reach of an ear beyond the mesh of a face that looks straight on, as a share of the distance of its sides
            from the middle, by 1355 ears.
        turned: what is added to it by the difference of both sides over their sum: less of the far ear is seen.
        narrowest: reaches over which one is lent at all.
        inner: distances outwards over which it begins.
        outer: distances outwards over which the place around it ends.
        lightest: level of 0..255 of a cheek, above which an ear would be a white spot.
        cheek: distance inwards at which the cheek's light and colour are taken.
        smooth: Gaussian of these down the cheek.
        eyes: heights below the brows over which eyes end, which tell nothing of them.
        above, below: heights over which the place around an ear begins and ends.
        face: distances inside the oval of the mesh, crop pixels, over which the face begins.
        soft: Gaussian of the relief, pixels of it.
        warmer: log RGB that is added to the relief: lent, the ear looked pink beside most cheeks.
        glow, glowing: how much lighter than the cheek a place may be, log light, and the share of what is beyond that
            stays: a lobe glowed.
    """

    hidden: tuple[float, float] = (0.55, 0.8)
    seen: tuple[float, float] = (0.06, 0.16)
    unlike: tuple[float, float] = (0.7, 1.1)
    beside: float = 3.0
    heights: tuple[float, float] = (-26.0, 34.0)
    width: float = 0.19
    turned: float = 0.35
    narrowest: tuple[float, float] = (4.0, 7.0)
    inner: tuple[float, float] = (-5.0, 1.0)
    outer: tuple[float, float] = (26.0, 35.0)
    lightest: float = 215.0
    cheek: float = 7.0
    smooth: float = 6.0
    eyes: tuple[float, float] = (18.0, 28.0)
    above: tuple[float, float] = (-34.0, -28.0)
    below: tuple[float, float] = (32.0, 42.0)
    face: tuple[float, float] = (-4.0, -1.0)
    soft: float = 1.2
    warmer: tuple[float, float, float] = (0.0, -0.02, -0.06)
    glow: float = 0.05
    glowing: float = 0.5


LENDING = Lending()


class Ear(NamedTuple):
    """An ear that is lent.

    Attributes:
        alpha: (`ROWS`, `COLUMNS`) float32 in 0..1, head and ear.
        relief: (`ROWS`, `COLUMNS`, 3) float32, log RGB over that of the cheek beside it.
        reach: how far it stands out, texture pixels.
    """

    alpha: Floats
    relief: Floats
    reach: float

    @classmethod
    def from_tables(cls, tables: dict[str, NDArray[Any]]) -> Ear:
        """Read the arrays named `ear_alpha`, `ear_relief` and `ear_reach`."""
        alpha, relief = (
            np.asarray(cv2.GaussianBlur(tables[name].astype(np.float32) * np.float32(most), (0, 0), LENDING.soft))
            for name, most in (("ear_alpha", 1 / 255), ("ear_relief", MOST_RELIEF / 127))
        )
        light = (relief @ LUMINANCE)[..., None]
        glowing = np.float32(1 - LENDING.glowing) * np.maximum(light - np.float32(LENDING.glow), 0)
        relief = np.asarray(relief + np.array(LENDING.warmer, np.float32) - glowing, np.float32)
        return cls(alpha, relief, float(tables["ear_reach"]))


class _Place(NamedTuple):
    """Where an ear lies: rows and columns of the crop, and there the distances outwards and down, texture pixels."""

    box: tuple[slice, slice]
    out: Floats
    down: Floats


def with_lent_ears(
    ear: Ear,
    colours: Floats,
    behind: Floats,
    *,
    hidden: Floats,
    erased: Floats,
    person: Floats,
    covers: Floats,
    head: HeadMap,
    male: float,
) -> Floats:
    """Lay an ear beside each cheek where hair hides the own one.

    Args:
        ear: the ear, on the right of the picture.
        colours: (S, S, 3) float32 RGB, 0..255, a head without hair.
        behind: (S, S, 3) float32 RGB, the backdrop beside it.
        hidden: (S, S) float32 in 0..1, where hair is.
        erased: (S, S) float32 in 0..1, where the drawing is shown.
        person: (S, S) float32 in 0..1, the person.
        covers: (S, S) float32 in 0..1, of `models.embedded.body_behind_hair.layers`.
        head: polar map.
        male: 0..1, how likely this is a man.

    Returns:
        (S, S, 3) float32 RGB.
    """
    bare = without_ears(head, len(colours), male=male)
    to_texture = crop_to_texture(head)
    anchors = head.oval[list(EAR_POINTS)] @ to_texture[:, :2].T + to_texture[:, 2]
    from_middle = np.abs(anchors[:, 0] - np.float32(CENTER[0]))
    distance, oval = (enlarge(each, colours.shape[1::-1]) for each in (head.distance, within_oval(head)))
    smooth = cv2.GaussianBlur(colours, (0, 0), 2.0)
    finished = colours.copy()
    for index, side in enumerate((-1.0, 1.0)):
        near = float((from_middle[index] - from_middle[1 - index]) / from_middle.sum())
        reach = float(from_middle.mean()) * (LENDING.width + LENDING.turned * near)
        place = _place(anchors[index], side, to_texture, len(colours))
        if reach < LENDING.narrowest[0] or place is None:
            continue
        box, out, down = place
        frame = np.dstack(
            [
                (np.where(out > 0, out * np.float32(ear.reach / reach), out) - np.float32(OUT[0])) * FINE - 0.5,
                (down - np.float32(DOWN[0])) * FINE - 0.5,
            ]
        ).astype(np.float32)
        alpha, relief = (np.asarray(cv2.remap(each, frame, None, cv2.INTER_LINEAR)) for each in (ear.alpha, ear.relief))
        alpha *= smoothstep(out, *LENDING.inner) * smoothstep(down, *LENDING.above)
        tone = _cheek(smooth, anchors[index], side, down, to_texture)
        skin = person[box] * (1 - unlike_skin(np.maximum(colours[box], 0), np.maximum(tone, 0), LENDING.unlike))
        trust = _unseen(alpha, skin, hidden[box], place) * float(smoothstep(np.asarray(reach), *LENDING.narrowest))
        if trust == 0:
            continue
        shown = np.float32(trust) * erased[box]
        skull, face = smoothstep(distance[box], -1.5, 1.5), smoothstep(oval[box], *LENDING.face)
        base = np.maximum(skull * (1 - smoothstep(down, *LAYERS.skull)), face)
        base = np.maximum(base, covers[box] * bare[box])
        around = shown * (1 - base) * smoothstep(down, *LENDING.above) * (1 - smoothstep(down, *LENDING.below))
        around *= smoothstep(out, *LENDING.inner) * (1 - smoothstep(out, *LENDING.outer))
        part = finished[box]
        part += around[..., None] * (behind[box] - part)
        drawn = np.exp(np.log(np.clip(tone, 0, LENDING.lightest) + LOG_OFFSET) + relief) - LOG_OFFSET
        part += (shown * alpha)[..., None] * (np.clip(drawn, 0, 255) - part)
        finished[box] = part
    return finished


def _unseen(alpha: Floats, skin: Floats, hidden: Floats, place: _Place) -> float:
    """How surely nothing is seen of the own ear, 0..1: it is hidden, and no skin is beside the cheek."""
    ear = alpha * (place.out > LENDING.beside)
    area = max(float(ear.sum()), 1e-3)
    covered = float((ear * hidden).sum()) / area
    low, high = LENDING.heights
    near = (place.out > LENDING.beside) & (place.down > low) & (place.down < high)
    seen = float((near * (1 - hidden) * skin).sum()) / area
    return float(smoothstep(np.asarray(covered), *LENDING.hidden) * (1 - smoothstep(np.asarray(seen), *LENDING.seen)))


def _place(anchor: Floats, side: float, to_texture: Floats, size: int) -> _Place | None:
    """Where the frame lies in a crop; None where it does not."""
    corners = np.array([(x, y) for x in OUT for y in DOWN], np.float32) * (side, 1) + anchor
    to_crop = cv2.invertAffineTransform(to_texture)
    crop = corners @ to_crop[:, :2].T + to_crop[:, 2]
    low, high = (np.clip(each, 0, size).astype(int) for each in (np.floor(crop.min(0)), np.ceil(crop.max(0)) + 1))
    if (high - low < 2).any():
        return None
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    across, down = (to_texture[i, 0] * x + to_texture[i, 1] * y + to_texture[i, 2] - anchor[i] for i in (0, 1))
    box = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    return _Place(box, np.asarray(np.float32(side) * across, np.float32), np.asarray(down, np.float32))


def _cheek(smooth: Floats, anchor: Floats, side: float, down: Floats, to_texture: Floats) -> Floats:
    """Light and colour of a cheek beside each height, (H, W, 3) float32 RGB, from a smooth picture of the head."""
    heights = np.arange(DOWN[0], DOWN[1] + 1, dtype=np.float32)
    inner = np.array([anchor[0] - side * LENDING.cheek, anchor[1]], np.float32)
    places = np.stack([np.full_like(heights, inner[0]), inner[1] + heights], 1)
    to_crop = cv2.invertAffineTransform(to_texture)
    at = np.asarray(places @ to_crop[:, :2].T + to_crop[:, 2], np.float32)
    strip = cv2.remap(smooth, at[None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    # beside an eye are lashes and what is drawn on lids
    plain = smoothstep(places[:, 1] - np.float32(CENTER[1]), *LENDING.eyes) + np.float32(1e-4)
    strip = cv2.GaussianBlur(
        np.asarray(np.concatenate([strip[0] * plain[:, None], plain[:, None]], 1)[None], np.float32),
        (0, 0),
        sigmaX=LENDING.smooth,
        sigmaY=1e-3,
        borderType=cv2.BORDER_REPLICATE,
    )
    strip = np.ascontiguousarray(strip[..., :3] / strip[..., 3:])
    column = np.asarray(down - DOWN[0], np.float32)
    return np.asarray(
        cv2.remap(strip, column, np.zeros_like(column), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
