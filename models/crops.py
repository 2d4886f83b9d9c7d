"""Crop conventions: from landmarks to a quad, from a quad to a crop, and back.

Landmarks and quads are in continuous coordinates (the centre of pixel 0 is at 0.5), as MediaPipe and dlib-based FFHQ
alignment use them; the affine maps below are between pixel indices, as OpenCV wants them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np

from models.arrays import Floats, Image

Convention = Literal["ffhq", "ffhq_lats", "celeba", "box"]
Edge = Literal["mirrored", "repeated"]


@dataclass(frozen=True, slots=True)
class CropSpec:
    """How an editor wants its faces cut out.

    Attributes:
        convention: "ffhq", the quad of Karras et al. 2018 (eye distance x 2.0, eye to mouth x 1.8); "ffhq_lats", the
            same with x 2.2 (Or-El et al. 2020); "celeba", the 178x178 centre of CelebA's aligned
            pictures; "box", the upright square around the face box.
        size: side of the crop in pixels.
        margin: the convention's square is enlarged by this factor around its centre.
        edge: what a crop shows beyond the frame's edge: the picture mirrored, as in FFHQ, or its last pixels repeated,
            which makes no second head of hair.
    """

    convention: Convention
    size: int
    margin: float = 1.0
    edge: Edge = "mirrored"


class FaceGeometry(Protocol):
    """What a crop convention needs to know of a face, in continuous pixels of its picture, (x, y).

    Attributes:
        box: (4,) float32, x0, y0, x1, y1.
        points5: (5, 2) float32, eyes, nose tip, mouth corners, left to right in the picture.
    """

    @property
    def box(self) -> Floats: ...

    @property
    def points5(self) -> Floats: ...


LEFT_EYE = (33, 160, 158, 133, 153, 144)
RIGHT_EYE = (362, 385, 387, 263, 373, 380)
NOSE_TIP = 1
MOUTH_CORNERS = (61, 291)

FFHQ_EYES, FFHQ_MOUTH = 2.0, 1.8
LATS_MOUTH = 2.2
EYES_TO_CENTRE = 0.1
BOX_MARGIN = 1.3
BORDERS: dict[Edge, int] = {"mirrored": cv2.BORDER_REFLECT_101, "repeated": cv2.BORDER_REPLICATE}
MOST_AVERAGED = 4
"""Frame pixels across that a crop pixel is averaged from, at most."""

# Means of CelebA's aligned 178x218 pictures, moved into their 178x178 centre (20 rows cut off above and below).
CELEBA_SIDE = 178.0
CELEBA_POINTS5 = np.array([[69, 91], [108, 91], [88, 116], [72, 132], [105, 132]], np.float32)


@dataclass(frozen=True, slots=True)
class Quad:
    """A rotated square in a frame.

    Attributes:
        centre: (2,) float32, continuous frame coordinates.
        axis: (2,) float32, from the centre to the middle of the crop's right edge; its length is half the side.
    """

    centre: Floats
    axis: Floats

    @property
    def side(self) -> float:
        return 2.0 * float(np.hypot(*self.axis))

    @property
    def down(self) -> Floats:
        """(2,) float32, from the centre to the middle of the crop's lower edge."""
        return np.array([-self.axis[1], self.axis[0]], np.float32)

    def corners(self) -> Floats:
        """(4, 2) float32: upper left, lower left, lower right, upper right, in continuous frame coordinates."""
        x, y = self.axis, self.down
        return np.stack([self.centre - x - y, self.centre - x + y, self.centre + x + y, self.centre + x - y])

    def enlarged(self, factor: float) -> Quad:
        return Quad(self.centre, self.axis * np.float32(factor))


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a crop lies in a frame, with the maps between the two, computed once.

    Attributes:
        quad: the crop's square in the frame.
        size: side of the crop in pixels.
        to_frame: (2, 3) float32, the affine map from crop pixel indices to frame pixel indices. Nobody writes to it.
        to_crop: (2, 3) float32, its inverse. Nobody writes to it.
    """

    quad: Quad
    size: int
    to_frame: Floats
    to_crop: Floats

    @staticmethod
    def of(quad: Quad, size: int) -> Placement:
        """The placement of a crop of `size` pixels."""
        to_frame = crop_to_frame(quad, size)
        return Placement(quad, size, to_frame, cv2.invertAffineTransform(to_frame).astype(np.float32))


def points5_of(mesh: Floats) -> Floats:
    """Eye centres, nose tip and mouth corners of a (478, 2) mesh, as (5, 2) float32."""
    left, right = mesh[list(LEFT_EYE)].mean(0), mesh[list(RIGHT_EYE)].mean(0)
    return np.stack([left, right, mesh[NOSE_TIP], mesh[MOUTH_CORNERS[0]], mesh[MOUTH_CORNERS[1]]])


def quad_of(face: FaceGeometry, spec: CropSpec) -> Quad:
    """The square that `spec` cuts out around `face`.

    Raises:
        ValueError: the landmarks have no extent, or the convention is unknown.
    """
    match spec.convention:
        case "ffhq":
            quad = ffhq_quad(face.points5, FFHQ_MOUTH)
        case "ffhq_lats":
            quad = ffhq_quad(face.points5, LATS_MOUTH)
        case "celeba":
            quad = celeba_quad(face.points5)
        case "box":
            quad = box_quad(face.box)
        case _:
            raise ValueError(f"unknown crop convention {spec.convention!r}")
    if not np.isfinite(quad.side) or quad.side < 1.0:
        raise ValueError("the landmarks have no extent")
    return quad.enlarged(spec.margin)


def ffhq_quad(points5: Floats, mouth_factor: float = FFHQ_MOUTH) -> Quad:
    """The oriented square of FFHQ (Karras et al. 2018): eye distance x 2 or eye-to-mouth x `mouth_factor`."""
    eyes, mouth = points5[:2].mean(0), points5[3:].mean(0)
    eye_to_eye, eye_to_mouth = points5[1] - points5[0], mouth - eyes
    axis = eye_to_eye - np.array([-eye_to_mouth[1], eye_to_mouth[0]], np.float32)
    length = max(FFHQ_EYES * float(np.hypot(*eye_to_eye)), mouth_factor * float(np.hypot(*eye_to_mouth)))
    axis = axis / max(float(np.hypot(*axis)), 1e-6) * length
    return Quad(eyes + EYES_TO_CENTRE * eye_to_mouth, axis.astype(np.float32))


def celeba_quad(points5: Floats) -> Quad:
    """The 178x178 centre of CelebA's alignment: the similarity that brings the five points closest to its means."""
    (a, b), shift = similarity(CELEBA_POINTS5, points5)
    half = CELEBA_SIDE / 2
    centre = np.array([a * half - b * half, b * half + a * half], np.float32) + shift
    return Quad(centre, np.array([a * half, b * half], np.float32))


