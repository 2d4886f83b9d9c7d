"""How a head loses its hair, as men lose it (Norwood 1975): the hairline recedes to a ring, and the ring goes last.

Hair is seen along rays from the point between the brows. On each ray it grows from the edge of the skull inwards to
some depth, and stands out beyond it by some thickness. Loss changes both: the depth shrinks, first beside the forelock,
until nothing is left above the ears; what stands out lies down on the skull, as the camera's pixels are moved towards
it. Past that depth hair gets sparse, strand by strand, as a share of the skin that is covered (Beer and Lambert): half
of the strands cover more than half of what all of them do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.bare_head import own_hair
from models.embedded.drawn_edge import EDGE
from models.embedded.head_rays import RAYS, Rays
from models.embedded.scalp import COARSE, HeadMap, share_of_hair
from models.face.imaging import box_of, enlarge, smoothstep


@dataclass(frozen=True, slots=True)
class HairLoss:
    """The way from all hair to none. Angles are radians from the crown, lengths texture pixels.

    Attributes:
        ring: the amount at which a ring is left; from there to 1 it goes too.
        long_share: share of the places beside the face covered by hair, over which hair counts as long.
        rim: distances within the skull over which hair counts as lying before skin, not beyond it.
        hairline: where hair begins, as a fraction of the way from the brows to the edge of the skull.
        temple_hairline: how much further out it begins beside the forehead, over which angles.
        depth: how deep the ring grows at the crown, and how much deeper beside the brows; below 0 there is none.
        deeper: power of the angle over which it gets deeper.
        sideburns: how much deeper it grows for each pixel below the brows.
        before: depth of hair before its hairline that is known, of `fading`: nothing is lost at 0.
        temple, temple_width, lead: where the hairline recedes first, over which angles, and by how much sooner.
        stands: depths of a ring over which it stands out as usual.
        thickest: how far the hair of a ring stands out.
        lies: depths of what is left over which hair lies down.
        pressed: shares of the way to a ring over which all of it does: thin hair has little volume.
        own: angle from which on hair stands out as it did, to that of the brows: thin hair, and bulky hair.
        bulk, bulky: how far short hair stands out there at most, and thicknesses over which it stands out all the same:
            below the brows it does, where ears are.
        ears: heights above the brows over which hair begins to lie down.
        least: share of its thickness to which hair is pressed, at least: its strands would become dots. What still
            stands out too far is cut.
        strays: how far hair is looked for beyond that, of its thickness.
        bare: depths below which nothing that stands out is left: thin hair before a backdrop looks like smoke.
        fading: depth over which hair thins out to an e-th, at the crown, and how much more beside the brows.
        tail: depths of a ring, towards the crown, over which its hair begins: at the edge of the skull alone it would
            be a thin dark line.
        sparse: density that is left on the scalp where a ring is, of all hair.
        covering: optical depth of all hair.
        contrast, last_contrast: of the logarithm of the density from strand to strand, and as the ring goes.
        thins: power of what is left of the ring, by which it thins out.
    """

    ring: float = 0.8
    long_share: tuple[float, float] = (0.17, 0.25)
    rim: tuple[float, float] = (-3.0, -1.0)
    hairline: float = 0.54
    temple_hairline: tuple[float, float, float] = (0.2, 0.75, 1.5)
    depth: tuple[float, float] = (-22.0, 42.0)
    deeper: float = 1.4
    sideburns: float = 1.5
    before: float = 3.0
    temple: float = 0.62
    temple_width: float = 0.32
    lead: float = 1.2
    stands: tuple[float, float] = (-2.0, 18.0)
    thickest: float = 7.0
    lies: tuple[float, float] = (0.0, 14.0)
    pressed: tuple[float, float] = (0.0, 0.8)
    own: tuple[float, float] = (0.95, 0.7)
    bulk: float = 13.0
    bulky: tuple[float, float] = (15.0, 23.0)
    ears: tuple[float, float] = (0.0, 18.0)
    least: float = 0.3
    strays: float = 1.6
    bare: tuple[float, float] = (-4.0, 4.0)
    fading: tuple[float, float] = (6.0, 4.0)
    tail: tuple[float, float] = (-24.0, 8.0)
    sparse: float = 0.03
    covering: float = 3.0
    contrast: float = 0.55
    last_contrast: float = 1.3
    thins: float = 3.0


LOSS = HairLoss()
RAY_SIGMA = 1.5
"""Gaussian over them by which a thickness of hair is smoothed."""
FAINT = (0.05, 0.8)
"""Alphas over which what is moved counts as hair: beside it the drawing stays."""
SOFT = 2.5
"""Gaussian of alpha before that, crop pixels: the outline of hair that lies on a skull is no edge."""
GUESSED = (-0.5, -0.1)
"""Alphas, less 1 beyond the frame, over which what is moved counts as hair."""
STEPS = 7
"""Halvings by which the edge of the frame is found along a flow."""
MOVED = (0.3, 1.5)
"""Distances, crop pixels, over which hair counts as moved."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What is left of hair.

    Attributes:
        density: (S, S) float32, of strands, 1 for all of them, and more where they are far from going.
        flow: (S, S, 2) float32, crop pixels (x, y) from each place to the one that is shown there.
        contrast: of the logarithm of the density from strand to strand.
    """

    density: Floats
    flow: Floats
    contrast: float


def hanging_share(head: HeadMap, hair: Floats) -> float:
    """Share of the places beside the face where hair, (S / 4, S / 4) float32, hangs down, on the side with more."""
    shares = (share_of_hair(places, hair, 1 / COARSE) for places in (head.hanging, head.standing_out))
    return float(np.max(np.maximum(*shares)))


def short_hair(hanging: float) -> float:
    """How surely hair of which a `hanging_share` is seen hangs down on neither side, 0..1."""
    return 1 - float(smoothstep(np.asarray(hanging), *LOSS.long_share))


def lose_hair(
    head: HeadMap,
    hair: Floats,
    *,
    amount: float,
    sides: float = 0,
    edge: Floats | None = None,
    hanging: float | None = None,
    box: tuple[slice, slice] | None = None,
) -> Loss:
    """Lose hair.

    Args:
        head: polar map of the crop.
        hair: (S / 4, S / 4) float32 in 0..1, alpha.
        amount: 0..1, how much is lost.
        sides: 0..1, how much of the ring stays at 1, if it is short.
        edge: from `models.embedded.drawn_edge`; None where it is not known.
        hanging: `hanging_share`, smoothed over time or not; None has that of `hair`.
        box: rows and columns of the crop that are wanted: nothing is lost elsewhere. None for all of it.
    """
    hair = hair * own_hair(hair, head)
    short = short_hair(hanging_share(head, hair) if hanging is None else hanging)
    amount *= 1 - sides * short * (1 - LOSS.ring)
    receded, gone = min(1.0, amount / LOSS.ring), max(0.0, (amount - LOSS.ring) / (1 - LOSS.ring))
    rays = Rays.of(head, np.float32(EDGE.usual) if edge is None else edge)
    inner, outer = _depths(rays, receded)
    standing, share = _pressed(rays, hair, outer, receded=receded, gone=gone, short=short)
    fades = np.float32(LOSS.fading[0]) + np.float32(LOSS.fading[1] * 2 / np.pi) * rays.angle

    # what has edges is made of smooth maps at the crop's own size: on the coarse grid the outline would have steps
    size = COARSE * len(hair)
    box = box or (slice(0, size), slice(0, size))
    maps = rays.inside, inner, outer, fades, standing, np.asarray(1 / share - 1, np.float32), *rays.outwards()
    inside, depth, bare, fading, reach, longer, across, down = (enlarge(each, (size, size))[box] for each in maps)
    within = smoothstep(inside, *LOSS.rim)
    depth = bare + within * (depth - bare)
    density = cv2.exp(np.clip((depth - np.maximum(inside, 0)) / fading, -9, 1))
    density *= smoothstep(depth, *LOSS.tail)
    density = np.maximum(density, np.float32(LOSS.sparse**receded))
    density *= within + (1 - within) * smoothstep(bare, *LOSS.bare)
    # what else looks like hair further out stays where it is
    near = smoothstep(np.float32(LOSS.strays) * reach + inside, *LOSS.rim)
    density *= 1 - smoothstep(longer, 0, 0.4) * (1 - near)
    density *= np.float32((1 - gone) ** LOSS.thins)
    further = np.maximum(-inside * rays.scale, 0) * longer * (near > 0)
    contrast = LOSS.contrast + (LOSS.last_contrast - LOSS.contrast) * gone
    left, flow = np.ones((size, size), np.float32), np.zeros((size, size, 2), np.float32)
    left[box], flow[box] = density, cv2.merge([across * further, down * further])
    return Loss(left, flow, contrast)


def _depths(rays: Rays, receded: float) -> tuple[Floats, Floats]:
    """How deep hair grows in from the edge, texture pixels; and the same without the lead of the temples.

    What stands out beyond the skull grows behind the temples, and does not go with them.
    """
    share, start, end = LOSS.temple_hairline
    bare = np.float32(LOSS.hairline) + np.float32(share) * smoothstep(rays.angle, start, end)
    first = (rays.inside + rays.length) * (1 - bare)
    last = ring_depth(rays)
    first = np.maximum(first, last) + np.float32(LOSS.before * LOSS.fading[0] * (1 - receded))
    temple = (rays.angle - np.float32(LOSS.temple)) / np.float32(LOSS.temple_width)
    lead = 1 + np.float32(LOSS.lead) * np.exp(-np.square(temple))
    left = np.float32(1 - receded)
    inner, outer = (np.asarray(last + (first - last) * each, np.float32) for each in (left**lead, left))
    return inner, outer


def ring_depth(rays: Rays) -> Floats:
    """How deep a ring grows in from the edge of the skull, texture pixels; below 0 there is none."""
    depth = np.float32(LOSS.depth[0]) + np.float32(LOSS.depth[1]) * (rays.angle * np.float32(2 / np.pi)) ** (
        np.float32(LOSS.deeper)
    )
    return np.asarray(depth + np.float32(LOSS.sideburns) * np.maximum(-rays.above, 0), np.float32)


def _pressed(
    rays: Rays, hair: Floats, depth: Floats, *, receded: float, gone: float, short: float
) -> tuple[Floats, Floats]:
    """How far hair shall stand out, texture pixels, and to which share of what it does it is pressed.

    Args:
        rays: of the head.
        hair: alpha.
        depth: how deep it grows inwards, without the lead of the temples.
        receded: share of the way to a ring.
        gone: share of the ring that is lost.
        short: how surely it is short: what hangs down from beside the brows has no end there.
    """
    # its area tells the thickness: its outline is less steady
    area = rays.sums(np.where(rays.inside < 0, hair, 0)) * np.float32((COARSE / rays.scale) ** 2 * RAYS / np.pi)
    area = cv2.GaussianBlur(area[None], (0, 0), RAY_SIGMA, borderType=cv2.BORDER_REPLICATE)[0]
    thickness = rays.spread(np.asarray(area, np.float32))
    bulky = smoothstep(thickness, *LOSS.bulky)
    more = np.maximum(thickness - np.float32(LOSS.bulk), 0)
    start = np.float32(LOSS.own[0]) + np.float32(LOSS.own[1] - LOSS.own[0]) * bulky
    way = np.clip((rays.angle - start) / (np.float32(np.pi / 2) - start), 0, 1)
    at_ears = (thickness - np.float32(short) * (1 - bulky) * more) * (3 - 2 * way) * way * way
    wanted = np.maximum(np.float32(LOSS.thickest) * smoothstep(depth, *LOSS.stands), at_ears) * np.float32(1 - gone)
    lies = np.maximum(1 - smoothstep(depth, *LOSS.lies), smoothstep(np.asarray(receded), *LOSS.pressed))
    share = 1 - lies * (1 - np.minimum(wanted / np.maximum(thickness, 1), 1))
    # below the brows are ears, which do not move
    share = 1 - (1 - share) * smoothstep(rays.above, *LOSS.ears)
    return np.asarray(thickness * share, np.float32), np.maximum(share, np.float32(LOSS.least))


def covered(density: Floats, strands: Floats | None, contrast: float) -> Floats:
    """Share of what lies under hair that is covered, 0..1.

    Args:
        density: of strands, 1 for all of them.
        strands: unit noise that differs from strand to strand, or None.
        contrast: what it does to the logarithm of the density.
    """
    full = np.float32(1 / (1 - np.exp(-LOSS.covering)))
    depth = np.float32(LOSS.covering) * density
    if strands is not None:
        depth = depth * cv2.exp(np.float32(contrast) * strands)
    # where all hair is left the camera's pixels are
    return np.asarray(np.minimum(full * (1 - cv2.exp(-depth)) + smoothstep(density, 0.9, 1.2), 1), np.float32)


def shown_hair(hair: Floats, flow: Floats, beyond: Floats | None = None) -> tuple[Floats, Floats]:
    """Where moved hair is shown, and the flow without what it would move beside it, or from beyond the frame.

    Args:
        hair: (S, S) float32 in 0..1, alpha before it is moved.
        flow: (S, S, 2) float32, from `Loss`.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame; None for nowhere.

    Returns:
        (S, S) float32 in 0..1, 0 where hair was moved away; and the flow.
    """
    far = cv2.magnitude(flow[..., 0], flow[..., 1])
    box = box_of(far > MOVED[0])
    shown, kept = np.ones_like(hair), np.zeros_like(flow)
    if box is None:
        return shown, kept
    part = flow[box]
    soft = cv2.GaussianBlur(hair, (0, 0), SOFT)
    some = smoothstep(_at_end(soft, part, box), *FAINT)
    if beyond is not None:
        # what goes on beyond the frame is a guess
        some = np.minimum(some, smoothstep(_at_end(np.asarray(soft - beyond, np.float32), part, box), *GUESSED))
        part = _within_frame(part, beyond, box)
        some = np.minimum(some, smoothstep(_at_end(soft, part, box), *FAINT))
    # whole or not at all: half of the way leads into the hair
    near = cv2.dilate(some, np.ones((5, 5), np.uint8)) > 0
    shown[box] = 1 - smoothstep(far[box], *MOVED) * (1 - some)
    kept[box] = np.where(near[..., None], part, np.float32(0))
    return shown, kept


def _within_frame(flow: Floats, beyond: Floats, box: tuple[slice, slice]) -> Floats:
    """A flow that turns back at the edge of the frame, as in a mirror: what lies beyond repeats the edge in streaks."""
    rows, columns = np.nonzero((_at_end(beyond, flow, box) > 0.5) & ((flow[..., 0] != 0) | (flow[..., 1] != 0)))
    if not len(rows):
        return flow
    start = np.column_stack([columns + box[1].start, rows + box[0].start]).astype(np.float32)
    way = flow[rows, columns]
    within, out = np.zeros(len(rows), np.float32), np.ones(len(rows), np.float32)
    for _ in range(STEPS):
        half = (within + out) / 2
        places = (start + half[:, None] * way)[:, None]
        there = cv2.remap(beyond, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0] > 0.5
        within, out = np.where(there, within, half), np.where(there, half, out)
    turned = flow.copy()
    # what begins beyond the frame stays there
    turned[rows, columns] = np.maximum(2 * within - 1, 0)[:, None] * way
    return turned


def _at_end(values: Floats, flow: Floats, box: tuple[slice, slice]) -> Floats:
    """Values, (S, S) float32, where a flow of the rows and columns of a box points to."""
    x = flow[..., 0] + np.arange(box[1].start, box[1].stop, dtype=np.float32)
    y = flow[..., 1] + np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
