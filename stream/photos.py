"""Jobs on one photo: a reference for an editor, a strip of one face at many ages. Photos may come from strangers."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np

from models.arrays import Image
from models.crops import cut, quad_of, to_crop
from models.editor import Controls, Crop, Editor, PhotoEditor
from models.face.segmenter import Segmenter
from stream.align import PhotoError, read_photo
from stream.files import still
from stream.frame import Face
from stream.look import Look
from stream.runtime import Runtime
from stream.settings import Settings, SettingsError
from stream.strip import strip

__all__ = ["PhotoError", "controls_of_photo", "decode", "jpeg", "lifespan", "read_photo"]

MAX_BYTES = 12 << 20
MAX_PIXELS = 24_000_000
LEAST_SIDE = 64
LONGEST = 1280
"""Side in pixels to which a stranger's photo is shrunk before anything else: faces are edited at a few hundred."""
HEAD = 2.6
"""Height of a strip's pictures in heights of the face box, hair and neck included; they are four fifths as wide."""
AGES = 6
"""Pictures of a strip."""

JPEG_QUALITY = 92

JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Second bytes of the markers that begin a JPEG frame (ITU-T T.81, table B.1)."""


def decode(data: bytes) -> Image:
    """A photo that a stranger sent.

    Args:
        data: a JPEG or PNG file.

    Returns:
        (H, W, 3) uint8 BGR, upright by its EXIF orientation, at most `LONGEST` on its longer side.

    Raises:
        PhotoError: another kind of file, a damaged one, or one with more pixels than `MAX_PIXELS`. Sizes are read from
            the header before anything is decoded: a few kB can claim gigabytes.
    """
    if len(data) > MAX_BYTES:
        raise PhotoError(f"this photo has more than {MAX_BYTES >> 20} MB: choose a smaller one")
    size = _png_size(data) or _jpeg_size(data)
    if size is None:
        raise PhotoError("this is no JPEG or PNG picture")
    width, height = size
    if width * height > MAX_PIXELS:
        raise PhotoError(f"this photo has more than {MAX_PIXELS // 1_000_000} million pixels: choose a smaller one")
    if min(width, height) < LEAST_SIDE:
        raise PhotoError(f"this photo is {width}x{height} pixels: choose a larger one")
    try:
        photo = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        photo = None
    if photo is None:
        raise PhotoError("this photo is damaged or cut off")
    return shrunk(photo.astype(np.uint8, copy=False))


def shrunk(photo: Image) -> Image:
    """A photo with at most `LONGEST` pixels on its longer side."""
    height, width = photo.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return photo
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def largest_face(runtime: Runtime, photo: Image) -> Face:
    """The largest face of a photo.

    Raises:
        PhotoError: there is none.
    """
    faces = still(photo, runtime.pipeline(), Look(Settings(), ())).faces
    if not faces:
        raise PhotoError("no face in this photo: choose one where both eyes are visible")
    return max(faces, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])))


def crop_of(photo: Image, face: Face, editor: Editor, segmenter: Segmenter) -> Crop:
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
    if not isinstance(chosen, PhotoEditor):
        raise SettingsError("editor", f"{editor} takes no photos")
    crop = crop_of(photo, largest_face(runtime, photo), chosen, runtime.segmenter)
    try:
        return chosen.controls_of_photo(crop)
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


def _png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a PNG's first chunk; None if it is no PNG."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a JPEG's frame header; None if it is no JPEG or has none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # a marker may be preceded by any number of fill bytes
            at += 1
            continue
        if marker in JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        at += 2 + max(2, length)
    return None
