"""Composes training pictures from portraits: procedural backgrounds, pasted faces, occluders, camera degradation.

The portraits are aligned crops. This module adds what a webcam picture has beside them: placement, scale, rotation,
light, blur, noise, compression, occluders, other people, truncation by the frame. Pictures are uint8 RGB. Coordinates
are (x, y) pixels with pixel centres at integers. 2x3 matrices map source to destination as in `cv2.warpAffine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from models.arrays import Floats, Image
from models.training.data import SIZE, FaceSet

FOREHEAD = (10, 109, 338)
CHIN = 152
LEFT_EYE, RIGHT_EYE = 468, 473
"""Iris centres, left and right in the picture of an upright face that is not mirrored."""
CHEEKS = (50, 280, 205, 425, 117, 346)
EARS, NOSE = (234, 454), 1
DARK = 105.0
"""Median brightness of the cheeks, of 255, below which a face counts as dark in `Portraits.balanced`."""
TURNED = 0.16
"""Distance of the nose tip from the middle between the ears, in ear distances, above which a head counts as turned."""
HAIRLINE = 0.13
"""Extent of a face box above the mesh, in mesh heights: the box ends at the hairline, the mesh below it."""


@dataclass(frozen=True, slots=True)
class Portraits:
    """Faces to paste, one row each, in pixels of their 256x256 pictures.

    Attributes:
        images: (N, 256, 256, 3) uint8 RGB.
        person: (N, 128, 128) uint8, probability x 255.
        mesh: (N, 478, 2) float32.
        points5: (N, 5, 2) float32.
        drawn: (M,) int64, the rows to sample from; a row of a rare kind occurs several times. Empty for all rows alike.
    """

    images: Image
    person: Image
    mesh: Floats
    points5: Floats
    drawn: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def draw(self, rng: np.random.Generator) -> int:
        """Sample a row uniformly from `drawn`, or from all rows where `drawn` is empty."""
        return int(rng.choice(self.drawn)) if len(self.drawn) else int(rng.integers(len(self)))

    def balanced(self) -> Portraits:
        """Oversample the same faces: a face counts once, dark skin two times more, a turned head once more."""
        cheeks = self.mesh[:, CHEEKS].round().astype(int).clip(0, self.images.shape[1] - 1)
        light = np.array([np.median(i[c[:, 1], c[:, 0]]) for i, c in zip(self.images, cheeks, strict=True)])
        left, nose, right = (self.mesh[:, point, 0] for point in (EARS[0], NOSE, EARS[1]))
        turned = np.abs((left + right) / 2 - nose) / np.maximum(np.abs(right - left), 1) > TURNED
        times = 1 + 2 * (light < DARK) + turned
        return replace(self, drawn=np.repeat(np.arange(len(self)), times))

    @staticmethod
    def of(faces: FaceSet, rows: NDArray[np.int64]) -> Portraits:
        """Take rows of a set, and shift its continuous coordinates by half a pixel to pixel centres at integers."""
        half = np.float32(0.5)
        return Portraits(faces.images[rows], faces.person[rows], faces.mesh[rows] - half, faces.points5[rows] - half)

    def __len__(self) -> int:
        return len(self.images)


def with_hairline(mesh: Floats) -> Floats:
    """Append three points at the hairline to a mesh.

    Args:
        mesh: (..., 478, 2).

    Returns:
        (..., 481, 2).
    """
    up = mesh[..., 10:11, :] - mesh[..., CHIN : CHIN + 1, :]
    return np.concatenate([mesh, mesh[..., FOREHEAD, :] + np.float32(HAIRLINE) * up], axis=-2)


def face_box(mesh: Floats) -> Floats:
    """The upright box of a face as detectors draw it, hairline to chin.

    Args:
        mesh: (..., 478, 2).

    Returns:
        (..., 4): left, top, right, bottom.
    """
    points = with_hairline(mesh)
    return np.concatenate([points.min(-2), points.max(-2)], axis=-1)


def eye_distance(mesh: Floats) -> Floats:
    """Distance between the iris centres of (..., 478, 2): (...)."""
    return np.asarray(np.linalg.norm(mesh[..., LEFT_EYE, :] - mesh[..., RIGHT_EYE, :], axis=-1))


def transform(points: Floats, matrix: Floats) -> Floats:
    """Apply a 2x3 matrix to (..., 2) points."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def compose_matrices(second: Floats, first: Floats) -> Floats:
    """The 2x3 matrix that applies `first`, then `second`."""
    return np.asarray(second @ np.vstack([first, [0, 0, 1]]), np.float32)


