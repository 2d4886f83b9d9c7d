"""Geometry and light of a bald head: where the skull ends and how its skin is lit, as statistics over bald heads.

Both are tables in polar coordinates around the point between the brows. The skull's outline is linear in the shape of
the face; the shading of the scalp is linear in the shading of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.face.imaging import LUMINANCE, log_colour, smoothstep
from models.face.texture_space import FACE_OVAL, SIZE, YAW_MODE, Fit

CENTER = (96.0, 52.0)
"""The point between the brows, texture pixels (x, y): the pole of the polar coordinates."""
COARSE = 4
"""Crop pixels per pixel of the coarse maps."""
SHAPE_MODES = 8
"""Number of shape modes of the face that predict the outline."""
OUTLINE_FEATURES = SHAPE_MODES + 4
LIGHT_MODES = 6
SKIN_BOX = (slice(25, 150), slice(50, 142))
"""Rows and columns of the texture square that hold facial skin."""
HIDDEN = (0.25, 0.75)
"""Cover (0..1) at which skin starts to count as hidden, and at which it is hidden."""


@dataclass(frozen=True, slots=True)
class LightEstimate:
    """How the light on a face is measured.

    Attributes:
        box: rows and columns of the texture square whose shading is measured.
        size: (columns, rows) to which that part is reduced.
        noise_variance: variance of the shading that light does not explain, log units squared.
        largest: bound of a light coefficient, standard deviations.
    """

    box: tuple[slice, slice] = (slice(10, 170), slice(36, 156))
    size: tuple[int, int] = (6, 8)
    noise_variance: float = 0.003
    largest: float = 2.5


@dataclass(frozen=True, slots=True)
class BrowLine:
    """The line down to which hair is removed from the forehead, and lower beside it at the temples.

    Attributes:
        points: mesh points along the upper edge of the brows, left to right in the picture.
        above: distance that stays clear of the brows; the tip of a fringe looks like a brow. Texture pixels.
        between: offsets from the brows' inner ends to the line between them, texture pixels (x, y).
        sideburn_inset: how far inside the sides of the head the line drops at the temples, texture pixels.
        sideburn_drop: how far below the brows it drops there, texture pixels.
    """

    points: tuple[int, ...] = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
    above: float = 1.0
    between: tuple[tuple[float, float], tuple[float, float]] = ((5, 8), (-5, 8))
    sideburn_inset: float = 12.0
    sideburn_drop: float = 8.0


@dataclass(frozen=True, slots=True)
class HangingHair:
    """Where long hair hangs beside the face: a grid of sample points on each side.

    Attributes:
        outward: first and last distance out of the sides of the head, texture pixels.
        rows: first and last row, texture pixels.
        count: points along each axis of the grid.
    """

    outward: tuple[float, float] = (-38, 22)
    rows: tuple[float, float] = (125, 185)
    count: int = 8

    def grid(self) -> NDArray[np.float64]:
        """(count * count, 2): distance out of the side of the head, and row."""
        axes = np.linspace(*self.outward, self.count), np.linspace(*self.rows, self.count)
        return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class SkullLimit:
    """How the skull is kept inside of the hair.

    Attributes:
        nearest, farthest: where hair ends, as fractions of the statistical outline, at least and at most.
        thinnest: hair over the skull, texture pixels.
        smooth: Gaussian over the angle, degrees.
        above_ears: angles over the line of the brows, degrees, over which skin that is seen widens it.
        most_wider: by how much at most, as a fraction of the statistical outline.
        goes_on: angle over which that goes on under the hair above, degrees.
    """

    nearest: float = 0.8
    farthest: float = 1.6
    thinnest: float = 2.5
    smooth: float = 8.0
    above_ears: tuple[float, float] = (4.0, 14.0)
    most_wider: float = 0.2
    goes_on: float = 45.0


@dataclass(frozen=True, slots=True)
class BackOfHead:
    """How the outline of a head that turns, or is broad, is found from its hair.

    Attributes:
        turned: yaw over which the back of the head shows, units of its mode: about 10 degrees.
        long_share: share of hair beside neck and ears over which hair counts as long and tells nothing.
        both: share of the width that is lacking that is added at each side of a head that looks straight on.
        thickness: of short hair at the sides, as a fraction of the distance from the center.
        thickest: most of that thickness, texture pixels.
        bulk: reach beyond the statistical outline, as a fraction of it, over which hair is no short hair.
        ears: height above which ears do not stand out, degrees above the center.
        ends: heights over which the statistics are right again, degrees.
    """

    turned: tuple[float, float] = (0.8, 2.2)
    long_share: tuple[float, float] = (0.1, 0.3)
    both: float = 0.6
    thickness: float = 0.14
    thickest: float = 15.0
    bulk: tuple[float, float] = (0.38, 0.45)
    ears: float = 18.0
    ends: tuple[float, float] = (50.0, 110.0)


SKULL = SkullLimit()
BACK = BackOfHead()
LIGHT_ESTIMATE = LightEstimate()
BROW_LINE = BrowLine()
HANGING = HangingHair().grid()
STANDING_OUT = HangingHair(outward=(8, 36), rows=(78, 125)).grid()
"""Beside the ears, where short hair does not reach."""
SHADED_BELOW_ROW = 26.0
"""Texture row below which the shading is looked up at this row instead: the statistics show brows further down."""


@dataclass(frozen=True, slots=True)
class ScalpModel:
    """Statistics of bald heads at A angles, 0 (right) over the crown to pi (left), and R radii, center to outline.

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
        """Read the fields from arrays named `scalp_<field>`."""
        return ScalpModel(
            *(
                tables[f"scalp_{name}"].astype(np.float32)
                for name in ("outline", "mean", "shading", "light_mean", "light_modes")
            )
        )

    def radii(self, features: Floats) -> Floats:
        """The outline of the skull, (A,) float32 texture pixels, from `outline_features`."""
        return np.asarray(self.outline @ features, np.float32)

    def light(self, texture: NDArray[np.uint8], hidden: Floats | None = None) -> Floats:
        """Light coefficients of a face, (LIGHT_MODES,) float32.

        Args:
            texture: (192, 192, 3) uint8 RGB, the face unwrapped.
            hidden: (192, 192) float32 in 0..1, where something covers the skin. Covered shading is unknown; the
                coefficients are the most likely ones given the visible part.
        """
        seen = np.ones(texture.shape[:2], np.float32) if hidden is None else 1 - smoothstep(hidden, *HIDDEN)
        weight = cv2.resize(seen[LIGHT_ESTIMATE.box], LIGHT_ESTIMATE.size, interpolation=cv2.INTER_AREA).ravel()
        luminance = (log_colour(texture) @ LUMINANCE * seen)[LIGHT_ESTIMATE.box]
        known = cv2.resize(luminance, LIGHT_ESTIMATE.size, interpolation=cv2.INTER_AREA).ravel()
        ways = np.vstack([self._ways(), np.ones_like(self.light_mean)])
        normal = (ways * weight) @ ways.T + np.diag([LIGHT_ESTIMATE.noise_variance] * LIGHT_MODES + [1e-6])
        best = np.linalg.solve(normal, ways @ (known - weight * self.light_mean))
        return np.clip(best[:LIGHT_MODES], -LIGHT_ESTIMATE.largest, LIGHT_ESTIMATE.largest).astype(np.float32)

    def shading_of_light(self, coefficients: Floats) -> Floats:
        """What light coefficients change on a face: (48,) float32, log luminance on `LIGHT_ESTIMATE`'s grid."""
        return np.asarray(coefficients @ self._ways(), np.float32)

    def _ways(self) -> Floats:
        """(LIGHT_MODES, 48): the change of a face's shading with each light coefficient."""
        return self.light_modes / np.square(self.light_modes).sum(1, keepdims=True)


