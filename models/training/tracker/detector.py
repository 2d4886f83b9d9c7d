"""The face detector: boxes, scores and five points in SCRFD's output format (Guo et al. 2021), on composed scenes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.arrays import Floats, Image
from models.training.data import SIZE
from models.training.scenes import backgrounds, geometry, overlays, pasting, webcam
from models.training.scenes.portraits import Portraits
from models.training.tracker.landmarks import Residual, conv, to_input

STRIDES = (8, 16, 32)
ANCHORS = 2
ANCHOR_SIZES = ((16, 32), (64, 128), (256, 512))
"""Face sizes in input pixels that each stride's two anchors stand for."""
CHANNELS = 48
SMALLEST = 10.0
"""Smallest labelled face height in input pixels; smaller ones are ignored."""
LEAST_VISIBLE = 0.45
"""Least part of a labelled face's outline that is in the picture and behind nothing; what is worn hides nothing."""
LEAST_CONTRAST = 7.0
"""Least standard deviation of a labelled face's green channel: darker ones nobody could see."""
POINTS5_MIRRORED = (1, 0, 2, 4, 3)
SIZES, SIZE_SHARES = (160, 224, 320, 448), (0.25, 0.33, 0.32, 0.1)
"""Sides of the training inputs and how often each is used: the network is run at 320 and at 640 pixels."""


class Detector(nn.Module):
    """A small residual pyramid with one head for all strides.

    Input (N, 3, H, W) RGB, (value - 127.5) / 128, H and W multiples of 32. Nine outputs: scores (N, A, 1) at strides 8,
    16, 32, boxes (N, A, 4) as distances left, top, right, bottom from the anchor's centre over the stride, key points
    (N, A, 10) as offsets (x, y) over the stride. A = H/stride * W/stride * 2; anchors are at (column, row) * stride.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 6, 4, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True))
        self.stage8 = Residual(32, 48, stride=2)
        self.stage16 = nn.Sequential(Residual(48, 64, stride=2), Residual(64, 64))
        self.stage32 = nn.Sequential(Residual(64, 96, stride=2), Residual(96, 96))
        self.side8 = conv(48, CHANNELS, 1)
        self.side16 = conv(64, CHANNELS, 1)
        self.side32 = conv(96, CHANNELS, 1)
        self.merge16 = conv(CHANNELS, CHANNELS)
        self.merge32 = conv(CHANNELS, CHANNELS)
        self.heads = nn.ModuleList(nn.Sequential(conv(CHANNELS, CHANNELS)) for _ in STRIDES)
        self.score = nn.ModuleList(nn.Conv2d(CHANNELS, ANCHORS, 1) for _ in STRIDES)
        self.box = nn.ModuleList(nn.Conv2d(CHANNELS, ANCHORS * 4, 1) for _ in STRIDES)
        self.points = nn.ModuleList(nn.Conv2d(CHANNELS, ANCHORS * 10, 1) for _ in STRIDES)
        for score, box, stride, sizes in zip(self.score, self.box, STRIDES, ANCHOR_SIZES, strict=True):
            assert isinstance(score, nn.Conv2d)
            assert isinstance(box, nn.Conv2d)
            assert score.bias is not None
            assert box.bias is not None
            nn.init.normal_(score.weight, std=0.01)
            nn.init.constant_(score.bias, -4.0)
            with torch.no_grad():
                box.bias.copy_(torch.tensor([size / 2 / stride for size in sizes for _ in range(4)]))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        scores, boxes, points = self.raw(x)
        return *(score.sigmoid() for score in scores), *boxes, *points

    def raw(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Score logits, boxes and points per stride, before the sigmoid."""
        low = self.stage8(self.stem(x))
        middle = self.stage16(low)
        high = self.merge32(self.side32(self.stage32(middle)))
        middle = self.merge16(self.side16(middle) + F.interpolate(high, scale_factor=2.0, mode="nearest"))
        low = self.side8(low) + F.interpolate(middle, scale_factor=2.0, mode="nearest")
        scores, boxes, points = [], [], []
        for index, merged in enumerate((low, middle, high)):
            level = self.heads[index](merged)
            scores.append(_rows(self.score[index](level), 1))
            boxes.append(_rows(self.box[index](level), 4))
            points.append(_rows(self.points[index](level), 10))
        return scores, boxes, points


