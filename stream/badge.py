"""The visible mark that a picture is edited."""

from __future__ import annotations

import cv2

from models.arrays import Image
from stream.frame import Region

TEXT = "edited by AI"


def draw_badge(image: Image) -> Region:
    """Write the mark into the lower left corner of a (H, W, 3) uint8 BGR picture, in place.

    Returns:
        Where it stands.
    """
    height, width = image.shape[:2]
    scale = max(height / 900, 0.35)
    (w, h), base = cv2.getTextSize(TEXT, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x, y = round(10 * scale), height - round(12 * scale) - base
    region = Region(x - 4, max(y - h - 4, 0), min(x + w + 4, width), min(y + base + 4, height))
    patch = image[region.slices]
    image[region.slices] = patch // 2
    cv2.putText(image, TEXT, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return region
