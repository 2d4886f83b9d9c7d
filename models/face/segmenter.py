"""Which pixels of a face crop are hair, face, something in front of the face, or the person."""

from __future__ import annotations

import cv2
import numpy as np

from engines.base import Engine, EngineError
from models.arrays import Floats, Image
from models.editor import Masks
from models.face.imaging import smoothstep

CHANNELS = ("hair", "face", "occluder", "person")
"""Order of the network's output planes."""
MIDDLE_ENDS = (0.0, 8.0)
"""Distances from the edge of a crop's middle, mask pixels, over which its own reading counts."""


class Segmenter:
    """The mask network of the embedded pack on any engine. Thread-safe, without state.

    The network takes `image` (N, 3, M, M) float32 RGB in 0..1 and gives `masks` (N, 4, M, M) float32 in [0, 1] in the
    order of `CHANNELS`. It was trained on upright face crops of the FFHQ convention with margins from 0.85 to 1.65.

    Raises:
        EngineError: the engine holds another kind of network.
    """

    def __init__(self, engine: Engine) -> None:
        if [spec.name for spec in engine.inputs] != ["image"] or [spec.name for spec in engine.outputs] != ["masks"]:
            raise EngineError("not a segmenter: expected one input 'image' and one output 'masks'")
        shape = engine.inputs[0].shape
        side = shape[-1]
        if len(shape) != 4 or side is None or shape[1:] != (3, side, side):
            raise EngineError(f"not a segmenter: input 'image' has shape {shape}, expected (N, 3, M, M)")
        self._engine = engine
        self._side = side

    @property
    def size(self) -> int:
        """Side of the masks in pixels."""
        return self._side

    def read(self, image: Image) -> Masks:
        """Segment one crop.

        Args:
            image: (S, S, 3) uint8 RGB of any size.

        Returns:
            Four masks of the same extent at the network's own resolution.

        Raises:
            ValueError: the image is not (S, S, 3) uint8 or is empty.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(f"expected a (S, S, 3) uint8 picture, got {image.dtype} {image.shape}")
        shrinks = max(image.shape[:2]) > self._side
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        sized = cv2.resize(image, (self._side, self._side), interpolation=how)
        planes = np.ascontiguousarray(sized.transpose(2, 0, 1)[None], np.float32)
        planes /= 255
        masks = self._engine.run({"image": planes})["masks"][0]
        return Masks(hair=masks[0], face=masks[1], occluder=masks[2], person=masks[3])

    def read_around(self, image: Image, usual: int) -> Masks:
        """Segment a crop that shows more than usual, its middle as finely as a usual one.

        Args:
            image: (S, S, 3) uint8 RGB.
            usual: side of the middle that is read by itself, pixels; the network sees it as it was taught.

        Returns:
            Masks of the whole extent; a mask pixel is as large as in a usual crop.
        """
        around = (len(image) - usual) // 2
        whole = self.read(image)
        if around <= 0:
            return whole
        middle = self.read(np.ascontiguousarray(image[around : around + usual, around : around + usual]))
        inner = len(middle.hair)
        start = round(inner * around / usual)
        side = inner + 2 * start
        to_edge = np.minimum(np.arange(inner), np.arange(inner)[::-1]).astype(np.float32)
        ramp = smoothstep(to_edge, *MIDDLE_ENDS)
        share = ramp[:, None] * ramp

        def joined(coarse: Floats, fine: Floats) -> Floats:
            both = np.array(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
            part = both[start : start + inner, start : start + inner]
            part += share * (fine - part)
            return both

        return Masks(
            hair=joined(whole.hair, middle.hair),
            face=joined(whole.face, middle.face),
            occluder=joined(whole.occluder, middle.occluder),
            person=joined(whole.person, middle.person),
        )
