"""What is known of a head without its hair: the colour of its scalp, the backdrop behind it, the order of hair loss.

`models.embedded.removal` gives a network the first two as its first guess, and lets hair go in that order.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.embedded.scalp import CENTER, COARSE, HeadMap, ScalpModel, sample_at_angle, share_of_hair, texture_scale
from models.face.imaging import LOG_OFFSET, fill, log_colour, smoothstep, three_channels
from models.face.texture_space import SIZE


@dataclass(frozen=True, slots=True)
class LossOrder:
    """When each place loses its hair: 0 first, 1 last (Norwood 1975, seen from the front).

    Attributes:
        hairline: where hair can begin, as a fraction of the way from the brows to the outline.
        temple_hairline: how much further out it begins beside the forehead.
        crest: earliest loss of hair that stands out beyond the skull; the background must not show through a temple.
        stands_out: fractions of the way from the brows to the outline over which hair counts as standing out.
        half_width: half the width of the hairline, in units of the order; hair thins out strand by strand there.
        strand_delay: how much later a strand goes than the gaps beside it, per unit of its relative contrast.
        slack: room before the first and after the last hair, so that 0 keeps all hair and 1 keeps none.
    """

    hairline: float = 0.54
    temple_hairline: float = 0.2
    crest: float = 0.78
    stands_out: tuple[float, float] = (0.78, 0.88)
    half_width: float = 0.12
    strand_delay: float = 0.5
    slack: float = 0.14


@dataclass(frozen=True, slots=True)
class RemainingHair:
    """The hair that goes last: a short fringe around the ears, long hair on the shoulders.

    Attributes:
        long_share: share of the hanging-hair points covered by hair, at which hair starts to count as long and at
            which it is long.
        fringe_width: width of the fringe beside the head, texture pixels.
        fringe_full: distance below the brows at which the fringe has its full width, texture pixels.
        fringe_end: distance below the brows from which the fringe follows the jaw inwards, texture pixels.
        fringe_taper: texture pixels that it loses per pixel further down.
        opening: texture pixels that long hair widens per pixel down, as if grown from above the ears.
        shoulders: distance below the brows from which all hair goes last, texture pixels.
        shoulder_slope: slope of the edge at the shoulders.
        half_width: half the width of the edge of that hair, texture pixels.
        brow_sharpening: how much sharper the edge is along the brows than at the temples.
        brow_end: distances from the middle between which the sharp edge turns soft, texture pixels.
    """

    long_share: tuple[float, float] = (0.15, 0.5)
    fringe_width: float = 6.0
    fringe_full: float = 20.0
    fringe_end: float = 30.0
    fringe_taper: float = 0.3
    opening: float = 0.6
    shoulders: float = 140.0
    shoulder_slope: float = 0.5
    half_width: float = 4.0
    brow_sharpening: float = 1.5
    brow_end: tuple[float, float] = (50.0, 62.0)


@dataclass(frozen=True, slots=True)
class OwnHair:
    """Which hair belongs to this head.

    Attributes:
        connected: probability above which neighbouring hair pixels count as connected.
        reach: distance from the skull within which hair belongs to this head, crop pixels.
        shadow: rows below hair that it shades, coarse pixels.
    """

    connected: float = 0.15
    reach: float = 8.0
    shadow: int = 5


@dataclass(frozen=True, slots=True)
class SideHair:
    """Short hair that bald people keep above and behind the ears (Norwood 1975, VII). Lengths are texture pixels.

    Attributes:
        long_share: share of the places beside the face covered by hair, over which hair counts as long.
        top: height above the brows at which it ends, beside the head.
        inside: how far it reaches onto the face's side of the outline, at the brows and at its top.
        outside: how far it may stand out from the skull, at the brows and at `low`.
        low: share of its height above which it lies on the skull: what stands out there looks like a horn.
        sideburns: how much further in it reaches for each pixel below the brows.
        nape: how much further out it may stand for each pixel below the brows.
        thinning: half the width over which it thins out towards the scalp.
        fading: half the height over which it thins out at its top.
        half_width: half the width of its outline against the backdrop.
        sparse: how much later single hairs end than others, half widths: hair gets sparse, not transparent.
        half_hair: half the width over which a single hair ends, half widths.
        strand_delay: how much later a strand ends than the gaps beside it, half widths per unit of relative contrast.
    """

    long_share: tuple[float, float] = (0.1, 0.3)
    top: float = 62.0
    inside: tuple[float, float] = (20.0, -4.0)
    outside: tuple[float, float] = (7.0, -1.0)
    low: float = 0.5
    sideburns: float = 1.5
    nape: float = 0.12
    thinning: float = 8.0
    fading: float = 14.0
    half_width: float = 2.0
    sparse: float = 0.2
    half_hair: float = 0.7
    strand_delay: float = 2.2


LOSS = LossOrder()
REMAINING = RemainingHair()
SIDES = SideHair()
OWN = OwnHair()
LOWEST = 200.0
"""Distance below the brows at which no side hair is left, texture pixels."""
FOREHEAD_PIXELS = 20.0
"""Visible forehead at which the measured scalp colour gets half of the weight, coarse pixels."""


def loss_order(head: HeadMap) -> Floats:
    """When each place loses its hair, (S / 4, S / 4) float32 in 0 (first) .. 1 (last): temples, front, crown, sides."""
    from_crown = np.abs(head.angle - np.pi / 2)
    temple = np.exp(-(((from_crown - 0.62) / 0.32) ** 2))
    sides = smoothstep(from_crown, 0.7, 1.45)
    speed = (0.48 + 0.65 * temple) * (1 - sides) + 0.32 * sides
    depth = np.maximum(head.radius - LOSS.hairline - LOSS.temple_hairline * smoothstep(from_crown, 0.75, 1.5), 0)
    front = depth / (0.58 * speed)
    # hair that stands out from the skull goes at once, with what grows below it: else the backdrop shows between both
    crest = LOSS.crest * smoothstep(head.radius, *LOSS.stands_out)
    last = 0.76 + 0.26 * np.clip(np.minimum(depth, LOSS.stands_out[1] - LOSS.hairline) / 0.8, 0, 1)
    # enlarged without this blur, the kinks of the minimum show as a jagged hairline
    return np.asarray(cv2.GaussianBlur(np.minimum(np.maximum(front, crest), last), (0, 0), 1.0), np.float32)


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


def beyond_remaining(head: HeadMap, hair: Floats) -> Floats:
    """Distance of each place from the `RemainingHair`, texture pixels; negative inside it."""
    share = share_of_hair(head.hanging, hair, 1 / COARSE)
    across = head.texture[..., 0] - np.float32(CENTER[0])
    long = np.where(across > 0, *smoothstep(share, *REMAINING.long_share))
    low = head.texture[..., 1] - np.float32(CENTER[1])
    tuft = REMAINING.fringe_width * np.clip(low / REMAINING.fringe_full, 0, 1) - REMAINING.fringe_taper * np.maximum(
        low - REMAINING.fringe_end, 0
    )
    width = tuft + (REMAINING.opening * low - tuft) * long
    start, end = REMAINING.brow_end
    sharp = 1 + REMAINING.brow_sharpening * np.clip((end - np.abs(across)) / (end - start), 0, 1)
    beyond = np.maximum(head.out - width, head.clear * sharp)
    return np.asarray(np.minimum(beyond, REMAINING.shoulder_slope * (REMAINING.shoulders - low)), np.float32)


def short_hair(head: HeadMap, hair: Floats) -> float:
    """How surely hair, (S / 4, S / 4) float32, hangs down on neither side, 0..1."""
    share = np.maximum(
        share_of_hair(head.hanging, hair, 1 / COARSE), share_of_hair(head.standing_out, hair, 1 / COARSE)
    )
    return 1 - float(smoothstep(share.max(), *SIDES.long_share))


def beyond_sides(head: HeadMap, sides: float) -> Floats:
    """Distance of each place from the `SideHair`, (S / 4, S / 4) float32, 1 where its edge ends, -1 where it begins.

    Args:
        head: polar map.
        sides: 0..1, how much is kept: none at 0.
    """
    up = np.float32(CENTER[1]) - head.texture[..., 1]
    top = np.float32((SIDES.top + LOWEST) * sides - LOWEST)
    inside, outside = (
        np.float32(brows)
        + np.float32(end - brows) * np.clip(up / np.float32(height), 0, 1) ** np.float32(0.7)
        + np.float32(widening) * np.maximum(-up, 0)
        for (brows, end), height, widening in (
            (SIDES.inside, SIDES.top, SIDES.sideburns),
            (SIDES.outside, SIDES.low * SIDES.top, SIDES.nape),
        )
    )
    depth = head.distance / np.float32(texture_scale(head))
    beside = (-depth - outside) / np.float32(SIDES.half_width)
    return np.asarray(
        np.maximum(
            np.maximum((depth - inside) / np.float32(SIDES.thinning), (up - top) / np.float32(SIDES.fading)), beside
        ),
        np.float32,
    )


def own_hair(hair: Floats, head: HeadMap) -> Floats:
    """1 on and around the hair that is connected with this head, 0 on the hair of others."""
    count, labels = cv2.connectedComponents((hair > OWN.connected).astype(np.uint8))
    touching = np.zeros(count, np.float32)
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
