"""A bald head: where the skull ends, how its skin catches the light, and in which order hair is lost.

All of it is statistics over bald heads, in polar coordinates around the point between the brows: the skull's outline is
linear in the face's shape, the shading of the scalp is linear in the shading of the face. What hair hid behind the head
is filled from the background around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.imaging import LOG_OFFSET, LUMINANCE, enlarge, fill, log_colour, smoothstep, three_channels
from models.face.texture_space import SIZE, YAW_MODE, Fit

CENTER = (96.0, 52.0)
"""The point between the brows in the texture square."""
SHAPE_MODES = 8
"""Modes of the face's shape that the outline depends on."""
OUTLINE_FEATURES = SHAPE_MODES + 4
LIGHT_MODES = 6
SHADING_BOX = (slice(10, 170), slice(36, 156))
"""The part of the texture square whose shading tells the light, rows and columns."""
SHADING_SIZE = (6, 8)
"""That part reduced to so many columns and rows."""
SHADING_NOISE = 0.003
"""Variance of that shading beside the light, log units squared."""
HIDDEN = (0.25, 0.75)
"""Between these shares of cover skin counts as hidden."""
SKIN_BOX = (slice(25, 150), slice(50, 142))
COARSE = 4
"""Crop pixels per pixel of the coarse maps."""
HAIRLINE, TEMPLE_LINE = 0.54, 0.2
"""Where hair can begin, as a fraction of the way from the brows to the outline, and how much later beside them."""
CLEAR_OF_BROWS = 26.0
"""The texture row above which the statistics show no brows."""
THINNING = 0.045
"""Half the width of the hairline, in the order of loss: there hair thins out strand by strand."""
STRAND_ORDER = 0.25
"""How much later dark strands go than what lies between them."""
SLACK = 0.14
"""Room before the first and after the last hair, so that neither thinning nor strands reach beyond 0 and 1."""
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
"""Mesh points along the upper edge of the brows, from left to right in the picture."""
BROW_ROOM = 1.0
"""Hair is taken off the forehead down to so many texture pixels above the brows; a fringe's end passes for a brow."""
BETWEEN_BROWS = np.array([[5, 8], [-5, 8]], np.float32)
"""From the brows' inner ends to where that line runs between them."""
SIDEBURN = (12.0, 8.0)
"""So far inside the head's sides hair hides the temples down to so far below the brows, texture pixels."""
BROW_ENDS = (50.0, 62.0)
"""Between these distances from the middle the sharp edge along the brows becomes the edge of strands at the temples."""
BROW_SHARP = 1.5
"""By so much more that edge is sharper."""
HANGING = np.stack(np.meshgrid(np.linspace(-38, 22, 8), np.linspace(125, 185, 8)), axis=-1).reshape(-1, 2)
"""Where long hair hangs, (64, 2): texture pixels out of the head's sides, and rows beside mouth and chin."""
LONG = (0.15, 0.5)
"""Between these shares of those places hair counts as falling on to the shoulders."""
TUFT, TUFT_TOP, TUFT_END, TUCK = 6.0, 20.0, 30.0, 0.3
"""Short hair is kept where it hugs the head, like the fringe round a bald man's ears: so thick, fully so from so far
below the brows; further down it follows the jaw inwards.
"""
OPENING = 0.6
"""Long hair is kept as if grown from above the ears: it widens by so much for each pixel down."""
SHOULDERS, SHOULDER_SLOPE = 140.0, 0.5
"""From so far below the brows on everything stays, and how steeply the edge of what stays ends there."""
FALL_WIDTH, FALL_STRANDS = 4.0, 12.0
"""Half the width of that edge, and how far strands displace it."""
OWN_HAIR, OWN_REACH = 0.15, 8.0
"""The probability from which hair hangs together, and how near to the skull hair is of this head, crop pixels."""
STRAY = (-30.0, -16.0)
"""Beyond this distance from the skull, crop pixels, what is not called hair belongs to somebody else."""
SHADOW = 5
"""Coarse pixels below a fringe that it shades."""
FRINGED = (22.0, 34.0)
"""Where hair ends nearer to the brows than this, texture pixels, the forehead between is covered too."""
EDGE = 1.8
"""Half the width of the skull's edge, crop pixels."""
ROOM = 3
"""Coarse pixels around what changes."""
CREST = 0.78
"""Hair that stands beyond the skull is not lost before this: the background must not show through a temple."""
GRAIN = 0.014
"""Standard deviation of the scalp's texture, in log units."""

