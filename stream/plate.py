"""The backdrop that a camera really showed beside and above a head, remembered while the camera stands still."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.crops import Placement
from models.editor import Backdrop, Crop
from models.face.imaging import smoothstep


@dataclass(frozen=True, slots=True)
class PlateSettings:
    """How a plate is kept.

    Attributes:
        side: longest side of the remembered frame, pixels.
        margin: pixels of the crop around a person that count as its own.
        feather: Gaussian of the edge of what is known, crop pixels.
        around: weight of the colours within it beside those of a place itself.
        person: probabilities of a person over which a place stops being backdrop.
        follow: share of a difference by which the plate follows what is seen of it.
        moved: median difference, 0..255, at which the camera counts as moved: the plate is forgotten.
        least: pixels that have to be seen again for a comparison.
    """

    side: int = 480
    margin: int = 16
    feather: float = 5.0
    around: float = 0.05
    person: tuple[float, float] = (0.03, 0.15)
    follow: float = 0.3
    moved: float = 14.0
    least: int = 300


PLATE = PlateSettings()


class Plate:
    """Backdrop of one face's surroundings, in the frame's coordinates. Light that changes slowly is followed."""

    def __init__(self) -> None:
        self._frame: tuple[int, int] | None = None
        self._colour = np.zeros((0, 0, 3), np.float32)
        self._known = np.zeros((0, 0), np.float32)

    def __call__(self, crop: Crop, placement: Placement, frame: tuple[int, int]) -> Backdrop:
        """Remember what a crop shows of the backdrop, and give what is known of it in this crop.

        Args:
            crop: with masks.
            placement: of the crop in the frame.
            frame: height and width of the frame, pixels.
        """
        height, width = frame
        scale = min(1.0, PLATE.side / max(height, width))
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        if frame != self._frame:
            self._frame = frame
            self._colour = np.zeros((size[1], size[0], 3), np.float32)
            self._known = np.zeros((size[1], size[0]), np.float32)
        to_plate = placement.to_frame * np.float32(scale)
        self._see(crop, to_plate, size)
        side = (len(crop.image), len(crop.image))
        back = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        # what was never seen has no colour: a pixel of it amid others takes theirs
        weighed = np.dstack([self._colour * self._known[..., None], self._known])
        here = cv2.warpAffine(weighed, to_plate, side, flags=back, borderMode=cv2.BORDER_CONSTANT)
        around = cv2.GaussianBlur(here, (0, 0), PLATE.feather)
        total = here + np.float32(PLATE.around) * around
        colour = total[..., :3] / np.maximum(total[..., 3:], np.float32(1e-6))
        return Backdrop(np.asarray(colour, np.float32), smoothstep(around[..., 3], 0.6, 0.97))

    def _see(self, crop: Crop, to_plate: Floats, size: tuple[int, int]) -> None:
        if crop.masks is None:
            return
        side = len(crop.image)
        person = np.maximum(np.maximum(crop.masks.person, crop.masks.hair), crop.masks.occluder)
        person = cv2.dilate(cv2.resize(person, (side, side)), np.ones((2 * PLATE.margin + 1,) * 2, np.uint8))
        free = 1 - smoothstep(person, *PLATE.person)
        free = cv2.warpAffine(free, to_plate, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        seen = cv2.warpAffine(crop.image, to_plate, size, flags=cv2.INTER_AREA).astype(np.float32)
        away = seen - self._colour
        again = (free > 0.9) & (self._known > 0.9)
        if np.count_nonzero(again) >= PLATE.least:
            differences = away[again]
            if float(np.median(np.abs(differences).max(1))) > PLATE.moved:
                self._known[:] = 0
            else:
                # places that are hidden now have changed with the light as those that are seen
                shift = np.float32(PLATE.follow) * np.median(differences, axis=0)
                self._colour += shift
                away -= shift
        known = np.maximum(self._known, free)
        # what is seen for the first time has its whole colour, however little of it is seen
        share = np.where(self._known > 0.5, np.float32(PLATE.follow) * free, free / np.maximum(known, np.float32(1e-6)))
        self._colour += share[..., None] * away
        self._known = known
