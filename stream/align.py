"""`python -m stream.align PHOTO FACE.png`: the face of a photo, cut out as the networks want it.

For jobs on one photo, such as the code of BabyGAN's second parent (`python -m models.inversion`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from engines import select
from engines.base import EngineError
from models.arrays import Image
from models.crops import Convention, CropSpec, cut, quad_of
from models.face.detector import Detector, PackError
from models.face.landmarks import Landmarks
from models.face.pictures import PictureError as PhotoError
from stream.frame import Face
from stream.runtime import LANDMARKS
from stream.tracking import Tracker

DETECTOR_SIZE = 640
PASSES = 3
"""The landmarks are read again from where they were found: a photo has no next frame."""
MAX_PIXELS = 100_000_000

Faces = Callable[[Image], Sequence[Face]]


__all__ = ["PhotoError", "align", "read_photo", "tracked_faces"]


def align(photo: Image, spec: CropSpec, faces: Faces) -> Image:
    """Cut the largest face out of a photo.

    Args:
        photo: (H, W, 3) uint8 BGR.
        spec: crop convention and side in pixels.
        faces: finds the faces of a picture, with landmarks.

    Returns:
        (size, size, 3) uint8 BGR.

    Raises:
        PhotoError: there is no face with readable landmarks.
    """
    found = faces(photo)
    if not found:
        raise PhotoError("no face in this picture: choose one where both eyes are visible")
    largest = max(found, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])))
    try:
        return cut(photo, quad_of(largest, spec), spec.size)
    except ValueError as error:
        raise PhotoError(
            f"the face in this picture cannot be read ({error}): choose a larger or sharper one"
        ) from error


def tracked_faces() -> Faces:
    """The project's own detector and landmarks, for single pictures.

    Raises:
        PackError, EngineError: the embedded weights are missing or damaged.
    """
    detector, landmarks = Detector("embedded", DETECTOR_SIZE), Landmarks(select.load(LANDMARKS))

    def faces(photo: Image) -> Sequence[Face]:
        tracker = Tracker(detector, landmarks)
        found: Sequence[Face] = ()
        for time in range(PASSES):
            found, _ = tracker(photo, float(time))
        return found

    return faces


def read_photo(path: Path) -> Image:
    """A picture file as (H, W, 3) uint8 BGR, turned as its EXIF data says.

    Raises:
        PhotoError: no picture, or one with more than `MAX_PIXELS` pixels.
    """
    data = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    photo = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if photo is None:
        raise PhotoError(f"{path} is no picture that can be read")
    if photo.shape[0] * photo.shape[1] > MAX_PIXELS:
        raise PhotoError(f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels")
    return photo


def main(argv: Sequence[str] | None = None) -> int:
    """Align one photo."""
    parser = argparse.ArgumentParser(prog="python -m stream.align", description="Cut the face out of a photo.")
    parser.add_argument("photo", type=Path)
    parser.add_argument("face", type=Path, help="the crop, .png")
    parser.add_argument("--convention", choices=get_args(Convention), default="ffhq")
    parser.add_argument("--size", type=int, default=256, help="side of the crop in pixels")
    options = parser.parse_args(argv)
    try:
        face = align(read_photo(options.photo), CropSpec(options.convention, options.size), tracked_faces())
    except (PhotoError, PackError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not cv2.imwrite(str(options.face), face):
        print(f"error: {options.face} cannot be written", file=sys.stderr)
        return 1
    print(options.face)
    return 0


if __name__ == "__main__":
    sys.exit(main())
