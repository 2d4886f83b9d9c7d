"""What is drawn in front of composed faces: hands and things, glasses, cloth. Rough, for detectors at a small size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Image
from models.training.scenes.geometry import LEFT_EYE, RIGHT_EYE, eye_distance, pixel


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
        cv2.line(picture, pixel(centre), pixel(end), (dark, dark, dark), max(1, int(size * 0.3)), cv2.LINE_AA)
        cv2.circle(picture, pixel(centre), max(1, int(size * 0.5)), (dark // 2, dark // 2, dark // 2), -1, cv2.LINE_AA)
    elif kind in (2, 3):
        across = np.array([-along[1], along[0]]) * rng.uniform(0.4, 0.8)
        corners = centre + size * np.array([along + across, along - across, -along - across, -along + across])
        cv2.fillConvexPoly(picture, np.int32(np.round(corners)), any_colour(rng), cv2.LINE_AA)
        if kind == 3:
            cv2.fillConvexPoly(
                picture, np.int32(np.round(centre + 0.85 * (corners - centre))), any_colour(rng), cv2.LINE_AA
            )
    else:
        axes = (max(1, int(size)), max(1, int(size * rng.uniform(0.3, 1))))
        cv2.ellipse(picture, pixel(centre), axes, np.rad2deg(angle), 0, 360, any_colour(rng), -1, cv2.LINE_AA)


def _hand(
    rng: np.random.Generator, picture: Image, centre: NDArray[np.float64] | Floats, size: float, angle: float
) -> None:
    """A palm, four fingers, a thumb and an arm, shaded at the edges of the fingers."""
    skin = np.array(skin_colour(rng), np.float64)
    tone = tuple(int(v) for v in skin)
    shade = tuple(int(v) for v in skin * rng.uniform(0.6, 0.85))
    spread, bend = rng.uniform(0.02, 0.2), rng.uniform(0.5, 1.0)

    def place(x: float, y: float) -> tuple[int, int]:
        return pixel(
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
    frame, dark = any_colour(rng), rng.random() < 0.5
    lens = tuple(int(v) for v in rng.integers(0, 60, 3))
    for eye in (left, right):
        if dark:
            cv2.ellipse(picture, pixel(eye), axes, tilt, 0, 360, lens, -1, cv2.LINE_AA)
        cv2.ellipse(picture, pixel(eye), axes, tilt, 0, 360, frame, thick, cv2.LINE_AA)
    bridge = 0.5 - 0.5 * axes[0] / max(distance, 1.0)
    cv2.line(
        picture,
        pixel(left + across * (0.5 - bridge)),
        pixel(left + across * (0.5 + bridge)),
        frame,
        thick,
        cv2.LINE_AA,
    )


def face_cloth(rng: np.random.Generator, picture: Image, mesh: Floats) -> None:
    """Draw a cloth mask over nose and mouth in place."""
    outline = mesh[[6, 50, 132, 172, 150, 152, 379, 397, 361, 280]].astype(np.float64)
    outline += rng.normal(0, 0.02, outline.shape) * eye_distance(mesh)
    cv2.fillPoly(picture, [np.int32(np.round(outline))], any_colour(rng), cv2.LINE_AA)


def any_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Sample any colour (0..255), often a grey one."""
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
