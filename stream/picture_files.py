"""Picture files with everything they store: alpha and 16 bits survive an edit."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from models.arrays import Image
from models.face import pictures
from stream.command_line import CommandError

BY_PILLOW = frozenset({".avif", ".gif", ".apng"})
"""Suffixes of formats that OpenCV does not know."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", *BY_PILLOW})
READ = SUFFIXES | {".heic", ".heif"}
"""Suffixes of pictures that can be read; HEIC where a plug-in of Pillow can."""
WRITTEN = SUFFIXES
"""Suffixes of pictures that can be written."""
JPEG_QUALITY = 95


class FileError(CommandError):
    """A file cannot be read or written; the message names it and says what to do."""


def read_stored(path: Path) -> Image:
    """A picture as its file stores it: 1 to 4 channels in BGR(A) order, 8 or 16 bits. 8-bit colour stands upright.

    Raises:
        FileError: it cannot be read, or is beyond the limits of `pictures.OWN`.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise FileError(f"{path}: {plain(error)}") from error
    if data.size > pictures.OWN.bytes:
        raise FileError(f"{path} has more than {pictures.OWN.bytes >> 20} MB")
    if path.suffix.lower() in READ - SUFFIXES | BY_PILLOW:
        return _read_by_pillow(path)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None:
        raise FileError(f"{path} is not a picture that can be read, or it is cut off")
    if picture.shape[0] * picture.shape[1] > pictures.OWN.pixels:
        raise FileError(f"{path} has more than {pictures.OWN.pixels // 1_000_000} million pixels")
    if picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)  # this way OpenCV follows the EXIF orientation
    return cast(Image, picture)


def plain(error: Exception) -> str:
    """What went wrong with a file, without numbers of the system's or FFmpeg's."""
    return str(getattr(error, "strerror", None) or error)


def _read_by_pillow(path: Path) -> Image:
    try:
        with PillowImage.open(path) as file:
            if file.width * file.height > pictures.OWN.pixels:
                raise FileError(f"{path} has more than {pictures.OWN.pixels // 1_000_000} million pixels")
            upright = ImageOps.exif_transpose(file)
            picture = np.asarray(upright.convert("RGBA" if upright.has_transparency_data else "RGB"))
    except (OSError, ValueError, PillowImage.DecompressionBombError) as error:
        plug_in = path.suffix.lower() in {".heic", ".heif"}
        remedy = "; HEIC needs one more package: pip install pillow-heif" if plug_in else ", or it is cut off"
        raise FileError(f"{path} is not a picture that can be read{remedy}") from error
    return np.ascontiguousarray(np.dstack([picture[..., 2::-1], picture[..., 3:]]))


def _write_by_pillow(path: Path, picture: Image) -> None:
    if picture.dtype == np.uint16:
        picture = np.round(picture / 257).astype(np.uint8)
    colours = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    try:
        PillowImage.fromarray(np.dstack([colours[..., 2::-1], colours[..., 3:]])).save(path)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {plain(error)}") from error


def as_bgr8(stored: Image) -> Image:
    """(H, W, 3) uint8 BGR of a picture with 1 to 4 channels and 8 or 16 bits."""
    picture = stored
    if picture.dtype == np.uint16:
        picture = np.round(picture / 257).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = np.clip(np.nan_to_num(picture) * 255, 0, 255).astype(np.uint8)
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    match picture.shape[2]:
        case 1 | 2:
            return cv2.cvtColor(np.ascontiguousarray(picture[..., 0]), cv2.COLOR_GRAY2BGR)
        case 4:
            return np.ascontiguousarray(picture[..., :3])
        case _:
            return picture


def stored_like(stored: Image, shown: Image, edited: Image) -> Image:
    """The edited picture with the alpha and the bit depth of the stored one."""
    if edited is shown:
        return stored
    result = edited
    if stored.dtype == np.uint16:
        colour = stored if stored.ndim == 3 else stored[..., None]
        change = (edited.astype(np.int32) - shown) * 257
        result = np.clip(colour[..., :3] + change, 0, 65535).astype(np.uint16)
    if stored.ndim == 3 and stored.shape[2] == 4:
        alpha = stored[..., 3:] if stored.dtype == result.dtype else np.full((*stored.shape[:2], 1), 255, result.dtype)
        result = np.concatenate([result, alpha], axis=2)
    return result


def write_picture(path: Path, picture: Image) -> None:
    """Write a picture; 16 bits are rounded to 8 where the format has no more. It appears when it is complete.

    Raises:
        FileError: it cannot be written there, or in that format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise FileError(f"{path}: unknown picture format; use one of {', '.join(sorted(SUFFIXES))}")
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        _write(part, picture)
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path}: {plain(error)}") from error
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, picture: Image) -> None:
    if path.suffix.lower() in BY_PILLOW:
        _write_by_pillow(path, picture)
        return
    if picture.dtype == np.uint16 and path.suffix.lower() not in {".png", ".tif", ".tiff"}:
        picture = np.round(picture / 257).astype(np.uint8)
    done, data = cv2.imencode(path.suffix.lower(), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise FileError(f"{path}: this picture cannot be written in that format")
    path.write_bytes(data.tobytes())
