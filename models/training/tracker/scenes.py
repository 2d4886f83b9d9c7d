"""Composed pictures with any number of faces, and which of them a detector has to find."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.training.data import SIZE
from models.training.scenes import backgrounds, geometry, overlays, pasting, webcam
from models.training.scenes.portraits import Portraits

SMALLEST = 10.0
"""Smallest labelled face height in input pixels; smaller ones are ignored."""
LEAST_VISIBLE = 0.45
"""Least part of a labelled face's outline that is in the picture and behind nothing; what is worn hides nothing."""
LEAST_CONTRAST = 7.0
"""Least standard deviation of a labelled face's green channel: darker ones nobody could see."""
POINTS5_MIRRORED = (1, 0, 2, 4, 3)


@dataclass(frozen=True, slots=True)
class Scene:
    """One composed picture.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        boxes: (K, 4) float32, left, top, right, bottom; may reach beyond the picture.
        points5: (K, 5, 2) float32.
        ignored: (K,) bool: neither a face nor not a face (too small, cut or covered too far).
        rows: (K,) which portrait.
    """

    picture: Image
    boxes: Floats
    points5: Floats
    ignored: NDArray[np.bool_]
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pasted:
    """A face as it was pasted, to see later how much of it other things hide.

    Attributes:
        corner: (x, y) of the upper left pixel kept.
        pixels: (h, w, 3) uint8, the part of the face's surroundings that is in the picture.
        outline: (h, w) bool, where the face is in them.
        area: of the whole outline in pixels, whether in the picture or not.
    """

    corner: tuple[int, int]
    pixels: Image
    outline: NDArray[np.bool_]
    area: float

    @staticmethod
    def of(picture: Image, mesh: Floats) -> Pasted:
        """Keep the face with this (478, 2) mesh."""
        height, width = picture.shape[:2]
        hull = cv2.convexHull(mesh.astype(np.float32))[:, 0]
        left, top = (int(v) for v in np.clip(np.floor(hull.min(0)), 0, (width, height)))
        right, bottom = (int(v) for v in np.clip(np.ceil(hull.max(0)) + 1, 0, (width, height)))
        outline = np.zeros((max(bottom - top, 0), max(right - left, 0)), np.uint8)
        if outline.size:
            cv2.fillConvexPoly(outline, np.round(hull - (left, top)).astype(np.int32), 1)
        pixels = picture[top : top + outline.shape[0], left : left + outline.shape[1]].copy()
        return Pasted((left, top), pixels, outline > 0, float(cv2.contourArea(hull)))

    def visible(self, picture: Image) -> float:
        """The part of the outline whose pixels are still the same in `picture`, 0..1."""
        (x, y), (height, width) = self.corner, self.outline.shape
        same = (picture[y : y + height, x : x + width] == self.pixels).all(2)
        return min(1.0, float((same & self.outline).sum()) / max(self.area, 1.0))