@dataclass(frozen=True, slots=True)
class HeadMap:
    """Polar coordinates of the head over a crop of S pixels, on the coarse grid; each map is (S / 4, S / 4) float32.

    Attributes:
        angle: radians, 0 to the right, pi / 2 up; clamped to 0 or pi below the center.
        radius: distance from the center, 1 on the skull's outline.
        distance: distance inside the outline, crop pixels; negative outside.
        texture: (S / 4, S / 4, 2), texture coordinates by the upright map.
        shade_angle, shade_radius: where the shading is looked up. The lookup never reaches the brows, which the
            statistics contain.
        clear: distance above the `BrowLine`, texture pixels; negative below it.
        out: distance beyond the sides of the head at brow height, texture pixels; negative inside.
        hanging: (2, 64, 2), sample points of hanging hair on the right and on the left, crop pixels.
        standing_out: (2, 64, 2), the same of hair that stands out beside the ears.
        oval: (36, 2), the outline of the face's mesh, crop pixels.
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
    standing_out: Floats
    oval: Floats


def skin_tone(texture: NDArray[np.uint8], hidden: Floats) -> Floats:
    """Median log colour of a face's visible skin, (3,) float32.

    Args:
        texture: (192, 192, 3) uint8 RGB, the face unwrapped.
        hidden: (192, 192) float32 in 0..1, where something covers the skin.
    """
    seen = hidden[SKIN_BOX] < HIDDEN[1]
    logs = log_colour(texture[SKIN_BOX])
    return np.asarray(np.median(logs[seen] if seen.any() else logs.reshape(-1, 3), axis=0), np.float32)


def shading_of(logs: Floats) -> Floats:
    """Coarse shading of a face from its (192, 192, 3) log texture: (48,) float32, log luminance less its mean."""
    coarse = cv2.resize(logs[LIGHT_ESTIMATE.box], LIGHT_ESTIMATE.size, interpolation=cv2.INTER_AREA) @ LUMINANCE
    return np.asarray((coarse - coarse.mean()).ravel(), np.float32)


def outline_features(fit: Fit) -> Floats:
    """Predictors of the outline, (12,) float32: 1, stretch and shear of the affine map, squared yaw, first modes."""
    across, down = fit.affine[:, 0], fit.affine[:, 1]
    width, height = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    posed = [1.0, np.log(width / height), float(across @ down) / (width * height), float(fit.modes[YAW_MODE]) ** 2]
    return np.concatenate([posed, fit.modes[:SHAPE_MODES]]).astype(np.float32)


def head_map(fit: Fit, radii: Floats, size: int) -> HeadMap:
    """Compute the polar coordinates over a crop.

    Args:
        fit: where the face is.
        radii: (A,) float32, from `ScalpModel.radii`.
        size: side of the crop in pixels.
    """
    side = size // COARSE
    axis = (np.arange(side, dtype=np.float32) + 0.5) * COARSE - 0.5
    crop = np.stack(np.meshgrid(axis, axis), axis=-1)
    texture = (crop - fit.upright[:, 2]) @ np.linalg.inv(fit.upright[:, :2]).T.astype(np.float32)
    angle, length, outline = _polar(texture[..., 0], texture[..., 1], radii)
    above = np.minimum(texture[..., 1], np.float32(SHADED_BELOW_ROW))
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
        hanging=_beside(fit, radii, HANGING),
        standing_out=_beside(fit, radii, STANDING_OUT),
        oval=np.asarray(fit.points[list(FACE_OVAL)], np.float32),
    )


def crop_to_texture(head: HeadMap) -> Floats:
    """The affine map from crop pixels to texture pixels, (2, 3) float32."""
    last = len(head.texture) - 1
    rows, columns = np.array([0, 0, last]), np.array([0, last, 0])
    crop = (np.column_stack([columns, rows]) * COARSE + (COARSE - 1) / 2).astype(np.float32)
    return np.asarray(cv2.getAffineTransform(crop, np.ascontiguousarray(head.texture[rows, columns])), np.float32)


def texture_scale(head: HeadMap) -> float:
    """Crop pixels per texture pixel."""
    t = head.texture
    rows, columns = t.shape[0] // 2, t.shape[1] // 2
    steps = np.stack([t[rows, columns + 1] - t[rows, columns], t[rows + 1, columns] - t[rows, columns]]) / COARSE
    return float(1 / np.sqrt(abs(np.linalg.det(steps))))


def within_hair(radii: Floats, fit: Fit, solid: Floats, size: int) -> Floats:
    """Keep the outline of a skull inside of the hair that covers it.

    Args:
        radii: (A,) float32, from `ScalpModel.radii`.
        fit: where the face is.
        solid: (M, M) float32 in 0..1, person or hair over the crop.
        size: side of the crop in pixels.

    Returns:
        (A,) float32, where it stood out, less.
    """
    outline = hair_outline(radii, fit, solid, size, bare=SKULL.farthest)
    lack = np.maximum(radii - (outline - np.float32(SKULL.thinnest)), 0).astype(np.float32)
    # one ray may hit a gap between strands
    lack = cv2.medianBlur(lack[None], 5)
    sigma = SKULL.smooth / 180 * len(radii)
    return np.asarray(radii - cv2.GaussianBlur(lack, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0], np.float32)


def around_skin(radii: Floats, fit: Fit, face: Floats, size: int) -> Floats:
    """Widen the outline of a skull to the skin of the face that is seen, above the ears: on a turned head the
    statistics may end before the far temple.

    Args:
        radii, fit, size: as of `within_hair`.
        face: (M, M) float32 in 0..1, skin of the face over the crop.

    Returns:
        (A,) float32, where skin stood out, more.
    """
    lack = np.maximum(hair_outline(radii, fit, face, size, bare=0.0, whole=True) - radii, 0)
    angles = np.linspace(0, 180, len(radii), dtype=np.float32)
    height = np.minimum(angles, 180 - angles)
    lack *= smoothstep(height, *SKULL.above_ears)
    lack = np.minimum(lack, SKULL.most_wider * radii).astype(np.float32)
    # under the hair above that skin a skull has no corner
    apart = np.where(height[:, None] < height, SKULL.goes_on, np.abs(angles[:, None] - angles))
    lack = (lack * np.square(1 - smoothstep(apart, 0, SKULL.goes_on))).max(1)[None].astype(np.float32)
    smooth = cv2.GaussianBlur(lack, (0, 0), 0.7, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(radii + np.maximum(lack, smooth)[0], np.float32)


def hair_outline(radii: Floats, fit: Fit, solid: Floats, size: int, *, bare: float, whole: bool = False) -> Floats:
    """How far hair reaches along each ray, (A,) float32, texture pixels, within `SKULL.nearest` and `SKULL.farthest`.

    Args:
        radii, fit, solid, size: as of `within_hair`.
        bare: what counts where a ray hits no hair, as a fraction of `radii`.
        whole: whether it ends at the first gap beyond the outline: other heads beside this one are none of it.
    """
    angles = np.linspace(0, np.pi, len(radii), dtype=np.float32)
    steps = np.arange(0.5 * SKULL.nearest, SKULL.farthest, 0.01, dtype=np.float32)
    length = radii[:, None] * steps
    places = np.stack([CENTER[0] + length * np.cos(angles)[:, None], CENTER[1] - length * np.sin(angles)[:, None]], -1)
    crop = places.astype(np.float32) @ fit.upright[:, :2].T.astype(np.float32) + fit.upright[:, 2].astype(np.float32)
    at = np.asarray((crop + 0.5) * (len(solid) / size) - 0.5, np.float32)
    covered = cv2.remap(solid, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) > 0.5
    if whole:
        covered &= np.logical_and.accumulate(covered | (steps < 1), axis=1)
    last = covered.shape[1] - 1 - np.argmax(covered[:, ::-1], axis=1)
    found = np.where(covered.any(1), np.maximum(steps[last], np.float32(SKULL.nearest)), bare)
    return np.asarray(found * radii, np.float32)


def share_of_hair(places: Floats, hair: Floats, scale: float) -> Floats:
    """(2,): how much of places beside the face, on the right and on the left, hair covers.

    Args:
        places: (2, N, 2) float32, crop pixels.
        hair: (M, M) float32 in 0..1 over the crop.
        scale: its pixels per crop pixel.
    """
    at = (places + np.float32(0.5)) * np.float32(scale) - np.float32(0.5)
    return np.asarray(cv2.remap(hair, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).mean(1))


def with_back_of_head(radii: Floats, fit: Fit, hair: Floats, size: int) -> Floats:
    """Reach out to the back of a head that turns, which few of the statistics' people show, and to broad heads.

    Its hair tells where it ends, if it is short: at the sides it is thin.

    Args:
        radii: (A,) float32, from `ScalpModel.radii`.
        fit: where the face is.
        hair: (M, M) float32 in 0..1 over the crop.
        size: side of the crop in pixels.

    Returns:
        (A,) float32, larger where hair stands out further than short hair does, above all at the side that is seen more
        of.
    """
    short = 1 - float(
        smoothstep(share_of_hair(_beside(fit, radii, HANGING), hair, len(hair) / size).max(), *BACK.long_share)
    )
    if short == 0:
        return radii
    yaw = float(fit.modes[YAW_MODE])
    turned = float(smoothstep(np.asarray(np.abs(yaw), np.float32), *BACK.turned))
    reach = hair_outline(radii, fit, hair, size, bare=SKULL.nearest)
    degrees = np.linspace(0, 180, len(radii), dtype=np.float32)
    wider = np.zeros_like(radii)
    for side, from_back in (1, degrees), (-1, 180 - degrees):
        weight = BACK.both * (1 - turned) + (turned if side * yaw > 0 else 0)
        wider = np.maximum(wider, np.float32(weight * short) * _lacking(radii, reach, from_back))
    sigma = SKULL.smooth / 180 * len(radii)
    wider = cv2.GaussianBlur(wider[None], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0]
    return np.asarray(radii + wider, np.float32)


def _lacking(radii: Floats, reach: Floats, from_back: Floats) -> Floats:
    """How much larger a skull is at one side than the statistics say, if its hair is short there, (A,) float32.

    Args:
        radii: of the statistics.
        reach: of the hair.
        from_back: (A,), angle of each ray above the line of the brows at that side, degrees.
    """
    lack = reach - np.minimum(np.float32(BACK.thickness) * reach, np.float32(BACK.thickest)) - radii
    lack = cv2.medianBlur(np.clip(lack, 0, None).astype(np.float32)[None], 5)[0]
    beside = (from_back >= BACK.ears) & (from_back < BACK.ends[1])
    short = 1 - float(smoothstep((lack / radii)[beside].max(), *BACK.bulk))
    # ears stand out below
    lack = np.where(from_back < BACK.ears, lack[np.argmin(np.abs(from_back - BACK.ears))], lack)
    # towards the crown hair may be tall, but the skull comes closer to what the statistics say
    order = np.argsort(from_back)
    lack[order] = np.minimum.accumulate(lack[order])
    return np.asarray(short * (1 - smoothstep(from_back, *BACK.ends)) * lack, np.float32)


def _polar(x: Floats, y: Floats, radii: Floats) -> tuple[Floats, Floats, Floats]:
    """Angle, distance from the center, and distance of the outline in that direction, for texture coordinates."""
    length, angle = cv2.cartToPolar(x - np.float32(CENTER[0]), np.float32(CENTER[1]) - y)
    held = np.where(angle > 1.5 * np.pi, np.float32(0), np.minimum(angle, np.float32(np.pi)))
    return held, np.asarray(length, np.float32), sample_at_angle(radii[None], held, np.zeros_like(held))


def _above_brows(fit: Fit, radii: Floats, texture: Floats) -> Floats:
    brows = (fit.points[list(BROW_LINE.points)] - fit.upright[:, 2]) @ np.linalg.inv(fit.upright[:, :2]).T - (
        0,
        BROW_LINE.above,
    )
    half = len(brows) // 2
    between = brows[half - 1 : half + 1] + np.array(BROW_LINE.between, np.float32)
    left, right = CENTER[0] - radii[-1], CENTER[0] + radii[0]
    inside, down = BROW_LINE.sideburn_inset, BROW_LINE.sideburn_drop
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


def _beside(fit: Fit, radii: Floats, grid: NDArray[np.float64]) -> Floats:
    out, down = grid.T
    places = [np.column_stack([x, down]) for x in (CENTER[0] + radii[0] + out, CENTER[0] - radii[-1] - out)]
    return np.asarray(np.stack(places) @ fit.upright[:, :2].T + fit.upright[:, 2], np.float32)


def sample_at_angle(table: Floats, angle: Floats, row: Floats) -> Floats:
    """Look up a polar table bilinearly.

    Args:
        table: (R, A) or (R, A, C) float32; the A columns are angles from 0 to pi.
        angle: (H, W) float32 radians.
        row: (H, W) row numbers.
    """
    column = angle / np.float32(np.pi) * (table.shape[1] - 1)
    return np.asarray(cv2.remap(table, column, row.astype(np.float32), cv2.INTER_LINEAR))
