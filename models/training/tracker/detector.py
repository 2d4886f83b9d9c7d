"""The face detector: boxes, scores and five points in SCRFD's output format (Guo et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.arrays import Floats, Image
from models.training.tracker.landmarks import Residual, conv, to_input
from models.training.tracker.scenes import Scene, SceneSamples

STRIDES = (8, 16, 32)
ANCHORS = 2
ANCHOR_SIZES = ((16, 32), (64, 128), (256, 512))
"""Face sizes in input pixels that each stride's two anchors stand for."""
CHANNELS = 48
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
