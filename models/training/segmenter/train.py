"""`python -m models.training segmenter`: train the mask network of the embedded pack, write `segmenter.onnx`.

A small U-Net (Ronneberger et al. 2015) reads one aligned face crop and gives four soft masks: hair, face skin,
occluder, person. Hair and person labels come from `masks.npz`, the person's sharpened along the picture's own edges
(guided filter, He et al. 2010); face skin is the mesh's oval, ears and scalp where skin shows; occluders are composed
(`occluders.py`), so their labels are exact.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from engines.graph.export import export as write_onnx
from models.arrays import Floats
from models.embedded import EMBEDDED
from models.face.imaging import guided_filter
from models.training.data import SIZE, WORK, FaceSet, shared_folder
from models.training.precision import autocast
from models.training.segmenter import occluder_drawing, occluders

log = logging.getLogger(__name__)

INPUT = 160
"""Side of the network's input and of its masks in pixels."""
COVERED_WEIGHT, HAND_WEIGHT, THIN_WEIGHT = 1.0, 4.0, 2.0
"""How much more occluded pixels count in the face and occluder masks: a hand edited as face is the worst mistake."""
THIN_GAIN = 1.5
"""Thin things count as there from a third of a pixel on, or none of their pixels would."""
STEADY_WEIGHT = 4.0
MOST_SHIFT = 2
"""By how many pixels the second look at a picture is moved at most."""
DARK_SKIN, TURNED_DEGREES, CHILD_YEARS = 50.0, 12.0, 16.0
"""CIE lightness of the skin, yaw and age from which a portrait is rare in the set and drawn more often."""
CHANNELS = ("hair", "face", "occluder", "person")
WEIGHTS = EMBEDDED / "segmenter.onnx"


def main(argv: list[str]) -> int:
    """Train, resume or only export; see `--help`."""
    parser = argparse.ArgumentParser(prog="python -m models.training segmenter", description=__doc__)
    parser.add_argument("--shared", type=Path, default=shared_folder(), help="folder with faces/")
    parser.add_argument("--work", type=Path, default=WORK / "segmenter", help="folder for labels and checkpoints")
    parser.add_argument("--steps", type=int, default=12000, help="length of the whole training")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long; run again to go on")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to torch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--export-only", action="store_true")
    options = parser.parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    if not options.export_only:
        train(options)
    network = SegmenterNet()
    state = torch.load(options.work / "last.pt", map_location="cpu", weights_only=True)
    network.load_state_dict(state["ema"])
    error = export(network, options.out)
    print(f"{options.out.name}: {options.out.stat().st_size} bytes, relative difference to torch {error:.1e}")
    return 0


