"""Read a picture file: one reader, one set of limits, upright by its EXIF orientation.

`read` and `read_file` are for files of one's own. `read_apart` is for those of strangers: it decodes in a process of
its own (`python -m models.face.pictures`), with bounds on time and memory, because what a few kB of JPEG, PNG or WebP
cost is known only when they are decoded.
"""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import warnings
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageOps

from models.arrays import Image

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

SIZE = struct.Struct("<II")
SPARE_S = 5.0
"""Wall time that a child may take on top of its processor time, to start on a busy machine."""
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


def read_file(path: Path, limits: Limits = OWN) -> Image:
    """A picture file of one's own as (H, W, 3) uint8 BGR, upright by its EXIF orientation.

    Raises:
        PictureError: it cannot be read, or is not within the limits; the message names the file.
    """
    try:
        if path.stat().st_size > limits.bytes:
            raise PictureError(f"it has more than {limits.bytes >> 20} MB")
        return read(path.read_bytes(), limits)
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror or error}") from error
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from error


def read(data: bytes, limits: Limits = OWN) -> Image:
    """A picture of one's own as (H, W, 3) uint8 BGR, upright by its EXIF orientation; the first of several.

    Transparency is left out, and 16 bits are rounded to 8.

    Args:
        data: a picture file.
        limits: what it may be. Time and memory are not bounded here.

    Raises:
        PictureError: it is another kind of file, a damaged one, or not within the limits.
    """
    width, height, pixels = _decode(data, limits)
    return _array(width, height, pixels)


def read_apart(data: bytes, limits: Limits = STRANGERS) -> Image:
    """A stranger's picture as `read` gives it, decoded in a process of its own; takes 0.1 s more.

    Args:
        data: a picture file.
        limits: what it may be. Time and memory are bounded where the system can (not on Windows).

    Raises:
        PictureError: as of `read`, or decoding takes too much time or memory.
    """
    _check_length(data, limits)
    _check_kind(data, limits)
    command = [sys.executable, "-m", "models.face.pictures", dumps(asdict(limits))]
    root = Path(__file__).resolve().parents[2]
    try:
        child = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=limits.seconds + SPARE_S,
            check=False,
            cwd=root,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # NumPy's threads would count as memory
        )
    except subprocess.TimeoutExpired as error:
        raise PictureError("this picture takes too long to read: save it again, or choose another one") from error
    if child.returncode == REFUSED:
        raise PictureError(child.stdout.decode(errors="replace"))
    if child.returncode == MEMORY:
        raise PictureError("this picture takes too much memory to read: choose a smaller one")
    if child.returncode == 0 and len(child.stdout) > SIZE.size:
        width, height = SIZE.unpack(child.stdout[: SIZE.size])
        if len(child.stdout) == SIZE.size + 3 * width * height:
            return _array(width, height, child.stdout[SIZE.size :])
    if _out_of_time(child.returncode):
        raise PictureError("this picture takes too long to read: save it again, or choose another one")
    raise PictureError("this picture is damaged or cut off")


def _array(width: int, height: int, bgr: bytes) -> Image:
    return np.frombuffer(bytearray(bgr), np.uint8).reshape(height, width, 3)


def _decode(data: bytes, limits: Limits) -> tuple[int, int, bytes]:
    """Width, height and BGR bytes."""
    _check_length(data, limits)
    _check_kind(data, limits)
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


def _check_length(data: bytes, limits: Limits) -> None:
    if len(data) > limits.bytes:
        raise PictureError(f"this picture has more than {limits.bytes >> 20} MB: choose a smaller one")


def _check_kind(data: bytes, limits: Limits) -> None:
    """Refuse what begins like none of the formats, without a decoder."""
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


def _out_of_time(code: int) -> bool:
    return code != 0 and code in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0))


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
        width, height, pixels = _decode(sys.stdin.buffer.read(limits.bytes + 1), limits)
    except PictureError as error:
        sys.stdout.buffer.write(str(error).encode())
        return REFUSED
    except MemoryError:
        return MEMORY
    sys.stdout.buffer.write(SIZE.pack(width, height) + pixels)
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