GRAIN_SIZE = 512
LEAST_FOREHEAD = 20.0
"""Coarse pixels of visible forehead that count as half enough to tell the scalp's colour."""


@dataclass(frozen=True, slots=True)
class ScalpModel:
    """The statistics. A angles from 0 (right) over the crown to pi, R radii from the center to the outline.

    Attributes:
        outline: (A, OUTLINE_FEATURES) float32, radius in texture pixels as a linear function of `outline_features`.
        mean: (A, R, 3) float32, log colour of the scalp relative to the face's median.
        shading: (LIGHT_MODES, A, R, 3) float32, its change with each light coefficient.
        light_mean: (48,) float32, mean of the face's shading.
        light_modes: (LIGHT_MODES, 48) float32, its principal directions divided by their standard deviations.
    """

    outline: Floats
    mean: Floats
    shading: Floats
    light_mean: Floats
    light_modes: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> ScalpModel:
        """Take the fields from arrays named `scalp_<field>`."""
        return ScalpModel(
            *(
                tables[f"scalp_{name}"].astype(np.float32)
                for name in ("outline", "mean", "shading", "light_mean", "light_modes")
            )
        )

    def radii(self, features: Floats) -> Floats:
        """The skull's outline, (A,) float32 texture pixels, from `outline_features`."""
        return np.asarray(self.outline @ features, np.float32)

    def light(self, texture: NDArray[np.uint8], hidden: Floats | None = None) -> Floats:
        """Light coefficients of a face, (LIGHT_MODES,) float32.

        Args:
            texture: (192, 192, 3) uint8 RGB, the face unwrapped.
            hidden: (192, 192) float32, where something hides the skin: there the shading is not known, and the
                coefficients are the likeliest ones by the rest.
        """
        seen = np.ones(texture.shape[:2], np.float32) if hidden is None else 1 - smoothstep(hidden, *HIDDEN)
        weight = cv2.resize(seen[SHADING_BOX], SHADING_SIZE, interpolation=cv2.INTER_AREA).ravel()
        luminance = (log_colour(texture) @ LUMINANCE * seen)[SHADING_BOX]
        known = cv2.resize(luminance, SHADING_SIZE, interpolation=cv2.INTER_AREA).ravel()
        spread = 1 / np.linalg.norm(self.light_modes, axis=1, keepdims=True)
        ways = np.vstack([self.light_modes * spread**2, np.ones_like(self.light_mean)])
        normal = (ways * weight) @ ways.T + np.diag([SHADING_NOISE] * LIGHT_MODES + [1e-6])
        best = np.linalg.solve(normal, ways @ (known - weight * self.light_mean))
        return np.clip(best[:LIGHT_MODES], -2.5, 2.5).astype(np.float32)


@dataclass(frozen=True, slots=True)
class HeadMap:
    """A crop in the head's polar coordinates, on the coarse grid, (S / 4, S / 4) each.

    Attributes:
        angle: radians, 0 to the right, pi / 2 up; below the center it is held at 0 or pi.
        radius: 1 on the skull's outline.
        distance: crop pixels inside the outline, negative outside.
        texture: (..., 2) texture coordinates by the upright map.
        shade_angle, shade_radius: where the scalp's shading is looked up, nowhere at the brows, which the statistics
            show too.
        clear: texture pixels above the line down to which hair is taken off the face: the brows, and lower beside them.
        out: texture pixels beyond the head's sides as they are at the brows, negative inside.
        hanging: (2, 64, 2) crop pixels where long hair hangs on the right and on the left.
    """

    angle: Floats
    radius: Floats
    distance: Floats
    texture: Floats
    shade_angle: Floats
    shade_radius: Floats
    clear: Floats
    out: Floats
    hanging: Floats


