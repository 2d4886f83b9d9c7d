"""`python -m stream.strip PHOTO STRIP`: one face at several settings of one control in a row, ages if not told."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from engines.base import EngineError
from models.arrays import Image
from models.catalog import UnknownEditor
from models.face.detector import PackError
from stream.align import PhotoError, read_photo
from stream.files import FileError, controls_of_pairs, still
from stream.look import Look
from stream.pipeline import Pipeline
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings, SettingsError

AGES = (15.0, 30.0, 45.0, 60.0, 75.0)
CAPTION = 28
"""Height of the line under each picture, in pixels."""
TALLEST = 1024
"""A strip is made for looking at: taller photos are shrunk to this height."""
MOST = 24
"""More pictures than this make no strip."""


def strip(photo: Image, captions: Sequence[str], looks: Sequence[Look], pipeline: Callable[[], Pipeline]) -> Image:
    """Edit one photo several times.

    Args:
        photo: (H, W, 3) uint8 BGR with a face.
        captions: what is written under each version.
        looks: of each version.
        pipeline: makes a pipeline; each version has its own, so that none is smoothed towards the one before.

    Returns:
        (H, W, 3) uint8 BGR: the versions from left to right.

    Raises:
        PhotoError: the photo shows no face.
    """
    columns = []
    for caption, look in zip(captions, looks, strict=True):
        output = still(photo, pipeline(), look)
        if not output.faces:
            raise PhotoError("no face in this photo: choose one where both eyes are visible")
        columns.append(_captioned(output.image, caption))
    return np.concatenate(columns, axis=1)


def _captioned(picture: Image, caption: str) -> Image:
    height, width = picture.shape[:2]
    if height > TALLEST:
        picture = cv2.resize(picture, (round(width * TALLEST / height), TALLEST), interpolation=cv2.INTER_AREA)
    line = np.full((CAPTION, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(line, caption, (6, CAPTION - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate([picture, line])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, or 1 when a file or setting was refused (the reason is on standard error).
    """
    arguments = _parser().parse_args(argv)
    try:
        if len(arguments.values) > MOST:
            raise SettingsError("values", f"a strip has at most {MOST} pictures")
        runtime = Runtime.load(RuntimeSettings(pack=arguments.pack, backend=arguments.backend))
        fixed = controls_of_pairs(arguments.set)
        chosen = [
            runtime.look(Settings(), {"editor": arguments.editor, "controls": {**fixed, arguments.control: value}})
            for value in arguments.values
        ]
        photo = read_photo(arguments.photo)
        picture = strip(photo, [f"{value:g}" for value in arguments.values], chosen, runtime.pipeline)
        if not cv2.imwrite(str(arguments.strip), picture):
            raise FileError(f"{arguments.strip} cannot be written")
    except SettingsError as error:
        allowed = "" if error.allowed is None else f"; allowed: {json.dumps(error.allowed)}"
        print(f"error: {error}{allowed}", file=sys.stderr)
        return 1
    except (FileError, PhotoError, EngineError, PackError, UnknownEditor, cv2.error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.strip}: {len(chosen)} pictures")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stream.strip", description="One face at several ages, in a row.")
    parser.add_argument("photo", type=Path, help="a picture with a face")
    parser.add_argument("strip", type=Path, help="the picture to write")
    parser.add_argument("--editor", default=Settings().editor, help="name of the editor (default: %(default)s)")
    parser.add_argument("--control", default="age", help="which control to vary (default: %(default)s)")
    parser.add_argument("--values", type=float, nargs="+", default=AGES, help="its values (default: ages 15 to 75)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another control; repeatable")
    parser.add_argument("--pack", default="embedded", help="face pack: embedded, a folder, or an InsightFace name")
    parser.add_argument("--backend", default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
