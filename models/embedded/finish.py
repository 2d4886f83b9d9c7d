"""The last touch on a head drawn without hair: a clean outline, the skin's own grain, the camera's on the backdrop.

A network draws a head with its hair and highlights, but with a halo around it, now and then too red, and with less
grain than the camera has. The skull's geometry tells the outline, the person's own forehead how strong the grain of
skin is, and the backdrop that is seen beside the hair that of the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.embedded.backdrop_texture import SeenBackdrop
from models.embedded.edge_blur import edge_blur
from models.embedded.head_noise import between, noise_on
from models.embedded.scalp import CENTER, COARSE, SKIN_BOX, HeadMap, texture_scale
from models.face.imaging import LOG_OFFSET, LUMINANCE, box_of, coherence, enlarge, fill, smoothstep


@dataclass(frozen=True, slots=True)
class Finish:
    """How a drawing is finished. Lengths are crop pixels unless said.

    Attributes:
        edge: half the width of the outline's edge, least and most: it is as soft as the camera's own edges.
        rim: how far inside and outside of the outline a drawing tells where it is.
        kept: how far inside of the outline a drawing is trusted: its edge is a mixture with the backdrop.
        unlike_backdrop: differences from the backdrop, over that of skin, over which a drawing shows the head.
        contrast: difference between skin and backdrop, 0..255, from which a drawn outline is told well.
        rays: directions in which it is told.
        even: Gaussian over these directions: a skull has no corners.
        farthest: largest correction of the statistical outline.
        brows: distances below the brows over which the skull's outline ends, texture pixels.
        mottles: difference between neighbours, 0..255, that is smoothed.
        rounds: how often.
        plain: Gaussian of the broad light and colour of a scalp, crop pixels.
        odd: how far a drawing may be from these, log units: a scalp has no edges.
        inner: distances inside the outline over which that holds.
        temples: distances from the middle of the face over which it holds below the brows too, texture pixels.
        relieved: strongest relief in each of the `GRAINS`, log units: of nine in ten bald heads.
        sunken: how much relief is made of dark spots: share of its square that is taken off, as 66 bald heads have it.
        sharpened: multiple of the measured relief that is drawn, as resampling softens it.
        lines: coherence of the relief over which it counts as wrinkles.
        patches: size of patches of blood: the larger of two Gaussians, texture pixels.
        freckles: two Gaussians between which spots are, texture pixels.
        blood: strength of patches of blood, log units.
        spots: noise over which a spot is.
        spot: strength of a spot, log units.
        clear: distance above the brows, which may be raised, from which skin counts as forehead, texture pixels.
        dark: how much darker than a forehead a brow or a strand is, log units.
        least: forehead that must be seen, pixels.
        texture: Gaussian that smooths a drawn backdrop.
        unlike: differences from the backdrop, 0..255, over which a drawing shows these.
        faint: quantile of what is fine in a backdrop that tells the grain of the camera: texture is stronger.
        grainy: strongest grain in each of the `CAMERA_GRAINS`, 0..255.
        colours: percentiles of the colours of a backdrop, and of a face, beyond which nothing is drawn.
        redder: how much redder than the face a scalp may be.
        scalp: distances inside the outline over which the drawing is scalp.
    """

    edge: tuple[float, float] = (1.4, 4.0)
    rim: tuple[float, float] = (10.0, 12.0)
    kept: float = 7.0
    unlike_backdrop: tuple[float, float] = (0.2, 0.8)
    contrast: float = 25.0
    rays: int = 36
    even: float = 3.0
    farthest: float = 6.0
    brows: tuple[float, float] = (-4.0, 10.0)
    mottles: float = 20.0
    rounds: int = 1
    plain: float = 12.0
    odd: float = 0.1
    inner: tuple[float, float] = (2.0, 7.0)
    temples: tuple[float, float] = (54.0, 62.0)
    relieved: tuple[float, float] = (0.012, 0.021)
    sunken: float = 0.1
    sharpened: float = 1.5
    lines: tuple[float, float] = (0.6, 0.9)
    patches: float = 14.0
    freckles: tuple[float, float] = (1.3, 2.8)
    blood: float = 0.015
    spots: tuple[float, float] = (2.2, 3.0)
    spot: float = 0.07
    clear: float = 7.0
    dark: float = 0.22
    least: int = 200
    texture: float = 6.0
    unlike: tuple[float, float] = (8.0, 24.0)
    faint: float = 0.3
    grainy: float = 1.2
    colours: tuple[float, float] = (0.5, 99.5)
    redder: float = 1.15
    scalp: tuple[float, float] = (-4.0, 0.0)


FINISH = Finish()
GRAINS = (0.7, 1.5), (1.5, 3.5)
"""Gaussians between which the relief of skin is measured and drawn, texture pixels."""
CAMERA_GRAINS = (0.4, 0.9), (0.9, 2.0), (2.0, 4.5)
"""Gaussians between which the grain of a camera is measured and drawn, crop pixels."""
HALF_WIDTH_OF_STEP = float(np.sqrt(5))
"""Half the width of a smoothstep whose slope has standard deviation 1."""
QUANTILE_OF_NOISE = 0.385
"""`Finish.faint` quantile of the absolute values of normally distributed noise of standard deviation 1."""
MEDIAN_OF_NOISE = 0.6745
"""Median of the absolute values of normally distributed noise of standard deviation 1."""
REDDER = np.array([0.0, -1.0, -0.7], np.float32) * np.float32(FINISH.blood)
DARKER = np.array([-0.7, -1.0, -1.1], np.float32) * np.float32(FINISH.spot)
"""What blood and spots change, log RGB."""


def clean_rim(
    colours: Floats,
    image: Image,
    *,
    erased: Floats,
    head: HeadMap,
    seen: SeenBackdrop | None = None,
    beyond: Floats | None = None,
) -> Floats:
    """Redraw the outline of the skull: skin up to it from inside, backdrop up to it from outside, and one thin edge.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a drawing.
        image: (S, S, 3) uint8 RGB, the camera's crop: it tells how soft an edge is.
        erased: (S, S) float32 in 0..1, where it is shown.
        head: polar map.
        seen: what is known of the backdrop; None for nothing.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame; None for nowhere.

    Returns:
        (S, S, 3) float32 RGB.
    """
    size = colours.shape[1::-1]
    half = (size[0] // 2, size[1] // 2)
    distance, angle, below = (enlarge(each, half) for each in (head.distance, head.angle, _below_brows(head)))
    small, shown = (cv2.resize(each, half, interpolation=cv2.INTER_AREA) for each in (colours, erased))
    above = smoothstep(shown, 0.5, 1) * (1 - smoothstep(below, *FINISH.brows))
    skin, behind = _extended(small, distance, FINISH.rim[0])
    distance += _drawn_beyond(small, skin, behind, distance=distance, angle=angle, shown=above)
    distance, above = enlarge(distance, size), enlarge(above, size)
    skin, behind = _extended(colours, distance, FINISH.kept)
    if seen is not None:
        behind = seen.instead_of(behind)
    edge = float(np.clip(HALF_WIDTH_OF_STEP * edge_blur(image, beyond), *FINISH.edge))
    layered = behind + smoothstep(distance, -edge, edge)[..., None] * (skin - behind)
    return np.asarray(colours + above[..., None] * (layered - colours), np.float32)


def _extended(colours: Floats, distance: Floats, inner: float) -> tuple[Floats, Floats]:
    """A drawing with its skin carried outwards from `inner` pixels inside, and with its backdrop carried inwards."""
    outer = FINISH.rim[1]
    across, down = (cv2.Sobel(distance, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    steep = np.maximum(across * across + down * down, np.float32(0.25))
    rows, columns = np.indices(distance.shape, np.float32)
    pictures = []
    for away in (np.clip(inner - distance, 0, 3 * outer), np.clip(-outer - distance, -3 * outer, 0)):
        reach = away / steep
        moved = cv2.remap(
            colours, columns + reach * across, rows + reach * down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        # what is carried along a ray is a streak; beside the other rays it is skin
        streaks = smoothstep(np.abs(away), 0, 4)[..., None]
        pictures.append(np.asarray(moved + streaks * (cv2.GaussianBlur(moved, (0, 0), 2.5) - moved), np.float32))
    return pictures[0], pictures[1]


def _drawn_beyond(
    colours: Floats, skin: Floats, behind: Floats, *, distance: Floats, angle: Floats, shown: Floats
) -> Floats:
    """How far beyond the statistical outline the head was drawn, crop pixels; the same along each ray."""
    inner, outer = FINISH.rim
    band = ((distance > -outer) & (distance < inner)).astype(np.float32) * shown
    contrast, away = (np.square(each - behind).sum(2) for each in (skin, colours))
    # a ring of hair is no skin, but as far from the backdrop
    is_head = smoothstep(np.sqrt(away / (contrast + 1)), *FINISH.unlike_backdrop)
    weight = band * contrast / (contrast + np.float32(FINISH.contrast**2))
    bins = np.clip(angle / np.float32(np.pi) * FINISH.rays, 0, FINISH.rays - 1).astype(np.intp).ravel()
    sums = [np.bincount(bins, each.ravel(), FINISH.rays) for each in (weight, weight * is_head, band)]
    total, found, there = (cv2.GaussianBlur(each.astype(np.float32)[None], (0, 0), FINISH.even)[0] for each in sums)
    share = found / np.maximum(total, 1e-3)
    trust = total / np.maximum(there, 1e-3)
    beyond = trust * np.clip(share * (outer + inner) - inner, -FINISH.farthest, FINISH.farthest)
    column = angle / np.float32(np.pi) * FINISH.rays - np.float32(0.5)
    beyond = np.ascontiguousarray(beyond[None], np.float32)
    row = np.zeros_like(column)
    return np.asarray(cv2.remap(beyond, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _below_brows(head: HeadMap) -> Floats:
    return np.asarray(head.texture[..., 1] - np.float32(CENTER[1]), np.float32)


def without_mottles(colours: Floats, *, erased: Floats) -> Floats:
    """Smooth what a network draws unevenly, and keep its edges (bilateral filter, Tomasi and Manduchi 1998).

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a drawing.
        erased: (S, S) float32 in 0..1, where it is shown.

    Returns:
        (S, S, 3) float32 RGB.
    """
    finished = colours.copy()
    box = box_of(erased > 0)
    if box is not None:
        smooth = np.asarray(np.clip(colours[box], 0, 255), np.float32)
        for _ in range(FINISH.rounds):
            smooth = cv2.bilateralFilter(smooth, 7, FINISH.mottles, 2.5)
        finished[box] += erased[box][..., None] * (smooth - colours[box])
    return finished


def plain_scalp(colours: Floats, *, erased: Floats, head: HeadMap) -> Floats:
    """Bound how far a drawn scalp is from its own broad light and colour.

    On turned heads a network with a critic draws blocks, as of hair or of an ear, where it has seen few heads.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a drawing.
        erased: (S, S) float32 in 0..1, where it is shown.
        head: polar map.

    Returns:
        (S, S, 3) float32 RGB.
    """
    size = colours.shape[1::-1]
    distance = enlarge(head.distance, size)
    # brows may be raised
    above = smoothstep(enlarge(head.clear, size), FINISH.clear, 2 * FINISH.clear)
    across = np.abs(enlarge(head.texture, size)[..., 0] - np.float32(CENTER[0]))
    above = np.maximum(above, smoothstep(across, *FINISH.temples))
    scalp = erased * above * smoothstep(distance, *FINISH.inner)
    if not scalp.any():
        return colours
    logs = cv2.log(np.maximum(colours, 0) + np.float32(LOG_OFFSET))
    broad = cv2.log(
        _blur_within(np.maximum(colours, 0), smoothstep(distance, 0, 3), FINISH.plain) + np.float32(LOG_OFFSET)
    )
    away = np.float32(FINISH.odd) * np.tanh((logs - broad) * np.float32(1 / FINISH.odd))
    plain = cv2.exp(broad + away) - np.float32(LOG_OFFSET)
    return np.asarray(colours + scalp[..., None] * (plain - colours), np.float32)


def skin_relief(colours: Floats, image: Image, *, hidden: Floats, erased: Floats, head: HeadMap) -> Floats:
    """Give a drawn scalp as fine a relief as the person's own forehead has, and the patches that skin has.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a drawing.
        image: (S, S, 3) uint8 RGB, the camera's crop.
        hidden: (S, S) float32 in 0..1, where it shows hair.
        erased: (S, S) float32 in 0..1, where the drawing is shown.
        head: polar map; relief and patches move with it.

    Returns:
        (S, S, 3) float32 RGB.
    """
    size = colours.shape[1::-1]
    x, y = (enlarge(each, size) for each in cv2.split(head.texture))
    distance = enlarge(head.distance, size)
    across, up = np.abs(x - np.float32(CENTER[0])), np.float32(CENTER[1]) - y
    forehead = (across < 34) & (enlarge(head.clear, size) > FINISH.clear) & (up < 40) & (distance > 8)
    seen = forehead & (cv2.dilate(hidden, np.ones((7, 7), np.uint8)) < 0.05)
    seen &= ~_not_skin(image, seen)
    trust = smoothstep(np.asarray(np.count_nonzero(seen), np.float32), FINISH.least, 3 * FINISH.least)
    scalp = trust * smoothstep(distance, 2, 5) * erased * smoothstep(up, -8, 4)
    box = box_of(scalp > 0)
    if box is None:
        return colours
    scalp = scalp[box]
    grain = sum(
        strength * _sunken(noise_on(head, between(*band), box))
        for strength, band in zip(_grain(image, seen, texture_scale(head)), GRAINS, strict=True)
    )
    # blood shows in patches, and skin that saw the sun for years has spots
    far = scalp * smoothstep(cv2.GaussianBlur(erased[box], (0, 0), FINISH.patches), 0.5, 0.95)
    blood = far * noise_on(head, between(FINISH.patches / 2, FINISH.patches), box)
    spots = far * smoothstep(noise_on(head, between(*FINISH.freckles), box) + 0.4 * blood, *FINISH.spots)
    patches = blood[..., None] * REDDER + spots[..., None] * DARKER + (scalp * grain)[..., None]
    finished = colours.copy()
    finished[box] *= cv2.exp(patches)
    return finished


def _sunken(noise: Floats) -> Floats:
    """Noise of unit variance, more of it far below its mean than above."""
    return noise - np.float32(FINISH.sunken) * (noise * noise - 1)


def _not_skin(image: Image, forehead: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is much darker than a forehead and what is beside it, (S, S): a raised brow, strands of a fringe."""
    if not forehead.any():
        return forehead
    light = np.log(cv2.transform(image, LUMINANCE[None]).astype(np.float32) + np.float32(LOG_OFFSET))
    dark = (light < np.median(light[forehead]) - np.float32(FINISH.dark)).astype(np.uint8)
    return cv2.dilate(dark, np.ones((11, 11), np.uint8)) > 0