class ConvBlock(nn.Sequential):
    """Convolution 3x3, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip (He et al. 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class SegmenterNet(nn.Module):
    """U-Net on space-to-depth pixels: half the resolution inside, full resolution at both ends.

    `forward`: (N, 3, 160, 160) float RGB in 0..1 -> (N, 4, 160, 160) logits in the order of `CHANNELS`; 0.4 GFLOP.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        a, b, c, d = widths
        self.encode2 = nn.Sequential(ConvBlock(12, a), ConvBlock(a, a))
        self.encode4 = nn.Sequential(ConvBlock(a, b, 2), ResidualBlock(b))
        self.encode8 = nn.Sequential(ConvBlock(b, c, 2), ResidualBlock(c))
        self.encode16 = nn.Sequential(ConvBlock(c, d, 2), ResidualBlock(d), ResidualBlock(d))
        self.up8, self.decode8 = nn.Conv2d(d, c, 1), ConvBlock(c, c)
        self.up4, self.decode4 = nn.Conv2d(c, b, 1), ConvBlock(b, b)
        self.up2, self.decode2 = nn.Conv2d(b, a, 1), ConvBlock(a, a)
        self.head = nn.Conv2d(a, 4 * len(CHANNELS), 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x2 = self.encode2(functional.pixel_unshuffle(image * 2 - 1, 2))
        x4 = self.encode4(x2)
        x8 = self.encode8(x4)
        x16 = self.encode16(x8)
        y = self.decode8(x8 + _double(self.up8(x16)))
        y = self.decode4(x4 + _double(self.up4(y)))
        y = self.decode2(x2 + _double(self.up2(y)))
        return functional.pixel_shuffle(self.head(y), 2)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Deployed(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.network(image))


def export(network: nn.Module, path: Path) -> float:
    """Write the network as ONNX and compare the file with torch.

    Input `image` (N, 3, 160, 160) float32 RGB 0..1, output `masks` (N, 4, 160, 160) float32 in [0, 1].

    Returns:
        The largest difference, relative to the largest output.

    Raises:
        EngineError: the file computes something else; nothing is written.
    """
    example = torch.rand(2, 3, INPUT, INPUT, generator=torch.Generator().manual_seed(0))
    return write_onnx(_Deployed(network), {"image": example}, ["masks"], path)


def face_skin(image: NDArray[np.uint8], mesh: Floats, hair: Floats, person: Floats, hat: bool = False) -> Floats:
    """Where the skin of the face is: the mesh's oval without hair, plus ears and scalp where they look like the cheeks.

    Args:
        image: (S, S, 3) uint8 RGB.
        mesh: (478, 2) float32 in pixels of `image`.
        hair: (S, S) float32 in [0, 1].
        person: (S, S) float32 in [0, 1].
        hat: whether the head is covered: then there is no scalp to see, and the forehead must look like skin too.

    Returns:
        (S, S) float32 in [0, 1].
    """
    side = len(image)
    oval_points = mesh[list(occluders.FACE_OVAL)]
    oval = np.zeros((side, side), np.float32)
    cv2.fillPoly(oval, [oval_points.round().astype(np.int32)], 1.0)
    up = mesh[10] - mesh[152]
    across = mesh[454] - mesh[234]
    around = np.zeros_like(oval)
    brow = oval_points[[*range(8), *range(28, 36)]]
    if hat:
        forehead = np.zeros_like(oval)
        above_brows = oval_points[[*range(5), *range(32, 36)]]
        cv2.fillConvexPoly(forehead, cv2.convexHull(above_brows.round().astype(np.int32)), 1.0)
        around = oval * forehead
        oval = oval - around
    else:
        scalp = np.concatenate([brow, brow + up * 0.55])
        cv2.fillConvexPoly(around, cv2.convexHull(scalp.round().astype(np.int32)), 1.0)
    for points, outward in (((127, 234, 93, 132), -across), ((356, 454, 323, 361), across)):
        ear = mesh[list(points)]
        patch = np.concatenate([ear - outward * 0.03, ear + outward * 0.2])
        cv2.fillConvexPoly(around, cv2.convexHull(patch.round().astype(np.int32)), 1.0)
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    cheeks = np.clip(mesh[list(occluder_drawing.CHEEKS)].round().astype(int), 0, side - 1)
    tone = np.median(lab[cheeks[:, 1], cheeks[:, 0]], axis=0)
    difference = (lab - tone) / np.array([30.0, 12.0, 12.0], np.float32)
    like = np.exp(-0.5 * (difference**2).sum(axis=2))
    like = cv2.GaussianBlur(np.clip(like * 2.2 - 0.3, 0, 1), (0, 0), side / 100)
    zone = np.maximum(oval, around * like * person)
    skin: Floats = np.clip(zone * (1 - hair), 0, 1).astype(np.float32)
    return cv2.GaussianBlur(skin, (0, 0), side / 250)


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of all portraits, (N, INPUT, INPUT, 3) uint8: hair, face, person, each x 255."""

    values: NDArray[np.uint8]

    @staticmethod
    def load(faces: FaceSet, cache: Path) -> Labels:
        """Compute the labels once and keep them in `cache`."""
        path = cache / "labels.npy"
        if not path.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            values = np.empty((len(faces), INPUT, INPUT, 3), np.uint8)
            for row in tqdm(range(len(faces)), desc="labels"):
                values[row] = _label(faces, row)
            part = path.with_suffix(".part.npy")
            np.save(part, values)
            part.replace(path)
        return Labels(np.load(path, mmap_mode="r"))


def _label(faces: FaceSet, row: int) -> NDArray[np.uint8]:
    image = faces.image(row)
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    hair = faces.mask("hair", row)
    person = guided_filter(luminance, faces.mask("person", row), 4, 1e-3).clip(0, 1)
    face = face_skin(image, faces.mesh[row], hair, person, hat=bool(faces.labels["hat"][row] > 0))
    stack = cv2.resize(np.dstack([hair, face, person]), (INPUT, INPUT), interpolation=cv2.INTER_AREA)
    return (stack * 255 + 0.5).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Sample:
    """One training picture.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        target: (S, S, 4) float32 in [0, 1], in the order of `CHANNELS`.
        weight: (S, S, 4) float32: how much each label counts (0: unknown).
    """

    image: NDArray[np.uint8]
    target: Floats
    weight: Floats


class Composer:
    """Draws training pictures: a portrait moved, at times before another background, covered, seen by a webcam."""

    def __init__(self, faces: FaceSet, labels: Labels, rows: NDArray[np.int64]) -> None:
        self.faces, self.labels, self.rows = faces, labels, rows
        self.glasses = np.nan_to_num(faces.labels["glasses"]) > 0
        self.drawn = np.repeat(rows, rarity({name: values[rows] for name, values in faces.labels.items()}))

    def draw(self, rng: np.random.Generator) -> Sample:
        """Draw one sample."""
        row = int(self.drawn[rng.integers(len(self.drawn))])
        image, label, known, mesh = self._moved(rng, row)
        hair, face, person = label[..., 0], label[..., 1], label[..., 2]
        if rng.random() < 0.35:
            image, known = self._before_another_background(rng, image, label, known)
        target = np.dstack([hair, face, np.zeros_like(hair), person])
        weight = np.repeat(known[..., None], len(CHANNELS), axis=2)
        # whatever filled the picture beyond the portrait's edge, it is nothing in front of the face
        weight[..., 2] = 1
        if self.glasses[row]:
            # real spectacles carry no label: neither wanted nor forbidden
            weight[..., 2] -= _eye_band(mesh)
        if rng.random() < 0.62:
            for _ in range(1 + int(rng.random() < 0.15)):
                fabrics = [self.faces.images[self.rows[rng.integers(len(self.rows))]] for _ in range(2)]
                kind = occluders.KINDS[rng.choice(len(occluders.KINDS), p=occluders.FREQUENCY)]
                draw = occluders.draw_fine if kind in occluders.THIN else occluders.draw
                cutout = draw(rng, image, mesh, fabrics, kind)
                image, alpha = occluders.paste(rng, image, cutout)
                _cover(target, weight, alpha, cutout.kind)
        return Sample(webcam(rng, image), target, weight)

    def _moved(self, rng: np.random.Generator, row: int) -> tuple[Floats, Floats, Floats, Floats]:
        margin = float(np.exp(rng.uniform(np.log(0.85), np.log(1.65))))
        angle = np.deg2rad(np.clip(rng.normal(0, 9), -25, 25))
        scale = INPUT / (SIZE * margin)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.array([[1.0, rng.normal(0, 0.05)], [rng.normal(0, 0.03), 1.0]])
        linear = scale * turn @ shear @ np.diag([rng.uniform(0.9, 1.08) * rng.choice((-1, 1)), rng.uniform(0.95, 1.05)])
        offset = INPUT / 2 + rng.normal(0, 0.07, 2) * INPUT - linear @ np.full(2, SIZE / 2)
        matrix = np.column_stack([linear, offset])
        border = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_WRAP)[rng.integers(3)]
        how = cv2.INTER_AREA if margin > 1 else cv2.INTER_LINEAR
        source = self.faces.image(row)
        if scale < 0.55:
            source = cv2.GaussianBlur(source, (0, 0), 0.35 / scale)
        image = cv2.warpAffine(source, matrix, (INPUT, INPUT), flags=how, borderMode=border).astype(np.float32)
        ratio = SIZE / INPUT
        small = np.column_stack([linear * ratio, offset + linear @ np.full(2, ratio / 2 - 0.5)])
        stack = np.dstack([self.labels.values[row], np.full((INPUT, INPUT), 255, np.uint8)])
        warped = cv2.warpAffine(stack, small, (INPUT, INPUT), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
        mesh = (self.faces.mesh[row] @ linear.T + offset).astype(np.float32)
        return image, warped[..., :3], np.floor(warped[..., 3] + 0.01), mesh

    def _before_another_background(
        self, rng: np.random.Generator, image: Floats, label: Floats, known: Floats
    ) -> tuple[Floats, Floats]:
        behind = background(rng, [self.faces.images[self.rows[rng.integers(len(self.rows))]] for _ in range(3)])
        hair, person = label[..., 0], label[..., 2]
        if rng.random() < 0.3 and float(hair.sum()) > 0:
            # dark hair before a dark wall: almost the hair's own colour
            tone = np.asarray(cv2.mean(image, (hair > 0.5).astype(np.uint8))[:3], np.float32)
            share = np.float32(rng.uniform(0.6, 0.95))
            behind = behind * (1 - share) + tone * np.float32(np.exp(rng.normal(0, 0.35))) * share
        alpha = np.clip(person * 1.6 - 0.3, 0, 1)[..., None]
        inside = known[..., None]
        return image * (alpha * inside) + behind * (1 - alpha * inside), known


def rarity(labels: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """How often each portrait stands in the draw, (N,): dark skin, turned heads, hats, children and bald heads more.

    Args:
        labels: columns of `FaceSet.labels`, NaN where unknown.
    """
    times = np.ones(len(labels["skin_L"]), np.int64)
    times += 2 * (np.nan_to_num(labels["skin_L"], nan=100) < DARK_SKIN)
    times += 2 * (np.abs(np.nan_to_num(labels["yaw"])) > TURNED_DEGREES)
    times += np.nan_to_num(labels["hat"]) > 0
    times += np.nan_to_num(labels["age"], nan=40) < CHILD_YEARS
    times += np.nan_to_num(labels["baldness"]) >= 0.5
    return times


def background(rng: np.random.Generator, pictures: list[NDArray[np.uint8]]) -> Floats:
    """A cluttered room without faces: (INPUT, INPUT, 3) float32 RGB of other portraits' edges, boxes and gradients."""
    base = rng.uniform(20, 235, 3) + rng.normal(0, 40, 3) * occluder_drawing.smooth_noise(rng, INPUT, 3)[..., None]
    canvas = np.asarray(np.clip(base, 0, 255), np.float32)
    for picture in pictures:
        part = int(rng.uniform(0.1, 0.22) * SIZE)
        top, left = int(rng.integers(0, SIZE - part)), int(rng.choice((0, SIZE - part)))
        piece = np.ascontiguousarray(picture[top : top + part, left : left + part])
        width, height = (int(v) for v in rng.integers(INPUT // 4, INPUT, 2))
        x, y = int(rng.integers(-20, INPUT - 20)), int(rng.integers(-20, INPUT - 20))
        patch = cv2.resize(piece, (width, height)).astype(np.float32)
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, INPUT), min(y + height, INPUT)
        canvas[y0:y1, x0:x1] = patch[y0 - y : y1 - y, x0 - x : x1 - x]
    for _ in range(int(rng.integers(0, 9))):
        corner = rng.integers(-20, INPUT, 2)
        far = corner + rng.integers(3, 90, 2)
        colour = tuple(float(v) for v in rng.uniform(0, 255, 3))
        cv2.rectangle(canvas, tuple(map(int, corner)), tuple(map(int, far)), colour, -1 if rng.random() < 0.6 else 2)
    if rng.random() < 0.6:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 5))
    return canvas


