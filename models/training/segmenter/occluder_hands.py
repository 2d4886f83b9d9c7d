"""Hands in front of a face: palm, fingers in several poses, nails, forearm, sleeve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.arrays import Floats
from models.training.segmenter.occluder_drawing import (
    Cutout,
    Limb,
    Scene,
    ShadedCanvas,
    finish,
    polygon,
    ramp,
    smooth_noise,
)


@dataclass(frozen=True, slots=True)
class HandFrame:
    """Affine map from hand coordinates (wrist at the origin, palm one unit long, fingers up) to pixels."""

    origin: Floats
    linear: Floats
    scale: float
    slimness: float
    resting: bool

    @staticmethod
    def random(scene: Scene) -> HandFrame:
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
        return HandFrame(origin.astype(np.float32), linear.astype(np.float32), scale, float(squeeze.mean()), resting)

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


def draw_hand(scene: Scene) -> Cutout:
    rng, size = scene.rng, scene.size
    frame = HandFrame.random(scene)
    canvas = ShadedCanvas.empty(size, rng.normal(0, 1, 2).astype(np.float32))
    # the forearm leaves the picture
    elbow = frame.at(rng.normal(0, 0.5), 4.0)
    canvas.add(Limb(elbow, frame.at(0, 0.15), 0.52 * frame.width, 0.29 * frame.width))
    palm = np.stack([frame.at(x, y) for x, y in PALM])
    polygon(canvas.alpha, palm, 1.0)
    middle = palm.mean(axis=0, keepdims=True)
    for inset, value in ((1.0, 0.7), (0.85, 0.86), (0.6, 0.96), (0.3, 1.0)):
        polygon(canvas.shade, middle + (palm - middle) * inset, value)
    tips = _fingers(rng, frame, canvas)
    shade = cv2.GaussianBlur(canvas.shade, (0, 0), max(0.5, frame.scale * 0.025))
    shade = shade * (1 + rng.uniform(0, 0.3) * ramp(size, canvas.light, middle[0], frame.scale))
    shade = shade + 0.08 * smooth_noise(rng, size, int(rng.integers(4, 20)))
    shade = np.clip(1 - (1 - shade) * rng.uniform(0.2, 1.2), 0.05, 1.6)
    # skin in shadow turns redder: blood scatters the long waves
    colour = scene.skin() * shade[..., None] ** np.array([0.85, 1.05, 1.12], np.float32)
    if rng.random() < 0.5:
        colour = _with_nails(rng, colour, tips)
    alpha = canvas.alpha
    if rng.random() < 0.45:
        sleeve = np.zeros_like(alpha)
        Limb(elbow, frame.at(0, rng.uniform(0.5, 1.6)), 0.62 * frame.width, 0.45 * frame.width).fill(sleeve, 1.0)
        fold = np.clip(0.75 + 0.35 * shade, 0.3, 1.3)[..., None]
        colour = colour * (1 - sleeve[..., None]) + scene.fabric() * fold * sleeve[..., None]
        alpha = np.maximum(alpha, sleeve)
    return finish(rng, colour, alpha, "hand")


def _fingers(rng: np.random.Generator, frame: HandFrame, canvas: ShadedCanvas) -> list[Limb]:
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
            limb = Limb(frame.at(*point), frame.at(*following), first, last)
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
        canvas.add(Limb(frame.at(*base), frame.at(*knuckle), radius * 1.25, radius))
        limb = Limb(frame.at(*knuckle), frame.at(*tip), radius, radius * 0.8)
        canvas.add(limb)
        tips.append(limb)
    return tips


def _with_nails(rng: np.random.Generator, colour: Floats, tips: Sequence[Limb]) -> Floats:
    tint = np.array([1.06, 0.98, 0.98]) if rng.random() < 0.7 else rng.uniform(0.3, 1.1, 3)
    nails = np.zeros(colour.shape[:2], np.float32)
    for tip in tips:
        along = (tip.end - tip.start) / max(float(np.linalg.norm(tip.end - tip.start)), 1e-6) * tip.last * 0.4
        Limb(tip.end - along, tip.end + along, tip.last * 0.5, tip.last * 0.45).fill(nails, 1.0)
    return np.asarray(colour * (1 + nails[..., None] * (tint - 1)), np.float32)
