"""Decode a picture file within limits, as a process of its own for strangers' files (`models.face.pictures`).

It stands alone, without NumPy, because the process starts in half the time then.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import warnings
from dataclasses import dataclass
from json import loads

import PIL.Image
from PIL import ImageOps

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

SIZE = struct.Struct("<II")
NICENESS = 5
"""Of the child: live streams come first."""
REFUSED, MEMORY = 3, 4
"""Exit codes of the child."""
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
FORMAT_NAMES = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP", "BMP": "BMP", "TIFF": "TIFF"}


class PictureError(ValueError):
    """A picture cannot be used; the message says why and what to choose instead."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture file may be.

    Attributes:
        formats: names of Pillow.
        bytes: of the file.
        pixels: of the picture, whatever of it is used.
        least_side: pixels of the shorter side.
        longest_side: pixels of the longer side to which the picture is shrunk; 0 leaves it as it is.
        scans: passes over a JPEG's pixels; progressive encoders make about ten.
        seconds: processor time for decoding, held to in `read_apart` only.
        memory: bytes of address space for decoding, held to in `read_apart` only.
    """

    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
    bytes: int = 256 << 20
    pixels: int = 100_000_000
    least_side: int = 1
    longest_side: int = 0
    scans: int = 100
    seconds: int = 60
    memory: int = 4 << 30


OWN = Limits()
STRANGERS = Limits(
    formats=("JPEG", "PNG", "WEBP"),
    bytes=12 << 20,
    pixels=24_000_000,
    least_side=64,
    longest_side=1280,
    scans=32,
    seconds=4,
    memory=1 << 30,
)


def decode(data: bytes, limits: Limits) -> tuple[int, int, bytes]:
    """Decode a picture, upright by its EXIF orientation, shrunk to `limits.longest_side`.

    Returns:
        Width, height, and BGR bytes row by row.

    Raises:
        PictureError: it is another kind of file, a damaged one, or not within the limits.
        MemoryError: the process may have no more.
    """
    check_length(data, limits)
    check_kind(data, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data and of sizes, which have limits of ours
            colours = _colours(data, limits)
    except (PictureError, MemoryError):
        raise
    except PIL.Image.DecompressionBombError as error:
        raise _too_large(limits) from error
    except Exception as error:  # Pillow's plugins raise many kinds on damaged files
        raise PictureError("this picture is damaged or cut off") from error
    longest = max(colours.size)
    if limits.longest_side and longest > limits.longest_side:
        scale = limits.longest_side / longest
        size = (max(1, round(colours.width * scale)), max(1, round(colours.height * scale)))
        colours = colours.resize(size, PIL.Image.Resampling.BOX)
    return colours.width, colours.height, colours.tobytes("raw", "BGR")


def _colours(data: bytes, limits: Limits) -> PIL.Image.Image:
    with PIL.Image.open(io.BytesIO(data), formats=limits.formats) as picture:
        _check_size(picture.size, limits)
        if data[:2] == b"\xff\xd8":
            _check_scans(data, limits)
        picture.load()
        _check_size(picture.size, limits)  # some formats know better when they are decoded
        return _eight_bits(_upright(picture)).convert("RGB")


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except (MemoryError, PictureError):
        raise
    except Exception:  # damaged EXIF data raise many kinds; the picture itself is whole
        return picture


def _eight_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode in SIXTEEN_BIT_MODES:
        return picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if picture.mode == "F":
        return picture.point(lambda value: value * 255).convert("L")
    return picture


def check_length(data: bytes | bytearray, limits: Limits) -> None:
    """Refuse a file that is too long.

    Raises:
        PictureError: it is.
    """
    if len(data) > limits.bytes:
        raise PictureError(f"this picture has more than {limits.bytes >> 20} MB: choose a smaller one")


def check_kind(data: bytes | bytearray, limits: Limits) -> None:
    """Refuse what begins like none of the formats, without a decoder.

    Raises:
        PictureError: it does.
    """
    starts = {
        "JPEG": data[:2] == b"\xff\xd8",
        "PNG": data[:8] == b"\x89PNG\r\n\x1a\n",
        "WEBP": data[:4] == b"RIFF" and data[8:12] == b"WEBP",
        "BMP": data[:2] == b"BM",
        "TIFF": data[:4] in (b"II*\0", b"MM\0*"),
    }
    if not any(starts[name] for name in limits.formats):
        *names, last = (FORMAT_NAMES[name] for name in limits.formats)
        raise PictureError(
            f"this is no {', '.join(names)} or {last} picture" if names else f"this is no {last} picture"
        )


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.pixels:
        raise _too_large(limits)
    if min(width, height) < limits.least_side:
        raise PictureError(f"this picture has {width}x{height} pixels: choose a larger one")


def _too_large(limits: Limits) -> PictureError:
    return PictureError(f"this picture has more than {limits.pixels // 1_000_000} million pixels: choose a smaller one")


def _check_scans(data: bytes, limits: Limits) -> None:
    """Refuse a JPEG whose pixels are gone over too often: every scan costs the time of the whole picture.

    Counts the start-of-scan markers (ITU-T T.81, annex B) up to the end of the first picture.
    """
    at, scans = 2, 0
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 1:
        marker = data[at + 1]
        if marker == 0xD9:
            return
        if marker == 0xFF:  # fill
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # of no length: stuffing, TEM, RST, SOI
            at += 2
        else:
            scans += marker == 0xDA
            if scans > limits.scans:
                raise PictureError("this picture takes too long to read: save it again, or choose another one")
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))


def _main(arguments: list[str]) -> int:
    """The child: limits in the first argument, the file on standard input, size and BGR bytes on standard output."""
    told = loads(arguments[0])
    limits = Limits(**{**told, "formats": tuple(told["formats"])})
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        width, height, pixels = decode(sys.stdin.buffer.read(limits.bytes + 1), limits)
    except PictureError as error:
        sys.stdout.buffer.write(str(error).encode())
        return REFUSED
    except MemoryError:
        return MEMORY
    sys.stdout.buffer.write(SIZE.pack(width, height) + pixels)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
