"""Procedural occluders of a face: hands, microphones, cups, phones, cloth, spectacle frames, locks of hair.

`draw` renders one occluder as a `Cutout`: premultiplied colour and alpha on an empty canvas of the picture's size.
`paste` composites it over a face with a soft shadow and, at times, motion blur. Skin tones are sampled from the face,
fabrics from pictures that the caller gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.training.segmenter.occluder_drawing import (
    SUBPIXEL_BITS,
    Cutout,
    Kind,
    Limb,
    Scene,
    ShadedCanvas,
    any_colour,
    finish,
    over,
    polygon,
    ramp,
    smooth_noise,
    subpixel,
)
from models.training.segmenter.occluder_hands import draw_hand

KINDS: tuple[Kind, ...] = ("hand", "microphone", "cup", "card", "cloth", "glasses", "strands")
FREQUENCY = (0.48, 0.07, 0.07, 0.04, 0.05, 0.13, 0.16)
"""Probability of each kind: hands vary most, thin occluders are the hardest to segment."""
THIN: tuple[Kind, ...] = ("glasses", "strands")
FINENESS = 2
"""Factor by which `draw_fine` supersamples thin occluders: they are narrower than the network's pixels."""

EYES = ((33, 133, 159, 145), (362, 263, 386, 374))
"""Per eye: two corners, upper and lower lid."""


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
    return _DRAW[kind](Scene(rng, image, mesh, fabrics))


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
    cv2.line(kernel, subpixel(middle - half), subpixel(middle + half), 1.0, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    total = float(kernel.sum())
    if total == 0:
        kernel[side // 2, side // 2] = total = 1.0
    return np.asarray(kernel / total, np.float32)


def _microphone(scene: Scene) -> Cutout:
    rng, size = scene.rng, scene.size
    canvas = ShadedCanvas.empty(size, np.array([rng.choice((-0.7, 0.7)), -0.7], np.float32))
    radius = scene.face_height * rng.uniform(0.08, 0.24)
    head = scene.spot(0.55, 1.15)
    angle = rng.normal(0, 0.8)
    down = np.array([np.sin(angle), np.cos(angle)], np.float32)
    handle = radius * rng.uniform(0.12, 0.75)
    canvas.add(Limb(head + down * scene.face_height * 2, head, handle, handle))
    capsule = Limb(head, head - down * radius * rng.uniform(0, 1.2), radius, radius)
    canvas.add(capsule)
    ball = np.zeros_like(canvas.alpha)
    capsule.fill(ball, 1.0)
    colour = any_colour(rng) * (1 - ball[..., None]) + any_colour(rng) * ball[..., None]
    if rng.random() < 0.5:
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        pitch = rng.uniform(2.5, 5)
        grille = np.sin(columns * 2 * np.pi / pitch) * np.sin(rows * 2 * np.pi / pitch)
        colour = colour * (1 + 0.3 * grille * ball)[..., None]
    shade = cv2.GaussianBlur(canvas.shade, (0, 0), max(0.5, radius * 0.08))
    return finish(rng, np.asarray(colour * shade[..., None], np.float32), canvas.alpha, "microphone")


def _cup(scene: Scene) -> Cutout:
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
    polygon(alpha, np.stack(outline), 1.0)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    across = ((columns - centre[0]) * turn[0, 0] + (rows - centre[1]) * turn[1, 0]) / width
    round_shade = 0.55 + 0.6 * np.sqrt(np.clip(1 - (2 * across + rng.uniform(-0.4, 0.4)) ** 2, 0, 1))
    surface = scene.fabric() if rng.random() < 0.4 else np.broadcast_to(any_colour(rng), (size, size, 3))
    colour = np.asarray(surface * round_shade[..., None], np.float32)
    if rng.random() < 0.4:
        lid = np.zeros_like(alpha)
        polygon(lid, np.stack([place(-0.54, -0.56), place(0.54, -0.56), place(0.52, -0.42), place(-0.52, -0.42)]), 1.0)
        colour = colour * (1 - lid[..., None]) + any_colour(rng) * round_shade[..., None] * lid[..., None]
        alpha = np.maximum(alpha, lid)
    cup = finish(rng, colour, alpha, "cup")
    if rng.random() < 0.5:
        fingers = draw_hand(scene)
        return over(cup, fingers) if rng.random() < 0.6 else over(fingers, cup)
    return cup


def _card(scene: Scene) -> Cutout:
    """A flat rectangle: phone, paper or book."""
    rng, size = scene.rng, scene.size
    alpha = np.zeros((size, size), np.float32)
    half = scene.face_height * rng.uniform(0.12, 0.45, 2)
    centre = scene.spot(-0.1, 1.2)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    corners = centre + square @ turn.T + rng.normal(0, 0.03 * scene.face_height, (4, 2))
    polygon(alpha, corners.astype(np.float32), 1.0)
    colour = scene.fabric()
    if rng.random() < 0.5:
        inner = np.zeros_like(alpha)
        polygon(inner, (centre + (corners - centre) * rng.uniform(0.8, 0.95)).astype(np.float32), 1.0)
        colour = colour * inner[..., None] + any_colour(rng) * (1 - inner[..., None])
    return finish(rng, colour, alpha, "card")


def _cloth(scene: Scene) -> Cutout:
    """A smooth blob of cloth (scarf, pillow, sleeve), or a cloth mask over mouth and nose."""
    rng, size = scene.rng, scene.size
    alpha = np.zeros((size, size), np.float32)
    if rng.random() < 0.4:
        lower = scene.mesh[[234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454]]
        bridge = scene.mesh[[280, 6 if rng.random() < 0.5 else 195, 50]]
        outline = np.concatenate([lower, bridge])
        centre = outline.mean(axis=0)
        polygon(alpha, np.asarray(centre + (outline - centre) * rng.uniform(1.0, 1.08), np.float32), 1.0)
    else:
        centre = scene.spot(-0.2, 1.3)
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        radii = (
            scene.face_height
            * rng.uniform(0.15, 0.45)
            * (1 + sum(rng.normal(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6)) for k in range(1, 5)))
        )
        blob = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * np.abs(radii)[:, None]
        polygon(alpha, blob.astype(np.float32), 1.0)
    light = rng.normal(0, 1, 2).astype(np.float32)
    shade = 1 + 0.25 * ramp(size, light / max(float(np.linalg.norm(light)), 1e-6), scene.mesh[1], scene.face_height)
    return finish(rng, scene.fabric() * shade[..., None], alpha, "cloth")


def _glasses(scene: Scene) -> Cutout:
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
        polygon(lens, outline.astype(np.float32), 1.0)
        cv2.polylines(
            frame, [fixed[18:] if rimless_below else fixed], not rimless_below, 1.0, thick, cv2.LINE_AA, SUBPIXEL_BITS
        )
        inner.append(centre - side * half_w * axis)
        hinge, ear = centre + side * half_w * axis, mesh[234 if side < 0 else 454]
        cv2.line(
            frame,
            subpixel(hinge - down * half_h * 0.4),
            subpixel(ear - down * half_h * 0.2),
            1.0,
            thick,
            cv2.LINE_AA,
            SUBPIXEL_BITS,
        )
    cv2.line(
        frame,
        subpixel(inner[0] - down * half_h * 0.3),
        subpixel(inner[1] - down * half_h * 0.3),
        1.0,
        thick,
        cv2.LINE_AA,
        SUBPIXEL_BITS,
    )
    colour = np.broadcast_to(any_colour(rng), (size, size, 3)) * (1 + 0.4 * smooth_noise(rng, size, 30))[..., None]
    alpha = frame
    if rng.random() < 0.2:
        dark = (
            np.broadcast_to(any_colour(rng) * 0.4, (size, size, 3)) * (1 + 0.4 * smooth_noise(rng, size, 4))[..., None]
        )
        colour = colour * frame[..., None] + dark * (1 - frame[..., None])
        alpha = np.maximum(frame, lens * rng.uniform(0.85, 1.0))
    return finish(rng, colour, alpha, "glasses")


def _strands(scene: Scene) -> Cutout:
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
    return finish(rng, np.asarray(base, np.float32) * shade[..., None], alpha, "strands")


_DRAW: dict[Kind, Callable[[Scene], Cutout]] = {
    "hand": draw_hand,
    "microphone": _microphone,
    "cup": _cup,
    "card": _card,
    "cloth": _cloth,
    "glasses": _glasses,
    "strands": _strands,
}
