"""Procedural occluders of a face: hands, microphones, cups, phones, cloth, spectacle frames, locks of hair.

`draw` renders one occluder as a `Cutout`: premultiplied colour and alpha on an empty canvas of the picture's size.
`paste` composites it over a face with a soft shadow and, at times, motion blur. Skin tones are sampled from the face,
fabrics from pictures that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats

Kind = Literal["hand", "microphone", "cup", "card", "cloth", "glasses", "strands"]

KINDS: tuple[Kind, ...] = ("hand", "microphone", "cup", "card", "cloth", "glasses", "strands")
FREQUENCY = (0.48, 0.07, 0.07, 0.04, 0.05, 0.13, 0.16)
"""Probability of each kind: hands vary most, thin occluders are the hardest to segment."""
THIN: tuple[Kind, ...] = ("glasses", "strands")
FINENESS = 2
"""Factor by which `draw_fine` supersamples thin occluders: they are narrower than the network's pixels."""

SUBPIXEL_BITS = 4
"""OpenCV's drawing takes fixed-point coordinates with this many fractional bits."""

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Outline of the face in the 478-point mesh, from the middle of the forehead clockwise in mesh order."""
CHEEKS = (50, 101, 205, 280, 330, 425)
EYES = ((33, 133, 159, 145), (362, 263, 386, 374))
"""Per eye: two corners, upper and lower lid."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """An occluder on an empty canvas.

    Attributes:
        colour: (S, S, 3) float32 RGB, 0..255, premultiplied by `alpha`.
        alpha: (S, S) float32 in [0, 1].
        kind: what it is; a hand belongs to the person, a lock of hair to the hair.
    """

    colour: Floats
    alpha: Floats
    kind: Kind


def draw(
    rng: np.random.Generator,
    image: Floats,
    mesh: Floats,
    fabrics: Sequence[NDArray[np.uint8]],
    kind: Kind | None = None,
) -> Cutout:
    """Draw one random occluder for a face.

    Args:
        rng: random generator.
        image: (S, S, 3) float32 RGB, 0..255: the face that it will cover.
        mesh: (478, 2) float32 face mesh in pixels of `image`.
        fabrics: sources of texture for sleeves, cloth and prints, each (H, W, 3) uint8 RGB.
        kind: what to draw; None draws at random by `FREQUENCY`.
    """
    kind = kind or KINDS[rng.choice(len(KINDS), p=FREQUENCY)]
    return _DRAW[kind](_Scene(rng, image, mesh, fabrics))


def draw_fine(
    rng: np.random.Generator, image: Floats, mesh: Floats, fabrics: Sequence[NDArray[np.uint8]], kind: Kind
) -> Cutout:
    """Draw one occluder with supersampling, so that thin parts get fractional alpha; arguments as of `draw`."""
    size = len(image)
    large = (size * FINENESS, size * FINENESS)
    finer = np.asarray(cv2.resize(image, large, interpolation=cv2.INTER_LINEAR), np.float32)
    cutout = draw(rng, finer, (mesh + np.float32(0.5)) * np.float32(FINENESS) - np.float32(0.5), fabrics, kind)
    colour, alpha = (
        np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA), np.float32)
        for part in (cutout.colour, cutout.alpha)
    )
    return Cutout(colour, alpha, cutout.kind)


def paste(rng: np.random.Generator, image: Floats, cutout: Cutout) -> tuple[Floats, Floats]:
    """Composite an occluder over a face with a soft shadow; moving kinds get motion blur with probability 0.35.

    Args:
        rng: random generator.
        image: (S, S, 3) float32 RGB, 0..255.
        cutout: the occluder, on the same canvas.

    Returns:
        The composed picture and the coverage as blurred, (S, S) float32 in [0, 1].
    """
    size = len(image)
    colour, alpha = cutout.colour, cutout.alpha
    moving = cutout.kind in ("hand", "microphone", "cup", "card", "cloth")
    if moving and rng.random() < 0.35:
        kernel = motion_kernel(rng, rng.uniform(0.015, 0.09) * size)
        colour, alpha = cv2.filter2D(colour, -1, kernel), cv2.filter2D(alpha, -1, kernel)
    if rng.random() < 0.7:
        spread = rng.uniform(0.008, 0.05) * size
        offset = rng.normal(0, 0.02 * size, 2)
        shadow = cv2.GaussianBlur(alpha, (0, 0), spread)
        shadow = cv2.warpAffine(shadow, np.array([[1, 0, offset[0]], [0, 1, offset[1]]]), (size, size))
        strength = rng.uniform(0.05, 0.2) if cutout.kind == "glasses" else rng.uniform(0.05, 0.5)
        image = image * (1 - strength * shadow[..., None])
    composed: Floats = image * (1 - alpha[..., None]) + colour
    return composed, alpha


def motion_kernel(rng: np.random.Generator, length: float) -> Floats:
    """Make a linear motion-blur kernel of about `length` pixels in a random direction; it sums to 1."""
    side = int(np.ceil(length)) // 2 * 2 + 3
    angle = rng.uniform(0, np.pi)
    middle = np.array([side // 2, side // 2], np.float32)
    half = np.array([np.cos(angle), np.sin(angle)], np.float32) * length / 2
    kernel = np.zeros((side, side), np.float32)
    cv2.line(kernel, _fixed(middle - half), _fixed(middle + half), 1.0, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    total = float(kernel.sum())
    if total == 0:
        kernel[side // 2, side // 2] = total = 1.0
    return np.asarray(kernel / total, np.float32)


@dataclass(frozen=True, slots=True)
class _Scene:
    """Inputs of the drawing functions: random generator, face, fabrics."""

    rng: np.random.Generator
    image: Floats
    mesh: Floats
    fabrics: Sequence[NDArray[np.uint8]]

    @property
    def size(self) -> int:
        return len(self.image)

    @property
    def face_height(self) -> float:
        return float(np.linalg.norm(self.mesh[10] - self.mesh[152]))

    def spot(self, low: float = 0.0, high: float = 1.0) -> Floats:
        """Sample a point over the face, `low`..`high` of the way from the forehead to the chin."""
        along = self.rng.uniform(low, high)
        centre = self.mesh[10] * (1 - along) + self.mesh[152] * along
        across = self.mesh[454] - self.mesh[234]
        return np.asarray(centre + across * self.rng.uniform(-0.6, 0.6), np.float32)

    def skin(self) -> Floats:
        """Sample a skin colour near the face's own, or an independent one with probability 0.15."""
        rng, size = self.rng, self.size
        points = np.clip(self.mesh[list(CHEEKS)].round().astype(int), 0, size - 1)
        tone = np.median(self.image[points[:, 1], points[:, 0]], axis=0)
        if rng.random() < 0.15:
            tone = np.array([235, 200, 175]) * rng.uniform(0.25, 1.0)
        doubt = 1.0 if rng.random() < 0.5 else 0.35
        tone = tone * np.exp(rng.normal(0, 0.16 * doubt)) * np.exp(rng.normal(0, 0.04 * doubt, 3))
        return np.asarray(np.clip(tone, 12, 250), np.float32)

    def fabric(self) -> Floats:
        """(S, S, 3) float32 texture: a stretched strip of a picture, or a plain colour with folds."""
        rng, size = self.rng, self.size
        if self.fabrics and rng.random() < 0.65:
            picture = self.fabrics[int(rng.integers(len(self.fabrics)))]
            side = len(picture)
            part = int(rng.uniform(0.12, 0.3) * side)
            top = side - part if rng.random() < 0.7 else 0
            left = int(rng.integers(0, side - part))
            piece = picture[top : top + part, left : left + part].astype(np.float32)
            piece = np.rot90(piece, int(rng.integers(4)))
            surface = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=cv2.INTER_LINEAR)
        else:
            surface = np.broadcast_to(_any_colour(rng), (size, size, 3)).astype(np.float32)
        folds = 1 + rng.uniform(0, 0.3) * smooth_noise(rng, size, int(rng.integers(3, 9)))
        return np.asarray(np.clip(surface * folds[..., None], 0, 255), np.float32)


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """(size, size) float32 noise in about [-1, 1] that varies over 1/cells of the side."""
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def _any_colour(rng: np.random.Generator) -> Floats:
    if rng.random() < 0.5:
        return np.asarray(rng.uniform(5, 70) + rng.normal(0, 6, 3), np.float32).clip(0, 255)
    return np.asarray(rng.uniform(10, 250, 3), np.float32)


