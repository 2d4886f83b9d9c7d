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

from models.face_space import SIZE, YAW_MODE, Fit

Floats = NDArray[np.float32]

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
SKIN_BOX = (slice(25, 150), slice(50, 142))
LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)
LOG_OFFSET = 16.0
"""Added to 0..255 before the logarithm, so that noise in the dark stays small."""
COARSE = 4
"""Crop pixels per pixel of the coarse maps."""
HAIRLINE = 0.54
"""Where hair can begin, as a fraction of the way from the brows to the outline."""
THINNING = 0.045
"""Half the width of the hairline, in the order of loss: there hair thins out strand by strand."""
STRAND_ORDER = 0.25
"""How much later dark strands go than what lies between them."""
SLACK = 0.14
"""Room before the first and after the last hair, so that neither thinning nor strands reach beyond 0 and 1."""
FALL_START, FALL_SLOPE = 8.0, 0.9
"""Hair that hangs beside the face is kept where it lies lower than this: texture pixels below the brows at the head's
outline, and further down by so much for each crop pixel away from it. What is left looks grown from above the ears.
"""
FALL_WIDTH, FALL_STRANDS = 6.0, 30.0
"""Half the width of that edge, and how far strands displace it."""
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

    def light(self, texture: NDArray[np.uint8]) -> Floats:
        """Light coefficients of a face, (LIGHT_MODES,) float32, from its (192, 192, 3) uint8 RGB texture."""
        return np.clip(self.light_modes @ (shading_of(log_colour(texture)) - self.light_mean), -2.5, 2.5)


@dataclass(frozen=True, slots=True)
class HeadMap:
    """A crop in the head's polar coordinates, on the coarse grid, (S / 4, S / 4) each.

    Attributes:
        angle: radians, 0 to the right, pi / 2 up; below the center it is held at 0 or pi.
        radius: 1 on the skull's outline.
        distance: crop pixels inside the outline, negative outside.
        texture: (..., 2) texture coordinates by the upright map.
    """

    angle: Floats
    radius: Floats
    distance: Floats
    texture: Floats