def _eye_band(mesh: Floats) -> Floats:
    band = np.zeros((INPUT, INPUT), np.float32)
    left, right = mesh[234], mesh[454]
    down = (mesh[152] - mesh[10]) * 0.16
    middle = mesh[[33, 263]].mean(axis=0) - (left + right) / 2
    corners = np.stack([left + middle - down, right + middle - down, right + middle + down, left + middle + down])
    cv2.fillConvexPoly(band, corners.round().astype(np.int32), 1.0)
    return band


def _cover(target: Floats, weight: Floats, alpha: Floats, kind: occluder_drawing.Kind) -> None:
    """Write an occluder into the labels, in place."""
    thin = kind in occluders.THIN
    if thin:
        alpha = np.minimum(THIN_GAIN * alpha, 1)
    seen = 1 - alpha
    target[..., 1] *= seen
    more = THIN_WEIGHT if thin else HAND_WEIGHT if kind == "hand" else COVERED_WEIGHT
    weight[..., 1:3] *= 1 + more * (alpha[..., None] > 0.5)
    target[..., 2] = np.maximum(target[..., 2], alpha)
    if kind == "strands":
        weight[..., 0] *= alpha < 0.02
    else:
        target[..., 0] *= seen
    if kind == "hand":
        target[..., 3] = np.maximum(target[..., 3], alpha)
    elif kind != "glasses":
        weight[..., 3] *= alpha < 0.02


