"""What the mask network learns from: labels of portraits, and pictures composed of them with exact masks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.arrays import Floats
from models.face.imaging import guided_filter
from models.face.texture_space import FACE_OVAL
from models.training.data import SIZE, FaceSet
from models.training.segmenter import occluder_drawing, occluders
from models.training.segmenter.network import CHANNELS, INPUT

COVERED_WEIGHT, HAND_WEIGHT, THIN_WEIGHT = 1.0, 4.0, 2.0
"""How much more occluded pixels count in the face and occluder masks: a hand edited as face is the worst mistake."""
THIN_GAIN = 1.5
"""Thin things count as there from a third of a pixel on, or none of their pixels would."""
DARK_SKIN, TURNED_DEGREES, CHILD_YEARS = 50.0, 12.0, 16.0
"""CIE lightness of the skin, yaw and age from which a portrait is rare in the set and drawn more often."""


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
    oval_points = mesh[list(FACE_OVAL)]
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