def skin_tone(texture: NDArray[np.uint8], hidden: Floats) -> Floats:
    """Median log colour of a face's visible skin, (3,) float32.

    Args:
        texture: (192, 192, 3) uint8 RGB, the face unwrapped.
        hidden: (192, 192) float32, where something hides the skin.
    """
    seen = hidden[SKIN_BOX] < HIDDEN[1]
    logs = log_colour(texture[SKIN_BOX])
    return np.asarray(np.median(logs[seen] if seen.any() else logs.reshape(-1, 3), axis=0), np.float32)


def shading_of(logs: Floats) -> Floats:
    """Coarse luminance of a face's log texture about its mean, (48,) float32."""
    coarse = cv2.resize(logs[SHADING_BOX], SHADING_SIZE, interpolation=cv2.INTER_AREA) @ LUMINANCE
    return np.asarray((coarse - coarse.mean()).ravel(), np.float32)


def outline_features(fit: Fit) -> Floats:
    """What the skull's outline depends on: 1, the affine map's stretch and shear, the turn squared, the first modes."""
    across, down = fit.affine[:, 0], fit.affine[:, 1]
    width, height = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    posed = [1.0, np.log(width / height), float(across @ down) / (width * height), float(fit.modes[YAW_MODE]) ** 2]
    return np.concatenate([posed, fit.modes[:SHAPE_MODES]]).astype(np.float32)


def head_map(fit: Fit, radii: Floats, size: int) -> HeadMap:
    """Lay the polar coordinates over a crop of `size` pixels."""
    side = size // COARSE
    axis = (np.arange(side, dtype=np.float32) + 0.5) * COARSE - 0.5
    crop = np.stack(np.meshgrid(axis, axis), axis=-1)
    texture = (crop - fit.upright[:, 2]) @ np.linalg.inv(fit.upright[:, :2]).T.astype(np.float32)
    angle, length, outline = _polar(texture[..., 0], texture[..., 1], radii)
    above = np.minimum(texture[..., 1], np.float32(CLEAR_OF_BROWS))
    shade_angle, shade_length, shade_outline = _polar(texture[..., 0], above, radii)
    scale = np.float32(np.sqrt(np.linalg.det(fit.upright[:, :2])))
    across = texture[..., 0] - np.float32(CENTER[0])
    return HeadMap(
        angle=angle,
        radius=length / outline,
        distance=(outline - length) * scale,
        texture=texture,
        shade_angle=shade_angle,
        shade_radius=shade_length / shade_outline,
        clear=_above_brows(fit, radii, texture),
        out=np.abs(across) - np.where(across > 0, radii[0], radii[-1]),
        hanging=_hanging(fit, radii),
    )