def _grain(image: Image, seen: NDArray[np.bool_], scale: float) -> list[float]:
    """How strong the skin's fine relief is in each of the `GRAINS`, log units; wrinkles are none of it.

    Args:
        image: (S, S, 3) uint8 RGB.
        seen: (S, S), forehead.
        scale: pixels per texture pixel.
    """
    box = box_of(seen)
    if box is None:
        return [0.0] * len(GRAINS)
    light = cv2.log(cv2.transform(image[box], LUMINANCE[None]).astype(np.float32) + np.float32(LOG_OFFSET))
    within = cv2.erode(seen[box].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    strengths = []
    for (low, high), most in zip(GRAINS, FINISH.relieved, strict=True):
        band = cv2.GaussianBlur(light, (0, 0), low * scale) - cv2.GaussianBlur(light, (0, 0), high * scale)
        plain = within & (_lined(np.asarray(band, np.float32)) < 0.5)
        found = np.abs(band[plain])
        # the middle tells the strength of noise; a mole or a strand does not count
        strength = FINISH.sharpened * float(np.median(found)) / MEDIAN_OF_NOISE if len(found) else 0.0
        strengths.append(min(strength, most))
    return strengths


def _lined(relief: Floats) -> Floats:
    """How much a relief runs in lines, 0..1."""
    found = coherence(cv2.GaussianBlur(relief, (0, 0), 1.0), 4.0, 1e-9)
    return smoothstep(np.sqrt(found), *FINISH.lines)


def skin_colours(colours: Floats, image: Image, *, hidden: Floats, erased: Floats, head: HeadMap) -> Floats:
    """Let a drawn scalp be no redder than the face that is seen, but for a little: what is drawn there is not sure.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a drawing.
        image: (S, S, 3) uint8 RGB, the camera's crop.
        hidden: (S, S) float32 in 0..1, where it shows hair.
        erased: (S, S) float32 in 0..1, where the drawing is shown.
        head: polar map.

    Returns:
        (S, S, 3) float32 RGB.
    """
    coarse = head.distance.shape[::-1]
    covered = cv2.resize(cv2.dilate(hidden, np.ones((7, 7), np.uint8)), coarse, interpolation=cv2.INTER_AREA)
    rows, columns = SKIN_BOX
    x, y = cv2.split(head.texture)
    cheeks = (x > columns.start) & (x < columns.stop) & (y > rows.start) & (y < rows.stop) & (covered < 0.05)
    seen = cv2.resize(image, coarse, interpolation=cv2.INTER_AREA)[cheeks].astype(np.float32)
    if len(seen) < FINISH.least // COARSE**2:
        return colours
    reddest = FINISH.redder * max(float(np.percentile(seen[:, 0] - seen[:, 1], FINISH.colours[1])), 0.0)
    red, green, blue = cv2.split(colours)
    over = np.maximum(red - green - np.float32(reddest), 0)
    over *= erased * enlarge(smoothstep(head.distance, *FINISH.scalp), colours.shape[1::-1])
    return np.asarray(cv2.merge([red - over, green, blue]), np.float32)


def backdrop_grain(
    colours: Floats,
    image: Image,
    grain: Floats,
    *,
    solid: Floats,
    erased: Floats,
    head: HeadMap,
    seen: SeenBackdrop | None = None,
    beyond: Floats | None,
) -> Floats:
    """Show what is known of a backdrop instead of what was drawn of it, and give the rest the grain of what is seen.

    Nothing finer is left of what was drawn there: it is a guess.

    Args:
        colours: (S, S, 3) float32 RGB, 0..255, a drawing.
        image: (S, S, 3) uint8 RGB, the camera's crop.
        grain: (S, S) float32, of `camera_grain`.
        solid: (S, S) float32 in 0..1, the head that was drawn, and the body.
        erased: (S, S) float32 in 0..1, where the drawing is shown.
        head: polar map.
        seen: what is known of the backdrop; None for nothing.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame; None for nowhere.

    Returns:
        (S, S, 3) float32 RGB.
    """
    known = _untouched(solid, erased, beyond)
    picture = image.astype(np.float32)
    free = np.asarray(1 - solid, np.float32)
    low = smoothstep(enlarge(_below_brows(head), known.shape[::-1]), *FINISH.brows)
    # ears, jaw and neck are drawn below the brows
    colours = _as_colourful(colours, picture[known > 0], erased * free * (1 - low))
    smooth = _blur_within(colours, free, FINISH.texture)
    # there it must look like the backdrop
    behind = fill(cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA), _coarse(known))
    unlike = np.abs(smooth - enlarge(behind, known.shape[::-1])).max(2)
    body = low * smoothstep(cv2.GaussianBlur(unlike, (0, 0), 3.0), *FINISH.unlike)
    share = erased * free * (1 - body)
    box = box_of(share > 0)
    if box is None:
        return colours
    finished = colours.copy()
    shown = smooth[box] + grain[box][..., None] if seen is None else seen.instead_of(smooth[box], grain[box], box)
    finished[box] += share[box][..., None] * (shown - colours[box])
    return finished


