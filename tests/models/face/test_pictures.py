"""One reader for pictures; small files that cost much are refused or ended in bounded time."""

from __future__ import annotations

import io
import struct
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from models.face.pictures import OWN, STRANGERS, PictureError, read, read_apart, read_file

SMALL = replace(STRANGERS, pixels=1_000_000)
SECONDS = 12  # within which a bomb is refused on a busy machine; unbounded ones took 10 s to half an hour


def saved(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def gradient(width: int = 96, height: int = 80) -> PIL.Image.Image:
    across = np.linspace(0, 255, width, dtype=np.uint8)
    down = np.linspace(0, 255, height, dtype=np.uint8)
    pixels = np.stack([*np.broadcast_arrays(across[None], down[:, None]), np.full((height, width), 90, np.uint8)], -1)
    return PIL.Image.fromarray(pixels)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *more: bytes, colour: int = 2, data: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def many_scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times."""
    end = jpeg.rindex(b"\xff\xd9")
    last = jpeg[jpeg.rindex(b"\xff\xda") : end]
    return jpeg[:end] + last * count + b"\xff\xd9"


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header says another size."""
    at = next(jpeg.index(marker) for marker in (b"\xff\xc2", b"\xff\xc0") if marker in jpeg)
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


@pytest.mark.parametrize("reader", [read, lambda data: read_apart(data, STRANGERS)])
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
def test_a_picture_is_read_as_bgr(reader: Any, kind: str, options: dict[str, Any]) -> None:
    picture = gradient()
    shown = reader(saved(picture, kind, **options))
    assert shown.dtype == np.uint8
    assert shown.shape == (80, 96, 3)
    assert np.abs(shown[..., ::-1].astype(int) - np.asarray(picture)).max() < 12
    shown[0, 0] = 0  # it is the caller's own


@pytest.mark.parametrize(
    ("picture", "value"),
    [
        (PIL.Image.fromarray(np.full((70, 70), 51400, np.uint16)), 200),
        (PIL.Image.new("RGBA", (70, 70), (200, 200, 200, 0)), 200),
        (PIL.Image.new("L", (70, 70), 200), 200),
        (PIL.Image.new("LA", (70, 70), (200, 0)), 200),
        (PIL.Image.new("P", (70, 70), 0), 0),
        (PIL.Image.new("1", (70, 70), 1), 255),
    ],
)
def test_every_kind_of_pixel_becomes_eight_bits(picture: PIL.Image.Image, value: int) -> None:
    assert np.abs(read_apart(saved(picture, "PNG")).astype(int) - value).max() <= 1


def test_a_picture_stands_upright_even_if_its_exif_data_are_damaged() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    assert read(saved(gradient(), "JPEG", exif=exif)).shape == (96, 80, 3)
    damaged = saved(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert read(damaged).shape == (80, 96, 3)


def test_a_large_picture_is_shrunk() -> None:
    assert read_apart(saved(gradient(3000, 1500), "JPEG")).shape == (640, 1280, 3)
    assert read(saved(gradient(3000, 1500), "JPEG")).shape == (1500, 3000, 3)


@pytest.mark.parametrize("marker", [b"\xff\x01", b"\xff\xd0", b"\xff\xd7", b"\xff\x01\xff\xd3"])
def test_markers_without_a_length_do_not_hide_the_size(marker: bytes) -> None:
    """These two bytes were taken for a segment, behind which the frame header was not seen."""
    jpeg = saved(gradient(), "JPEG")
    at = jpeg.index(b"\xff\xc0")
    hidden = jpeg[:at] + marker + jpeg[at:]
    bomb = with_size(hidden, 20_000, 20_000)
    began = time.perf_counter()
    with pytest.raises(PictureError, match=r"million pixels|damaged"):
        read_apart(bomb)
    assert time.perf_counter() - began < SECONDS


def test_scans_are_bounded() -> None:
    jpeg = saved(PIL.Image.new("RGB", (1200, 1000)), "JPEG", progressive=True)
    assert read_apart(jpeg).shape == (1000, 1200, 3)
    with pytest.raises(PictureError, match="too long"):
        read_apart(many_scans(jpeg, 1000))


def test_start_of_scan_bytes_outside_of_the_picture_do_not_count() -> None:
    jpeg = saved(gradient(), "JPEG")
    block = b"\xff\xe5" + struct.pack(">H", 2 + 2 * 200) + b"\xff\xda" * 200
    assert read_apart(jpeg[:2] + block + jpeg[2:] + b"\xff\xda" * 1000).shape == (80, 96, 3)


def test_decoding_is_ended_when_it_takes_too_long() -> None:
    jpeg = many_scans(saved(PIL.Image.new("RGB", (3000, 3000)), "JPEG", progressive=True), 2000)
    began = time.perf_counter()
    with pytest.raises(PictureError, match="too long"):
        read_apart(jpeg, replace(STRANGERS, scans=1_000_000, seconds=1))
    assert time.perf_counter() - began < SECONDS


def test_memory_is_bounded() -> None:
    data = zlib.compress(b"\0" * (3 * 5000 + 1) * 4000)
    with pytest.raises(PictureError, match=r"memory|damaged"):
        read_apart(png(5000, 4000, data=data), replace(STRANGERS, memory=96 << 20))


TEXTS = [chunk(b"zTXt", b"k%d\0\0" % i + zlib.compress(b"\0" * (1 << 20))) for i in range(200)]


@pytest.mark.parametrize(
    "file",
    [
        png(60_000, 60_000, data=zlib.compress(b"\0" * 64)),
        png(2**31 - 1, 2**31 - 1),
        png(1, 2**31 - 1),
        png(500, 500, *TEXTS, data=zlib.compress(b"\0" * 1501 * 500)),
        png(500, 500, chunk(b"PLTE", b"\1\2\3"), colour=3, data=zlib.compress(b"\xff" * 501 * 500)),
        png(500, 500, colour=3, data=zlib.compress(b"\xff" * 501 * 500)),
        png(500, 500, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), data=zlib.compress(b"\0" * 1501 * 500)),
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff\xff\xff" * 2,
        b"RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff\x2f" + b"\xff" * 4000,
        saved(gradient(), "GIF"),
        saved(gradient(), "TIFF"),
        b"BM" + b"\xff" * 100,
        b"",
    ],
    ids=range(13),
)
def test_tricks_are_read_or_refused_in_bounded_time(file: bytes) -> None:
    began = time.perf_counter()
    try:
        shown = read_apart(file, SMALL)
    except PictureError:
        pass
    else:
        assert shown.size <= 3 * SMALL.pixels
    assert time.perf_counter() - began < SECONDS


def test_frames_of_an_animation_cost_nothing() -> None:
    frames = [gradient(200, 200).rotate(i) for i in range(60)]
    for kind in ("WEBP", "PNG"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert read_apart(data).shape == (200, 200, 3)


def test_limits_are_words(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="more than 12 MB"):
        read_apart(b"\xff\xd8" + bytes(STRANGERS.bytes))
    with pytest.raises(PictureError, match="8x80 pixels"):
        read_apart(saved(gradient(8, 80), "PNG"))
    with pytest.raises(PictureError, match="no JPEG, PNG or WebP picture"):
        read_apart(b"<svg/>")
    with pytest.raises(PictureError, match="no PNG picture"):
        read(b"<svg/>", replace(OWN, formats=("PNG",)))
    path = tmp_path / "face.png"
    with pytest.raises(PictureError, match=r"face\.png"):
        read_file(path)
    path.write_bytes(saved(gradient(), "PNG")[:-60])
    with pytest.raises(PictureError, match=r"face\.png: this picture is damaged"):
        read_file(path)
    path.write_bytes(saved(gradient(), "PNG"))
    assert read_file(path).shape == (80, 96, 3)
    with pytest.raises(PictureError, match="million pixels"):
        read_file(path, replace(OWN, pixels=7000))


def test_a_child_that_dies_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PictureError, match="damaged"):
        read_apart(saved(gradient(), "PNG"))
