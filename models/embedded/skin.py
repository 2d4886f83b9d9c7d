"""How a face's skin ages, as far as it follows from the face itself: an adaptive filter in the texture square.

Towards age the colour changes as it does on average and the face's own creases deepen. Towards youth its wrinkles and
spots are smoothed and its bags, hollows and folds filled up to what is usual at 25: never beyond, so no highlight
appears where there was no shadow. Pores, moles, frames of glasses and brows stay. What does not follow from the face,
the folds that it does not have yet, is drawn by the ager.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.embedded.scalp import SKIN_BOX
from models.face.imaging import LUMINANCE, log_colour, smoothstep

COLOUR = 1.25
"""How much of the mean change of colour is drawn."""
CREASES, CREASE_SCALES, CREASE_MOST = 1.3, (0.9, 5.0), 0.12
"""How much the face's own creases deepen; the Gaussians between which they lie; where deep ones saturate."""
DARK, DARK_GAIN = (4.85, 5.15), 1.2
"""Between these mean log lights skin passes from dark to light; how much stronger ageing is drawn on dark skin, whose
wrinkles show less.
"""
CHEEKS = (slice(60, 110), slice(55, 137))
BEARD_SIGMA, BEARD_ROWS = 2.5, (112.0, 124.0)
"""What is finer are a beard's strands; the texture rows between which beards begin."""
GREYED, GREY_BELOW, GREYED_MOST = 0.75, 0.25, 0.9
"""How far a beard goes towards grey; how far grey is below the cheeks in log light; the most by which it rises."""
PORES = 0.7
"""Finer than this nothing is smoothed, texture pixels."""
SMOOTHINGS = ((3.0, 0.05), (5.5, 0.03))
"""Rounds of edge-keeping smoothing: the window's sigma in texture pixels, the variance of an edge in log light."""
DARK_LESS, BRIGHT_LESS = 1.0, 0.8
"""How much of the dark and of the bright side of a wrinkle goes."""
SHALLOW, SHALLOW_KEPT = 0.025, 0.3
"""Detail of less than this in log light is the skin's grain, of which so much stays: without it a face is of wax."""
FRAMES = (0.3, 0.55)
"""Between these depths in log light a line is no wrinkle but a frame, a nostril or a beard."""
FILLING, FILLED_MOST, SUNK_MOST = 0.8, 0.12, 0.05
"""How much of the difference to a face of 25 is made up, and the most by which is lifted and lowered."""
AGED = (0.01, 0.06)
"""Between these mean changes with age a place counts as one that sinks or swells."""
GLARE = (0.15, 0.45)
"""Between these steps above the face's median skin is lit so brightly that nothing is lifted."""
TONE_SIGMA, TONED = 6.0, (0.02, 0.1)
"""Where light is lifted by as much as between the latter, colour becomes that of so wide a surrounding."""
YOUNG_COLOUR, YOUNG_LIGHT = 0.7, 0.3
"""How much of the mean change of colour and of light is taken back towards youth."""
BROW_DARK = (0.1, 0.4)
"""Between these steps below the face's median in log light a place among the brows is one."""
BROWS = 0.8
"""Share of all this that eyebrows are spared."""


