"""The matte of hair: how much of each pixel is hair, at the crop's own resolution.

A network refines the segmenter's coarse reading by the picture: it follows strands, fills what the reading missed, and
leaves out skin, cloth, backdrop and the hair of others.
"""

from __future__ import annotations

import cv2
import numpy as np

from engines.base import Engine, EngineError
from models.arrays import Floats, Image

MATTE = "hair_matte.onnx"
"""The network's file in the embedded pack."""
CHANNELS = 4
"""Planes of the network's input: red, green, blue, the coarse reading."""
COARSE = 3
"""Plane of the coarse reading."""
STEP = 32
"""The network takes sides that are multiples of so many pixels."""
SURE = (0.02, 0.99)
"""What the network gives for no hair and for hair alone: a faint haze would be seen."""


class HairMatte:
    """The matte network of the embedded pack on any engine. Thread-safe, without state.

    The network takes `given` (N, 4, H, W) float32, see `network_input`, and gives `alpha` (N, 1, H, W) float32 in
    [0, 1]. It was trained on upright face crops of 256 pixels of the FFHQ convention with margins from 0.87 to 1.8.

    Args:
        engine: of `MATTE`.

    Raises:
        EngineError: the engine holds another kind of network.
    """

    def __init__(self, engine: Engine) -> None:
        if [spec.name for spec in engine.inputs] != ["given"] or [spec.name for spec in engine.outputs] != ["alpha"]:
            raise EngineError("not a matte of hair: expected one input 'given' and one output 'alpha'")
        self._engine = engine

    def read(self, image: Image, hair: Floats) -> Floats:
        """Read the alpha of the hair in one crop.

        Args:
            image: (S, S, 3) uint8 RGB.
            hair: (M, M) float32 in [0, 1], the segmenter's hair probability, of the same extent.

        Returns:
            (S, S) float32 in [0, 1].
        """
        height, width = image.shape[:2]
        given = network_input(image, hair)
        alpha = self._engine.run({"given": given})["alpha"][0, 0, :height, :width]
        low, high = SURE
        return np.asarray(np.clip((alpha - np.float32(low)) * np.float32(1 / (high - low)), 0, 1), np.float32)


def network_input(image: Image, hair: Floats) -> Floats:
    """The network's input.

    Args:
        image: (H, W, 3) uint8 RGB.
        hair: (M, M) float32 in [0, 1], of the same extent.

    Returns:
        (1, 4, H', W') float32 in [0, 1], planes red, green, blue, hair; H' and W' are H and W filled up to multiples of
        `STEP` with the last pixels.
    """
    height, width = image.shape[:2]
    beyond = -height % STEP, -width % STEP
    given = np.empty((1, CHANNELS, height + beyond[0], width + beyond[1]), np.float32)
    coarse = cv2.resize(hair, (width, height), interpolation=cv2.INTER_LINEAR)
    if any(beyond):
        image, coarse = (
            cv2.copyMakeBorder(each, 0, beyond[0], 0, beyond[1], cv2.BORDER_REPLICATE) for each in (image, coarse)
        )
    np.multiply(image.transpose(2, 0, 1), np.float32(1 / 255), out=given[0, :COARSE])
    given[0, COARSE] = coarse
    return given