def _fixed(point: NDArray[np.floating[Any]]) -> tuple[int, int]:
    scaled = np.round(np.asarray(point) * (1 << SUBPIXEL_BITS)).astype(int)
    return int(scaled[0]), int(scaled[1])


def _polygon(canvas: Floats, points: NDArray[np.floating[Any]], value: float) -> None:
    fixed = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], value, cv2.LINE_AA, SUBPIXEL_BITS)


@dataclass(frozen=True, slots=True)
class _Limb:
    """A rounded, tapering stick: from `start` (radius `first`) to `end` (radius `last`), in pixels."""

    start: Floats
    end: Floats
    first: float
    last: float

    def fill(self, canvas: Floats, value: float) -> None:
        along = self.end - self.start
        normal = np.array([-along[1], along[0]], np.float32) / max(float(np.linalg.norm(along)), 1e-6)
        sides = [
            self.start + normal * self.first,
            self.end + normal * self.last,
            self.end - normal * self.last,
            self.start - normal * self.first,
        ]
        _polygon(canvas, np.stack(sides), value)
        for centre, radius in ((self.start, self.first), (self.end, self.last)):
            fixed = round(radius * (1 << SUBPIXEL_BITS))
            cv2.circle(canvas, _fixed(centre), fixed, value, -1, cv2.LINE_AA, SUBPIXEL_BITS)


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Alpha and shading of a round object under directional light (`light`, a unit vector in the picture's plane)."""

    alpha: Floats
    shade: Floats
    light: Floats

    @staticmethod
    def empty(size: int, light: Floats) -> _Canvas:
        unit = light / max(float(np.linalg.norm(light)), 1e-6)
        return _Canvas(np.zeros((size, size), np.float32), np.full((size, size), 0.7, np.float32), unit)

    def add(self, limb: _Limb) -> None:
        """Draw a limb shaded like a cylinder: a bright axis, and a dark rim that separates it from its neighbours."""
        limb.fill(self.alpha, 1.0)
        for inset, value in ((1.0, 0.62), (0.86, 0.82), (0.62, 0.95), (0.34, 1.04)):
            shift = self.light * (1 - inset) * (limb.first + limb.last) * 0.3
            inner = _Limb(limb.start + shift, limb.end + shift, limb.first * inset, limb.last * inset)
            inner.fill(self.shade, value)


@dataclass(frozen=True, slots=True)
class _HandFrame:
    """Affine map from hand coordinates (wrist at the origin, palm one unit long, fingers up) to pixels."""

    origin: Floats
    linear: Floats
    scale: float
    slimness: float
    resting: bool

    @staticmethod
    def random(scene: _Scene) -> _HandFrame:
        rng = scene.rng
        # half of all hands rest on the lower face, finger tips first; the others are anywhere
        resting = rng.random() < 0.5
        low, high = (0.28, 0.55) if resting else (0.24, 0.7)
        scale = scene.face_height * float(np.exp(rng.uniform(np.log(low), np.log(high))))
        turn = rng.normal(0, 0.5 if resting else 0.9)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        squeeze = np.array([rng.uniform(0.55, 1.0), rng.uniform(0.8, 1.05)])
        linear = rotation @ np.diag(squeeze * (rng.choice((-1, 1)), 1)) * scale
        touching = np.array([rng.uniform(-0.4, 0.4), rng.uniform(-1.9, -1.1 if resting else -0.2)])
        origin = scene.spot(0.45 if resting else 0.0, 1.05 if resting else 1.15) - linear @ touching
        return _HandFrame(origin.astype(np.float32), linear.astype(np.float32), scale, float(squeeze.mean()), resting)

    def at(self, x: float, y: float) -> Floats:
        return np.asarray(self.origin + self.linear @ np.array([x, y], np.float32), np.float32)

    @property
    def width(self) -> float:
        return float(np.linalg.norm(self.linear[:, 0]))

    @property
    def thickness(self) -> float:
        return self.scale * self.slimness


PALM = (
    *((-0.32, 0.2), (-0.44, -0.5), (-0.42, -0.92), (-0.1, -1.03)),
    *((0.2, -1.0), (0.42, -0.86), (0.4, -0.3), (0.3, 0.2)),
)
POSES = ("open", "together", "fist", "point", "mixed")
FINGER_BASES = ((-0.34, -0.86), (-0.12, -0.98), (0.11, -0.98), (0.33, -0.86))
FINGER_RADII = (0.095, 0.112, 0.12, 0.115)
FINGER_LENGTHS = (0.78, 0.98, 1.05, 0.98)


def _hand(scene: _Scene) -> Cutout:
    rng, size = scene.rng, scene.size
    frame = _HandFrame.random(scene)
    canvas = _Canvas.empty(size, rng.normal(0, 1, 2).astype(np.float32))
    # the forearm leaves the picture
    elbow = frame.at(rng.normal(0, 0.5), 4.0)
    canvas.add(_Limb(elbow, frame.at(0, 0.15), 0.52 * frame.width, 0.29 * frame.width))
    palm = np.stack([frame.at(x, y) for x, y in PALM])
    _polygon(canvas.alpha, palm, 1.0)
    middle = palm.mean(axis=0, keepdims=True)
    for inset, value in ((1.0, 0.7), (0.85, 0.86), (0.6, 0.96), (0.3, 1.0)):
        _polygon(canvas.shade, middle + (palm - middle) * inset, value)
    tips = _fingers(rng, frame, canvas)
    shade = cv2.GaussianBlur(canvas.shade, (0, 0), max(0.5, frame.scale * 0.025))
    shade = shade * (1 + rng.uniform(0, 0.3) * _ramp(size, canvas.light, middle[0], frame.scale))
    shade = shade + 0.08 * smooth_noise(rng, size, int(rng.integers(4, 20)))
    shade = np.clip(1 - (1 - shade) * rng.uniform(0.2, 1.2), 0.05, 1.6)
    # skin in shadow turns redder: blood scatters the long waves
    colour = scene.skin() * shade[..., None] ** np.array([0.85, 1.05, 1.12], np.float32)
    if rng.random() < 0.5:
        colour = _with_nails(rng, colour, tips)
    alpha = canvas.alpha
    if rng.random() < 0.45:
        sleeve = np.zeros_like(alpha)
        _Limb(elbow, frame.at(0, rng.uniform(0.5, 1.6)), 0.62 * frame.width, 0.45 * frame.width).fill(sleeve, 1.0)
        fold = np.clip(0.75 + 0.35 * shade, 0.3, 1.3)[..., None]
        colour = colour * (1 - sleeve[..., None]) + scene.fabric() * fold * sleeve[..., None]
        alpha = np.maximum(alpha, sleeve)
    return _finish(rng, colour, alpha, "hand")


def _fingers(rng: np.random.Generator, frame: _HandFrame, canvas: _Canvas) -> list[_Limb]:
    """Draw four fingers and, in most poses, a thumb; returns the tips that show a nail."""
    pose = str(rng.choice(POSES, p=(0.08, 0.12, 0.1, 0.5, 0.2) if frame.resting else (0.35, 0.23, 0.12, 0.08, 0.22)))
    spread = {"open": rng.uniform(0.1, 0.28), "together": rng.uniform(-0.03, 0.04)}.get(pose, rng.uniform(0, 0.15))
    straight = {"open": (1, 1, 1, 1), "together": (1, 1, 1, 1), "fist": (0, 0, 0, 0), "point": (0, 0, 0, 1)}.get(
        pose, tuple(int(v) for v in rng.integers(0, 2, 4))
    )
    grown = rng.uniform(0.85, 1.1)
    tips = []
    for index, root in enumerate(FINGER_BASES):
        radius = FINGER_RADII[index] * rng.uniform(0.95, 1.15) * frame.thickness
        length = FINGER_LENGTHS[index] * grown * (1.0 if straight[index] else rng.uniform(0.28, 0.45))
        lean, bend = (index - 1.5) * spread + rng.normal(0, 0.04), rng.normal(0, 0.12)
        point = np.array(root)
        for bone, share in enumerate((0.42, 0.32, 0.26)):
            angle = lean + bend * bone
            following = point + share * length * np.array([np.sin(angle), -np.cos(angle)])
            first, last = radius * (1 - 0.06 * bone), radius * (0.94 - 0.08 * bone)
            limb = _Limb(frame.at(*point), frame.at(*following), first, last)
            canvas.add(limb)
            point = following
        if straight[index]:
            tips.append(limb)
    if rng.random() < 0.85:
        out = rng.uniform(0.1, 0.9)
        base = np.array([0.36, -0.25])
        knuckle = base + 0.42 * np.array([np.sin(out), -np.cos(out)])
        tip = knuckle + 0.36 * np.array([np.sin(out * 0.7), -np.cos(out * 0.7)])
        radius = 0.13 * frame.thickness
        canvas.add(_Limb(frame.at(*base), frame.at(*knuckle), radius * 1.25, radius))
        limb = _Limb(frame.at(*knuckle), frame.at(*tip), radius, radius * 0.8)
        canvas.add(limb)
        tips.append(limb)
    return tips


def _with_nails(rng: np.random.Generator, colour: Floats, tips: Sequence[_Limb]) -> Floats:
    tint = np.array([1.06, 0.98, 0.98]) if rng.random() < 0.7 else rng.uniform(0.3, 1.1, 3)
    nails = np.zeros(colour.shape[:2], np.float32)
    for tip in tips:
        along = (tip.end - tip.start) / max(float(np.linalg.norm(tip.end - tip.start)), 1e-6) * tip.last * 0.4
        _Limb(tip.end - along, tip.end + along, tip.last * 0.5, tip.last * 0.45).fill(nails, 1.0)
    return np.asarray(colour * (1 + nails[..., None] * (tint - 1)), np.float32)


def _microphone(scene: _Scene) -> Cutout:
    rng, size = scene.rng, scene.size
    canvas = _Canvas.empty(size, np.array([rng.choice((-0.7, 0.7)), -0.7], np.float32))
    radius = scene.face_height * rng.uniform(0.08, 0.24)
    head = scene.spot(0.55, 1.15)
    angle = rng.normal(0, 0.8)
    down = np.array([np.sin(angle), np.cos(angle)], np.float32)
    handle = radius * rng.uniform(0.12, 0.75)
    canvas.add(_Limb(head + down * scene.face_height * 2, head, handle, handle))
    capsule = _Limb(head, head - down * radius * rng.uniform(0, 1.2), radius, radius)
    canvas.add(capsule)
    ball = np.zeros_like(canvas.alpha)
    capsule.fill(ball, 1.0)
    colour = _any_colour(rng) * (1 - ball[..., None]) + _any_colour(rng) * ball[..., None]
    if rng.random() < 0.5:
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        pitch = rng.uniform(2.5, 5)
        grille = np.sin(columns * 2 * np.pi / pitch) * np.sin(rows * 2 * np.pi / pitch)
        colour = colour * (1 + 0.3 * grille * ball)[..., None]
    shade = cv2.GaussianBlur(canvas.shade, (0, 0), max(0.5, radius * 0.08))
    return _finish(rng, np.asarray(colour * shade[..., None], np.float32), canvas.alpha, "microphone")


def _cup(scene: _Scene) -> Cutout:
    rng, size = scene.rng, scene.size
    alpha = np.zeros((size, size), np.float32)
    width = scene.face_height * rng.uniform(0.18, 0.42)
    height = width * rng.uniform(1.0, 2.4)
    foot = rng.uniform(0.6, 1.0)
    tilt = rng.normal(0, 0.45)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]], np.float32)
    centre = scene.spot(0.6, 1.25)

    def place(x: float, y: float) -> Floats:
        return np.asarray(centre + turn @ np.array([x * width, y * height], np.float32), np.float32)

    curve = [(np.cos(t), 0.06 * np.sin(t)) for t in np.linspace(0, np.pi, 8)]
    outline = [place(-0.5, -0.5), place(0.5, -0.5), *(place(0.5 * foot * x, 0.5 + y) for x, y in curve)]
    if rng.random() < 0.4:
        handle = [place(0.5 + 0.28 * np.sin(t), -0.25 + 0.5 * t / np.pi) for t in np.linspace(0, np.pi, 10)]
        fixed = np.round(np.stack(handle) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        thick = max(1, round(width * 0.1))
        cv2.polylines(alpha, [fixed], False, 1.0, thick, cv2.LINE_AA, SUBPIXEL_BITS)
    _polygon(alpha, np.stack(outline), 1.0)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    across = ((columns - centre[0]) * turn[0, 0] + (rows - centre[1]) * turn[1, 0]) / width
    round_shade = 0.55 + 0.6 * np.sqrt(np.clip(1 - (2 * across + rng.uniform(-0.4, 0.4)) ** 2, 0, 1))
    surface = scene.fabric() if rng.random() < 0.4 else np.broadcast_to(_any_colour(rng), (size, size, 3))
    colour = np.asarray(surface * round_shade[..., None], np.float32)
    if rng.random() < 0.4:
        lid = np.zeros_like(alpha)
        _polygon(lid, np.stack([place(-0.54, -0.56), place(0.54, -0.56), place(0.52, -0.42), place(-0.52, -0.42)]), 1.0)
        colour = colour * (1 - lid[..., None]) + _any_colour(rng) * round_shade[..., None] * lid[..., None]
        alpha = np.maximum(alpha, lid)
    cup = _finish(rng, colour, alpha, "cup")
    if rng.random() < 0.5:
        fingers = _hand(scene)
        return _over(cup, fingers) if rng.random() < 0.6 else _over(fingers, cup)
    return cup


def _card(scene: _Scene) -> Cutout:
    """A flat rectangle: phone, paper or book."""
    rng, size = scene.rng, scene.size
    alpha = np.zeros((size, size), np.float32)
    half = scene.face_height * rng.uniform(0.12, 0.45, 2)
    centre = scene.spot(-0.1, 1.2)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = centre + square @ turn.T + rng.normal(0, 0.03 * scene.face_height, (4, 2))
    _polygon(alpha, corners.astype(np.float32), 1.0)
    colour = scene.fabric()
    if rng.random() < 0.5:
        inner = np.zeros_like(alpha)
        _polygon(inner, (centre + (corners - centre) * rng.uniform(0.8, 0.95)).astype(np.float32), 1.0)
        colour = colour * inner[..., None] + _any_colour(rng) * (1 - inner[..., None])
    return _finish(rng, colour, alpha, "card")


def _cloth(scene: _Scene) -> Cutout:
    """A smooth blob of cloth (scarf, pillow, sleeve), or a cloth mask over mouth and nose."""
    rng, size = scene.rng, scene.size
    alpha = np.zeros((size, size), np.float32)
    if rng.random() < 0.4:
        lower = scene.mesh[[234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454]]
        bridge = scene.mesh[[280, 6 if rng.random() < 0.5 else 195, 50]]
        outline = np.concatenate([lower, bridge])
        centre = outline.mean(axis=0)
        _polygon(alpha, np.asarray(centre + (outline - centre) * rng.uniform(1.0, 1.08), np.float32), 1.0)
    else:
        centre = scene.spot(-0.2, 1.3)
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radii = (
            scene.face_height
            * rng.uniform(0.15, 0.45)
            * (1 + sum(rng.normal(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6)) for k in range(1, 5)))
        )
        blob = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * np.abs(radii)[:, None]
        _polygon(alpha, blob.astype(np.float32), 1.0)
    light = rng.normal(0, 1, 2).astype(np.float32)
    shade = 1 + 0.25 * _ramp(size, light / max(float(np.linalg.norm(light)), 1e-6), scene.mesh[1], scene.face_height)
    return _finish(rng, scene.fabric() * shade[..., None], alpha, "cloth")