def rotation(centre: Floats, degrees: float, scale: float, target: Floats) -> Floats:
    """Turn around `centre` (clockwise as seen), scale, and put `centre` on `target`."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, target - turn @ centre]).astype(np.float32)


def mirror_order(mesh: Floats) -> NDArray[np.int64]:
    """Permutation of the mesh points under mirroring, by linear assignment between faces and their mirror images.

    Args:
        mesh: (N, 478, 2), a varied sample of faces; some mouths are open, or the lips are confused.

    Returns:
        (478,) row order: `mirrored_mesh = flipped[order]`.

    Raises:
        ValueError: the permutation is not its own inverse: the faces are too few or too similar.
    """
    centred = mesh - mesh.mean(1, keepdims=True)
    across = centred[:, RIGHT_EYE] - centred[:, LEFT_EYE]
    cosine, sine = (across / np.linalg.norm(across, axis=1, keepdims=True)).T
    turn = np.stack([np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)], -2)
    upright = np.einsum("nij,nkj->nki", turn, centred) / np.linalg.norm(across, axis=1)[:, None, None]
    flipped = upright * np.array([-1, 1], np.float32)
    cost = np.zeros((mesh.shape[1], mesh.shape[1]))
    for own, other in zip(upright, flipped, strict=True):
        cost += np.square(own[:, None] - other[None]).sum(-1)
    order = np.asarray(linear_sum_assignment(cost)[1], np.int64)
    if not np.array_equal(order[order], np.arange(len(order))):
        raise ValueError("the mirrored faces do not match themselves: give more varied faces")
    return order


# Backgrounds


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
        mask = blob(rng, size, float(rng.uniform(0.2, 0.7))) if rng.random() < 0.5 else _half_plane(rng, size)
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


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    if rng.random() < 0.4:
        grey = rng.integers(0, 256)
        r, g, b = np.clip(grey + rng.normal(0, 12, 3), 0, 255)
    else:
        r, g, b = rng.integers(0, 256, 3)
    return int(r), int(g), int(b)


def skin_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Sample a skin colour (RGB, 0..255), dark to light, under warm to cool light."""
    depth = rng.uniform(0, 1)
    base = (1 - depth) * np.array([240.0, 200, 175]) + depth * np.array([75.0, 45, 30])
    r, g, b = np.clip(base * rng.uniform(0.6, 1.1) * rng.uniform(0.93, 1.07, 3), 0, 255)
    return int(r), int(g), int(b)


def _clouds(rng: np.random.Generator, size: int, _: Portraits) -> Image:
    picture = np.zeros((size, size, 3), np.float32)
    for cells in (2, 5, 12, 40):
        noise = rng.normal(0, 1, (cells, cells, 3 if rng.random() < 0.5 else 1)).astype(np.float32)
        noise = np.broadcast_to(noise, (cells, cells, 3))
        picture += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * rng.uniform(0, 1)
    return np.clip(picture * rng.uniform(10, 50) + np.array(_colour(rng)), 0, 255).astype(np.uint8)


def _gradient(rng: np.random.Generator, size: int, _: Portraits) -> Image:
    corners = np.array([[_colour(rng), _colour(rng)], [_colour(rng), _colour(rng)]], np.float32)
    if rng.random() < 0.5:
        corners = corners.mean((0, 1)) + 0.3 * (corners - corners.mean((0, 1)))
    return np.clip(cv2.resize(corners.astype(np.float32), (size, size)), 0, 255).astype(np.uint8)


def _room(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    picture = _gradient(rng, size, portraits)
    for _ in range(int(rng.integers(3, 14))):
        (x, y), (w, h) = rng.uniform(-0.2, 1, 2) * size, rng.uniform(0.03, 0.6, 2) * size
        corners = (int(x), int(y)), (int(x + w), int(y + h))
        cv2.rectangle(picture, *corners, _colour(rng), -1)
        if rng.random() < 0.5:
            cv2.rectangle(picture, *corners, _colour(rng), int(rng.integers(1, 4)), cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 8))):
        a, b = rng.uniform(0, size, 2), rng.uniform(0, size, 2)
        cv2.line(picture, _at(a), _at(b), _colour(rng), int(rng.integers(1, 6)), cv2.LINE_AA)
    return picture


def _text(rng: np.random.Generator, size: int, portraits: Portraits) -> Image:
    picture = _gradient(rng, size, portraits)
    scale, ink = float(rng.uniform(0.3, 1.6)), _colour(rng)
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
        cv2.ellipse(picture, _at(centre), axes, rng.uniform(0, 180), 0, 360, _colour(rng), -1, cv2.LINE_AA)
        if rng.random() < 0.5:
            ink = _colour(rng)
            for side in (-1, 1):
                eye = centre + radius * np.array([0.35 * side, -0.25])
                cv2.circle(picture, _at(eye), max(1, int(radius * rng.uniform(0.05, 0.15))), ink, -1, cv2.LINE_AA)
            mouth = (max(1, int(radius * 0.4)), max(1, int(radius * rng.uniform(0.05, 0.3))))
            thick = max(1, int(radius * 0.06))
            below = centre + radius * np.array([0, 0.35])
            cv2.ellipse(picture, _at(below), mouth, 0, 0, int(rng.choice([180, 360])), ink, thick, cv2.LINE_AA)
    return picture