def _rows(maps: Tensor, width: int) -> Tensor:
    """(N, 2 * width, h, w) -> (N, h * w * 2, width)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, width)


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


def anchor_grid(height: int, width: int) -> tuple[Floats, Floats, Floats]:
    """Centres (A, 2), strides (A,) and sizes (A,) of all anchors, in the order of the outputs."""
    centres, strides, sizes = [], [], []
    for stride, pair in zip(STRIDES, ANCHOR_SIZES, strict=True):
        rows, columns = height // stride, width // stride
        y, x = np.mgrid[:rows, :columns].astype(np.float32) * stride
        centres.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), ANCHORS, axis=0))
        strides.append(np.full(rows * columns * ANCHORS, stride, np.float32))
        sizes.append(np.tile(np.array(pair, np.float32), rows * columns))
    return np.concatenate(centres), np.concatenate(strides), np.concatenate(sizes)


@dataclass(frozen=True, slots=True)
class DetectorBatch:
    """Inputs and what every anchor should answer.

    Attributes:
        pictures: (N, S, S, 3) uint8 RGB.
        kinds: (N, A) int8: 1 a face, 0 none, -1 ignored.
        boxes: (N, A, 4) float32 corners in pixels.
        points: (N, A, 10) float32 in pixels.
        grid: of `anchor_grid`.
    """

    pictures: Image
    kinds: NDArray[np.int8]
    boxes: Floats
    points: Floats
    grid: tuple[Floats, Floats, Floats]


def assign(scene: Scene, grid: tuple[Floats, Floats, Floats]) -> tuple[NDArray[np.int8], Floats, Floats]:
    """Which anchors answer for which face: those of about its size whose centre is near the face's centre.

    Args:
        scene: the labelled picture.
        grid: of `anchor_grid`.

    Returns:
        Kind (A,), box (A, 4) and points (A, 10) of every anchor.
    """
    centres, strides, sizes = grid
    kinds = np.zeros(len(centres), np.int8)
    boxes = np.zeros((len(centres), 4), np.float32)
    points = np.zeros((len(centres), 10), np.float32)
    order = np.argsort(-(scene.boxes[:, 2] - scene.boxes[:, 0]))
    for face in [*order[scene.ignored[order]], *order[~scene.ignored[order]]]:
        box = scene.boxes[face]
        middle, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        away = np.abs(centres - middle)
        if scene.ignored[face]:
            kinds[(away <= extent / 2 + strides[:, None]).all(1)] = -1
            continue
        mismatch = np.abs(np.log2(max(float(np.sqrt(extent[0] * extent[1])), 12.0) / sizes))
        near = (away <= np.maximum(1.0 * strides[:, None], 0.12 * extent)).all(1)
        around = (away <= np.maximum(2.0 * strides[:, None], 0.2 * extent)).all(1)
        kinds[around & (mismatch < 1.1) & (kinds == 0)] = -1
        own = near & (mismatch < 0.75)
        kinds[own] = 1
        boxes[own] = box
        points[own] = scene.points5[face].ravel()
    return kinds, boxes, points


class DetectorSamples:
    """Batches of square inputs, most of them letterboxed as insightface does: top left, black below or beside."""

    def __init__(self, scenes: SceneSamples) -> None:
        self.scenes = scenes

    def batch(self, count: int) -> DetectorBatch:
        """About `count` fresh samples of 320x320, more of smaller and fewer of larger ones; one size per batch."""
        size = int(self.scenes.rng.choice(SIZES, p=SIZE_SHARES))
        count = max(4, round(count * (320 / size) ** 2))
        grid = anchor_grid(size, size)
        pictures = np.zeros((count, size, size, 3), np.uint8)
        targets = []
        for index in range(count):
            scene = self._scene(size)
            height, width = scene.picture.shape[:2]
            pictures[index, :height, :width] = scene.picture
            targets.append(assign(scene, grid))
        kinds, boxes, points = zip(*targets, strict=True)
        return DetectorBatch(pictures, np.stack(kinds), np.stack(boxes), np.stack(points), grid)

    def _scene(self, full: int) -> Scene:
        shapes = (
            (full, full),
            (full * 3 // 4, full),
            (full * 9 // 16, full),
            (full, full * 3 // 4),
            (full, full * 9 // 16),
        )
        return self.scenes.scene(*shapes[self.scenes.rng.choice(5, p=[0.3, 0.35, 0.15, 0.1, 0.1])])


def detector_loss(network: Detector, batch: DetectorBatch, device: torch.device) -> dict[str, Tensor]:
    """Focal scores (Lin et al. 2017) whose target for faces is 0.5 + IoU / 2, GIoU boxes, L1 points over the size."""
    scores, boxes, points = network.raw(to_input(batch.pictures).to(device))
    logits = torch.cat([s.squeeze(2) for s in scores], 1).float()
    centres, strides, _ = (torch.from_numpy(part).to(device) for part in batch.grid)
    kinds = torch.from_numpy(batch.kinds).to(device)
    positive = kinds == 1
    count = positive.sum().clamp(min=1).float()
    which = positive.nonzero(as_tuple=True)
    stride = strides[which[1]][:, None]
    centre = centres[which[1]]
    reach = torch.cat(boxes, 1).float()[which] * stride
    found = torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], 1)
    wanted = torch.from_numpy(batch.boxes).to(device)[which]
    iou, giou = _giou(found, wanted)
    offsets = torch.cat(points, 1).float()[which] * stride
    wanted_points = torch.from_numpy(batch.points).to(device)[which]
    size = (wanted[:, 2:] - wanted[:, :2]).clamp(min=1).prod(1).sqrt()[:, None]
    miss = (offsets + centre.repeat(1, 5) - wanted_points) / size
    target = torch.zeros_like(logits)
    target[which] = 0.5 + 0.5 * iou.detach().clamp(0, 1)
    weight = torch.where(positive, (target - logits.detach().sigmoid()).abs() ** 1.5, logits.detach().sigmoid() ** 2)
    weight = weight * (kinds >= 0)
    score = (weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).sum() / count
    box = (1 - giou).sum() / count
    point = F.smooth_l1_loss(miss, torch.zeros_like(miss), reduction="none", beta=0.03).sum(1).sum() / count
    return {"total": 2 * score + box + 0.6 * point, "score": score, "box": box, "points": point}


def _giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al. 2019) of boxes (K, 4) pair by pair."""
    size_a = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(1)
    size_b = (b[:, 2:] - b[:, :2]).prod(1)
    both = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = size_a + size_b - both
    iou = both / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)