def _untouched(solid: Floats, erased: Floats, beyond: Floats | None) -> Floats:
    """Where the backdrop is seen, (S, S) float32, 0 or 1."""
    taken = (np.maximum(erased, solid) > 0.02).astype(np.uint8)
    if beyond is not None:
        taken |= (beyond > 0.02).astype(np.uint8)
    return 1 - cv2.dilate(taken, np.ones((3, 3), np.uint8)).astype(np.float32)


def camera_grain(image: Image, *, solid: Floats, erased: Floats, beyond: Floats | None) -> Floats:
    """Noise as strong as the faint part of what is seen of a backdrop, in each of the `CAMERA_GRAINS`.

    Args:
        image: (S, S, 3) uint8 RGB.
        solid, erased, beyond: as of `backdrop_grain`.

    Returns:
        (S, S) float32, levels of 0..255.
    """
    seen = cv2.erode(_untouched(solid, erased, beyond), np.ones((5, 5), np.uint8)) > 0
    grain = np.zeros(seen.shape, np.float32)
    if np.count_nonzero(seen) < FINISH.least:
        return grain
    light = cv2.transform(image.astype(np.float32), LUMINANCE[None])
    for finest, coarsest in CAMERA_GRAINS:
        band = np.abs(cv2.GaussianBlur(light, (0, 0), finest) - cv2.GaussianBlur(light, (0, 0), coarsest))
        strength = float(np.quantile(band[seen], FINISH.faint)) / QUANTILE_OF_NOISE
        grain += min(strength, FINISH.grainy) * _noise_of_frame(finest, coarsest, grain.shape)
    return grain