def box_quad(box: Floats) -> Quad:
    """The upright square around a face box, enlarged by `BOX_MARGIN`."""
    half = BOX_MARGIN * max(box[2] - box[0], box[3] - box[1]) / 2
    return Quad(np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], np.float32), np.array([half, 0], np.float32))


def similarity(source: Floats, target: Floats) -> tuple[tuple[float, float], Floats]:
    """Least-squares similarity, target ~ [[a, -b], [b, a]] source + shift (Umeyama 1991, without reflection).

    Args:
        source: (N, 2) points.
        target: (N, 2) points.

    Returns:
        (a, b) and the (2,) shift.
    """
    s, t = source - source.mean(0), target - target.mean(0)
    norm = max(float((s * s).sum()), 1e-12)
    a = float((s * t).sum()) / norm
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / norm
    mean = source.mean(0)
    return (a, b), (
        target.mean(0) - np.array([a * mean[0] - b * mean[1], b * mean[0] + a * mean[1]], np.float32)
    ).astype(np.float32)


def crop_to_frame(quad: Quad, size: int) -> Floats:
    """The (2, 3) affine map from crop pixel indices to frame pixel indices."""
    x, y = quad.axis * (2.0 / size), quad.down * (2.0 / size)
    origin = quad.centre - quad.axis - quad.down + 0.5 * (x + y) - 0.5
    return np.array([[x[0], y[0], origin[0]], [x[1], y[1], origin[1]]], np.float32)


