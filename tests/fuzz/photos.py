"""Photos: Pillow's decoders behind our limits; this target decodes in the fuzzing process, the server in a child."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import PIL.Image

from models.face.pictures import STRANGERS, PictureError, read

LIMITS = replace(STRANGERS, pixels=250_000, least_side=1)


def seeds() -> list[bytes]:
    """Small pictures of each kind that strangers may send, with EXIF data, a palette, several frames and scans."""
    picture = PIL.Image.linear_gradient("L").resize((48, 40)).convert("RGB")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return [
        _saved(picture, "JPEG", exif=exif),
        _saved(picture, "JPEG", progressive=True),
        _saved(picture, "PNG", exif=exif),
        _saved(picture.convert("P"), "PNG"),
        _saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90, expand=False)]),
        _saved(picture, "WEBP"),
        _saved(picture, "WEBP", lossless=True, exif=exif),
        _saved(picture, "WEBP", save_all=True, append_images=[picture.rotate(90, expand=False)]),
    ]


def _saved(picture: PIL.Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def target(data: bytes) -> None:
    """Read a photo.

    Raises:
        AssertionError: it is larger than the limits.
        Exception: anything but a refusal.
    """
    with contextlib.suppress(PictureError):
        picture = read(data, LIMITS)
        assert picture.shape[0] * picture.shape[1] <= LIMITS.pixels
        assert max(picture.shape[:2]) <= LIMITS.longest_side
