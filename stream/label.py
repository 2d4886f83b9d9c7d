"""The label: a visible sign in a corner that says that the picture is edited."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from models.arrays import Image
from stream.frame import Region
from stream.settings import Settings

SHOWN_S = 5.0
"""Seconds for which the label is shown at a time."""
EVERY_S = 60.0
"""Seconds from one showing to the next."""
AGAIN_S = 2.0
"""Seconds without an edited face after which the next one counts as the first again."""
WORDS = {"badge": "", "words": "modified"}
"""What stands beside the sign, by the setting `label`."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Measures of the label, in shares of its height but for the first three.

    Attributes:
        height: of the label, shares of the picture's shorter side.
        least: of the label, pixels: letters stay legible in 360 lines.
        margin: to the edges of the picture, shares of the label's height.
        letters: height of the capital letters.
        stroke: of the letters.
        around: space left and right of the words.
        darken: share of the picture's light that stays under the label.
    """

    height: float = 0.055
    least: int = 22
    margin: float = 0.45
    letters: float = 0.42
    stroke: float = 0.075
    around: float = 0.38
    darken: float = 0.3


DRAWING = Drawing()


class Label:
    """Draws the label of one stream, and knows since when there is something to be labelled."""

    def __init__(self) -> None:
        self._since = self._last = -math.inf

    def draw(self, image: Image, settings: Settings, time: float) -> Region | None:
        """Draw the label into an edited (H, W, 3) uint8 BGR picture, in place.

        Args:
            image: the edited picture.
            settings: `label`, `label_corner` and `label_when` count.
            time: of the frame, seconds.

        Returns:
            Where it stands; None where none is due.
        """
        if time - self._last > AGAIN_S:
            self._since = time
        self._last = time
        due = settings.label_when == "always" or (time - self._since) % EVERY_S < SHOWN_S
        if settings.label == "off" or not due:
            return None
        return draw_label(image, WORDS[settings.label], settings.label_corner)


def draw_label(image: Image, words: str, corner: str) -> Region:
    """Draw the label into a (H, W, 3) uint8 BGR picture, in place, and return where it stands.

    Args:
        image: changed in place.
        words: beside the letters AI; empty for none.
        corner: "upper left", "upper right", "lower left" or "lower right".
    """
    rows, columns = image.shape[:2]
    height = max(round(DRAWING.height * min(rows, columns)), DRAWING.least)
    ink = _ink(words, height)
    margin = round(DRAWING.margin * height)
    width = ink.shape[1]
    x = margin if "left" in corner else columns - margin - width
    y = margin if "upper" in corner else rows - margin - height
    x, y = max(min(x, columns - width), 0), max(min(y, rows - height), 0)
    region = Region(x, y, min(x + width, columns), min(y + height, rows))
    part = image[region.slices]
    plate, letters = (cv2.merge([plane[: part.shape[0], : part.shape[1]]] * 3) for plane in (ink[..., 0], ink[..., 1]))
    shade = 1 - plate * np.float32(1 - DRAWING.darken)
    part[:] = np.clip(part * shade * (1 - letters) + 255 * letters + 0.5, 0, 255).astype(np.uint8)
    return region


@lru_cache(maxsize=16)
def _ink(words: str, height: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """The label's plate and its letters, (h, w, 2) float32 in 0..1, drawn four times as large and shrunk."""
    fine = 4 * height
    font = cv2.FONT_HERSHEY_SIMPLEX
    stroke = max(round(DRAWING.stroke * fine), 1)
    scale = cv2.getFontScaleFromHeight(font, round(DRAWING.letters * fine), stroke)
    sign, word = (cv2.getTextSize(text, font, scale, stroke)[0][0] for text in ("AI", words))
    around = round(DRAWING.around * fine)
    box = sign + 2 * around  # the letters AI stand in a frame of their own
    width = box + (word + 2 * around if words else 0)
    planes = np.zeros((2, fine, width), np.uint8)
    cv2.rectangle(planes[0], (0, 0), (width, fine), 255, -1)
    base = round(fine / 2 + DRAWING.letters * fine / 2)
    cv2.rectangle(planes[1], (stroke, stroke), (box - stroke, fine - stroke), 255, stroke, cv2.LINE_AA)
    cv2.putText(planes[1], "AI", (around, base), font, scale, 255, stroke, cv2.LINE_AA)
    if words:
        cv2.putText(planes[1], words, (box + around, base), font, scale, 255, stroke, cv2.LINE_AA)
    shrunk = [cv2.resize(plane, (-(-width // 4), height), interpolation=cv2.INTER_AREA) for plane in planes]
    return np.stack(shrunk, axis=-1).astype(np.float32) / np.float32(255)
