"""How much of each pixel is beard, told by a network: in a soft picture rules find no strands to tell it by."""

from __future__ import annotations

import cv2
import numpy as np

from engines.base import Engine
from models.arrays import Floats
from models.editor import Crop, Masks
from models.embedded.eye_axes import eye_axes

BEARD_NETWORK = "beard.onnx"
"""The network in the embedded pack: "given" (N, 5, 96, 96) -> "alpha" (N, 1, 96, 96) in 0..1, beard with pigment."""
SIDE = 96
"""Side of the window that the network sees."""
PLANES = 5
ACROSS, TOP = 1.35, -0.1
"""Half the width of the window and its upper end below the eyes, distances of the eyes."""
LEAST = 0.04
"""Alpha that counts as none."""


class BeardAlpha:
    """The network on any engine. Thread-safe, without state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, crop: Crop) -> Floats:
        """Tell the beard of a man's face, (S, S) float32 in 0..1.

        Args:
            crop: with masks.
        """
        assert crop.masks is not None
        size = crop.image.shape[:2]
        to_crop = window(crop)
        alpha = self._engine.run({"given": network_input(crop, to_crop)[None]})["alpha"][0, 0]
        alpha = np.maximum(alpha - np.float32(LEAST), 0) * np.float32(1 / (1 - LEAST))
        shown = cv2.warpAffine(alpha, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        seen = cv2.resize(_seen(crop.masks), size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(shown * seen, np.float32)


def window(crop: Crop) -> Floats:
    """Where the window lies, (2, 3) float32, pixel indices of the window -> those of the crop."""
    middle, axes = eye_axes(crop)
    # the rows of `axes` are the inverses of the distances that they measure
    across, down = axes / np.sum(axes * axes, axis=1, keepdims=True)
    step = np.float32(2 * ACROSS / SIDE)
    first = np.float32(0.5 * (1 - SIDE)) * step
    origin = middle + first * across + (np.float32(TOP) + np.float32(0.5) * step) * down
    return np.column_stack([step * across, step * down, origin]).astype(np.float32)


def network_input(crop: Crop, to_crop: Floats) -> Floats:
    """What the network is shown, (5, 96, 96) float32 in 0..1: red, green, blue, hair of the head, face.

    Args:
        crop: with masks.
        to_crop: from `window`.
    """
    assert crop.masks is not None
    half = len(crop.image) // 2
    picture = cv2.resize(crop.image, (half, half), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    planes = [cv2.split(picture), [crop.masks.hair, crop.masks.face]]
    shown = [
        cv2.warpAffine(
            each,
            _scaled(to_crop, len(each) / len(crop.image)),
            (SIDE, SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for each in [*planes[0], *planes[1]]
    ]
    return np.stack(shown).astype(np.float32)


def _scaled(to_crop: Floats, scale: float) -> Floats:
    """The same map to a picture that is so many times as large as the crop."""
    scaled = to_crop * np.float32(scale)
    scaled[:, 2] += np.float32((scale - 1) / 2)
    return scaled


def _seen(masks: Masks) -> Floats:
    """Where nothing hides a beard and no hair of the head lies, as the masks."""
    return np.asarray(masks.person * (1 - np.maximum(masks.hair, masks.occluder)), np.float32)
