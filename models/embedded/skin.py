"""Ageing of a face's own skin: an adaptive filter in the texture square.

Towards age, colour changes as on average and the face's own creases deepen. Towards youth, wrinkles and spots are
smoothed, and bags, hollows and folds are filled up to what is usual at 25 and never beyond, so that no highlight
appears where there was no shadow. Pores, moles, frames of glasses and brows stay. Folds that the face does not have
yet do not follow from its skin; the ageing generator draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded.scalp import SKIN_BOX
from models.face.canvas import around_brows
from models.face.imaging import LUMINANCE, coherence, log_colour, smoothstep

Range = tuple[float, float]
"""Where a smooth step starts and where it is complete."""


@dataclass(frozen=True, slots=True)
class Older:
    """How the skin is drawn older. Lights are log units, lengths are texture pixels.

    Attributes:
        colour: multiple of the mean change of colour that is drawn.
        creases: multiple of their depth by which the face's own creases deepen.
        crease_sigmas: the two Gaussians between which creases lie.
        deepest_crease: depth at which deepening saturates.
        line_sigmas: the two Gaussians by which lines are told: before the gradients, and over their structure tensor.
        line: its coherence over which something dark counts as a line: stains and shades would turn into bruises.
        dark_skin: mean log light at which skin counts as dark, and from which it does not.
        dark_gain: how much stronger ageing is drawn on dark skin, whose wrinkles show less.
    """

    colour: float = 1.25
    creases: float = 1.3
    crease_sigmas: tuple[float, float] = (0.9, 5.0)
    deepest_crease: float = 0.12
    line_sigmas: tuple[float, float] = (1.0, 4.0)
    line: Range = (0.2, 0.55)
    dark_skin: Range = (4.85, 5.15)
    dark_gain: float = 1.2


@dataclass(frozen=True, slots=True)
class GreyBrows:
    """How brows are found and turned grey. Lights are log units, lengths are texture pixels.

    Attributes:
        cheeks: rows and columns of the texture square that hold the cheeks.
        sigma: detail finer than this Gaussian is strands.
        most: largest rise of lightness.
        around: Gaussian of the skin around a brow.
        darker: how much darker than the skin around it a brow is.
        below_skin: lightness of the grey brows of women and of men below that of the skin around them: 0.21 and 0.29 at
            their darkest in portraits of people above 67.
        amount: share of the way to grey that brows go: they turn last.
        thin: share of the colour of skin in that of grey brows.
    """

    cheeks: tuple[slice, slice] = (slice(60, 110), slice(55, 137))
    sigma: float = 1.8
    most: float = 1.4
    around: float = 12.0
    darker: Range = (0.06, 0.35)
    below_skin: tuple[float, float] = (0.1, 0.24)
    amount: float = 0.9
    thin: float = 0.75


@dataclass(frozen=True, slots=True)
class Younger:
    """How the skin is drawn younger. Lights are log units, lengths are texture pixels.

    Attributes:
        pores: detail finer than this Gaussian is never smoothed.
        smoothing: edge-keeping smoothing: sigma of the window, variance of an edge. With it, fine and middle detail are
            nearest to those of 60 likes of 25 to 45; wider, skin looks airbrushed.
        dark_side: share of the dark side of a wrinkle that goes.
        bright_side: share of its bright side that goes.
        grain: depth below which detail is the skin's grain.
        grain_kept: share of the grain that stays; without it skin looks like wax.
        not_wrinkle: depths over which a line turns from a wrinkle to a frame, a nostril or a beard.
        filling: share of the difference to a face of 25 that is made up.
        most_lifted: largest rise of a place.
        most_lowered: largest fall of a place.
        sinking: mean changes with age over which a place starts to count as one that sinks or swells.
        glare: steps above the median light over which skin is too bright to be lifted.
        tone_sigma: width of the surroundings that give a lifted place its colour.
        toned: lifts over which that colour is taken.
        colour: share of the mean change of colour that is taken back.
        light: share of the mean change of light that is taken back.
    """

    pores: float = 0.5
    smoothing: tuple[float, float] = (2.0, 0.15)
    dark_side: float = 0.8
    bright_side: float = 0.8
    grain: float = 0.025
    grain_kept: float = 0.2
    not_wrinkle: Range = (0.35, 0.65)
    filling: float = 0.5
    most_lifted: float = 0.12
    most_lowered: float = 0.05
    sinking: Range = (0.01, 0.06)
    glare: Range = (0.15, 0.45)
    tone_sigma: float = 6.0
    toned: Range = (0.02, 0.1)
    colour: float = 0.5
    light: float = 0.2


OLDER = Older()
BROWS = GreyBrows()
YOUNGER = Younger()
BROWS_SPARED = 0.8
"""Share of every change that eyebrows are spared."""
BROW_DARK = (0.1, 0.4)
"""Steps below the face's median log light over which a place among the brows counts as brow."""
MIDDLE_SIGMAS = (3.5, 20.0)
"""The two Gaussians, texture pixels, between which bags, hollows and deep folds lie."""