@dataclass(frozen=True, slots=True)
class Skin:
    """The statistics, for women and men; (2, 192, 192, ...) float32 in the texture square, log light.

    Attributes:
        colour: (2, 192, 192, 3), mean change of colour in `models.embedded.ageing.AGEING_YEARS`.
        young: (2, 192, 192), bags, hollows and folds at 25, see `middle`.
        change: (2, 192, 192), how these change in `models.embedded.ageing.AGEING_YEARS`.
        brows: (192, 192), the eyebrows.
        lips: (192, 192), the lips.
    """

    colour: Floats
    young: Floats
    change: Floats
    brows: Floats
    lips: Floats

    @staticmethod
    def from_tables(tables: dict[str, NDArray[Any]]) -> Skin:
        """Take the fields from arrays named `skin_<field>`; `brows` and `lips` x 255."""
        trends = (tables[f"skin_{name}"].astype(np.float32) for name in ("colour", "young", "change"))
        places = (tables[f"skin_{name}"].astype(np.float32) / np.float32(255) for name in ("brows", "lips"))
        return Skin(*trends, *places)

    def older(self, texture: NDArray[np.uint8], male: float) -> Floats:
        """Change of log colour over half a lifetime, (192, 192, 3) float32, less the folds that are not there yet.

        Args:
            texture: (192, 192, 3) uint8 RGB, the face unwrapped.
            male: 0 for a woman, 1 for a man.
        """
        logs = log_colour(texture)
        light = logs @ LUMINANCE
        low, high = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in CREASE_SCALES)
        creases = np.tanh(np.minimum(low - high, 0) / CREASE_MOST) * (CREASE_MOST * CREASES)
        creases *= 1 - BROWS * self.brows
        # brows fade where the face has them, which is seldom where the mean face does
        brows = smoothstep(np.float32(np.median(light[SKIN_BOX])) - light, *BROW_DARK)
        colour = _mixed(self.colour, male) * (1 - self.brows * (1 - brows))[..., None]
        return np.asarray(COLOUR * colour + creases[..., None] + male * self._greyed(logs))

    def _greyed(self, logs: Floats) -> Floats:
        """The change that turns a dark beard grey: it is darker than the cheeks, rough, and has less colour."""
        cheeks = np.median(logs[CHEEKS].reshape(-1, 3), axis=0)
        broad = cv2.GaussianBlur(logs, (0, 0), BEARD_SIGMA)
        light, own = broad @ LUMINANCE, float(cheeks @ LUMINANCE)
        roughness = np.sqrt(cv2.GaussianBlur((logs @ LUMINANCE - light) ** 2, (0, 0), 4.0))
        colourless = float(cheeks[0] - cheeks[2]) - (broad[..., 0] - broad[..., 2])
        beard = (
            smoothstep(own - light, 0.2, 0.6) * smoothstep(roughness, 0.03, 0.08) * smoothstep(colourless, -0.05, 0.12)
        )
        beard *= smoothstep(np.arange(len(logs), dtype=np.float32), *BEARD_ROWS)[:, None] * (1 - self.lips)
        lifted = np.clip(own - GREY_BELOW - light, 0, GREYED_MOST)[..., None]
        return np.asarray(GREYED * beard[..., None] * (lifted + light[..., None] - broad), np.float32)

    def younger(self, texture: NDArray[np.uint8], male: float) -> Floats:
        """As `older`, towards youth."""
        logs = log_colour(texture)
        light = logs @ LUMINANCE
        spared = 1 - BROWS * self.brows
        fine = cv2.GaussianBlur(light, (0, 0), PORES)
        smooth = fine
        for sigma, edge in SMOOTHINGS:
            smooth = _smoothed(smooth, sigma, edge)
        depth = np.abs(fine - cv2.GaussianBlur(fine, (0, 0), CREASE_SCALES[1]))
        skin = 1 - smoothstep(cv2.GaussianBlur(depth, (0, 0), 1.0), *FRAMES)
        wrinkles = (smooth - fine) * skin
        wrinkles -= SHALLOW_KEPT * SHALLOW * np.tanh(wrinkles / SHALLOW)
        wrinkles *= np.where(wrinkles > 0, np.float32(DARK_LESS), np.float32(BRIGHT_LESS))

        change = _mixed(self.change, male)
        missing = _mixed(self.young, male) - middle(light)
        lit = smoothstep(light - np.float32(np.median(light[SKIN_BOX])), *GLARE)
        lifted = np.clip(missing, 0, FILLED_MOST) * smoothstep(-change, *AGED) * (1 - lit) * skin
        lowered = np.clip(missing, -SUNK_MOST, 0) * smoothstep(change, *AGED)

        colour = cv2.GaussianBlur(_mixed(self.colour, male), (0, 0), 3.0)
        usual = colour @ LUMINANCE
        tint = -YOUNG_COLOUR * (colour - usual[..., None]) * (spared * (1 - self.lips))[..., None]
        # what lay in the shadow of a fold is redder than the skin around it: lifted, it would glow
        own = logs - light[..., None]
        around = cv2.GaussianBlur(own, (0, 0), TONE_SIGMA) - cv2.GaussianBlur(own, (0, 0), PORES)
        tint += around * (smoothstep(wrinkles + lifted, *TONED) * spared * (1 - self.lips))[..., None]
        broad = wrinkles + FILLING * (lifted + lowered) - YOUNG_LIGHT * usual * np.where(usual < 0, 1 - lit, 1)
        return np.asarray(tint + (broad * spared)[..., None], np.float32)


def showing(skin: Floats) -> float:
    """How strongly to draw ageing so that it shows, from the (3,) median log colour of the face."""
    return float(DARK_GAIN + (1 - DARK_GAIN) * smoothstep(skin @ LUMINANCE, *DARK))


def middle(light: Floats) -> Floats:
    """Bags, hollows and deep folds: coarser than wrinkles, finer than the light; (192, 192) float32."""
    fine, coarse = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in (3.5, 20.0))
    return np.asarray(fine - coarse)


def _smoothed(light: Floats, sigma: float, edge: float) -> Floats:
    """A guided filter (He et al. 2010) with Gaussian windows, guided by itself."""
    mean = cv2.GaussianBlur(light, (0, 0), sigma)
    variance = np.maximum(cv2.GaussianBlur(light * light, (0, 0), sigma) - mean * mean, 0)
    slope = variance / (variance + np.float32(edge))
    offset = cv2.GaussianBlur(mean * (1 - slope), (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(slope, (0, 0), sigma) * light + offset)


def _mixed(tables: Floats, male: float) -> Floats:
    return np.asarray((1 - male) * tables[0] + male * tables[1], np.float32)