def log_colour(picture: NDArray[Any]) -> Floats:
    """Logarithm of an RGB picture in 0..255."""
    return np.asarray(np.log(picture.astype(np.float32) + LOG_OFFSET))


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
    offset = texture - np.array(CENTER, np.float32)
    angle = np.arctan2(-offset[..., 1], offset[..., 0])
    angle = np.where(angle < -np.pi / 2, np.pi, np.clip(angle, 0, np.pi)).astype(np.float32)
    outline = _at_angle(radii[None], angle, np.zeros_like(angle))
    length = np.hypot(offset[..., 0], offset[..., 1])
    scale = np.float32(np.sqrt(np.linalg.det(fit.upright[:, :2])))
    return HeadMap(
        angle, (length / outline).astype(np.float32), ((outline - length) * scale).astype(np.float32), texture
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
    outside = np.maximum(-head.distance, np.float32(0))
    falls = (height + np.float32(FALL_START) + np.float32(FALL_SLOPE) * outside).astype(np.float32, copy=False)
    near = cv2.dilate(hair_coarse, np.ones((5, 5), np.uint8)) > 0.02
    box = _bounds((lost > -SLACK) & (falls > -FALL_WIDTH) & (near | ((person_coarse > 0.1) & (height > 20))))
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
    reveal = smoothstep(_enlarged(lost[box], half) - STRAND_ORDER * strands, -THINNING, THINNING)
    reveal *= smoothstep(_enlarged(falls[box], half) + FALL_STRANDS * strands, -FALL_WIDTH, FALL_WIDTH)
    hair_half = cv2.resize(hair, (size // 2, size // 2), interpolation=cv2.INTER_LINEAR)[_scaled(box, COARSE // 2)]
    close = cv2.GaussianBlur(cv2.dilate(hair_half, np.ones((5, 5), np.uint8)), (0, 0), 1.2)
    wide = cv2.GaussianBlur(cv2.dilate(hair_half, np.ones((7, 7), np.uint8)), (0, 0), 1.4)
    stray = smoothstep(_enlarged(person_coarse[box], half), 0.2, 0.5) * smoothstep(_enlarged(height[box], half), 24, 44)
    on_head = _enlarged(reveal * smoothstep(close, 0.05, 0.45), full)
    off_head = _enlarged(reveal * np.maximum(smoothstep(wide, 0.04, 0.35), stray), full)
    inside = smoothstep(_enlarged(head.distance[box], full), -EDGE, EDGE)
    opaque = off_head + inside * (on_head - off_head)
    opaque[opaque < 1 / 255] = 0
    opacity[fine] = opaque

    grain = 1 + np.float32(GRAIN) * _grain(head.texture[box], full)
    skin_picture = cv2.multiply(_enlarged(scalp, full), _thrice(grain))
    blended = cv2.blendLinear(skin_picture, _enlarged(background, full), inside, 1 - inside)
    shown[fine] = cv2.add(blended, (0.0, 0.0, 0.0, 0.0), dtype=cv2.CV_8U)
    return shown, opacity


def loss_order(head: HeadMap) -> Floats:
    """When each place loses its hair, 0 (first) .. 1 (last): temples, front, crown, sides (Norwood 1975, seen from
    the front).
    """
    from_crown = np.abs(head.angle - np.pi / 2)
    temple = np.exp(-(((from_crown - 0.62) / 0.32) ** 2))
    sides = smoothstep(from_crown, 0.7, 1.45)
    speed = (0.48 + 0.65 * temple) * (1 - sides) + 0.1 * sides
    depth = np.maximum(head.radius - HAIRLINE, 0)
    front = depth / (0.58 * speed)
    crest = CREST * smoothstep(head.radius, 0.9, 1.02)
    last = 0.76 + 0.26 * np.clip(depth / 0.8, 0, 1)
    return np.asarray(np.minimum(np.maximum(front, crest), last), np.float32)


def smoothstep(x: NDArray[Any], low: float, high: float) -> Floats:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def fill(picture: Floats, weight: Floats) -> Floats:
    """Fill what is unknown from what surrounds it, coarse to fine (pull-push, Gortler et al. 1996).

    Args:
        picture: (H, W, 3) float32.
        weight: (H, W) float32, 1 where the picture is known.
    """
    pictures, weights = [cv2.multiply(picture, _thrice(weight))], [weight]
    while min(weights[-1].shape) > 3:
        shape = ((weights[-1].shape[1] + 1) // 2, (weights[-1].shape[0] + 1) // 2)
        smaller = cv2.resize(pictures[-1], shape, interpolation=cv2.INTER_AREA)
        known = cv2.resize(weights[-1], shape, interpolation=cv2.INTER_AREA)
        gain = 1 / np.maximum(known, 0.25)
        pictures.append(cv2.multiply(smaller, _thrice(gain)))
        weights.append(known * gain)
    total = np.maximum(weights[-1].sum(), 1e-3)
    filled = np.broadcast_to(pictures[-1].sum((0, 1)) / total, pictures[-1].shape).astype(np.float32)
    for finer, known in zip(pictures[-1::-1], weights[-1::-1], strict=True):
        filled = cv2.GaussianBlur(cv2.resize(filled, known.shape[::-1], interpolation=cv2.INTER_LINEAR), (0, 0), 1.0)
        filled = cv2.add(finer, cv2.multiply(filled, _thrice(1 - known)))
    return filled


def _scalp_colour(
    model: ScalpModel, coarse: Floats, *, hair: Floats, head: HeadMap, light: Floats, skin: Floats
) -> Floats:
    polar = model.mean + np.tensordot(light, model.shading, 1).astype(np.float32)
    radii = polar.shape[1]
    shade = _at_angle(polar.transpose(1, 0, 2), head.angle, np.clip(head.radius * radii - 0.5, 0, radii - 1))
    expected = shade + skin
    across, down = head.texture[..., 0], head.texture[..., 1]
    forehead = smoothstep(across, 24, 34) * smoothstep(SIZE - across, 24, 34) * smoothstep(down, -34, -26)
    forehead = forehead * smoothstep(head.distance, 1, 6) * (1 - smoothstep(down, 34, 46))
    visible = forehead * (1 - smoothstep(cv2.dilate(hair, np.ones((3, 3), np.uint8)), 0.05, 0.25))
    error = log_colour(coarse) - expected
    known = float(visible.sum()) + LEAST_FOREHEAD
    usual = np.einsum("ij,ijc->c", visible, np.clip(error, -0.6, 0.6)) / known
    half = (coarse.shape[1] // 2, coarse.shape[0] // 2)
    own = cv2.resize(np.clip(error - usual, -0.5, 0.4).astype(np.float32), half, interpolation=cv2.INTER_AREA)
    local = cv2.resize(fill(own, cv2.resize(visible, half, interpolation=cv2.INTER_AREA)), coarse.shape[1::-1])
    trust = np.clip(cv2.GaussianBlur(visible, (0, 0), 6) * 4, 0, 1)
    shade = expected + usual.astype(np.float32) + cv2.multiply(local, _thrice(trust))
    return np.asarray(cv2.subtract(cv2.exp(shade), (LOG_OFFSET,) * 3 + (0.0,)))


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


def _enlarged(x: Floats, extent: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(x, extent, interpolation=cv2.INTER_LINEAR), np.float32)


def _thrice(x: Floats) -> Floats:
    return np.asarray(cv2.merge([x, x, x]), np.float32)


def _grain(texture: Floats, extent: tuple[int, int]) -> Floats:
    """Fine mottling that moves with the head, float32, standard deviation about 1."""
    where = _enlarged(texture + np.float32(GRAIN_SIZE / 2), extent)
    return np.asarray(cv2.remap(_grain_pattern(), where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


@cache
def _grain_pattern() -> Floats:
    generator = np.random.default_rng(0)
    fine = cv2.GaussianBlur(generator.standard_normal((GRAIN_SIZE, GRAIN_SIZE)).astype(np.float32), (0, 0), 1.0)
    broad = cv2.GaussianBlur(generator.standard_normal((GRAIN_SIZE, GRAIN_SIZE)).astype(np.float32), (0, 0), 3.0)
    return np.asarray(fine / fine.std() * 0.8 + broad / broad.std() * 0.6, np.float32)