class SceneSamples:
    """Composed scenes with any number of faces."""

    def __init__(self, portraits: Portraits, stock: Image, rng: np.random.Generator) -> None:
        """Args:
        portraits: the faces.
        stock: backgrounds of `backgrounds.pool`.
        rng: the source of chance.
        """
        self.portraits = portraits
        self.stock = stock
        self.rng = rng

    def scene(self, height: int, width: int, faces: int | None = None, smallest: float = 8.0) -> Scene:
        """Compose one scene.

        Args:
            height: of the picture in pixels.
            width: of the picture in pixels.
            faces: how many to try to place; None draws the number.
            smallest: least height of a face in pixels.
        """
        rng = self.rng
        if faces is None:
            faces = int(rng.choice([0, 1, 2, int(rng.integers(3, 9))], p=[0.14, 0.3, 0.24, 0.32]))
        picture = backgrounds.cut(rng, self.stock, height, width)
        if rng.random() < 0.2:
            self._faceless(picture, height)
        boxes: list[Floats] = []
        points: list[Floats] = []
        pasted: list[Pasted] = []
        rows: list[int] = []
        largest = 0.95 * height / max(1.0, faces**0.6)
        for _ in range(faces):
            for _ in range(4):
                row = self.portraits.draw(rng)
                size = float(np.exp(rng.uniform(np.log(smallest), np.log(max(largest, smallest * 1.5)))))
                if faces <= 2 and rng.random() < 0.3:
                    size = float(rng.uniform(0.4, 1.05)) * height
                flip = bool(rng.random() < 0.5)
                mesh, five = self._shape(row, flip)
                matrix = self._place(mesh, size, height, width)
                mesh, five = geometry.transform(mesh, matrix), geometry.transform(five, matrix)
                box = geometry.face_box(mesh)
                if all(overlap(box, other) < 0.2 for other in boxes):
                    break
            else:
                continue
            image, person = self.portraits.images[row], self.portraits.person[row]
            pasting.paste(rng, picture, image=image, person=person, matrix=matrix, mirrored=flip)
            self._dress(picture, mesh)
            pasted.append(Pasted.of(picture, mesh))
            self._cover(picture, mesh, box)
            boxes.append(box)
            points.append(five)
            rows.append(row)
        if rng.random() < 0.2:
            self._foreground(picture, boxes)
        ignored = [
            float(box[3] - box[1]) < SMALLEST or face.visible(picture) < LEAST_VISIBLE
            for box, face in zip(boxes, pasted, strict=True)
        ]
        picture = webcam.degrade(rng, picture)
        return Scene(
            picture,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(points, np.float32).reshape(-1, 5, 2),
            np.array(
                [drop or contrast(picture, box) < LEAST_CONTRAST for drop, box in zip(ignored, boxes, strict=True)],
                bool,
            ),
            np.array(rows, np.int64),
        )

    def _shape(self, row: int, flip: bool) -> tuple[Floats, Floats]:
        mesh, five = self.portraits.mesh[row], self.portraits.points5[row]
        if not flip:
            return mesh, five
        mirror, shift = np.array([-1, 1], np.float32), np.array([SIZE - 1, 0], np.float32)
        return mesh * mirror + shift, five[list(POINTS5_MIRRORED)] * mirror + shift

    def _place(self, mesh: Floats, size: float, height: int, width: int) -> Floats:
        rng = self.rng
        degrees = float(rng.uniform(-45, 45) if rng.random() < 0.35 else rng.normal(0, 9))
        origin = np.zeros(2, np.float32)
        turn = geometry.rotation(origin, degrees, 1.0, origin)
        turn[:, :2] = turn[:, :2] @ (np.eye(2) + rng.normal(0, 0.05, (2, 2)))
        if rng.random() < 0.15:
            turn[:, :2] = turn[:, :2] @ np.diag([rng.uniform(0.68, 0.95), 1.0])
        left, top, right, bottom = geometry.face_box(geometry.transform(mesh, turn))
        scale = size / (bottom - top)
        middle = np.array([left + right, top + bottom]) / 2
        margin = 0.1 * size if rng.random() < 0.25 else -0.5 * size
        reach_x, reach_y = max(width + 2 * margin, 1.0), max(height + 2 * margin, 1.0)
        target = np.array([rng.uniform(0, reach_x) - margin, rng.uniform(0, reach_y) - margin])
        place = np.column_stack([scale * np.eye(2), target - scale * middle]).astype(np.float32)
        return geometry.compose_matrices(place, turn)

    def _dress(self, picture: Image, mesh: Floats) -> None:
        """Glasses and cloth masks: they are part of a face."""
        rng = self.rng
        if rng.random() < 0.08:
            overlays.eyewear(rng, picture, mesh)
        if rng.random() < 0.05:
            overlays.face_cloth(rng, picture, mesh)

    def _cover(self, picture: Image, mesh: Floats, box: Floats) -> None:
        """Put something in front of a part of the face."""
        rng = self.rng
        if rng.random() > 0.2:
            return
        side = float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
        size = float(rng.uniform(0.1, 0.4))
        where = mesh[rng.integers(len(mesh))]
        overlays.stamp(rng, picture, where, size * side)

    def _foreground(self, picture: Image, boxes: list[Floats]) -> None:
        """Things beside the faces, not on them."""
        rng = self.rng
        height, width = picture.shape[:2]
        for _ in range(int(rng.integers(1, 4))):
            size = float(rng.uniform(0.05, 0.2)) * height
            where = rng.uniform(0, 1, 2) * np.array([width, height])
            area = np.array(
                [where[0] - 3 * size, where[1] - 3 * size, where[0] + 3 * size, where[1] + 3 * size], np.float32
            )
            if all(overlap(area, box) == 0 for box in boxes):
                overlays.stamp(rng, picture, where, size)

    def _faceless(self, picture: Image, height: int) -> None:
        """A person whose face is texture: head, hair and shoulders alone are not a face."""
        rng = self.rng
        row = self.portraits.draw(rng)
        image = np.array(self.portraits.images[row])
        left, top, right, bottom = self.portraits.mesh[row].min(0).tolist() + self.portraits.mesh[row].max(0).tolist()
        mask = np.zeros((SIZE, SIZE), np.uint8)
        middle = (int((left + right) / 2), int((top + bottom) / 2))
        axes = (int((right - left) * 0.56), int((bottom - top) * 0.62))
        cv2.ellipse(mask, middle, axes, 0, 0, 360, 255, -1)
        if rng.random() < 0.5:
            hair = image[: max(24, int(top)), max(0, int(left)) : max(24, int(right))]
            fill = cv2.resize(hair, (SIZE, SIZE))
        else:
            fill = backgrounds.cut(rng, self.stock, SIZE, SIZE)
        image = pasting.blend(image, fill, cv2.GaussianBlur(mask, (0, 0), 4))
        size = float(np.exp(rng.uniform(np.log(20), np.log(0.8 * height))))
        matrix = self._place(self.portraits.mesh[row], size, *picture.shape[:2])
        pasting.paste(rng, picture, image=image, person=self.portraits.person[row], matrix=matrix)


def contrast(picture: Image, box: Floats) -> float:
    """Standard deviation of the green channel in a box."""
    left, top, right, bottom = (max(0, round(float(v))) for v in box)
    inner = picture[top:bottom, left:right, 1]
    return float(inner.std()) if inner.size else 0.0


def overlap(a: Floats, b: Floats) -> float:
    """The intersection of two boxes over the smaller one."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return float(max(w, 0) * max(h, 0) / max(smaller, 1e-6))
