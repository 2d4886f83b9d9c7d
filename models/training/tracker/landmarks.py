"""The dense landmark network: 478 mesh points and a presence score from one loosely cut 192x192 face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.arrays import Floats, Image
from models.training.data import SIZE
from models.training.scenes import backgrounds, geometry, overlays, pasting, webcam
from models.training.scenes.portraits import Portraits

CROP = 192
POINTS = 478
BOX_TO_CROP = 1.5
"""Side of the crop over the longer side of the face box, as insightface's landmark class cuts it."""

KEY_POINTS = (
    *(33, 133, 159, 145, 160, 153, 263, 362, 386, 374, 387, 380, 468, 473),
    *(61, 291, 0, 17, 13, 14, 78, 308, 81, 311, 178, 402, 40, 270, 91, 321),
    *(70, 63, 105, 66, 107, 300, 293, 334, 296, 336),
    *(1, 4, 2, 98, 327, 168, 6, 195, 48, 278),
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
    *(50, 280, 205, 425, 117, 346, 207, 427, 187, 411, 9, 151, 104, 333, 199, 18, 200, 175),
)
"""Points of the mesh that have a heat map of their own; the others follow them closely."""
SHARPNESS = 4.0

EYES_AND_LIPS = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *range(468, 478),
)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """Convolution and batch norm, which export folds into one, and a ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class Residual(nn.Module):
    """The basic block of ResNet (He et al. 2015); dense, because AVX-512 and AMX like that better than separable."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv(inputs, outputs, stride=stride)
        self.second = conv(outputs, outputs, relu=False)
        same = stride == 1 and inputs == outputs
        norm = self.second[1]
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)
        self.skip: nn.Module = nn.Identity() if same else conv(inputs, outputs, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.second(self.first(x)))


