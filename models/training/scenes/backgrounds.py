"""Procedural backgrounds without faces: rooms, text, posters, noise, shuffled tiles of portraits."""

from __future__ import annotations

import cv2
import numpy as np

from models.arrays import Image
from models.training.data import SIZE
from models.training.scenes.geometry import face_box, pixel
from models.training.scenes.overlays import any_colour, stamp
from models.training.scenes.pasting import blend, blob, half_plane
from models.training.scenes.portraits import Portraits


def background(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    """Render a background without faces: noise, gradients, rooms, text, posters, hands, cloth, shuffled portrait tiles.

    Args:
        rng: random generator.
        size: side in pixels.
        portraits: sources of texture; no tile shows more than a part of a face.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    layers = [_clouds, _gradient, _room, _text, _poster, _stripes, _surroundings, _scrambled]
    weights = np.array([0.8, 0.8, 2.0, 0.8, 1.5, 0.7, 3.5, 2.4])
    picks = rng.choice(len(layers), size=int(rng.integers(1, 4)), p=weights / weights.sum())
    picture = layers[picks[0]](rng, size, portraits)
    for pick in picks[1:]:
        other = layers[pick](rng, size, portraits)
        mask = blob(rng, size, float(rng.uniform(0.2, 0.7))) if rng.random() < 0.5 else half_plane(rng, size)
        picture = blend(picture, other, mask)
    for _ in range(int(rng.integers(0, 3))):
        stamp(rng, picture, rng.uniform(0, size, 2), float(rng.uniform(0.08, 0.35)) * size)
    return picture


def pool(rng: np.random.Generator, count: int, size: int, portraits: Portraits) -> Image:
    """Render `count` backgrounds for `cut`: (count, size, size, 3) uint8 RGB."""
    return np.stack([background(rng, size, portraits) for _ in range(count)])


def cut(rng: np.random.Generator, stock: Image, height: int, width: int) -> Image:
    """Cut a random rectangle out of a random picture of the stock, at a random scale, mirrored half of the time."""
    picture = stock[rng.integers(len(stock))]
    side = stock.shape[1]
    portion = rng.uniform(0.35, 1.0)
    h, w = max(8, int(side * portion)), max(8, int(side * portion * min(1.0, width / height)))
    y, x = rng.integers(side - h + 1), rng.integers(side - w + 1)
    piece = cv2.resize(picture[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(piece[:, ::-1]) if rng.random() < 0.5 else piece


def _clouds(rng: np.random.Generator, size: int, _: Portraits) -> Image:
    picture = np.zeros((size, size, 3), np.float32)
    for cells in (2, 5, 12, 40):
        noise = rng.normal(0, 1, (cells, cells, 3 if rng.random() < 0.5 else 1)).astype(np.float32)
        noise = np.broadcast_to(noise, (cells, cells, 3))
        picture += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * rng.uniform(0, 1)
    return np.clip(picture * rng.uniform(10, 50) + np.array(any_colour(rng)), 0, 255).astype(np.uint8)


def _gradient(rng: np.random.Generator, size: int, _: Portraits) -> Image:
    corners = np.array([[any_colour(rng), any_colour(rng)], [any_colour(rng), any_colour(rng)]], np.float32)
    if rng.random() < 0.5:
        corners = corners.mean((0, 1)) + 0.3 * (corners - corners.mean((0, 1)))
    return np.clip(cv2.resize(corners.astype(np.float32), (size, size)), 0, 255).astype(np.uint8)


def _room(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    picture = _gradient(rng, size, portraits)
    for _ in range(int(rng.integers(3, 14))):
        (x, y), (w, h) = rng.uniform(-0.2, 1, 2) * size, rng.uniform(0.03, 0.6, 2) * size
        corners = (int(x), int(y)), (int(x + w), int(y + h))
        cv2.rectangle(picture, *corners, any_colour(rng), -1)
        if rng.random() < 0.5:
            cv2.rectangle(picture, *corners, any_colour(rng), int(rng.integers(1, 4)), cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 8))):
        a, b = rng.uniform(0, size, 2), rng.uniform(0, size, 2)
        cv2.line(picture, pixel(a), pixel(b), any_colour(rng), int(rng.integers(1, 6)), cv2.LINE_AA)
    return picture


def _text(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    picture = _gradient(rng, size, portraits)
    scale, ink = float(rng.uniform(0.3, 1.6)), any_colour(rng)
    step = max(8, int(26 * scale))
    for y in range(step, size, step):
        letters = "".join(chr(int(c)) for c in rng.integers(33, 123, int(rng.integers(5, 40))))
        where = (int(rng.integers(-20, 30)), y)
        cv2.putText(picture, letters, where, int(rng.integers(0, 8)), scale, ink, int(rng.integers(1, 4)), cv2.LINE_AA)
    return picture


def _poster(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    """Discs and face-like drawings as hard negatives: a disc with two dots and a stroke is not a face."""
    picture = _room(rng, size, portraits) if rng.random() < 0.5 else _gradient(rng, size, portraits)
    for _ in range(int(rng.integers(2, 9))):
        centre, radius = rng.uniform(0, size, 2), float(rng.uniform(0.04, 0.3)) * size
        axes = (int(radius), int(radius * rng.uniform(0.6, 1.4)))
        cv2.ellipse(picture, pixel(centre), axes, rng.uniform(0, 180), 0, 360, any_colour(rng), -1, cv2.LINE_AA)
        if rng.random() < 0.5:
            ink = any_colour(rng)
            for side in (-1, 1):
                eye = centre + radius * np.array([0.35 * side, -0.25])
                cv2.circle(picture, pixel(eye), max(1, int(radius * rng.uniform(0.05, 0.15))), ink, -1, cv2.LINE_AA)
            mouth = (max(1, int(radius * 0.4)), max(1, int(radius * rng.uniform(0.05, 0.3))))
            thick = max(1, int(radius * 0.06))
            below = centre + radius * np.array([0, 0.35])
            cv2.ellipse(picture, pixel(below), mouth, 0, 0, int(rng.choice([180, 360])), ink, thick, cv2.LINE_AA)
    return picture


def _stripes(rng: np.random.Generator, size: int, _: Portraits) -> Image:
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 60)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    if rng.random() < 0.4:
        wave *= np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
    share = np.clip(wave * rng.uniform(1, 8), -1, 1)[..., None] * 0.5 + 0.5
    return (share * np.array(any_colour(rng)) + (1 - share) * np.array(any_colour(rng))).astype(np.uint8)


def _surroundings(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    """A strip of a portrait beside, below or above the face, extended by reflection."""
    row = int(rng.integers(len(portraits)))
    image = portraits.images[row]
    left, top, right, bottom = (int(v) for v in face_box(portraits.mesh[row]))
    pieces = [image[:, : max(0, left - 12)], image[:, min(SIZE, right + 12) :], image[min(SIZE, bottom + 4) :]]
    pieces = [piece for piece in [*pieces, image[: max(0, top - 4)]] if min(piece.shape[:2]) >= 14]
    if not pieces:
        return _clouds(rng, size, portraits)
    piece = pieces[int(rng.integers(len(pieces)))]
    scale = rng.uniform(1.0, 4.0)
    piece = cv2.resize(piece, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    grow_y, grow_x = max(0, size - piece.shape[0]), max(0, size - piece.shape[1])
    filled = cv2.copyMakeBorder(piece, 0, grow_y, 0, grow_x, cv2.BORDER_REFLECT)
    y, x = rng.integers(filled.shape[0] - size + 1), rng.integers(filled.shape[1] - size + 1)
    return np.ascontiguousarray(filled[y : y + size, x : x + size])


def _scrambled(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    """Tiles of a portrait, rotated and shuffled: skin, hair and cloth, each tile too small to show a face."""
    image = portraits.images[rng.integers(len(portraits))]
    cells = int(rng.integers(5, 10))
    side = SIZE // cells
    tiles = [
        image[y : y + side, x : x + side] for y in range(0, side * cells, side) for x in range(0, side * cells, side)
    ]
    tiles = [np.rot90(tiles[i], int(rng.integers(4))) for i in rng.permutation(len(tiles))]
    rows = [np.concatenate(tiles[i : i + cells], axis=1) for i in range(0, cells * cells, cells)]
    return cv2.resize(np.concatenate(rows), (size, size), interpolation=cv2.INTER_LINEAR)