def _glasses(scene: _Scene) -> Cutout:
    rng, size, mesh = scene.rng, scene.size, scene.mesh
    frame = np.zeros((size, size), np.float32)
    lens = np.zeros((size, size), np.float32)
    distance = float(np.linalg.norm(mesh[[33, 133]].mean(0) - mesh[[362, 263]].mean(0)))
    axis = (mesh[263] - mesh[33]) / max(float(np.linalg.norm(mesh[263] - mesh[33])), 1e-6)
    down = np.array([-axis[1], axis[0]], np.float32)
    half_w, half_h = distance * rng.uniform(0.34, 0.46), distance * rng.uniform(0.22, 0.38)
    power = rng.uniform(2, 5)
    thick = max(1, round(distance * rng.uniform(0.02, 0.1)))
    angles = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    shape_x = np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** (2 / power)
    shape_y = np.sign(np.sin(angles)) * np.abs(np.sin(angles)) ** (2 / power)
    drop = distance * rng.uniform(0.0, 0.12)
    inner = []
    rimless_below = rng.random() < 0.2
    for side, corners in zip((-1, 1), EYES, strict=True):
        centre = mesh[list(corners)].mean(axis=0) + down * drop + axis * side * distance * 0.03
        outline = centre + shape_x[:, None] * half_w * axis + shape_y[:, None] * half_h * down
        fixed = np.round(outline * (1 << SUBPIXEL_BITS)).astype(np.int32)
        _polygon(lens, outline.astype(np.float32), 1.0)
        cv2.polylines(
            frame, [fixed[18:] if rimless_below else fixed], not rimless_below, 1.0, thick, cv2.LINE_AA, SUBPIXEL_BITS
        )
        inner.append(centre - side * half_w * axis)
        hinge, ear = centre + side * half_w * axis, mesh[234 if side < 0 else 454]
        cv2.line(
            frame,
            _fixed(hinge - down * half_h * 0.4),
            _fixed(ear - down * half_h * 0.2),
            1.0,
            thick,
            cv2.LINE_AA,
            SUBPIXEL_BITS,
        )
    cv2.line(
        frame,
        _fixed(inner[0] - down * half_h * 0.3),
        _fixed(inner[1] - down * half_h * 0.3),
        1.0,
        thick,
        cv2.LINE_AA,
        SUBPIXEL_BITS,
    )
    colour = np.broadcast_to(_any_colour(rng), (size, size, 3)) * (1 + 0.4 * smooth_noise(rng, size, 30))[..., None]
    alpha = frame
    if rng.random() < 0.2:
        dark = (
            np.broadcast_to(_any_colour(rng) * 0.4, (size, size, 3)) * (1 + 0.4 * smooth_noise(rng, size, 4))[..., None]
        )
        colour = colour * frame[..., None] + dark * (1 - frame[..., None])
        alpha = np.maximum(frame, lens * rng.uniform(0.85, 1.0))
    return _finish(rng, colour, alpha, "glasses")


