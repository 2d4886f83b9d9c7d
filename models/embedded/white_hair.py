"""White hair in the light of the hair that it was: how light and warm it is, what of it is none, how matt it is.

It is drawn by `models.embedded.hair_look`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.editor import Crop
from models.embedded.eye_axes import eye_axes
from models.embedded.strands import FILTER, Look
from models.face.imaging import LUMINANCE, smoothstep


@dataclass(frozen=True, slots=True)
class Greyed:
    """How hair loses its pigment. Lights are log units, lengths are crop pixels.

    Attributes:
        lighter: least light of white hair over that of this hair.
        skins, tints: logs of red over blue of skin, and those of white hair there, the medians of 239 people.
        magenta, magentas: shares of the logs of red over blue, and of red and blue over green twice, of skin in the
            latter of white hair, and what is added, by the same people; bounds of that: more looks lilac.
        levels: shares of the log luminance of this hair and of skin in that of white hair, and what is added: that of
            273 people with grey hair hardly depends on their skin.
        above_skin: bound of it over skin, log: in a dim room nothing glows.
        pigment: share of its own colour that half grey hair keeps, over the share of hair that keeps its pigment: in
            portraits such hair has twice the colour of white hair.
        brown, browned: log of red over blue, beyond that of white hair, that what turns grey has at least, over the
            square of the share of hair that keeps its pigment; greyness over which that begins: by 224 people.
        beard_light: bound of the light of a white beard, as a share of skin's.
        fair: how much redder than skin beards are beside which nothing stays redder than skin, log red over blue.
        beside: how far beside a beard that is, pixels.
        matt, shaded, shade: powers of the broad light of drawn hair over its median, and of the broadest below `shade`:
            white hair does not shine as dark hair does, nor are whole sides of it dark, in 279 portraits of people
            above 60.
        matt_step, matt_sigmas: pixels of the crop in one of the grid of such light, and both Gaussians on the grid.
        strand_sigma: Gaussian that parts strands from the light around them.
        gaps, crests: multiples of the light of drawn strands below and above that: between real white strands gaps are
            dark (skewness -0.5 to -0.7 in the same portraits), drawn ones are bright lines.
        own: share of the light of the camera's own strands that is added, and the bound of it.
        outline, outlined: side of the closing that takes dark lines along the edge of hair, and the width of that edge,
            pixels of the crop.
        line: how much darker, 0..255, is no line; the share of the rest that goes.
        some, sure: alpha over which there is hair, and hair alone.
        redder: log of red over green, beyond that of skin and hair, over which a place is an ear.
        red_hair: the same of hair beyond that of skin, over which no ear is told from it.
        unlike, brighter: distances from the hair in logs of red and of blue over green, and in those of the brightest
            of red, green and blue, over which a place is something that is worn in it.
        ornament_sigma: Gaussian before these.
        ornament, ornaments: shares of the hair over which one such place, and all of them, are hair after all.
        amid_sigma, amid: Gaussian of how much of a pixel is hair, and shares over which a place lies amid hair.
        dark: offset of these logs, 0..255.
    """

    lighter: float = 0.3
    skins: tuple[float, ...] = (0.05, 0.15, 0.25, 0.35, 0.45, 0.6)
    tints: tuple[float, ...] = (-0.12, -0.06, 0.06, 0.115, 0.15, 0.17)
    magenta: tuple[float, float, float] = (0.1, 0.45, -0.06)
    magentas: tuple[float, float] = (-0.02, 0.04)
    levels: tuple[float, float, float] = (0.2, 0.25, 3.02)
    above_skin: float = 0.75
    pigment: float = 0.3
    brown: float = 0.15
    browned: tuple[float, float] = (0.0, 0.3)
    beard_light: float = 0.8
    fair: tuple[float, float] = (0.15, 0.4)
    beside: int = 6
    matt: float = 0.55
    shaded: float = 0.4
    shade: float = -0.4
    matt_step: int = 4
    matt_sigmas: tuple[float, float] = (1.6, 5.0)
    strand_sigma: float = 1.8
    gaps: float = 1.8
    crests: float = 0.7
    own: tuple[float, float] = (0.15, 0.5)
    outline: int = 7
    outlined: int = 7
    line: tuple[float, float] = (4.0, 0.8)
    some: float = 0.04
    sure: float = 0.9
    redder: tuple[float, float] = (0.16, 0.35)
    red_hair: tuple[float, float] = (0.02, 0.12)
    unlike: tuple[float, float] = (0.7, 1.1)
    brighter: tuple[float, float] = (0.6, 1.1)
    ornament_sigma: float = 1.0
    ornament: tuple[float, float] = (0.015, 0.03)
    ornaments: tuple[float, float] = (0.03, 0.05)
    amid_sigma: float = 4.0
    amid: tuple[float, float] = (0.5, 0.75)
    dark: float = 12.0


GREYED = Greyed()


def white_in(skin: Floats) -> Floats:
    """The colour of hair without pigment, (3,) float32 RGB over luminance, in the light that skin tells.

    Args:
        skin: (3,) float32 RGB, 0..255, median of the face.
    """
    red, green, blue = (float(value) for value in np.log(np.maximum(skin, 1)))
    warmth = float(np.interp(red - blue, GREYED.skins, GREYED.tints))
    of_warm, of_magenta, rest = GREYED.magenta
    magenta = of_warm * (red - blue) + of_magenta * (red + blue - 2 * green) + rest
    magenta = float(np.clip(magenta, *GREYED.magentas))
    colour = np.exp(0.5 * np.array([magenta + warmth, 0, magenta - warmth], np.float32))
    return np.asarray(colour / float(colour @ LUMINANCE), np.float32)


def white_level(now: Look, skin: Floats) -> float:
    """The median log luminance of hair without pigment.

    Args:
        now: the look of this hair; what is light now is lighter then.
        skin: (3,) float32 RGB, 0..255, median of the face, which tells the light.
    """
    of_hair, of_skin, rest = GREYED.levels
    of_face = float(np.log(skin @ LUMINANCE + FILTER.offset))
    return min(of_hair * now.level + of_skin * of_face + rest, of_face + GREYED.above_skin)


def half_white(white: Floats, now: Look, amount: float) -> Floats:
    """The colour of hair that is partly white, (3,) float32 RGB over luminance: between white strands is pigment.

    Args:
        white: (3,) float32 RGB over luminance, hair without pigment.
        now: the look of this hair.
        amount: how grey it is, 0..1.
    """
    share = np.float32(min(GREYED.pigment * (1 - amount), 1.0))
    pigment = np.log(np.maximum(now.colour, np.float32(0.05)) / white) * share
    # black hair is brown where it has lost some of its pigment
    begun = float(smoothstep(np.asarray(amount), *GREYED.browned))
    warmer = begun * max(GREYED.brown * (1 - amount) ** 2 - float(pigment[0] - pigment[2]), 0.0)
    colour = white * np.exp(pigment + np.float32(warmer) * np.array([0.5, 0, -0.5], np.float32))
    return np.asarray(colour / float(colour @ LUMINANCE), np.float32)


def matt(drawn: Floats, weight: Floats, level: float, amount: float) -> Floats:
    """What is added to hair that was drawn white so that it scatters light: it has less gloss, and no dark sides.

    Args:
        drawn: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        level: its median log luminance.
        amount: how grey it is, 0..1.

    Returns:
        (H, W, 3) float32 RGB, 0 beyond hair.
    """
    height, width = weight.shape
    grid = (max(width // GREYED.matt_step, 1), max(height // GREYED.matt_step, 1))
    light = cv2.transform(cv2.resize(drawn, grid, interpolation=cv2.INTER_AREA), LUMINANCE[None])
    light = cv2.log(np.maximum(light, 0) + np.float32(GREYED.dark))
    inside = cv2.resize(weight, grid, interpolation=cv2.INTER_AREA) ** 2 + np.float32(1e-3)
    light -= np.float32(np.log(np.exp(level) + GREYED.dark))
    broad, broadest = (
        cv2.GaussianBlur(light * inside, (0, 0), sigma) / cv2.GaussianBlur(inside, (0, 0), sigma)
        for sigma in GREYED.matt_sigmas
    )
    taken = np.float32(GREYED.matt - 1) * np.maximum(broad, 0)
    taken += np.float32(GREYED.shaded - 1) * np.minimum(broadest - np.float32(GREYED.shade), 0)
    gain = cv2.exp(cv2.resize(np.float32(amount) * taken, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.asarray((weight * (gain - 1))[..., None] * np.maximum(drawn, 0), np.float32)


def stranded(drawn: Floats, weight: Floats, light: Floats, amount: float) -> Floats:
    """What is added to hair that was drawn white so that gaps between its strands are dark.

    Args:
        drawn: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel is hair.
        light: (H, W) float32, 0..255, luminance of the camera's picture, of little noise.
        amount: how grey it is, 0..1.

    Returns:
        (H, W, 3) float32 RGB, 0 beyond hair.
    """
    inside = weight + np.float32(1e-3)
    usual = cv2.GaussianBlur(inside, (0, 0), GREYED.strand_sigma)

    def strands(luminance: Floats) -> Floats:
        logs = cv2.log(np.maximum(luminance, 0) + np.float32(GREYED.dark))
        return np.asarray(logs - cv2.GaussianBlur(logs * inside, (0, 0), GREYED.strand_sigma) / usual)

    share, bound = GREYED.own
    seen = strands(cv2.transform(drawn, LUMINANCE[None]))
    gained = np.where(seen < 0, np.float32(GREYED.gaps - 1), np.float32(GREYED.crests - 1)) * seen
    gained += np.float32(share) * np.clip(strands(light), -bound, bound)
    gain = weight * weight * (cv2.exp(np.float32(amount) * gained) - 1)
    return np.asarray(gain[..., None] * np.maximum(drawn, 0), np.float32)


def without_outline(drawn: Floats, alpha: Floats, colour: Floats, amount: float) -> Floats:
    """What is added so that no dark lines stay where white hair ends: strands of which alpha tells too little.

    Args:
        drawn: (H, W, 3) float32 RGB, 0..255.
        alpha: (H, W) float32 in 0..1, hair.
        colour: (3,) float32 RGB over luminance, of the hair.
        amount: how grey it is, 0..1.

    Returns:
        (H, W, 3) float32 RGB, 0 away from the edge.
    """
    some = cv2.dilate((alpha > GREYED.some).astype(np.uint8), np.ones((3, 3), np.uint8))
    inner = cv2.erode((alpha > GREYED.sure).astype(np.uint8), np.ones((GREYED.outlined,) * 2, np.uint8))
    edge = cv2.GaussianBlur((some * (1 - inner)).astype(np.float32), (0, 0), 1.0)
    light = cv2.transform(drawn, LUMINANCE[None])
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GREYED.outline, GREYED.outline))
    least, share = GREYED.line
    lacks = np.maximum(cv2.morphologyEx(light, cv2.MORPH_CLOSE, shape) - light - np.float32(least), 0)
    return np.asarray((np.float32(amount * share) * edge * lacks)[..., None] * colour, np.float32)


def without_red(drawn: Floats, beard: Floats, skin: Floats) -> Floats:
    """What is added so that nothing in and beside a beard is redder than skin: red hair where alpha tells too little.

    Args:
        drawn: (H, W, 3) float32 RGB, 0..255.
        beard: (H, W) float32 in 0..1.
        skin: (3,) float32 RGB, 0..255, median of the face.

    Returns:
        (H, W, 3) float32 RGB, 0 away from the beard.
    """
    side = 2 * GREYED.beside + 1
    near = cv2.dilate(beard, np.ones((side, side), np.uint8))
    near = cv2.GaussianBlur(np.minimum(2 * near, 1), (0, 0), GREYED.beside / 2)
    red, green, blue = cv2.split(np.maximum(drawn, 0) + np.float32(GREYED.dark))
    usual = float(np.log((skin[0] + GREYED.dark) / (skin[2] + GREYED.dark)))
    over = near * np.maximum(cv2.log(red / blue) - np.float32(usual), 0)
    half = cv2.exp(np.float32(0.5) * over)
    paler = cv2.merge([red / half, green, blue * half])
    before, after = (cv2.transform(each, LUMINANCE[None]) for each in (cv2.merge([red, green, blue]), paler))
    return np.asarray(paler * (before / after)[..., None] - cv2.merge([red, green, blue]), np.float32)


def ears(crop: Crop, box: tuple[slice, slice], skin: Floats, now: Look) -> Floats:
    """Ears in the shade of hair that count as hair, in a part of the crop, float32 in 0..1: beside the eyes, and redder
    than both skin and hair.

    Args:
        crop: the face.
        box: rows and columns.
        skin: (3,) float32 RGB, 0..255, median of the face.
        now: the look of the hair.
    """
    part = crop.image[box]
    half = (max(part.shape[1] // 2, 1), max(part.shape[0] // 2, 1))
    middle, axes = eye_axes(crop)
    x = np.linspace(box[1].start, box[1].stop - 1, half[0], dtype=np.float32) - np.float32(middle[0])
    y = np.linspace(box[0].start, box[0].stop - 1, half[1], dtype=np.float32)[:, None] - np.float32(middle[1])
    across, down = np.abs(x * axes[0, 0] + y * axes[0, 1]), x * axes[1, 0] + y * axes[1, 1]
    place = smoothstep(across, 0.85, 1.0) * smoothstep(-across, -2.0, -1.6)
    place *= smoothstep(down, -0.7, -0.4) * smoothstep(-down, -1.4, -1.1)
    small = cv2.resize(part, half, interpolation=cv2.INTER_AREA).astype(np.float32) + np.float32(GREYED.dark)
    own = float(np.log(max(skin[0], 1) / max(skin[1], 1)))
    of_hair = float(np.log(max(now.colour[0], 1e-3) / max(now.colour[1], 1e-3)))
    red = smoothstep(cv2.log(small[..., 0] / small[..., 1]) - np.float32(max(own, of_hair)), *GREYED.redder)
    red *= 1 - smoothstep(np.asarray(of_hair - own, np.float32), *GREYED.red_hair)
    return np.asarray(cv2.resize(red * place, part.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def ornaments(picture: Floats, weight: Floats, now: Look) -> Floats:
    """Earrings, bands and clips that count as hair, (H, W) float32 in 0..1: bright, and of a colour that it has not.

    Args:
        picture: (H, W, 3) float32 RGB, 0..255.
        weight: (H, W) float32 in 0..1, how much of a pixel counts as hair: at its edge it is mixed with the backdrop.
        now: the look of the hair.
    """
    logs = cv2.log(cv2.GaussianBlur(picture, (0, 0), GREYED.ornament_sigma) + np.float32(GREYED.dark))
    own = np.log(np.maximum(now.colour * np.float32(np.exp(now.level)), 0) + np.float32(GREYED.dark))
    away = cv2.subtract(logs, (*(float(value) for value in own), 0.0))
    red, green, blue = cv2.split(away)
    unlike = smoothstep(cv2.magnitude(red - green, blue - green), *GREYED.unlike)
    amid = smoothstep(cv2.GaussianBlur(weight, (0, 0), GREYED.amid_sigma), *GREYED.amid)
    worn = amid * unlike * smoothstep(cv2.max(cv2.max(red, green), blue), *GREYED.brighter)
    # what is larger, or all over, is hair that is dyed or lit
    whole = float(weight.sum()) + 1
    _, parts, stats, _ = cv2.connectedComponentsWithStats((worn > np.float32(0.2)).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA] / np.float32(whole)
    small = 1 - smoothstep(areas, *GREYED.ornament)
    small[0] = 1
    few = 1 - smoothstep(np.asarray(areas[1:].sum(), np.float32), *GREYED.ornaments)
    return np.asarray(worn * small[parts] * few, np.float32)
