"""Crop quads from 68 facial landmarks, exactly as the published alignment scripts draw them.

For pictures that come with dlib's 68 points, and to check the crop conventions. The stream draws the same squares from
the five points it tracks.
"""

from __future__ import annotations

import numpy as np

from models.arrays import Points

FFHQ_MOUTH_FACTOR = 1.8
LATS_MOUTH_FACTOR = 2.2


def ffhq_quad(landmarks: Points, mouth_factor: float = FFHQ_MOUTH_FACTOR) -> Points:
    """The oriented square of FFHQ (Karras et al., CVPR 2019).

    Args:
        landmarks: (68, 2) x, y in pixels, dlib's order.
        mouth_factor: weight of the eye-to-mouth distance; 1.8 in FFHQ, 2.2 in LATS.

    Returns:
        (4, 2) corners: top left, bottom left, bottom right, top right.
    """
    eye, eye_to_eye, eye_to_mouth = _anchors(landmarks)
    direction = eye_to_eye - _quarter_turn(eye_to_mouth)
    half = max(2.0 * np.hypot(*eye_to_eye), mouth_factor * np.hypot(*eye_to_mouth))
    return _square(eye + 0.1 * eye_to_mouth, direction, half)


def alae_celeba_quad(landmarks: Points) -> Points:
    """The square of ALAE's 128-pixel CelebA crop. Arguments and result as in `ffhq_quad`."""
    eye, eye_to_eye, eye_to_mouth = _anchors(landmarks)
    direction = eye_to_eye - _quarter_turn(eye_to_mouth)
    half = (1.6410 * np.hypot(*eye_to_eye) + 1.560 * np.hypot(*eye_to_mouth)) / 2
    return _square(eye + 0.317 * eye_to_mouth, direction, float(half))


def _anchors(landmarks: Points) -> tuple[Points, Points, Points]:
    left, right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    eye = (left + right) * 0.5
    return eye, right - left, (landmarks[48] + landmarks[54]) * 0.5 - eye


def _quarter_turn(vector: Points) -> Points:
    return np.flipud(vector) * [-1.0, 1.0]


def _square(centre: Points, direction: Points, half: float) -> Points:
    x = direction / np.hypot(*direction) * half
    y = _quarter_turn(x)
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])