@dataclass(frozen=True, slots=True)
class Skin:
    """Statistics of skin for women (0) and men (1), float32 in the texture square, log light.

    Attributes:
        colour: (2, 192, 192, 3), mean change of colour in `models.embedded.ageing.AGEING_YEARS`.
        young: (2, 192, 192), bags, hollows and folds at 25, see `middle`.
        change: (2, 192, 192), how these change in `models.embedded.ageing.AGEING_YEARS`.
        brows: (192, 192) in 0..1, the eyebrows.
        lips: (192, 192) in 0..1, the lips.
    """

    colour: Floats
    young: Floats
    change: Floats
    brows: Floats
    lips: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Skin:
        """Read the fields from arrays named `skin_<field>`; `brows` and `lips` are stored as 0..255."""
        trends = (tables[f"skin_{name}"].astype(np.float32) for name in ("colour", "young", "change"))
        places = (tables[f"skin_{name}"].astype(np.float32) / np.float32(255) for name in ("brows", "lips"))
        return Skin(*trends, *places)

    def older(self, texture: NDArray[np.uint8], male: float) -> Floats:
        """Change of log colour in `models.embedded.ageing.AGEING_YEARS`, without new folds; (192, 192, 3) float32.

        Args:
            texture: (192, 192, 3) uint8 RGB, the face unwrapped.
            male: 0 for a woman, 1 for a man.
        """
        logs = log_colour(texture)
        light = logs @ LUMINANCE
        low, high = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in OLDER.crease_sigmas)
        creases = np.tanh(np.minimum(low - high, 0) / OLDER.deepest_crease) * (OLDER.deepest_crease * OLDER.creases)
        creases *= (1 - BROWS_SPARED * self.brows) * _lined(low - high)
        # brows fade where this face has them, which differs from where the mean face has them
        brows = smoothstep(np.float32(np.median(light[SKIN_BOX])) - light, *BROW_DARK)
        colour = _mix_sexes(self.colour, male) * (1 - self.brows * (1 - brows))[..., None]
        return np.asarray(OLDER.colour * colour + creases[..., None], np.float32)

    def greyed(self, texture: NDArray[np.uint8], white: Floats, male: float) -> Floats:
        """Change of log colour that turns dark brows grey and thin, (192, 192, 3) float32.

        Args:
            texture: as of `older`.
            white: (3,) float32 RGB over luminance, colour of white hair in this light.
            male: 0 for a woman, 1 for a man.
        """
        logs = log_colour(texture)
        light = logs @ LUMINANCE
        cheeks = np.median(logs[BROWS.cheeks].reshape(-1, 3), axis=0)
        # skin is seen through thin brows
        seen = BROWS.thin * (cheeks - cheeks @ LUMINANCE)
        tint = np.asarray(seen + (1 - BROWS.thin) * np.log(white), np.float32)
        woman, man = BROWS.below_skin
        return self._grey_brows(light, logs, tint, woman + male * (man - woman))

    def _grey_brows(self, light: Floats, logs: Floats, tint: Floats, below_skin: float) -> Floats:
        zone = around_brows(self.brows)
        bare = 1 - zone + np.float32(1e-3)
        skin = cv2.GaussianBlur(light * bare, (0, 0), BROWS.around)
        skin /= cv2.GaussianBlur(bare, (0, 0), BROWS.around)
        # a brow is lifted as a whole, so that its hairs still differ
        broad = cv2.GaussianBlur(logs, (0, 0), BROWS.sigma)
        darker = skin - broad @ LUMINANCE
        brow = BROWS.amount * zone * smoothstep(darker, *BROWS.darker)
        return _grey(brow, np.clip(darker - np.float32(below_skin), 0, BROWS.most), broad, tint)

    def younger(self, texture: NDArray[np.uint8], male: float) -> Floats:
        """Change of log colour in `models.embedded.ageing.AGEING_YEARS` towards youth; see `older`."""
        logs = log_colour(texture)
        light = logs @ LUMINANCE
        spared = 1 - around_brows(self.brows)
        fine = cv2.GaussianBlur(light, (0, 0), YOUNGER.pores)
        smooth = _guided_by_itself(fine, *YOUNGER.smoothing)
        depth = np.abs(fine - cv2.GaussianBlur(fine, (0, 0), OLDER.crease_sigmas[1]))
        skin = 1 - smoothstep(cv2.GaussianBlur(depth, (0, 0), 1.0), *YOUNGER.not_wrinkle)
        wrinkles = (smooth - fine) * skin
        wrinkles -= YOUNGER.grain_kept * YOUNGER.grain * np.tanh(wrinkles / YOUNGER.grain)
        wrinkles *= np.where(wrinkles > 0, np.float32(YOUNGER.dark_side), np.float32(YOUNGER.bright_side))

        change = _mix_sexes(self.change, male)
        # what the wrinkles darkened is made up already
        missing = _mix_sexes(self.young, male) - middle_band(np.asarray(light + wrinkles * spared, np.float32))
        lit = smoothstep(light - np.float32(np.median(light[SKIN_BOX])), *YOUNGER.glare)
        lifted = np.clip(missing, 0, YOUNGER.most_lifted) * smoothstep(-change, *YOUNGER.sinking) * (1 - lit) * skin
        lowered = np.clip(missing, -YOUNGER.most_lowered, 0) * smoothstep(change, *YOUNGER.sinking)

        colour = cv2.GaussianBlur(_mix_sexes(self.colour, male), (0, 0), 3.0)
        usual = colour @ LUMINANCE
        tint = -YOUNGER.colour * (colour - usual[..., None]) * (spared * (1 - self.lips))[..., None]
        # skin in the shadow of a fold is redder than its surroundings: lifted without this correction, it glows
        own = logs - light[..., None]
        around = cv2.GaussianBlur(own, (0, 0), YOUNGER.tone_sigma) - cv2.GaussianBlur(own, (0, 0), YOUNGER.pores)
        tint += around * (smoothstep(wrinkles + lifted, *YOUNGER.toned) * spared * (1 - self.lips))[..., None]
        broad = (
            wrinkles + YOUNGER.filling * (lifted + lowered) - YOUNGER.light * usual * np.where(usual < 0, 1 - lit, 1)
        )
        return np.asarray(tint + (broad * spared)[..., None], np.float32)