@lru_cache(maxsize=6)
def _noise_of_frame(finest: float, coarsest: float, shape: tuple[int, int]) -> Floats:
    noise = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), finest) - cv2.GaussianBlur(noise, (0, 0), coarsest)
    return np.asarray(field / field.std(), np.float32)


def _as_colourful(colours: Floats, seen: Floats, where: Floats) -> Floats:
    """A drawn backdrop, (S, S, 3) float32 RGB, without colours stronger than those that are seen, (N, 3)."""
    if len(seen) < FINISH.least:
        return colours
    green = colours[..., 1:2]
    away = colours - green
    least, most = np.percentile(seen - seen[:, 1:2], FINISH.colours, axis=0).astype(np.float32)
    bounded = np.clip(away, least, most) + green
    return np.asarray(colours + where[..., None] * (bounded - colours), np.float32)


def _blur_within(picture: Floats, weight: Floats, sigma: float) -> Floats:
    """Gaussian mean of (H, W, 3) by weight, at half the resolution, as it is smooth."""
    half = (weight.shape[1] // 2, weight.shape[0] // 2)
    stack = cv2.merge([*cv2.split(picture * weight[..., None]), weight + np.float32(1e-3)])
    blurred = cv2.GaussianBlur(cv2.resize(stack, half, interpolation=cv2.INTER_AREA), (0, 0), sigma / 2)
    return enlarge(np.asarray(blurred[..., :3] / blurred[..., 3:], np.float32), weight.shape[::-1])


def _coarse(known: Floats) -> Floats:
    small = cv2.resize(known, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return smoothstep(small, 0.5, 1)
