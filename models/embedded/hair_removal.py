"""Hair removal by statistics: draws the scalp of `models.embedded.scalp` over the hair, in the order that hair is lost.

What the hair hid behind the head is filled from the background around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded.scalp import CENTER, COARSE, HeadMap, ScalpModel, sample_at_angle
from models.face.imaging import LOG_OFFSET, LUMINANCE, enlarge, fill, log_colour, smoothstep, three_channels
from models.face.texture_space import SIZE


@dataclass(frozen=True, slots=True)
class LossOrder:
    """When each place loses its hair: 0 first, 1 last (Norwood 1975, seen from the front).

    Attributes:
        hairline: where hair can begin, as a fraction of the way from the brows to the outline.
        temple_hairline: how much further out it begins beside the forehead.
        crest: earliest loss of hair that stands out beyond the skull; the background must not show through a temple.
        half_width: half the width of the hairline, in units of the order; hair thins out strand by strand there.
        strand_delay: how much later a strand goes than the gaps beside it, per unit of its relative contrast.
        slack: room before the first and after the last hair, so that 0 keeps all hair and 1 keeps none.
    """

    hairline: float = 0.54
    temple_hairline: float = 0.2
    crest: float = 0.78
    half_width: float = 0.045
    strand_delay: float = 0.25
    slack: float = 0.14


@dataclass(frozen=True, slots=True)
class RemainingHair:
    """The hair that stays when all is lost: a short fringe around the ears, long hair on the shoulders.

    Attributes:
        long_share: share of the hanging-hair points covered by hair, at which hair starts to count as long and at
            which it is long.
        fringe_width: width of the fringe beside the head, texture pixels.
        fringe_full: distance below the brows at which the fringe has its full width, texture pixels.
        fringe_end: distance below the brows from which the fringe follows the jaw inwards, texture pixels.
        fringe_taper: texture pixels that it loses per pixel further down.
        opening: texture pixels that long hair widens per pixel down, as if grown from above the ears.
        shoulders: distance below the brows from which everything stays, texture pixels.
        shoulder_slope: slope of the edge at the shoulders.
        half_width: half the width of the edge of remaining hair, texture pixels.
        strand_shift: displacement of that edge by strands, texture pixels per unit of relative contrast.
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
    strand_shift: float = 12.0
    brow_sharpening: float = 1.5
    brow_end: tuple[float, float] = (50.0, 62.0)


@dataclass(frozen=True, slots=True)
class OwnHair:
    """Which hair belongs to this head.

    Attributes:
        connected: probability above which neighbouring hair pixels count as connected.
        reach: distance from the skull within which hair belongs to this head, crop pixels.
        stray: distances from the skull between which unlabelled pixels of a person turn from another person's to
            this head's, crop pixels.
        shadow: rows below hair that it shades, coarse pixels.
        covered_forehead: gap between hair and brows below which the forehead between them counts as covered, and
            above which it does not, texture pixels.
    """

    connected: float = 0.15
    reach: float = 8.0
    stray: tuple[float, float] = (-30.0, -16.0)
    shadow: int = 5
    covered_forehead: tuple[float, float] = (22.0, 34.0)


@dataclass(frozen=True, slots=True)
class ScalpDrawing:
    """How the scalp is drawn.

    Attributes:
        edge: half the width of the skull's edge, crop pixels.
        margin: margin around the changed part for the filters, coarse pixels.
        grain: standard deviation of the skin's texture, log units.
        grain_size: side of the texture pattern, texture pixels.
        forehead_pixels: visible forehead at which the measured scalp colour gets half of the weight, coarse pixels.
    """

    edge: float = 1.8
    margin: int = 3
    grain: float = 0.014
    grain_size: int = 512
    forehead_pixels: float = 20.0


LOSS = LossOrder()
REMAINING = RemainingHair()
OWN = OwnHair()
DRAWING = ScalpDrawing()