def webcam(rng: np.random.Generator, image: Floats) -> NDArray[np.uint8]:
    """What a webcam makes of a picture: exposure, colour cast, blur, low resolution, noise, JPEG.

    Args:
        rng: source of all choices.
        image: (S, S, 3) float32 RGB, 0..255.
    """
    side = len(image)
    gain = np.exp(rng.normal(0, 0.22)) * np.exp(rng.normal(0, 0.06, 3))
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    exposure = 255 * np.clip(levels * gain, 0, 1) ** np.exp(rng.normal(0, 0.2))
    exposed = cv2.LUT(np.clip(image, 0, 255).astype(np.uint8), exposure.astype(np.uint8)[None])
    image = exposed.astype(np.float32)
    if rng.random() < 0.25:
        direction = rng.normal(0, 1, 2).astype(np.float32)
        ramp = np.linspace(-1, 1, side, dtype=np.float32)
        strength = np.float32(rng.uniform(0, 0.5) / 1.5)
        light = 1 + strength * (ramp[:, None] * direction[0] + ramp[None] * direction[1])
        image = image * np.clip(light, 0.2, 2)[..., None]
    if rng.random() < 0.15:
        grey = image.mean(axis=2, keepdims=True)
        image = grey + (image - grey) * np.float32(rng.uniform(0, 0.8))
    if rng.random() < 0.35:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2.0))
    elif rng.random() < 0.15:
        image = cv2.filter2D(image, -1, occluders.motion_kernel(rng, rng.uniform(2, 9)))
    if rng.random() < 0.25:
        low = int(side * rng.uniform(0.3, 0.8))
        image = cv2.resize(cv2.resize(image, (low, low), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.6:
        planes = 1 if rng.random() < 0.4 else 3
        noise = rng.standard_normal((side, side, planes), np.float32)
        image = image + noise * np.float32(rng.uniform(0.5, 9))
    pixels: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return pixels


def train(options: argparse.Namespace) -> None:
    """Train until `options.steps`, or for `options.minutes`; resumes from `options.work / "last.pt"`."""
    cv2.setNumThreads(1)
    faces = FaceSet.load(options.shared)
    labels = Labels.load(faces, options.work)
    composer = Composer(faces, labels, faces.split("train"))
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    network = SegmenterNet().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = SegmenterNet().to(device)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), options.rate, weight_decay=1e-4)
    path = options.work / "last.pt"
    first = 0
    if path.is_file():
        state = torch.load(path, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["ema"])
        optimiser.load_state_dict(state["optimiser"])
        first = int(state["step"])
    until = time.monotonic() + 60 * options.minutes
    progress = tqdm(range(first, options.steps), initial=first, total=options.steps, desc="segmenter", mininterval=5)
    running, step = 0.0, first
    saved = time.monotonic()
    for step in progress:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, options.steps, options.rate)
        rng = np.random.default_rng((options.seed, step))
        batch = [composer.draw(rng) for _ in range(options.batch)]
        loss = _loss(network, batch, device, options.seed + step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        _follow(average, network, min(0.998, (1 + step) / (10 + step)))
        running = 0.98 * running + 0.02 * float(loss.detach()) if step > first else float(loss.detach())
        progress.set_postfix(loss=f"{running:.4f}", refresh=False)
        if time.monotonic() > until:
            break
        if time.monotonic() > saved + 90:
            _save(path, network, average, optimiser, step + 1)
            saved = time.monotonic()
    _save(path, network, average, optimiser, min(step + 1, options.steps))


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 100 steps, then a cosine to a fiftieth of the peak."""
    warm = min(1.0, (step + 1) / 100)
    return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))))


def _loss(network: nn.Module, batch: list[Sample], device: torch.device, seed: int) -> Tensor:
    image = torch.from_numpy(np.stack([s.image for s in batch])).to(device).permute(0, 3, 1, 2).float() / 255
    target = torch.from_numpy(np.stack([s.target for s in batch])).to(device).permute(0, 3, 1, 2)
    weight = torch.from_numpy(np.stack([s.weight for s in batch])).to(device).permute(0, 3, 1, 2)
    # the same pictures a second time with other camera noise, a little moved: the masks must move with them
    pairs = max(1, len(batch) // 8)
    generator = torch.Generator().manual_seed(seed)
    strength = torch.rand(pairs, 1, 1, 1, generator=generator) * (8 / 255)
    noise = (torch.randn(image[:pairs].shape, generator=generator) * strength).to(device)
    y, x = (int(v) for v in torch.randint(-MOST_SHIFT, MOST_SHIFT + 1, (2,), generator=generator))
    again = (image[:pairs].roll((y, x), (2, 3)) + noise).clamp(0, 1)
    inputs = torch.cat([image, again]).contiguous(memory_format=torch.channels_last)
    with autocast(device):
        logits = network(inputs)
    logits = logits.float()
    logits, second = logits[: len(batch)], logits[len(batch) :]
    cross = functional.binary_cross_entropy_with_logits(logits, target, weight)
    found = torch.sigmoid(logits)
    overlap = (weight * found * target).sum((2, 3))
    union = (weight * (found + target)).sum((2, 3))
    dice = (1 - (2 * overlap + 20) / (union + 20)).mean()
    inner = slice(2 * MOST_SHIFT, -2 * MOST_SHIFT)
    moved = torch.sigmoid(second).roll((-y, -x), (2, 3))[:, :, inner, inner]
    steady = functional.mse_loss(moved, found[:pairs, :, inner, inner].detach())
    return cross + 0.3 * dice + STEADY_WEIGHT * steady


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for slow, fast in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - decay)
        else:
            slow.copy_(fast)


def _save(path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    state: dict[str, Any] = {
        "network": network.state_dict(),
        "ema": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
