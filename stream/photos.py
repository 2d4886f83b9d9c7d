"""Jobs on one photo: its largest face, and what an editor takes from it. Photos may come from strangers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.arrays import Image
from models.crops import CropSpec, Placement, quad_of
from models.editor import AnyEditor, Crop
from models.face import pictures
from models.face.pictures import PictureError as PhotoError
from models.face.segmenter import Segmenter
from stream.face_edit import crop_of
from stream.frame import Face, Frame, Output
from stream.look import Look
from stream.pipeline import Pipeline
from stream.runtime import Runtime
from stream.settings import Settings, SettingsError

__all__ = [
    "PASSES",
    "PhotoError",
    "controls_of_photo",
    "decode",
    "face_crop",
    "face_of",
    "largest_face",
    "place_face",
    "read_photo",
    "still",
]

PASSES = 3
"""How often a photo goes through the tracker: each pass reads the landmarks again from where the last one found them,
as a photo has no next frame."""


def read_photo(path: Path) -> Image:
    """A picture file of the user's own as (H, W, 3) uint8 BGR, upright by its EXIF orientation.

    Raises:
        PhotoError: no picture, or one beyond the limits of `pictures.OWN`.
    """
    return pictures.read_file(path)


def decode(data: bytes | bytearray) -> Image:
    """A photo that a stranger sent, decoded in a process of its own (`models.face.pictures`).

    Args:
        data: a JPEG, PNG or WebP file.

    Returns:
        (H, W, 3) uint8 BGR, upright by its EXIF orientation, shrunk: faces are edited at a few hundred pixels.

    Raises:
        PhotoError: another kind of file, a damaged one, or one that is or takes more than `pictures.STRANGERS` allows.
    """
    return pictures.read_apart(data, pictures.STRANGERS)


def still(picture: Image, pipeline: Pipeline, look: Look, final: Look | None = None) -> Output:
    """Edit one picture.

    Args:
        picture: (H, W, 3) uint8 BGR.
        pipeline: that has seen nothing yet.
        look: what to show; its smoothing does not count.
        final: what the last pass shows, if it takes a finer way (`Look.for_still`).
    """
    # Without an edit, a pipeline looks for faces only where one is to be chosen; a photo's are wanted in any case.
    update = {"smoothing": 0.0} if look.active else {"smoothing": 0.0, "faces": "locked"}
    looks = [Look(each.settings.model_copy(update=update), each.layers) for each in (look, final or look)]
    for again in range(PASSES):
        last = again == PASSES - 1
        output = pipeline.process(Frame(picture, again / 30, alone=last), looks[last])
    return output


def largest_face(faces: Sequence[Face]) -> Face:
    """The largest face of a photo.

    Raises:
        PhotoError: there is none.
    """
    if not faces:
        raise PhotoError("no face in this photo: choose one where both eyes are visible")
    return max(faces, key=lambda face: float(np.prod(face.box[2:] - face.box[:2])))


def face_of(runtime: Runtime, photo: Image) -> Face:
    """The largest face of a photo (H, W, 3) uint8 BGR, found by the runtime's networks.

    Raises:
        PhotoError: there is none.
    """
    return largest_face(still(photo, runtime.pipeline(), Look(Settings(), ())).faces)


def place_face(face: Face, spec: CropSpec) -> Placement:
    """Where a face of a photo is cut out.

    Raises:
        PhotoError: it is too small or turned too far.
    """
    try:
        return Placement.of(quad_of(face, spec), spec.size)
    except ValueError as error:
        raise PhotoError(f"the face in this photo cannot be read ({error}): choose a larger or sharper one") from error


def cut_face(photo: Image, face: Face, spec: CropSpec) -> Crop:
    """A face of a photo (H, W, 3) uint8 BGR, without masks.

    Raises:
        PhotoError: the face is too small or turned too far to be cut out.
    """
    return crop_of(photo, face, place_face(face, spec), spec.edge)


def face_crop(photo: Image, face: Face, editor: AnyEditor, segmenter: Segmenter) -> Crop:
    """A face of a photo (H, W, 3) uint8 BGR as an editor wants it, with masks.

    Raises:
        PhotoError: the face is too small or turned too far to be cut out.
    """
    crop = cut_face(photo, face, editor.crop)
    return replace(crop, masks=segmenter.read(crop.image))


def controls_of_photo(runtime: Runtime, editor: str, photo: Image) -> dict[str, Any]:
    """The controls with which an editor takes from a photo what it takes: a colour, a style, a second parent.

    Args:
        runtime: the loaded networks.
        editor: its name.
        photo: (H, W, 3) uint8 BGR.

    Raises:
        SettingsError: the editor takes no photos, or cannot run here.
        PhotoError: there is no face, or not what the editor looks for.
        EngineError: an engine has no time now.
    """
    chosen = runtime.look(Settings(), {"editor": editor}).layers[0].editor
    if not chosen.Controls.takes_photo():
        raise SettingsError("editor", f"{editor} takes no photos")
    crop = face_crop(photo, face_of(runtime, photo), chosen, runtime.segmenter)
    try:
        return chosen.read_photo(crop)
    except ValueError as error:
        raise PhotoError(str(error)) from error
