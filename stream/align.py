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

from engines import select
from models.arrays import Image
from models.crops import Convention, CropSpec, cut_placed
from models.face.detector import Detector
from models.face.landmarks import Landmarks
from stream import command_line
from stream.command_line import CommandError
from stream.frame import Face
from stream.photos import PASSES, largest_face, place_face, read_photo
from stream.runtime import LANDMARKS
from stream.tracking import Tracker

DETECTOR_SIZE = 640
"""Side of the detector's input in pixels: a photo has more time than a stream."""

Faces = Callable[[Image], Sequence[Face]]


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
    return cut_placed(photo, place_face(largest_face(faces(photo)), spec))


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, or 1 when the photo was refused (the reason is on standard error).
    """
    parser = argparse.ArgumentParser(prog="python -m stream.align", description="Cut the face out of a photo.")
    parser.add_argument("photo", type=Path)
    parser.add_argument("face", type=Path, help="the crop, .png")
    parser.add_argument("--convention", choices=get_args(Convention), default="ffhq")
    parser.add_argument("--size", type=int, default=256, help="side of the crop in pixels")
    arguments = parser.parse_args(argv)
    return command_line.run(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    spec = CropSpec(arguments.convention, arguments.size)
    face = align(read_photo(arguments.photo), spec, tracked_faces())
    if not cv2.imwrite(str(arguments.face), face):
        raise CommandError(f"{arguments.face} cannot be written")
    print(arguments.face)


if __name__ == "__main__":
    sys.exit(main())