def _stripes(rng: np.random.Generator, size: int, _: Portraits) -> Image:
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 60)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    if rng.random() < 0.4:
        wave *= np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
    share = np.clip(wave * rng.uniform(1, 8), -1, 1)[..., None] * 0.5 + 0.5
    return (share * np.array(_colour(rng)) + (1 - share) * np.array(_colour(rng))).astype(np.uint8)


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


# Occluders


def stamp(rng: np.random.Generator, picture: Image, centre: NDArray[np.float64] | Floats, size: float) -> None:
    """Draw one occluder over the picture in place: a hand, a microphone, a cup, a phone or a patch of colour.

    Args:
        rng: random generator.
        picture: (H, W, 3) uint8, changed in place.
        centre: (2,) float, its centre, pixels.
        size: half of its extent, pixels.
    """
    kind = rng.choice(5, p=[0.45, 0.15, 0.15, 0.1, 0.15])
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    if kind == 0:
        _hand(rng, picture, centre, size, angle)
    elif kind == 1:
        dark = int(rng.integers(5, 90))
        end = centre + along * size * 3
        cv2.line(picture, _at(centre), _at(end), (dark, dark, dark), max(1, int(size * 0.3)), cv2.LINE_AA)
        cv2.circle(picture, _at(centre), max(1, int(size * 0.5)), (dark // 2, dark // 2, dark // 2), -1, cv2.LINE_AA)
    elif kind in (2, 3):
        across = np.array([-along[1], along[0]]) * rng.uniform(0.4, 0.8)
        corners = centre + size * np.array([along + across, along - across, -along - across, -along + across])
        cv2.fillConvexPoly(picture, np.int32(np.round(corners)), _colour(rng), cv2.LINE_AA)
        if kind == 3:
            cv2.fillConvexPoly(
                picture, np.int32(np.round(centre + 0.85 * (corners - centre))), _colour(rng), cv2.LINE_AA
            )
    else:
        axes = (max(1, int(size)), max(1, int(size * rng.uniform(0.3, 1))))
        cv2.ellipse(picture, _at(centre), axes, np.rad2deg(angle), 0, 360, _colour(rng), -1, cv2.LINE_AA)


def _hand(
    rng: np.random.Generator, picture: Image, centre: NDArray[np.float64] | Floats, size: float, angle: float
) -> None:
    """A palm, four fingers, a thumb and an arm, shaded at the edges of the fingers."""
    skin = np.array(skin_colour(rng), np.float64)
    tone = tuple(int(v) for v in skin)
    shade = tuple(int(v) for v in skin * rng.uniform(0.6, 0.85))
    spread, bend = rng.uniform(0.02, 0.2), rng.uniform(0.5, 1.0)

    def place(x: float, y: float) -> tuple[int, int]:
        return _at(
            centre + size * np.array([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)])
        )

    width = max(2, int(size * 0.24))
    cv2.line(picture, place(0, 0.3), place(rng.uniform(-0.5, 0.5), 3.0), tone, max(3, int(size * 0.75)), cv2.LINE_AA)
    cv2.line(picture, place(-0.35, 0.25), place(-0.85, -0.25 * bend), tone, width, cv2.LINE_AA)
    for finger in range(4):
        x = (finger - 1.5) * 0.26
        tip = place(x + (finger - 1.5) * spread, -0.35 - bend * (0.75 - 0.12 * abs(finger - 1.4)))
        cv2.line(picture, place(x, -0.2), tip, shade, width + max(1, width // 6), cv2.LINE_AA)
        cv2.line(picture, place(x, -0.2), tip, tone, width, cv2.LINE_AA)
    palm = (max(2, int(size * 0.52)), max(2, int(size * 0.5)))
    cv2.ellipse(picture, place(0, 0), palm, np.rad2deg(angle), 0, 360, tone, -1, cv2.LINE_AA)


def eyewear(rng: np.random.Generator, picture: Image, mesh: Floats) -> None:
    """Draw glasses over the eyes of a face in place, with dark lenses or frames only."""
    left, right = mesh[LEFT_EYE], mesh[RIGHT_EYE]
    across = right - left
    distance = float(np.linalg.norm(across))
    tilt = float(np.rad2deg(np.arctan2(across[1], across[0])))
    axes = (max(1, int(distance * rng.uniform(0.3, 0.45))), max(1, int(distance * rng.uniform(0.2, 0.38))))
    thick = max(1, int(distance * rng.uniform(0.02, 0.08)))
    frame, dark = _colour(rng), rng.random() < 0.5
    lens = tuple(int(v) for v in rng.integers(0, 60, 3))
    for eye in (left, right):
        if dark:
            cv2.ellipse(picture, _at(eye), axes, tilt, 0, 360, lens, -1, cv2.LINE_AA)
        cv2.ellipse(picture, _at(eye), axes, tilt, 0, 360, frame, thick, cv2.LINE_AA)
    bridge = 0.5 - 0.5 * axes[0] / max(distance, 1.0)
    cv2.line(
        picture, _at(left + across * (0.5 - bridge)), _at(left + across * (0.5 + bridge)), frame, thick, cv2.LINE_AA
    )


def face_cloth(rng: np.random.Generator, picture: Image, mesh: Floats) -> None:
    """Draw a cloth mask over nose and mouth in place."""
    outline = mesh[[6, 50, 132, 172, 150, 152, 379, 397, 361, 280]].astype(np.float64)
    outline += rng.normal(0, 0.02, outline.shape) * eye_distance(mesh)
    cv2.fillPoly(picture, [np.int32(np.round(outline))], _colour(rng), cv2.LINE_AA)


# Pasting


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


def _half_plane(rng: np.random.Generator, size: int) -> Image:
    mask = np.zeros((size, size), np.uint8)
    edge = int(rng.uniform(0.2, 0.8) * size)
    mask[:, edge:] = 255
    return np.ascontiguousarray(mask.T) if rng.random() < 0.5 else mask


def _feathered_square() -> Image:
    ramp = np.clip(np.minimum(np.arange(128), np.arange(127, -1, -1)) * 12.0, 0, 255)
    return np.minimum(ramp[:, None], ramp[None]).astype(np.uint8)


_SQUARES = (_feathered_square(), np.full((128, 128), 255, np.uint8))


# Camera degradation


def degrade(rng: np.random.Generator, picture: Image, strength: float = 1.0) -> Image:
    """Degrade a picture at random: uneven light, tone curve, grey, low resolution, defocus, motion blur, noise, JPEG.

    Args:
        rng: random generator.
        picture: (H, W, 3) uint8 RGB.
        strength: factor of every probability, 1 for training; 0 returns the picture unchanged.

    Returns:
        A new picture of the same shape.
    """

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability * strength)

    height, width = picture.shape[:2]
    dark = happens(0.18)
    if happens(0.3) and not dark:
        light = cv2.resize(
            rng.uniform(0.4, 1.25, (3, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        gain = np.clip(light * 128, 0, 255).astype(np.uint8)
        picture = cv2.multiply(picture, cv2.merge([gain, gain, gain]), scale=1 / 128)
    if happens(0.85) or dark:
        picture = cv2.LUT(picture, _tone_curve(rng, dark))
    if happens(0.06):
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if happens(0.2):
        shrunk = rng.uniform(0.3, 0.8)
        small = cv2.resize(picture, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if happens(0.15):
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.8)))
    if happens(0.12):
        picture = cv2.filter2D(picture, -1, _motion(rng))
    if dark or happens(0.35):
        noise = rng.integers(0, 256, (height, width, 1 if rng.random() < 0.3 else 3), np.uint8)
        level = float(rng.uniform(0.01, 0.12) if dark else rng.uniform(0.01, 0.07))
        noise = np.broadcast_to(noise, picture.shape)
        picture = cv2.addWeighted(picture, 1.0, np.ascontiguousarray(noise), level, -127.5 * level)
    if happens(0.3):
        quality = int(rng.integers(15, 85))
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture


def _tone_curve(rng: np.random.Generator, dark: bool) -> Image:
    level = np.arange(256, dtype=np.float64) / 255
    curves = []
    gamma = rng.uniform(0.7, 1.1) if dark else rng.uniform(0.6, 1.6)
    contrast = rng.uniform(0.7, 1.3)
    gain = rng.uniform(0.2, 0.6) if dark else rng.uniform(0.75, 1.25)
    shift = 0.0 if dark else rng.uniform(-0.08, 0.08)
    for cast in rng.uniform(0.88, 1.12, 3):
        curves.append(np.clip(((level**gamma - 0.5) * contrast + 0.5 + shift) * gain * cast, 0, 1) * 255)
    return np.stack(curves, -1).astype(np.uint8).reshape(1, 256, 3)


def _motion(rng: np.random.Generator) -> Floats:
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle, middle = rng.uniform(0, np.pi), (length - 1) / 2
    reach = middle * np.array([np.cos(angle), np.sin(angle)])
    cv2.line(kernel, _at(middle - reach), _at(middle + reach), 1.0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _at(point: NDArray[np.float64] | Floats | Sequence[float]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