def render_scalp(
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
    """Take hair off.

    Args:
        model: the statistics.
        image: (S, S, 3) uint8 RGB crop.
        hair: (M, M) float32, hair probability over the crop.
        person: (M, M) float32, person probability over the crop.
        head: the crop's polar map.
        light: (LIGHT_MODES,) float32, from `ScalpModel.light`.
        skin: (3,) float32, median log colour of the face.
        amount: 0..1, how far the hairline has receded; at 1 hair is left below the ears only, as it falls.

    Returns:
        The (S, S, 3) uint8 RGB picture to show instead, and its (S, S) float32 opacity; the picture is black where the
        opacity is 0.
    """
    size = image.shape[0]
    side = size // COARSE
    shown, opacity = np.zeros_like(image), np.zeros((size, size), np.float32)
    hair_coarse = cv2.resize(hair, (side, side), interpolation=cv2.INTER_AREA)
    person_coarse = cv2.resize(person, (side, side), interpolation=cv2.INTER_AREA)
    height: Floats = np.float32(CENTER[1]) - head.texture[..., 1]
    lost: Floats = np.float32(amount * (1 + 2 * SLACK) - SLACK) - loss_order(head)
    falls = _beyond_fall(head, hair_coarse)
    own = _own(hair_coarse, head)
    stray = smoothstep(person_coarse, 0.2, 0.5) * smoothstep(height, 24, 44) * smoothstep(head.distance, *STRAY)
    near = cv2.dilate(hair_coarse * own, np.ones((5, 5), np.uint8)) > 0.03
    box = _bounds((lost > -SLACK) & (falls > -FALL_WIDTH) & (near | (stray > 0)))
    if box is None:
        return shown, opacity
    fine = _scaled(box, COARSE)
    rows, columns = fine[0].stop - fine[0].start, fine[1].stop - fine[1].start
    full, half = (columns, rows), (columns // 2, rows // 2)

    coarse = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    scalp = _scalp_colour(model, coarse, hair=hair_coarse, head=head, light=light, skin=skin)[box]
    background = _behind(coarse, hair_coarse, person_coarse, head.distance)[box]

    luminance = cv2.resize(cv2.transform(image[fine], LUMINANCE[None]), half, interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    # the finest grain is left out: in dark hair it is noise, and would shake the edge
    fine_light, around = cv2.GaussianBlur(luminance, (0, 0), 0.8), cv2.GaussianBlur(luminance, (0, 0), 3.0)
    strands: Floats = np.clip((fine_light - around) / (around + np.float32(LOG_OFFSET)), -0.3, 0.3)
    reveal = smoothstep(enlarge(lost[box], half) - STRAND_ORDER * strands, -THINNING, THINNING)
    reveal *= smoothstep(enlarge(falls[box], half) + FALL_STRANDS * strands, -FALL_WIDTH, FALL_WIDTH)
    hair_half = cv2.resize(hair, (size // 2, size // 2), interpolation=cv2.INTER_LINEAR)[_scaled(box, COARSE // 2)]
    hair_half = cv2.multiply(hair_half, enlarge(own[box], half))
    close = cv2.GaussianBlur(cv2.dilate(hair_half, np.ones((5, 5), np.uint8)), (0, 0), 1.2)
    wide = cv2.GaussianBlur(cv2.dilate(hair_half, np.ones((7, 7), np.uint8)), (0, 0), 1.4)
    under = smoothstep(cv2.GaussianBlur(_shaded(hair_coarse), (0, 0), 0.8), 0.1, 0.5) * (
        1 - smoothstep(head.clear, *FRINGED)
    )
    on_head = enlarge(reveal * np.maximum(smoothstep(close, 0.05, 0.45), enlarge(under[box], half)), full)
    off_head = enlarge(reveal * np.maximum(smoothstep(wide, 0.04, 0.35), enlarge(stray[box], half)), full)
    inside = smoothstep(enlarge(head.distance[box], full), -EDGE, EDGE)
    opaque = off_head + inside * (on_head - off_head)
    cv2.threshold(opaque, 1 / 255, 0, cv2.THRESH_TOZERO, dst=opacity[fine])

    skin_picture = cv2.multiply(enlarge(scalp, full), three_channels(_grain(head.texture[box], full)))
    blended = cv2.blendLinear(skin_picture, enlarge(background, full), inside, 1 - inside)
    shown[fine] = cv2.add(blended, (0.0, 0.0, 0.0, 0.0), dtype=cv2.CV_8U)
    return shown, opacity


def loss_order(head: HeadMap) -> Floats:
    """When each place loses its hair, 0 (first) .. 1 (last): temples, front, crown, sides (Norwood 1975, seen from
    the front).
    """
    from_crown = np.abs(head.angle - np.pi / 2)
    temple = np.exp(-(((from_crown - 0.62) / 0.32) ** 2))
    sides = smoothstep(from_crown, 0.7, 1.45)
    speed = (0.48 + 0.65 * temple) * (1 - sides) + 0.32 * sides
    depth = np.maximum(head.radius - HAIRLINE - TEMPLE_LINE * smoothstep(from_crown, 0.75, 1.5), 0)
    front = depth / (0.58 * speed)
    crest = CREST * smoothstep(head.radius, 0.9, 1.02)
    last = 0.76 + 0.26 * np.clip(depth / 0.8, 0, 1)
    # its kinks, enlarged, would make a saw of the hairline
    return np.asarray(cv2.GaussianBlur(np.minimum(np.maximum(front, crest), last), (0, 0), 1.0), np.float32)


def _scalp_colour(
    model: ScalpModel, coarse: Floats, *, hair: Floats, head: HeadMap, light: Floats, skin: Floats
) -> Floats:
    polar = model.mean + skin + np.tensordot(light, model.shading, 1).astype(np.float32)
    radii = polar.shape[1]
    # near the brows the statistics show brows
    expected = _at_angle(
        polar.transpose(1, 0, 2), head.shade_angle, np.clip(head.shade_radius * radii - 0.5, 0, radii - 1)
    )
    across, down = head.texture[..., 0], head.texture[..., 1]
    forehead = smoothstep(across, 24, 34) * smoothstep(SIZE - across, 24, 34) * smoothstep(down, -34, -26)
    forehead = forehead * smoothstep(head.distance, 1, 6) * (1 - smoothstep(down, 34, 46))
    visible = forehead * (1 - smoothstep(_shaded(hair), 0.05, 0.25))
    error = log_colour(coarse) - expected
    known = float(visible.sum()) + LEAST_FOREHEAD
    usual = visible.ravel() @ np.clip(error, -0.6, 0.6).reshape(-1, 3) / known
    half = (coarse.shape[1] // 2, coarse.shape[0] // 2)
    own = cv2.resize(np.clip(error - usual, -0.5, 0.4).astype(np.float32), half, interpolation=cv2.INTER_AREA)
    local = cv2.resize(fill(own, cv2.resize(visible, half, interpolation=cv2.INTER_AREA)), coarse.shape[1::-1])
    trust = np.clip(cv2.GaussianBlur(visible, (0, 0), 6) * 4, 0, 1)
    shade = expected + usual.astype(np.float32) + cv2.multiply(local, three_channels(trust))
    return np.asarray(cv2.subtract(cv2.exp(shade), (LOG_OFFSET,) * 3 + (0.0,)))


def _polar(x: Floats, y: Floats, radii: Floats) -> tuple[Floats, Floats, Floats]:
    """Angle, distance from the center and the outline's distance there, of texture coordinates."""
    length, angle = cv2.cartToPolar(x - np.float32(CENTER[0]), np.float32(CENTER[1]) - y)
    held = np.where(angle > 1.5 * np.pi, np.float32(0), np.minimum(angle, np.float32(np.pi)))
    return held, np.asarray(length, np.float32), _at_angle(radii[None], held, np.zeros_like(held))


def _above_brows(fit: Fit, radii: Floats, texture: Floats) -> Floats:
    brows = (fit.points[list(BROWS)] - fit.upright[:, 2]) @ np.linalg.inv(fit.upright[:, :2]).T - (0, BROW_ROOM)
    half = len(brows) // 2
    between = brows[half - 1 : half + 1] + BETWEEN_BROWS
    left, right = CENTER[0] - radii[-1], CENTER[0] + radii[0]
    inside, down = SIDEBURN
    across = [left, left + inside, *brows[:half, 0], *between[:, 0], *brows[half:, 0], right - inside, right]
    line = [
        CENTER[1],
        CENTER[1] + down,
        *brows[:half, 1],
        *between[:, 1],
        *brows[half:, 1],
        CENTER[1] + down,
        CENTER[1],
    ]
    columns = np.interp(np.arange(SIZE), across, line).astype(np.float32)[None]
    x = np.ascontiguousarray(texture[..., 0])
    at = cv2.remap(columns, x, np.zeros_like(x), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(at - texture[..., 1], np.float32)


def _hanging(fit: Fit, radii: Floats) -> Floats:
    out, down = HANGING.T
    places = [np.column_stack([x, down]) for x in (CENTER[0] + radii[0] + out, CENTER[0] - radii[-1] - out)]
    return np.asarray(np.stack(places) @ fit.upright[:, :2].T + fit.upright[:, 2], np.float32)


def _beyond_fall(head: HeadMap, hair: Floats) -> Floats:
    """How far each place is above or beside the hair that is left in the end, texture pixels, negative inside it."""
    hanging = (head.hanging + np.float32(0.5)) * np.float32(1 / COARSE) - np.float32(0.5)
    share = cv2.remap(hair, hanging, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).mean(1)
    across = head.texture[..., 0] - np.float32(CENTER[0])
    long = np.where(across > 0, *smoothstep(share, *LONG))
    low = head.texture[..., 1] - np.float32(CENTER[1])
    tuft = TUFT * np.clip(low / TUFT_TOP, 0, 1) - TUCK * np.maximum(low - TUFT_END, 0)
    width = tuft + (OPENING * low - tuft) * long
    start, end = BROW_ENDS
    sharp = 1 + BROW_SHARP * np.clip((end - np.abs(across)) / (end - start), 0, 1)
    beyond = np.maximum(head.out - width, head.clear * sharp)
    return np.asarray(np.minimum(beyond, SHOULDER_SLOPE * (SHOULDERS - low)), np.float32)


def _own(hair: Floats, head: HeadMap) -> Floats:
    """1 where hair hangs together with this head, and around it; 0 on the hair of others."""
    count, labels = cv2.connectedComponents((hair > OWN_HAIR).astype(np.uint8))
    touching = np.zeros(count, np.float32)
    touching[labels[head.distance > -OWN_REACH]] = 1
    touching[0] = 0
    return np.asarray(cv2.dilate(touching[labels], np.ones((5, 5), np.uint8)), np.float32)


def _shaded(hair: Floats) -> Floats:
    """Hair, and what it shades below it."""
    around = cv2.dilate(hair, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.dilate(around, np.ones((SHADOW, 1), np.uint8), anchor=(0, SHADOW - 1)), np.float32)


def _behind(coarse: Floats, hair: Floats, person: Floats, distance: Floats) -> Floats:
    solid = cv2.dilate(np.maximum(person, hair), np.ones((3, 3), np.uint8))
    background = (1 - smoothstep(solid, 0.05, 0.3)) * (1 - smoothstep(distance, -6, -1))
    return fill(coarse, background)


def _at_angle(table: Floats, angle: Floats, row: Floats) -> Floats:
    column = angle / np.float32(np.pi) * (table.shape[1] - 1)
    return np.asarray(cv2.remap(table, column, row.astype(np.float32), cv2.INTER_LINEAR))


def _bounds(where: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns that hold all of what is true, with room for the filters' windows."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    if not len(rows):
        return None
    (y0, y1), (x0, x1) = ((max(int(ends[0]) - ROOM, 0), int(ends[-1]) + 1 + ROOM) for ends in (rows, columns))
    return slice(y0, min(y1, where.shape[0])), slice(x0, min(x1, where.shape[1]))


def _scaled(box: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    rows, columns = box
    return slice(rows.start * factor, rows.stop * factor), slice(columns.start * factor, columns.stop * factor)


def _grain(texture: Floats, extent: tuple[int, int]) -> Floats:
    """Fine mottling that moves with the head, a factor of light, float32."""
    where = enlarge(texture + np.float32(GRAIN_SIZE / 2), extent)
    return np.asarray(cv2.remap(_grain_pattern(), where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


@cache
def _grain_pattern() -> Floats:
    generator = np.random.default_rng(0)
    fine = cv2.GaussianBlur(generator.standard_normal((GRAIN_SIZE, GRAIN_SIZE)).astype(np.float32), (0, 0), 1.0)
    broad = cv2.GaussianBlur(generator.standard_normal((GRAIN_SIZE, GRAIN_SIZE)).astype(np.float32), (0, 0), 3.0)
    mottling = fine / fine.std() * 0.8 + broad / broad.std() * 0.6
    return np.asarray(1 + GRAIN * mottling, np.float32)
