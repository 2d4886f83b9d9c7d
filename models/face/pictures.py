"""Read a picture file: one reader, one set of limits, upright by its EXIF orientation.

`read` and `read_file` are for files of one's own. `read_apart` is for those of strangers: it decodes in a process of
its own (`python -m models.face.picture_decoder`), with bounds on time and memory, because what a few kB of JPEG, PNG
or WebP cost is known only when they are decoded.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import asdict
from json import dumps
from pathlib import Path

import numpy as np

from models.arrays import Image
from models.face.picture_decoder import (
    MEMORY,
    OWN,
    REFUSED,
    SIZE,
    STRANGERS,
    Limits,
    PictureError,
    check_kind,
    check_length,
    decode,
)

__all__ = ["OWN", "STRANGERS", "Limits", "PictureError", "read", "read_apart", "read_file"]

SPARE_S = 5.0
"""Wall time that a child may take on top of its processor time, to start on a busy machine."""


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
    width, height, pixels = decode(data, limits)
    return _array(width, height, pixels)


def read_apart(data: bytes | bytearray, limits: Limits = STRANGERS) -> Image:
    """A stranger's picture as `read` gives it, decoded in a process of its own; takes 0.1 s more.

    Args:
        data: a picture file.
        limits: what it may be. Time and memory are bounded where the system can (not on Windows).

    Raises:
        PictureError: as of `read`, or decoding takes too much time or memory.
    """
    check_length(data, limits)
    check_kind(data, limits)
    command = [sys.executable, "-m", "models.face.picture_decoder", dumps(asdict(limits))]
    root = Path(__file__).resolve().parents[2]
    try:
        child = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=limits.seconds + SPARE_S,
            check=False,
            cwd=root,
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


def _out_of_time(code: int) -> bool:
    return code != 0 and code in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0))