def to_crop(points: Floats, quad: Quad, size: int) -> Floats:
    """Bring (N, 2) continuous frame coordinates into continuous crop coordinates."""
    relative = points - quad.centre
    scale = np.float32(size / 2 / float(quad.axis @ quad.axis))
    along, down = relative @ quad.axis, relative @ quad.down
    return (np.stack([along, down], axis=1) * scale + np.float32(size / 2)).astype(np.float32)


def cut(image: Image, quad: Quad, size: int) -> Image:
    """Cut a quad out of a frame, as `cut_placed`.

    Args:
        image: (H, W, 3) uint8.
        quad: where.
        size: side of the crop in pixels.

    Returns:
        (size, size, 3) uint8, colour order as in `image`.
    """
    return cut_placed(image, Placement.of(quad, size))


def cut_placed(image: Image, placement: Placement, edge: Edge = "mirrored") -> Image:
    """Cut a crop out of a frame.

    Where a crop pixel covers several pixels of the frame, these are averaged first, so that fine texture does not alias
    into flicker.

    Args:
        image: (H, W, 3) uint8.
        placement: where.
        edge: what is shown beyond the frame's edge.

    Returns:
        (size, size, 3) uint8, colour order as in `image`.
    """
    quad, size = placement.quad, placement.size
    matrix = placement.to_frame.copy()
    border = BORDERS[edge]
    across = min(max(round(quad.side / size), 1), MOST_AVERAGED)
    if across > 1:
        x0, y0, x1, y1 = _surroundings(quad, image.shape, across)
        image = cv2.blur(image[y0:y1, x0:x1], (across, across), borderType=border)
        # a mean over an even number of pixels belongs half a pixel before the one it is written to
        matrix[:, 2] += np.array([-x0, -y0], np.float32) + (0.5 if across % 2 == 0 else 0.0)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border)


def beyond_frame(placement: Placement, frame: tuple[int, int]) -> Floats | None:
    """Where a crop lies beyond the frame's edge.

    Args:
        placement: of the crop.
        frame: height and width of the frame, pixels.

    Returns:
        (size, size) float32, 1 beyond the edge; None where all of the crop lies in the frame.
    """
    corners, size = placement.quad.corners(), placement.size
    if (corners >= 0).all() and (corners <= (frame[1], frame[0])).all():
        return None
    matrix = placement.to_frame
    places = np.arange(size, dtype=np.float32)
    x, y = (row[0] * places[None] + row[1] * places[:, None] + row[2] for row in matrix)
    outside = (x < 0) | (y < 0) | (x > frame[1] - 1) | (y > frame[0] - 1)
    return outside.astype(np.float32)


def _surroundings(quad: Quad, shape: tuple[int, ...], margin: int) -> tuple[int, int, int, int]:
    """The part x0, y0, x1, y1 of a frame that a quad needs; what it needs beyond the frame is mirrored in there."""
    corners = quad.corners()
    low, high = np.floor(corners.min(0)).astype(int) - margin, np.ceil(corners.max(0)).astype(int) + margin + 1
    height, width = shape[:2]
    beyond = np.maximum(np.maximum(-low, high - (width, height)), 0)
    x0, x1 = max(int(low[0] - beyond[0]), 0), min(int(high[0] + beyond[0]), width)
    y0, y1 = max(int(low[1] - beyond[1]), 0), min(int(high[1] + beyond[1]), height)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else (0, 0, width, height)
