"""What a stream shows while no face can be edited: the camera, the last edited frame, or a blurred picture."""

from __future__ import annotations

import cv2

from models.arrays import Image
from stream.frame import Region, Trace
from stream.settings import Settings

BLUR_DIVISOR = 48
"""Blocks along the longer side of a blurred picture."""
BLUR_SIGMA = 1.5
"""Of the blur over these blocks, in blocks."""


class Fallback:
    """Keeps the last edited frame of one stream where the settings ask for it."""

    def __init__(self) -> None:
        self._held: Image | None = None

    def __call__(self, image: Image, settings: Settings, trace: Trace) -> tuple[Image, tuple[Region, ...]]:
        """The picture to show for a frame without an edited face.

        Args:
            image: (H, W, 3) uint8 BGR, the camera's.
            settings: `lost` counts.
            trace: of the frame.

        Returns:
            The picture, of the same shape, and where it differs from `image`.
        """
        whole = (Region(0, 0, image.shape[1], image.shape[0]),)
        if settings.lost == "blur":
            with trace.timed("blend"):
                return blurred(image), whole
        if settings.lost == "hold" and self._held is not None and self._held.shape == image.shape:
            return self._held, whole
        return image, ()

    def keep(self, edited: Image, settings: Settings) -> None:
        """Remember an edited frame."""
        self._held = edited if settings.lost == "hold" else None

    def forget(self) -> None:
        """Free the frame that is held."""
        self._held = None


def blurred(image: Image) -> Image:
    """A picture in which nobody can be recognised: averaged over blocks of 1/48 of the longer side, then softened."""
    height, width = image.shape[:2]
    block = max(max(height, width) / BLUR_DIVISOR, 1.0)
    small = cv2.resize(
        image, (max(round(width / block), 1), max(round(height / block), 1)), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), BLUR_SIGMA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