class LandmarkNet(nn.Module):
    """Mesh and presence from one crop: heat maps place the key points, a linear map spreads them to the mesh.

    The key points are soft arg-maxima (Nibali et al. 2018, DSNT), so that they move with the picture; the mesh is an
    affine combination of them plus a correction read from the whole face.

    Input (N, 3, 192, 192) RGB, (value - 127.5) / 128. Output (N, 958): 478 rows (x, y), -1 and 1 being the outer edges
    of the crop, and one row (presence, presence), the logit of a face being there. One output: insightface wants one.
    """

    grid: Tensor

    def __init__(self, spread: Tensor | None = None) -> None:
        """Make a network.

        Args:
            spread: (478, K) the mesh as a combination of the key points, where training starts.
        """
        super().__init__()
        self.low = nn.Sequential(conv(3, 16, stride=2), conv(16, 32, stride=2), Residual(32, 48, stride=2))
        self.middle = nn.Sequential(Residual(48, 80, stride=2), Residual(80, 80))
        self.high = nn.Sequential(Residual(80, 128, stride=2), Residual(128, 128))
        self.side_low, self.side_middle, self.side_high = conv(48, 48, 1), conv(80, 48, 1), conv(128, 48, 1)
        self.heat = nn.Sequential(conv(48, 48), nn.Conv2d(48, len(KEY_POINTS), 1))
        self.spread = nn.Parameter(torch.zeros(POINTS, len(KEY_POINTS)) if spread is None else spread.clone())
        self.squeeze = conv(128, 32, 1)
        self.hidden = nn.Linear(32 * 36, 160)
        self.correction = nn.Linear(160, POINTS * 2)
        self.presence = nn.Linear(160, 1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)
        cells = CROP // 8
        axis = (torch.arange(cells) + 0.5) * (2 / cells) - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], 1))

    def forward(self, x: Tensor) -> Tensor:
        points, _, presence = self.heads(x)
        return torch.cat([points.flatten(1), presence, presence], 1)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The points (N, 478, 2), the key points (N, K, 2) and the presence logit (N, 1)."""
        low = self.low(x)
        middle = self.middle(low)
        high = self.high(middle)
        merged = self.side_middle(middle) + F.interpolate(self.side_high(high), scale_factor=2.0, mode="nearest")
        merged = self.side_low(low) + F.interpolate(merged, scale_factor=2.0, mode="nearest")
        heat = SHARPNESS * self.heat(merged).float().flatten(2)
        hidden = F.relu(self.hidden(self.squeeze(high).flatten(1)))
        with torch.autocast(x.device.type, enabled=False):
            key_points = heat.softmax(2) @ self.grid
            correction = self.correction(hidden.float()).unflatten(1, (POINTS, 2))
            points = self.spread @ key_points + correction
            return points, key_points, self.presence(hidden.float())


@dataclass(frozen=True, slots=True)
class LandmarkBatch:
    """Crops (N, 192, 192, 3) uint8 RGB, points (N, 478, 2) in [-1, 1], presence (N,) 0 or 1."""

    crops: Image
    points: Floats
    presence: Floats


class LandmarkSamples:
    """Crops as the tracker cuts them: from a detector's box, or upright from the last frame's landmarks."""

    def __init__(self, portraits: Portraits, stock: Image, rng: np.random.Generator) -> None:
        """Args:
        portraits: the faces.
        stock: backgrounds of `backgrounds.pool`.
        rng: the source of chance.
        """
        self.portraits = portraits
        self.stock = stock
        self.rng = rng
        varied = rng.choice(len(portraits), min(400, len(portraits)), replace=False)
        self.mirrored = geometry.mirror_order(portraits.mesh[varied])

    def batch(self, size: int) -> LandmarkBatch:
        """`size` fresh samples."""
        crops, points, presence = zip(*(self.sample() for _ in range(size)), strict=True)
        return LandmarkBatch(np.stack(crops), np.stack(points), np.array(presence, np.float32))

    def sample(self) -> tuple[Image, Floats, float]:
        """One crop, its points and whether a face is there."""
        rng = self.rng
        if rng.random() < 0.06:
            crop = backgrounds.cut(rng, self.stock, CROP, CROP)
            return webcam.degrade(rng, crop), np.zeros((POINTS, 2), np.float32), 0.0
        row = self.portraits.draw(rng)
        flip = bool(rng.random() < 0.5)
        mesh = self.portraits.mesh[row]
        if flip:
            mesh = (mesh * np.array([-1, 1], np.float32) + np.array([SIZE - 1, 0], np.float32))[self.mirrored]
        off_target = rng.random() < 0.07
        matrix = self._miss(mesh) if off_target else self.aim(mesh)
        crop = self._picture(row, flip, matrix)
        mesh = geometry.transform(mesh, matrix)
        covered = not off_target and rng.random() < 0.03
        if covered:
            self._cover(crop, mesh)
        else:
            self._occlude(crop, mesh)
        crop = webcam.degrade(rng, crop)
        return crop, to_target(mesh), 0.0 if off_target or covered else 1.0

    def aim(self, mesh: Floats) -> Floats:
        """A crop as cut from a detector's box or around the last frame's mesh, with their errors."""
        rng = self.rng
        steep = rng.random() < 0.35
        degrees = float(rng.uniform(-45, 45) if steep else rng.normal(0, 9))
        stretch = np.eye(2) + rng.normal(0, 0.045, (2, 2))
        turn = geometry.rotation(np.zeros(2, np.float32), degrees, 1.0, np.zeros(2, np.float32))
        turn[:, :2] = turn[:, :2] @ stretch
        turned = geometry.transform(mesh, turn)
        if rng.random() < 0.5:
            left, top, right, bottom = geometry.face_box(turned)
        else:
            left, top, right, bottom = np.concatenate([turned.min(0), turned.max(0)])
        side = max(right - left, bottom - top) * BOX_TO_CROP
        loose = rng.random() < 0.5
        side *= float(np.exp(rng.uniform(np.log(0.8), np.log(1.3)) if loose else rng.normal(0, 0.06)))
        shift = rng.uniform(-0.12, 0.12, 2) if loose else rng.normal(0, 0.03, 2)
        centre = np.array([left + right, top + bottom]) / 2 + shift * np.array([right - left, bottom - top])
        scale = CROP / side
        place = np.array(
            [[scale, 0, CROP / 2 - scale * centre[0]], [0, scale, CROP / 2 - scale * centre[1]]], np.float32
        )
        return geometry.compose_matrices(place, turn)

    def _miss(self, mesh: Floats) -> Floats:
        """A crop that lost the face: far off, much too large or much too small."""
        rng = self.rng
        matrix = self.aim(mesh)
        kind = rng.integers(3)
        middle = np.array([CROP / 2, CROP / 2], np.float32)
        if kind == 0:
            angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.62, 1.0) * CROP
            matrix[:, 2] += reach * np.array([np.cos(angle), np.sin(angle)], np.float32)
            return matrix
        scale = float(rng.uniform(0.15, 0.42) if kind == 1 else rng.uniform(2.6, 4.5))
        return geometry.compose_matrices(geometry.rotation(middle, 0, scale, middle), matrix)

    def _picture(self, row: int, flip: bool, matrix: Floats) -> Image:
        rng = self.rng
        image, person = self.portraits.images[row], self.portraits.person[row]
        if rng.random() < 0.45:
            crop = backgrounds.cut(rng, self.stock, CROP, CROP)
            if rng.random() < 0.12:
                self._neighbour(crop)
            pasting.paste(rng, crop, image=image, person=person, matrix=matrix, mirrored=flip)
            return crop
        if flip:
            image = np.ascontiguousarray(image[:, ::-1])
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        image, matrix = pasting.shrink(image, matrix, scale)
        border = (cv2.BORDER_REFLECT, cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT)[rng.choice(3, p=[0.5, 0.2, 0.3])]
        return cv2.warpAffine(image, matrix, (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=border)

    def _neighbour(self, crop: Image) -> None:
        """Another face that reaches into the crop from the side: not the one that is asked for."""
        rng = self.rng
        row = self.portraits.draw(rng)
        matrix = self.aim(self.portraits.mesh[row])
        matrix[0, 2] += rng.choice([-1, 1]) * rng.uniform(0.55, 0.9) * CROP
        matrix[1, 2] += rng.uniform(-0.3, 0.3) * CROP
        image, person = self.portraits.images[row], self.portraits.person[row]
        pasting.paste(rng, crop, image=image, person=person, matrix=matrix)

    def _occlude(self, crop: Image, mesh: Floats) -> None:
        rng = self.rng
        if rng.random() < 0.08:
            overlays.eyewear(rng, crop, mesh)
        if rng.random() < 0.04:
            overlays.face_cloth(rng, crop, mesh)
        if rng.random() < 0.2:
            extent = float(np.ptp(mesh[:, 1]))
            where = mesh[rng.integers(POINTS)] + rng.normal(0, 0.1, 2) * extent
            overlays.stamp(rng, crop, where, float(rng.uniform(0.1, 0.38)) * extent)

    def _cover(self, crop: Image, mesh: Floats) -> None:
        """Hide the face so far that nothing can be read from it."""
        rng = self.rng
        middle, extent = mesh.mean(0), np.ptp(mesh, axis=0)
        other = backgrounds.cut(rng, self.stock, CROP, CROP)
        mask = np.zeros((CROP, CROP), np.uint8)
        axes = (int(extent[0] * rng.uniform(0.55, 0.75)), int(extent[1] * rng.uniform(0.55, 0.75)))
        cv2.ellipse(mask, (int(middle[0]), int(middle[1])), axes, 0, 0, 360, 255, -1)
        crop[:] = pasting.blend(crop, other, mask)


def to_target(mesh: Floats) -> Floats:
    """Crop pixels (..., 2), pixel centres at integers, to the network's [-1, 1] between the crop's outer edges."""
    return (mesh + np.float32(0.5)) / np.float32(CROP / 2) - np.float32(1)


def to_input(pictures: Image) -> Tensor:
    """Pictures (N, H, W, 3) uint8 RGB as the networks take them: (N, 3, H, W) float32, channels last in memory."""
    tensor = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
    return (tensor.float() - 127.5) / 128


def landmark_loss(network: LandmarkNet, batch: LandmarkBatch, device: torch.device) -> dict[str, Tensor]:
    """L1 of mesh and key points over eye distance, eyes and lips counting double, and cross entropy of the presence.

    The eye distance is floored at a third of the face's height, so that profiles do not outweigh all others.
    """
    inputs = to_input(batch.crops).to(device)
    points = torch.from_numpy(batch.points).to(device)
    presence = torch.from_numpy(batch.presence).to(device)
    found, key_points, logit = network.heads(inputs)
    height = points[:, :, 1].amax(1) - points[:, :, 1].amin(1)
    across = (points[:, geometry.LEFT_EYE] - points[:, geometry.RIGHT_EYE]).norm(dim=1)
    unit = torch.maximum(across, height / 3).clamp(min=0.05)
    share = presence / unit / presence.sum().clamp(min=1)
    weights = torch.ones(POINTS, device=device)
    weights[list(EYES_AND_LIPS)] = 2.0
    error = (found - points).abs().sum(2)
    shape = ((error * (weights / weights.sum())).sum(1) * share).sum()
    keys = ((key_points - points[:, list(KEY_POINTS)]).abs().sum(2).mean(1) * share).sum()
    seen = F.binary_cross_entropy_with_logits(logit.squeeze(1), presence)
    return {"total": shape + 0.5 * keys + 0.1 * seen, "shape": shape, "keys": keys, "presence": seen}


def linear_spread(samples: LandmarkSamples) -> Tensor:
    """The mesh as a combination of the key points, by least squares over the training faces in crops: (478, K)."""
    rows = samples.rng.integers(len(samples.portraits), size=1500)
    meshes = [samples.portraits.mesh[row] for row in rows]
    crops = np.stack([to_target(geometry.transform(mesh, samples.aim(mesh))) for mesh in meshes]).astype(np.float64)
    keys = crops[:, list(KEY_POINTS)]
    gram = np.einsum("nkc,nlc->kl", keys, keys)
    ridge = 1e-5 * np.trace(gram) / len(gram) * np.eye(len(gram))
    spread = np.linalg.solve(gram + ridge, np.einsum("nkc,npc->kp", keys, crops)).T
    return torch.from_numpy(spread.astype(np.float32))