def remove_hair(
    model: ScalpModel,
    image: NDArray[np.uint8],
    *,
    hair: Floats,
    person: Floats,
    head: HeadMap,
    light: Floats,
    skin: Floats,
    amount: float,
) -> tuple[NDArray[np.uint8], Floats]:
    """Remove hair down to a receding hairline.

    Args:
        model: statistics of the scalp.
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
        person: (M, M) float32, person probability over the crop.
        head: the crop's polar map.
        light: (LIGHT_MODES,) float32, from `ScalpModel.light`.
        skin: (3,) float32, median log colour of the face.
        amount: 0..1, how far the hairline has receded; 1 leaves hair below the ears only.

    Returns:
        (S, S, 3) uint8 RGB, the picture to show instead, black where the opacity is 0; and (S, S) float32, its opacity.
    """
    size = image.shape[0]
    side = size // COARSE
    shown, opacity = np.zeros_like(image), np.zeros((size, size), np.float32)
    hair_coarse = cv2.resize(hair, (side, side), interpolation=cv2.INTER_AREA)
    person_coarse = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
    height: Floats = np.float32(CENTER[1]) - head.texture[..., 1]
    lost: Floats = np.float32(amount * (1 + 2 * LOSS.slack) - LOSS.slack) - loss_order(head)
    beyond = beyond_remaining(head, hair_coarse)
    own = own_hair(hair_coarse, head)
    stray = smoothstep(person_coarse, 0.2, 0.5) * smoothstep(height, 24, 44) * smoothstep(head.distance, *OWN.stray)
    near = cv2.dilate(hair_coarse * own, np.ones((5, 5), np.uint8)) > 0.03
    box = _bounding_box((lost > -LOSS.slack) & (beyond > -REMAINING.half_width) & (near | (stray > 0)))
    if box is None:
        return shown, opacity
    fine = _scale_box(box, COARSE)
    rows, columns = fine[0].stop - fine[0].start, fine[1].stop - fine[1].start
    full, half = (columns, rows), (columns // 2, rows // 2)

    coarse = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    scalp = scalp_colour(model, coarse, hair=hair_coarse, head=head, light=light, skin=skin)[box]
    background = background_behind(coarse, hair_coarse, person_coarse, head.distance)[box]

    luminance = cv2.resize(cv2.transform(image[fine], LUMINANCE[None]), half, interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    # the finest detail of dark hair is camera noise: it would make the edge flicker
    fine_light, around = cv2.GaussianBlur(luminance, (0, 0), 0.8), cv2.GaussianBlur(luminance, (0, 0), 3.0)
    strands: Floats = np.clip((fine_light - around) / (around + np.float32(LOG_OFFSET)), -0.3, 0.3)
    reveal = smoothstep(enlarge(lost[box], half) - LOSS.strand_delay * strands, -LOSS.half_width, LOSS.half_width)
    reveal *= smoothstep(
        enlarge(beyond[box], half) + REMAINING.strand_shift * strands, -REMAINING.half_width, REMAINING.half_width
    )
    hair_half = cv2.resize(hair, (size // 2, size // 2), interpolation=cv2.INTER_LINEAR)[_scale_box(box, COARSE // 2)]
    hair_half = cv2.multiply(hair_half, enlarge(own[box], half))
    close = cv2.GaussianBlur(cv2.dilate(hair_half, np.ones((5, 5), np.uint8)), (0, 0), 1.2)
    wide = cv2.GaussianBlur(cv2.dilate(hair_half, np.ones((7, 7), np.uint8)), (0, 0), 1.4)
    under = smoothstep(cv2.GaussianBlur(_with_shadow(hair_coarse), (0, 0), 0.8), 0.1, 0.5) * (
        1 - smoothstep(head.clear, *OWN.covered_forehead)
    )
    on_head = enlarge(reveal * np.maximum(smoothstep(close, 0.05, 0.45), enlarge(under[box], half)), full)
    off_head = enlarge(reveal * np.maximum(smoothstep(wide, 0.04, 0.35), enlarge(stray[box], half)), full)
    inside = smoothstep(enlarge(head.distance[box], full), -DRAWING.edge, DRAWING.edge)
    opaque = off_head + inside * (on_head - off_head)
    cv2.threshold(opaque, 1 / 255, 0, cv2.THRESH_TOZERO, dst=opacity[fine])

    skin_picture = cv2.multiply(enlarge(scalp, full), three_channels(_grain(head.texture[box], full)))
    blended = cv2.blendLinear(skin_picture, enlarge(background, full), inside, 1 - inside)
    shown[fine] = cv2.add(blended, (0.0, 0.0, 0.0, 0.0), dtype=cv2.CV_8U)
    return shown, opacity


def loss_order(head: HeadMap) -> Floats:
    """When each place loses its hair, (S / 4, S / 4) float32 in 0 (first) .. 1 (last): temples, front, crown, sides."""
    from_crown = np.abs(head.angle - np.pi / 2)
    temple = np.exp(-(((from_crown - 0.62) / 0.32) ** 2))
    sides = smoothstep(from_crown, 0.7, 1.45)
    speed = (0.48 + 0.65 * temple) * (1 - sides) + 0.32 * sides
    depth = np.maximum(head.radius - LOSS.hairline - LOSS.temple_hairline * smoothstep(from_crown, 0.75, 1.5), 0)
    front = depth / (0.58 * speed)
    crest = LOSS.crest * smoothstep(head.radius, 0.9, 1.02)
    last = 0.76 + 0.26 * np.clip(depth / 0.8, 0, 1)
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
        head, light, skin: as for `remove_hair`.

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
    known = float(visible.sum()) + DRAWING.forehead_pixels
    usual = visible.ravel() @ np.clip(error, -0.6, 0.6).reshape(-1, 3) / known
    half = (coarse.shape[1] // 2, coarse.shape[0] // 2)
    own = cv2.resize(np.clip(error - usual, -0.5, 0.4).astype(np.float32), half, interpolation=cv2.INTER_AREA)
    local = cv2.resize(fill(own, cv2.resize(visible, half, interpolation=cv2.INTER_AREA)), coarse.shape[1::-1])
    trust = np.clip(cv2.GaussianBlur(visible, (0, 0), 6) * 4, 0, 1)
    shade = expected + usual.astype(np.float32) + cv2.multiply(local, three_channels(trust))
    return np.asarray(cv2.subtract(cv2.exp(shade), (LOG_OFFSET,) * 3 + (0.0,)))


def beyond_remaining(head: HeadMap, hair: Floats) -> Floats:
    """Distance of each place from the `RemainingHair`, texture pixels; negative inside it."""
    hanging = (head.hanging + np.float32(0.5)) * np.float32(1 / COARSE) - np.float32(0.5)
    share = cv2.remap(hair, hanging, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).mean(1)
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
    solid = cv2.dilate(np.maximum(person, hair), np.ones((3, 3), np.uint8))
    background = (1 - smoothstep(solid, 0.05, 0.3)) * (1 - smoothstep(distance, -6, -1))
    return fill(coarse, background)


def _bounding_box(where: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest box around all true pixels, plus a margin; None if there is none."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    if not len(rows):
        return None
    (y0, y1), (x0, x1) = (
        (max(int(ends[0]) - DRAWING.margin, 0), int(ends[-1]) + 1 + DRAWING.margin) for ends in (rows, columns)
    )
    return slice(y0, min(y1, where.shape[0])), slice(x0, min(x1, where.shape[1]))


def _scale_box(box: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    rows, columns = box
    return slice(rows.start * factor, rows.stop * factor), slice(columns.start * factor, columns.stop * factor)


def _grain(texture: Floats, extent: tuple[int, int]) -> Floats:
    """Fine mottling of the skin, fixed to the head: a factor of light, float32."""
    where = enlarge(texture + np.float32(DRAWING.grain_size / 2), extent)
    return np.asarray(cv2.remap(_grain_pattern(), where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


@cache
def _grain_pattern() -> Floats:
    generator = np.random.default_rng(0)
    fine = cv2.GaussianBlur(
        generator.standard_normal((DRAWING.grain_size, DRAWING.grain_size)).astype(np.float32), (0, 0), 1.0
    )
    broad = cv2.GaussianBlur(
        generator.standard_normal((DRAWING.grain_size, DRAWING.grain_size)).astype(np.float32), (0, 0), 3.0
    )
    mottling = fine / fine.std() * 0.8 + broad / broad.std() * 0.6
    return np.asarray(1 + DRAWING.grain * mottling, np.float32)
