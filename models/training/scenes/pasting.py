"""Pastes portraits into pictures under an affine map, and blends by masks."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Floats, Image
from models.training.data import SIZE
from models.training.scenes.geometry import compose_matrices, transform


def paste(
    rng: np.random.Generator,
    canvas: Image,
    *,
    image: Image,
    person: Image,
    matrix: Floats,
    mirrored: bool = False,
) -> None:
    """Paste a portrait into the canvas in place: as a cut-out person, a feathered square or a hard square.

    Args:
        rng: random generator.
        canvas: (H, W, 3) uint8 RGB, changed in place.
        image: (256, 256, 3) uint8 RGB.
        person: (128, 128) uint8, probability x 255.
        matrix: (2, 3) portrait pixels to canvas pixels.
        mirrored: the portrait is mirrored before `matrix` is applied.
    """
    if mirrored:
        image, person = image[:, ::-1], person[:, ::-1]
    height, width = canvas.shape[:2]
    corners = transform(np.array([[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE]], np.float32), matrix)
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (width, height))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    kind = rng.choice(3, p=[0.6, 0.25, 0.15])
    alpha = person if kind == 0 else _SQUARES[kind - 1]
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    to_region = matrix - np.array([[0, 0, x0], [0, 0, y0]], np.float32)
    image, colour_to_region = shrink(np.ascontiguousarray(image), to_region, scale)
    alpha_to_region = compose_matrices(to_region, np.array([[2, 0, 0.5], [0, 2, 0.5]], np.float32))
    alpha, alpha_to_region = shrink(np.ascontiguousarray(alpha), alpha_to_region, scale * 2)
    size = (int(x1 - x0), int(y1 - y0))
    colour = cv2.warpAffine(image, colour_to_region, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    mask = cv2.warpAffine(alpha, alpha_to_region, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    region = canvas[y0:y1, x0:x1]
    region[:] = blend(region, colour, mask)


def shrink(image: Image, matrix: Floats, scale: float) -> tuple[Image, Floats]:
    """Halve the picture while the warp would alias, and adapt the matrix."""
    while scale < 0.6 and min(image.shape[:2]) > 16:
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
        matrix = compose_matrices(matrix, np.array([[2, 0, 0.5], [0, 2, 0.5]], np.float32))
        scale *= 2
    return image, matrix


def blend(under: Image, over: Image, mask: Image) -> Image:
    """Composite two pictures: `over` where mask, (H, W) uint8, is 255, and `under` where it is 0."""
    alpha = cv2.merge([mask, mask, mask])
    return cv2.add(
        cv2.multiply(over, alpha, scale=1 / 255),
        cv2.multiply(under, cv2.bitwise_not(alpha), scale=1 / 255),
    )


def blob(rng: np.random.Generator, size: int, portion: float) -> Image:
    """Draw a smooth random shape that covers about `portion` of a square: (size, size) uint8, 0..255."""
    noise = cv2.resize(rng.normal(0, 1, (5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    level = float(np.quantile(noise[::4, ::4], 1 - portion))
    return np.clip((noise - level) * rng.uniform(200, 4000), 0, 255).astype(np.uint8)


def half_plane(rng: np.random.Generator, size: int) -> Image:
    mask = np.zeros((size, size), np.uint8)
    edge = int(rng.uniform(0.2, 0.8) * size)
    mask[:, edge:] = 255
    return np.ascontiguousarray(mask.T) if rng.random() < 0.5 else mask


def _feathered_square() -> Image:
    ramp = np.clip(np.minimum(np.arange(128), np.arange(127, -1, -1)) * 12.0, 0, 255)
    return np.minimum(ramp[:, None], ramp[None]).astype(np.uint8)


_SQUARES = (_feathered_square(), np.full((128, 128), 255, np.uint8))
