"""How soft the edges in a picture are, so that what is drawn into it has edges as soft."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.face.imaging import LUMINANCE


@dataclass(frozen=True, slots=True)
class EdgeBlur:
    """How the blur of edges is measured.

    Attributes:
        again: Gaussians by which the picture is blurred again, pixels.
        of_sobel: variance that differences between pixels add to an edge.
        strong: quantile of the gradients of edges from which an edge tells.
        noisy: multiple of the median gradient up to which an edge is noise.
        sharp: quantile of the sharpness of edges that is taken: light and shade have soft edges of their own.
    """

    again: tuple[float, float] = (0.8, 1.6)
    of_sobel: float = 0.54
    strong: float = 0.96
    noisy: float = 6.0
    sharp: float = 0.65


BLUR = EdgeBlur()


def edge_blur(image: Image, beyond: Floats | None = None) -> float:
    """How soft the edges in a picture are: the Gaussian that a sharp edge was blurred by (Zhuo and Sim 2011).

    A further blur lowers the gradient of a soft edge less than that of a sharp one.

    Args:
        image: (S, S, 3) uint8 RGB.
        beyond: (S, S) float32 in 0..1, what lies beyond the camera's frame; None for nowhere.

    Returns:
        Standard deviation, pixels; 0 where no edge is seen.
    """
    light = cv2.transform(image, LUMINANCE[None]).astype(np.float32)
    slopes = []
    for sigma in BLUR.again:
        soft = cv2.GaussianBlur(light, (0, 0), sigma)
        slopes.append(cv2.magnitude(*(cv2.Sobel(soft, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))))
    fine, coarse = slopes
    edges = coarse >= cv2.dilate(coarse, np.ones((3, 3), np.uint8))
    if beyond is not None:
        edges &= cv2.dilate(beyond, np.ones((9, 9), np.uint8)) < 0.02
    if not edges.any():
        return 0.0
    # noise has edges as well
    noise = BLUR.noisy * float(np.median(coarse))
    edges &= coarse >= max(float(np.quantile(coarse[edges], BLUR.strong)), noise, 1.0)
    if not edges.any():
        return 0.0
    sharper, softer = (np.square(sigma) for sigma in BLUR.again)
    ratio = float(np.quantile(np.square(fine[edges] / coarse[edges]), BLUR.sharp))
    return float(np.sqrt(max((softer - sharper * ratio) / max(ratio - 1, 1e-3) - BLUR.of_sobel, 0)))