def _strands(scene: _Scene) -> Cutout:
    """Locks of hair over forehead, eyes and cheeks."""
    rng, size = scene.rng, scene.size
    alpha = np.zeros((size, size), np.float32)
    shade = np.full((size, size), 0.8, np.float32)
    height = scene.face_height
    base = rng.uniform(10, 60) + np.array([rng.uniform(0, 25), rng.uniform(0, 12), 0])
    if rng.random() < 0.3:
        base = base + np.array([120, 90, 55]) * rng.uniform(0.3, 1.2)
    for _ in range(int(rng.integers(1, 5))):
        start = scene.spot(-0.35, 0.15)
        end = start + np.array([rng.normal(0, 0.25), rng.uniform(0.25, 0.9)]) * height
        swing = rng.normal(0, 0.18, 2) * height
        for _ in range(int(rng.integers(3, 16))):
            jitter = rng.normal(0, 0.02 * height, (3, 2))
            control = (start + end) / 2 + swing + jitter[1] * 2
            t = np.linspace(0, 1, 14)[:, None]
            path = (1 - t) ** 2 * (start + jitter[0]) + 2 * t * (1 - t) * control + t**2 * (end + jitter[2] * 2)
            fixed = [np.round(path * (1 << SUBPIXEL_BITS)).astype(np.int32)]
            thick = max(1, round(rng.uniform(0.004, 0.016) * size))
            cv2.polylines(alpha, fixed, False, 1.0, thick, cv2.LINE_AA, SUBPIXEL_BITS)
            cv2.polylines(shade, fixed, False, float(rng.uniform(0.6, 1.5)), thick, cv2.LINE_AA, SUBPIXEL_BITS)
    return _finish(rng, np.asarray(base, np.float32) * shade[..., None], alpha, "strands")


def _ramp(size: int, direction: Floats, centre: Floats, extent: float) -> Floats:
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    along = (columns - centre[0]) * direction[0] + (rows - centre[1]) * direction[1]
    return np.asarray(np.clip(along / max(extent, 1.0), -1, 1), np.float32)


def _finish(rng: np.random.Generator, colour: Floats, alpha: Floats, kind: Kind) -> Cutout:
    alpha = np.clip(alpha, 0, 1)
    return Cutout(np.asarray(np.clip(colour, 0, 255) * alpha[..., None], np.float32), alpha, kind)


def _over(below: Cutout, above: Cutout) -> Cutout:
    rest = 1 - above.alpha
    return Cutout(below.colour * rest[..., None] + above.colour, below.alpha * rest + above.alpha, above.kind)


_DRAW: dict[Kind, Callable[[_Scene], Cutout]] = {
    "hand": _hand,
    "microphone": _microphone,
    "cup": _cup,
    "card": _card,
    "cloth": _cloth,
    "glasses": _glasses,
    "strands": _strands,
}
