"""Jobs on one photo: a reference for an editor, a strip of one face at many ages. Photos may come from strangers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np

from models.arrays import Image
from models.crops import cut, quad_of, to_crop
from models.editor import AnyEditor, Controls, Crop
from models.face import pictures
from models.face.segmenter import Segmenter
from stream.align import PhotoError, read_photo
from stream.files import still
from stream.frame import Face
from stream.look import Look
from stream.runtime import Runtime
from stream.settings import Settings, SettingsError
from stream.strip import strip

__all__ = ["PhotoError", "controls_of_photo", "decode", "jpeg", "lifespan", "read_photo"]

HEAD = 2.6
"""Height of a strip's pictures in heights of the face box, hair and neck included; they are four fifths as wide."""
AGES = 6
"""Pictures of a strip."""

JPEG_QUALITY = 92


def decode(data: bytes) -> Image:
    """A photo that a stranger sent, decoded in a process of its own (`models.face.pictures`).

    Args:
        data: a JPEG, PNG or WebP file.

    Returns:
        (H, W, 3) uint8 BGR, upright by its EXIF orientation, shrunk: faces are edited at a few hundred pixels.

    Raises:
        PhotoError: another kind of file, a damaged one, or one that is or takes more than `pictures.STRANGERS` allows.
    """
    return pictures.read_apart(data, pictures.STRANGERS)


def largest_face(runtime: Runtime, photo: Image) -> Face:
    """The largest face of a photo.

    Raises:
        PhotoError: there is none.
    """
    faces = still(photo, runtime.pipeline(), Look(Settings(), ())).faces
    if not faces:
        raise PhotoError("no face in this photo: choose one where both eyes are visible")
    return max(faces, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])))


def crop_of(photo: Image, face: Face, editor: AnyEditor, segmenter: Segmenter) -> Crop:
    """A face of a photo (H, W, 3) uint8 BGR as an editor wants it, with masks.

    Raises:
        PhotoError: the face is too small or turned too far to be cut out.
    """
    spec = editor.crop
    try:
        quad = quad_of(face, spec)
        image = np.ascontiguousarray(cut(photo, quad, spec.size)[..., ::-1])
    except ValueError as error:
        raise PhotoError(f"the face in this photo cannot be read ({error}): choose a larger or sharper one") from error
    mesh = None if face.mesh is None else to_crop(face.mesh, quad, spec.size)
    return Crop(image, to_crop(face.points5, quad, spec.size), mesh, segmenter.read(image))


def controls_of_photo(runtime: Runtime, editor: str, photo: Image) -> dict[str, Any]:
    """The controls with which an editor takes from a photo what it takes: a colour, a style, a second parent.

    Args:
        runtime: the loaded networks.
        editor: its name.
        photo: (H, W, 3) uint8 BGR.

    Raises:
        SettingsError: the editor takes no photos, or cannot run here.
        PhotoError: there is no face, or not what the editor looks for.
        EngineError: its networks cannot be loaded, or have no time now.
    """
    chosen = runtime.look(Settings(), {"editor": editor}).layers[0].editor
    if not chosen.Controls.takes_photo():
        raise SettingsError("editor", f"{editor} takes no photos")
    crop = crop_of(photo, largest_face(runtime, photo), chosen, runtime.segmenter)
    try:
        return chosen.read_photo(crop)
    except ValueError as error:
        raise PhotoError(str(error)) from error


def lifespan(runtime: Runtime, photo: Image, patch: Mapping[str, Any], control: str = "age") -> Image:
    """The head of a photo's largest face at several values of one control, in one picture.

    Args:
        runtime: the loaded networks.
        photo: (H, W, 3) uint8 BGR.
        patch: settings that differ from the defaults: the editor, its other controls.
        control: which one varies, over its whole range.

    Returns:
        (H, W, 3) uint8 BGR, from left to right, each with its value below.

    Raises:
        SettingsError: a setting is refused.
        PhotoError: there is no face.
        EngineError: the editor's networks cannot be loaded.
    """
    whole = {"bypass": False, "faces": "largest", "lock": None, "lost": "show"}
    settings = runtime.look(Settings(), {**patch, **whole}).settings
    values = list(spread(runtime.controls_model(settings.editor), control))
    steps = [runtime.look(settings, {"controls": {**settings.controls, control: value}}) for value in values]
    head = _head(photo, largest_face(runtime, photo))
    return strip(head, [f"{value:g}" for value in values], steps, runtime.pipeline)


def spread(controls: type[Controls], name: str) -> Iterator[float]:
    """`AGES` whole values over a control's range.

    Raises:
        SettingsError: there is no such control, or it has no range.
    """
    schema = controls.model_json_schema()["properties"].get(name, {})
    shapes = schema.get("anyOf", [schema])
    low, high = (next((shape[end] for shape in shapes if end in shape), None) for end in ("minimum", "maximum"))
    if low is None or high is None:
        raise SettingsError(f"controls.{name}", "this editor has no such control with a range")
    for step in range(AGES):
        yield float(round(low + (high - low) * step / (AGES - 1)))


def jpeg(picture: Image) -> bytes:
    """A picture (H, W, 3) uint8 BGR as a JPEG file."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def _head(photo: Image, face: Face) -> Image:
    """The part of a photo around a face, upright."""
    height, width = photo.shape[:2]
    x0, y0, x1, y1 = (float(value) for value in face.box)
    tall = HEAD * (y1 - y0)
    middle, centre = (x0 + x1) / 2, (y0 + y1) / 2 - 0.08 * tall
    top, bottom = max(0, round(centre - tall / 2)), min(height, round(centre + tall / 2))
    left, right = max(0, round(middle - 0.4 * tall)), min(width, round(middle + 0.4 * tall))
    return np.ascontiguousarray(photo[top:bottom, left:right])
