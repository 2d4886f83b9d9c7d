"""Editors in W+ of a StyleGAN: an encoder reads the code of a face, an edit moves it, the generator draws both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np

from engines.base import Engine
from models.arrays import Floats, Latent
from models.crops import CropSpec
from models.editor import C, Crop, Edit, Editor
from models.latents import LatentError
from models.published.drawing import head_mask, redrawn, to_image, to_network

LARGEST_CROP = 512
"""Side of the crop in pixels; a larger drawing is averaged down to it."""
LATENT_SECONDS = 0.1
"""Time constant for codes of W+: they hold the expression, which must not lag much."""
ENCODE_SECONDS = 0.05
"""How often a face is read: its code moves slower than frames come."""


class WPlusEditor(Editor[C]):
    """Base of the editors in W+. Its latent is the code of the face, (rows * D,) float32.

    The controls have a field `detail`: "full" shows the drawing of the edited code, "delta" adds the difference of the
    two drawings to the camera, which keeps its detail.

    Args:
        encoder: engine, input "image" (N, 3, S, S) in [-1, 1], output "w_plus" (N, rows, D).
        generator: engine, input "w_plus" of any batch, output "image" (N, 3, S, S).
        size: side of the crop in pixels; by default that of the generator, at most `LARGEST_CROP`.
    """

    latent_seconds = LATENT_SECONDS
    encode_seconds = ENCODE_SECONDS

    def __init__(self, encoder: Engine, generator: Engine, *, size: int | None = None) -> None:
        self.crop = CropSpec("ffhq", size or crop_side(generator))
        self.encoder = encoder
        self.generator = generator

    def encode(self, crop: Crop, controls: C) -> Latent:
        """(rows * D,) float32."""
        return read_w_plus(self.encoder, crop)

    def steer(self, latent: Latent, controls: C) -> Latent:
        """(rows * D,) float32, the edited code."""
        return self.steer_code(unpack(latent, self.generator), controls).ravel()

    @abstractmethod
    def steer_code(self, code: Floats, controls: C) -> Floats:
        """Edit a code, (rows, D) float32. Controls in neutral position return it unchanged."""

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: C) -> Edit:
        """The drawing of the edited code, or what changes between the two drawings."""
        own, wanted = (unpack(code, self.generator) for code in (latent, steered))
        return draw_edit(self.generator, own, wanted, crop, full=getattr(controls, "detail", "delta") == "full")


def crop_side(generator: Engine) -> int:
    """Side of the crop that suits a generator, pixels."""
    return min(generator.outputs[0].shape[-1] or LARGEST_CROP, LARGEST_CROP)


def read_w_plus(encoder: Engine, crop: Crop) -> Floats:
    """The code that an encoder reads of a crop, (rows * D,) float32."""
    side = encoder.inputs[0].shape[-1] or len(crop.image)
    return encoder.run({"image": resize_pictures(to_network(crop.image), side)})["w_plus"][0].ravel()


def unpack(latent: Latent, generator: Engine) -> Floats:
    """The code (rows, D) at the start of a latent, in the shape that the generator takes.

    Raises:
        LatentError: the network of the generator leaves that shape open.
    """
    rows, features = generator.inputs[0].shape[1:]
    if rows is None or features is None:
        raise LatentError("the generator's network leaves the shape of its codes open")
    return latent[: rows * features].reshape(rows, features)


def draw_edit(generator: Engine, own: Floats, wanted: Floats, crop: Crop, *, full: bool) -> Edit:
    """The edit from one code (rows, D) to another.

    Args:
        generator: draws them.
        own: the code of the face.
        wanted: the edited code.
        crop: the face.
        full: show the drawing of `wanted`; else add what changes between the two drawings. Equal codes are no edit.
    """
    mask = head_mask(crop)
    if full:
        return Edit(mask=mask, image=to_image(draw(generator, [wanted], crop)[0]))
    if np.array_equal(own, wanted):
        return Edit(mask=np.zeros_like(mask))
    before, after = draw(generator, [own, wanted], crop)
    return redrawn(before, after, mask, full=0)


def draw(generator: Engine, codes: Sequence[Floats], crop: Crop) -> Floats:
    """Pictures of codes (rows, D), (N, 3, S, S) float32 in about [-1, 1], at the side S of the crop."""
    pictures = generator.run({"w_plus": np.stack(codes).astype(np.float32)})["image"]
    return resize_pictures(pictures, len(crop.image))


def resize_pictures(pictures: Floats, side: int) -> Floats:
    """(N, C, S, S) float32 at another side: the mean of each area where it shrinks, bilinear where it grows."""
    n, channels, height, _ = pictures.shape
    if height == side:
        return np.ascontiguousarray(pictures)
    if height % side == 0:
        factor = height // side
        blocks = pictures.reshape(n, channels, side, factor, side, factor)
        return np.ascontiguousarray(blocks.mean((3, 5), dtype=np.float32))
    how = cv2.INTER_AREA if side < height else cv2.INTER_LINEAR
    planes = [cv2.resize(plane, (side, side), interpolation=how) for plane in pictures.reshape(-1, height, height)]
    return np.stack(planes).reshape(n, channels, side, side).astype(np.float32, copy=False)