def visibility_gain(skin: Floats) -> float:
    """Gain with which ageing shows on this skin, from the (3,) median log colour of the face."""
    return float(OLDER.dark_gain + (1 - OLDER.dark_gain) * smoothstep(skin @ LUMINANCE, *OLDER.dark_skin))


def middle_band(light: Floats) -> Floats:
    """Bags, hollows and deep folds of a (192, 192) log light: the band between wrinkles and the light on the face."""
    fine, coarse = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in MIDDLE_SIGMAS)
    return np.asarray(fine - coarse)


def _guided_by_itself(light: Floats, sigma: float, edge: float) -> Floats:
    """Self-guided filter (He et al. 2010) with Gaussian windows."""
    mean = cv2.GaussianBlur(light, (0, 0), sigma)
    variance = np.maximum(cv2.GaussianBlur(light * light, (0, 0), sigma) - mean * mean, 0)
    slope = variance / (variance + np.float32(edge))
    offset = cv2.GaussianBlur(mean * (1 - slope), (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(slope, (0, 0), sigma) * light + offset)


def _lined(light: Floats) -> Floats:
    """How much a band of light runs in lines, (H, W) float32 in 0..1."""
    fine, window = OLDER.line_sigmas
    return smoothstep(coherence(cv2.GaussianBlur(light, (0, 0), fine), window, 1e-6), *OLDER.line)


def _grey(where: Floats, lifted: Floats, broad: Floats, tint: Floats) -> Floats:
    """Lift the light by `lifted` and leave the tint alone of the colour, as far as `where` says; (192, 192, 3)."""
    light = broad @ LUMINANCE
    return np.asarray(where[..., None] * ((lifted + light)[..., None] + tint - broad), np.float32)


def _mix_sexes(tables: Floats, male: float) -> Floats:
    return np.asarray((1 - male) * tables[0] + male * tables[1], np.float32)
