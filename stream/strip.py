"""`python -m stream.strip PHOTO STRIP`: one face at several values of one control in a row, ages by default."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.arrays import Image
from models.editor import Controls
from stream import command_line
from stream.command_line import CommandError, NothingEdited
from stream.frame import Face
from stream.look import Look
from stream.paths import check_input, check_output
from stream.photos import face_of, largest_face, read_photo, still
from stream.pipeline import Pipeline
from stream.runtime import Runtime
from stream.settings import Settings, SettingsError

AGES = (15.0, 30.0, 45.0, 60.0, 75.0)
"""Values of the command's strip by default."""
LIFESPAN = 6
"""Pictures of `lifespan`."""
CAPTION = 28
"""Height of the line under each picture, in pixels."""
TALLEST = 1024
"""Height in pixels to which taller photos are shrunk: a strip is made for looking at."""
MOST = 24
"""Pictures of a strip, at most."""
HEAD = 2.6
"""Height of the pictures of `lifespan` in heights of the face box, hair and neck included. Width is 4/5 of it."""
JPEG_QUALITY = 92


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
        largest_face(output.faces)
        columns.append(_captioned(output.image, caption))
    return np.concatenate(columns, axis=1)


def lifespan(runtime: Runtime, photo: Image, patch: Mapping[str, Any], control: str = "") -> Image:
    """The head of a photo's largest face at several values of one control, in one picture.

    Args:
        runtime: the loaded networks.
        photo: (H, W, 3) uint8 BGR.
        patch: settings that differ from the defaults: the editor, its other controls.
        control: which one varies, over its whole range; "" for the one that the editor marks with `lifespan`.

    Returns:
        (H, W, 3) uint8 BGR, from left to right, each with its value below.

    Raises:
        SettingsError: a setting is refused.
        PhotoError: there is no face.
        EngineError: the editor's networks cannot be loaded.
    """
    whole = {"bypass": False, "faces": "largest", "lock": None, "latent_lock": "", "lost": "show"}
    settings = runtime.look(Settings(), {**patch, **whole}).settings
    model = runtime.controls_model(settings.editor)
    control = control or lifespan_control(model)
    values = list(spread(model, control))
    steps = [runtime.look(settings, {"controls": {**settings.controls, control: value}}) for value in values]
    head = head_of(photo, face_of(runtime, photo))
    return strip(head, [f"{value:g}" for value in values], steps, runtime.pipeline)


def lifespan_control(controls: type[Controls]) -> str:
    """Name of the control that is marked with `lifespan`.

    Raises:
        SettingsError: there is none.
    """
    for name, field in controls.model_fields.items():
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("lifespan"):
            return name
    raise SettingsError("controls", "this editor has no control of an age; name the one that varies")


def spread(controls: type[Controls], name: str) -> Iterator[float]:
    """`LIFESPAN` whole values over a control's range.

    Raises:
        SettingsError: there is no such control, or it has no range.
    """
    schema = controls.model_json_schema()["properties"].get(name, {})
    shapes = schema.get("anyOf", [schema])
    low, high = (next((shape[end] for shape in shapes if end in shape), None) for end in ("minimum", "maximum"))
    if low is None or high is None:
        raise SettingsError(f"controls.{name}", "this editor has no such control with a range")
    for step in range(LIFESPAN):
        yield float(round(low + (high - low) * step / (LIFESPAN - 1)))


def jpeg(picture: Image) -> bytes:
    """A picture (H, W, 3) uint8 BGR as a JPEG file."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def head_of(photo: Image, face: Face) -> Image:
    """The part of a photo around a face, upright."""
    height, width = photo.shape[:2]
    x0, y0, x1, y1 = (float(value) for value in face.box)
    tall = HEAD * (y1 - y0)
    middle, centre = (x0 + x1) / 2, (y0 + y1) / 2 - 0.08 * tall
    top, bottom = max(0, round(centre - tall / 2)), min(height, round(centre + tall / 2))
    left, right = max(0, round(middle - 0.4 * tall)), min(width, round(middle + 0.4 * tall))
    return np.ascontiguousarray(photo[top:bottom, left:right])


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
        0, 1 when a file or setting was refused, or 3 when no value edits anything (the reason is on standard error).
    """
    arguments = _parser().parse_args(argv)
    return command_line.run(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    if len(arguments.values) > MOST:
        raise SettingsError("values", f"a strip has at most {MOST} pictures")
    check_input(arguments.photo)
    check_output(arguments.strip, overwrite=arguments.overwrite)
    if arguments.strip.suffix.lower() not in {".png", ".jpg", ".jpeg"}:
        raise CommandError(f"{arguments.strip} cannot be written: name it .png or .jpg")
    runtime = command_line.load_runtime(arguments)
    patch = command_line.patch_of(arguments)
    editor = runtime.look(Settings(), patch).settings.editor
    control = arguments.control or lifespan_control(runtime.controls_model(editor))
    looks = [
        runtime.look(Settings(), {**patch, "controls": {**patch["controls"], control: value}})
        for value in arguments.values
    ]
    if all(look.idle for look in looks):
        raise NothingEdited.by(looks[0])
    captions = [f"{value:g}" for value in arguments.values]
    picture = strip(read_photo(arguments.photo), captions, looks, runtime.pipeline)
    try:
        written = cv2.imwrite(str(arguments.strip), picture)
    except cv2.error as error:
        raise CommandError(f"{arguments.strip} cannot be written: name it .png or .jpg") from error
    if not written:
        raise CommandError(f"{arguments.strip} cannot be written")
    print(f"{arguments.strip}: {len(looks)} pictures")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stream.strip", description="One face at several ages, in a row.")
    parser.add_argument("photo", type=Path, help="a picture with a face")
    parser.add_argument("strip", type=Path, help="the picture to write")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--control", default="", help="which control to vary (default: the editor's age)")
    parser.add_argument("--values", type=float, nargs="+", default=AGES, help="its values (default: ages 15 to 75)")
    command_line.add_settings(parser, leave_out={"bypass", "lost", "lock", "smoothing", "quality"})
    command_line.add_runtime(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
