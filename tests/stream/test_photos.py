"""Photos from strangers, and what is made of them, on the weights that ship with the project."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import Field
from skimage import data

from models.arrays import Image
from models.editor import Controls
from models.face.pictures import STRANGERS
from stream import photos, strip
from stream.files import main
from stream.photos import PhotoError, still
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings, SettingsError
from stream.thumbnails import draw_thumbnails, looks_of


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    cache = tmp_path_factory.mktemp("cache")
    runtime = Runtime.load(RuntimeSettings(backend="onnxruntime", threads=1, cache_dir=cache))
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def portrait() -> Image:
    """NASA's portrait of Eileen Collins, (512, 512, 3) uint8 BGR; the face is around (224, 110)."""
    return np.ascontiguousarray(data.astronaut()[..., ::-1])  # type: ignore[no-untyped-call]


def encoded(picture: Image, kind: str = ".jpg") -> bytes:
    return cv2.imencode(kind, picture)[1].tobytes()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF block that holds nothing but its orientation."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def png_of(width: int, height: int) -> bytes:
    """A PNG of zeros of any claimed size, as small as a bomb is."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_photo_is_read(kind: str) -> None:
    picture = np.full((120, 200, 3), (10, 90, 200), np.uint8)
    decoded = photos.decode(encoded(picture, kind))
    assert np.abs(decoded.astype(int) - picture).max() < 4


def test_a_photo_stands_upright() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, :100] = 255
    turned = photos.decode(with_orientation(encoded(picture), 6))  # the camera was turned: 90 degrees clockwise
    assert turned.shape == (200, 100, 3)
    assert turned[:90].mean() > 250
    assert turned[110:].mean() < 5


def test_a_large_photo_is_shrunk() -> None:
    longest = STRANGERS.longest_side
    assert photos.decode(encoded(np.zeros((3000, 1500, 3), np.uint8))).shape == (longest, longest // 2, 3)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "no JPEG, PNG or WebP"),
        (b"GIF89a" + b"\0" * 100, "no JPEG, PNG or WebP"),
        (b"<svg/>", "no JPEG, PNG or WebP"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\xff\xd8" + b"\xff" * 100_000, "damaged"),
        (b"\xff\xd8" + b"\xff\xe0\0\0" * 1000, "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (png_of(60_000, 60_000), "million pixels"),
        (png_of(2**32 - 1, 2**32 - 1), "million pixels"),
        (b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 65535, 65535, 3), "million pixels|damaged"),
        (png_of(10, 10), "10x10"),
        (png_of(500, 500)[:60], "damaged"),
        (b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 500, 500, 3) + b"junk", "damaged"),
        (b"\0" * (STRANGERS.bytes + 1), "MB"),
    ],
    ids=range(14),
)
def test_hostile_files_are_refused_in_words(file: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words):
        photos.decode(file)


def test_the_dye_of_a_photo(runtime: Runtime, portrait: Image) -> None:
    controls = photos.controls_of_photo(runtime, "hair", portrait)
    red, green, blue = (int(controls["custom"][i : i + 2], 16) for i in (1, 3, 5))
    assert 150 > red > green > blue, "her hair is brown"
    assert runtime.look(Settings(), {"editor": "hair", "controls": controls}).settings.controls["colour"] == "custom"


def test_the_second_parent_of_a_photo(runtime: Runtime, portrait: Image) -> None:
    darker = (portrait * 0.6).astype(np.uint8)
    controls = photos.controls_of_photo(runtime, "child", darker)
    look = runtime.look(Settings(), {"editor": "child", "controls": {**controls, "age": None}})
    shown = still(portrait, runtime.pipeline(), look)
    assert shown.edited
    box = next(face.box for face in shown.faces if face.id in shown.edited).astype(int)
    face = np.s_[box[1] : box[3], box[0] : box[2]]
    assert shown.image[face].mean() < portrait[face].mean() - 5
    with pytest.raises(SettingsError, match="choose it again"):
        runtime.look(look.settings, {"controls": {"photo": "0123"}})


def test_what_takes_no_photo_says_so(runtime: Runtime, portrait: Image) -> None:
    with pytest.raises(SettingsError, match="takes no photos"):
        photos.controls_of_photo(runtime, "embedded", portrait)
    with pytest.raises(SettingsError, match="there is no such editor"):
        photos.controls_of_photo(runtime, "nothing", portrait)
    with pytest.raises(PhotoError, match="no face"):
        photos.controls_of_photo(runtime, "hair", np.full((240, 320, 3), 128, np.uint8))


def test_one_face_at_all_ages(runtime: Runtime, portrait: Image) -> None:
    picture = strip.lifespan(runtime, portrait, {"editor": "embedded", "faces": "locked", "lost": "blur"})
    height, width = picture.shape[:2]
    assert width % strip.LIFESPAN == 0
    assert 0.5 < width / strip.LIFESPAN / height < 1
    faces = np.split(picture, strip.LIFESPAN, axis=1)
    assert np.abs(faces[0].astype(int) - faces[-1]).mean() > 2
    decoded = cv2.imdecode(np.frombuffer(strip.jpeg(picture), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == picture.shape


def test_a_strip_needs_a_control_with_a_range(runtime: Runtime, portrait: Image) -> None:
    with pytest.raises(SettingsError, match="no control of an age"):
        strip.lifespan(runtime, portrait, {"editor": "hair"})
    with pytest.raises(SettingsError, match="no such control"):
        strip.lifespan(runtime, portrait, {"editor": "hair"}, "colour")
    assert strip.lifespan(runtime, portrait, {"editor": "hair", "controls": {"colour": "red"}}, "amount").size


def test_values_span_the_range() -> None:
    class Ages(Controls):
        age: float | None = Field(None, ge=0, le=70)

    assert list(strip.spread(Ages, "age")) == [0, 14, 28, 42, 56, 70]


def test_the_id_of_a_photo_that_is_gone_is_refused(runtime: Runtime) -> None:
    for editor in ("babygan", "starganv2"):
        with pytest.raises(SettingsError):
            runtime.look(Settings(), {"editor": editor, "controls": {"photo": "0" * 32}})


def test_a_photo_on_the_command_line(tmp_path: Path, portrait: Image) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), portrait)
    blond = portrait.copy()
    cv2.imwrite(str(tmp_path / "photo.jpg"), blond)
    command = [str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--editor", "hair", "--quiet"]
    assert main([*command, "--photo", str(tmp_path / "photo.jpg"), "--backend", "onnxruntime"]) == 0
    assert (tmp_path / "out.png").is_file()
    assert main([*command, "--photo", str(tmp_path / "nothing.jpg"), "--backend", "onnxruntime"]) == 1


def test_looks_are_drawn_on_ones_own_face(runtime: Runtime, portrait: Image) -> None:
    looks, picture = draw_thumbnails(runtime, portrait)
    assert [look.title for look in looks][:3] == ["Original", "20 years older", "20 years younger"]
    assert {look.editor for look in looks} == {"", "embedded", "hair"}
    faces = np.split(picture, len(looks), axis=1)
    assert faces[0].shape == (120, 96, 3)
    changes = [np.abs(face.astype(int) - faces[0]).mean() for face in faces[1:]]
    assert min(changes) > 0.3, "every look is to be seen"
    assert {look.editor for look in looks_of(runtime, {"hair"})} == {"", "hair"}
    only, picture = draw_thumbnails(runtime, portrait, frozenset())
    assert (len(only), picture.shape) == (1, (120, 96, 3))
    with pytest.raises(photos.PhotoError):
        draw_thumbnails(runtime, np.full((240, 320, 3), 128, np.uint8))
