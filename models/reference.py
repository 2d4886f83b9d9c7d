"""`python -m models.reference FACE`: the style of one aligned face, for StarGAN v2 to give to the face in the camera.

FACE is what `python -m stream.align PHOTO FACE.png` cuts out of a photo.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engines import select
from engines.base import EngineError
from models.arrays import Image
from models.editor import Crop
from models.entry import weights_folder
from models.published.starganv2.editor import StarGanV2, reference_styles

FILE = "reference.npy"
ENCODER = "style_encoder.onnx"
LARGEST_SIDE = 4096
"""Pixels; an aligned face is never larger."""


def read_face(path: Path) -> Image:
    """A picture of an aligned face as the style encoder takes it.

    Returns:
        (256, 256, 3) uint8 RGB.

    Raises:
        ValueError: it is no picture, not square, or too large; the message names the file.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is no picture")
    height, width = picture.shape[:2]
    if height != width or height > LARGEST_SIDE:
        raise ValueError(f"{path} is {width}x{height}: an aligned face is square; python -m stream.align cuts one out")
    side = StarGanV2.crop.size
    how = cv2.INTER_AREA if height > side else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (side, side), interpolation=how)
    return np.ascontiguousarray(resized[..., ::-1].astype(np.uint8, copy=False))


def main(argv: Sequence[str]) -> int:
    """Read the style and put it where the editor looks for it.

    Returns:
        0, or 1 if the picture or the network is refused; the message says why.
    """
    parser = argparse.ArgumentParser(prog="python -m models.reference", description="The style of one face.")
    parser.add_argument("face", type=Path, help="an aligned, square picture of a face (FFHQ crop)")
    parser.add_argument("--networks", type=Path, default=weights_folder() / "starganv2", help="default: %(default)s")
    options = parser.parse_args(argv)
    try:
        image = read_face(options.face)
        encoder = select.load(options.networks / ENCODER)
        styles = reference_styles(encoder, Crop(image, np.zeros((5, 2), np.float32)))
    except (ValueError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    np.save(options.networks / FILE, styles)
    print(f"{options.networks / FILE}: styles of {len(styles)} domains")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
