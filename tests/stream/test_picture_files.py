"""What picture files hold beside their pixels: turns, colour profiles, pages; and what cannot be read or written."""

from __future__ import annotations

import io
import json
import struct
import sys
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms, ImageOps, ImageSequence

from models.arrays import Image
from stream import command_line, files, picture_files
from stream.colour_profiles import Profile, ProfileError, put_into_tiff
from stream.files import main, process
from stream.picture_files import FileError, read_stored, write_picture
from stream.report import Report
from stream.runtime import Runtime
from stream.settings import Settings
from tests.stream.conftest import World, look_of, noise
from tests.stream.test_files import StandIn

ORIENTATION = 0x112


@pytest.fixture
def runtime(world: World, make_pipeline: Callable[[World], Any]) -> Runtime:
    return cast(Runtime, StandIn(world, make_pipeline))


def icc(space: bytes, parts: dict[bytes, bytes]) -> bytes:
    """An ICC profile for screens, version 2, of tags."""
    place, directory, body = 132 + 12 * len(parts), b"", b""
    for key, part in parts.items():
        directory += struct.pack(">4sII", key, place + len(body), len(part))
        body += part + bytes(-len(part) % 4)
    kinds = (b"", 0x02400000, b"mntr", space, b"XYZ ", b"acsp")
    white = (63190, 65536, 54061)  # D50
    header = struct.pack(">I4sI4s4s4s12x4s28x3i48x", place + len(body), *kinds, *white)
    return header + struct.pack(">I", len(parts)) + directory + body


def xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


NAME = b"desc" + bytes(4) + struct.pack(">I", 5) + b"Wide\0" + bytes(4 + 4 + 2 + 1 + 67)


def wide_profile() -> bytes:
    """Display P3: sRGB's white and curve, other primaries."""
    steps = np.linspace(0, 1, 256)
    curve = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    table = b"curv" + bytes(4) + struct.pack(">I256H", 256, *(round(65535 * value) for value in curve))
    colorants = {
        b"rXYZ": xyz(0.5151, 0.2412, -0.0011),
        b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
        b"bXYZ": xyz(0.1571, 0.0666, 0.7841),
    }
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), table)
    return icc(b"RGB ", {b"desc": NAME, b"wtpt": xyz(0.9505, 1.0, 1.0891), **colorants, **curves})


def grey_profile() -> bytes:
    """Linear grey."""
    line = b"curv" + bytes(4) + struct.pack(">I", 0)
    return icc(b"GRAY", {b"desc": NAME, b"wtpt": xyz(0.9642, 1.0, 0.8249), b"kTRC": line})


WIDE = wide_profile()
PLAIN = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_in(path: Path) -> bytes | None:
    with PillowImage.open(path) as file:
        return cast("bytes | None", file.info.get("icc_profile"))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_every_kind_of_picture_stands_upright(tmp_path: Path, mode: str, suffix: str) -> None:
    drawn = PillowImage.fromarray(noise(1, (24, 32, 4))).convert(mode)
    if drawn.mode in ("LA", "RGBA"):
        drawn.putalpha(255)
    for orientation in range(1, 9):
        exif = PillowImage.Exif()
        exif[ORIENTATION] = orientation
        path = tmp_path / f"{orientation}{suffix}"
        drawn.save(path, exif=exif, lossless=True)
        turned = drawn.copy()
        turned.getexif()[ORIENTATION] = orientation
        expected = np.asarray(ImageOps.exif_transpose(turned).convert("RGB"))[..., ::-1]
        np.testing.assert_array_equal(read_stored(path).shown(), expected)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_a_colour_profile_is_kept(tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str) -> None:
    source, target = tmp_path / "in.png", tmp_path / f"out{suffix}"
    PillowImage.fromarray(noise(2, (240, 320, 3)) // 4 + 90).save(source, icc_profile=WIDE)
    report = process(source, target, runtime, look_of(tint))
    assert profile_in(target) == WIDE
    assert not report.notes
    if suffix in (".png", ".tif"):
        before, after = (read_stored(path).pixels for path in (source, target))
        np.testing.assert_array_equal(after[:40], before[:40])
        assert (after[120, 160] != before[120, 160]).any()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_editors_see_srgb_and_edits_come_back_in_the_pictures_own_colours(tmp_path: Path, depth: type) -> None:
    one = 1 if depth == np.uint8 else 257
    stored = picture_files.Stored(np.full((8, 8, 3), (80, 120, 170), depth) * depth(one), Profile(WIDE))
    shown = stored.shown()
    assert shown[0, 0, 2] > 172, "the same red is told by a higher number in the smaller space"
    edited = shown.copy()
    edited[4, 4] = (90, 130, 200)
    result = picture_files.stored_like(stored, shown, edited)
    assert result.dtype == depth
    unchanged = np.ones((8, 8), bool)
    unchanged[4, 4] = False
    np.testing.assert_array_equal(result[unchanged], stored.pixels[unchanged])
    again = picture_files.Stored(result, stored.profile).shown()
    assert np.abs(again[4, 4].astype(int) - edited[4, 4]).max() <= 2


@pytest.mark.parametrize("suffix", [".bmp", ".gif"])
def test_a_format_without_profiles_gets_srgb(tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str) -> None:
    colour = np.full((240, 320, 3), (200, 60, 60), np.uint8)
    PillowImage.fromarray(colour).save(tmp_path / "in.png", icc_profile=WIDE)
    notes = process(tmp_path / "in.png", tmp_path / f"out{suffix}", runtime, look_of(tint)).notes
    assert notes == [f"out{suffix} is converted to sRGB: {suffix} keeps no colour profile"]
    expected = Profile(WIDE).to_srgb(np.ascontiguousarray(colour[:1, :1, ::-1]))[0, 0]
    assert np.abs(read_stored(tmp_path / f"out{suffix}").pixels[2, 2, :3].astype(int) - expected).max() <= 3
    PillowImage.fromarray(colour).save(tmp_path / "plain.png", icc_profile=PLAIN)
    assert not process(tmp_path / "plain.png", tmp_path / f"out{suffix}", runtime, look_of(tint)).notes


def test_profiles_of_other_kinds_and_broken_ones_are_said(tmp_path: Path) -> None:
    PillowImage.fromarray(noise(3, (24, 32, 3))).save(tmp_path / "a.png", icc_profile=b"no profile at all")
    stored = read_stored(tmp_path / "a.png")
    assert stored.profile is None
    assert stored.notes == ("a.png loses its colour profile: it is damaged",)
    PillowImage.fromarray(noise(3, (24, 32))).save(tmp_path / "b.png", icc_profile=WIDE)
    assert read_stored(tmp_path / "b.png").notes == (
        "b.png loses its colour profile: it is for another kind of picture",
    )
    with pytest.raises(ProfileError, match="grey or CMYK"):
        Profile(WIDE.replace(b"RGB ", b"CMYK"))


def test_a_tiff_with_a_profile_keeps_its_samples() -> None:
    picture = noise(4, (15, 17, 3)).astype(np.uint16) * 257 + 5
    data = put_into_tiff(cv2.imencode(".tif", picture)[1].tobytes(), WIDE[:-1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, picture)
    with PillowImage.open(io.BytesIO(data)) as file:
        assert file.info["icc_profile"] == WIDE[:-1]


def huge_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    body = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def test_one_bad_picture_does_not_end_a_folder(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture beyond OpenCV's limits, and one that Pillow does not know either."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(huge_png())
    write_picture(folder / "b.png", noise(5, (240, 320, 3)))
    report = process(folder, tmp_path / "out", runtime, look_of(tint))
    assert (report.edited, report.failed) == (1, 1)
    assert any("a.png has more than 100 million pixels" in note for note in report.notes)

    def refuse(data: Any, flags: int) -> Any:
        raise cv2.error("too large")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(FileError, match="cut off"):
        read_stored(folder / "b.png")


def test_pages_that_are_dropped_are_named(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    first, *others = [PillowImage.fromarray(noise(k, (240, 320, 3))) for k in range(3)]
    first.save(tmp_path / "in.tif", save_all=True, append_images=others)
    notes = process(tmp_path / "in.tif", tmp_path / "out.tif", runtime, look_of(tint)).notes
    assert notes == ["in.tif has 3 pages: only the first is kept"]


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of two pictures and an animation."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        write_picture(folder / name, noise(4, (240, 320, 3)))
    first, *others = [PillowImage.fromarray(noise(k, (240, 320, 3))) for k in range(2)]
    first.save(folder / "c.gif", save_all=True, append_images=others)
    return folder


def fail(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def test_what_could_not_be_written_does_not_count(
    tmp_path: Path, album: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_files, "_write", fail)
    monkeypatch.setattr(PillowImage.Image, "save", fail)
    report = process(album, tmp_path / "out", runtime, look_of(tint))
    assert (report.edited, report.frames, report.failed) == (0, 0, 3)
    assert report.summary()["failed"] == 3
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_with_a_bad_picture_ends_with_1(
    tmp_path: Path, album: Path, tint: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def process_all(*_: Any, **__: Any) -> Report:
        return Report(frames=4, with_face=4, edited=4, failed=1, notes=["broken.png is not a picture"])

    runtime = types.SimpleNamespace(engines=list, look=lambda *_: look_of(tint))
    monkeypatch.setattr(command_line, "load_runtime", lambda _: runtime)
    monkeypatch.setattr(files, "process", process_all)
    status = main([str(album), str(tmp_path / "out"), "--quiet", "--report", str(tmp_path / "report.json")])
    said = capsys.readouterr()
    assert status == 1
    assert "4 of 4 pictures edited" in said.out
    assert "error: 1 picture could not be read or written" in said.err
    assert "broken.png" in said.err
    assert json.loads((tmp_path / "report.json").read_text())["failed"] == 1


def test_a_transparent_gif_leaves_no_ghosts(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    frames = []
    for k in range(3):
        picture = np.zeros((40, 60, 4), np.uint8)
        picture[10:20, 5 + 15 * k : 15 + 15 * k] = (200, 30, 30, 255)
        frames.append(PillowImage.fromarray(picture))
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:], duration=100, disposal=2, loop=0)
    for suffix in (".gif", ".webp", ".png"):
        process(tmp_path / "in.gif", tmp_path / f"out{suffix}", runtime, look_of(tint))
        with PillowImage.open(tmp_path / f"out{suffix}") as made:
            seen = [int((np.asarray(one.convert("RGBA"))[..., 3] > 0).sum()) for one in ImageSequence.Iterator(made)]
        assert seen == [100, 100, 100]


def test_an_animation_with_a_profile_is_converted(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    frames = [PillowImage.fromarray(np.full((240, 320, 3), (200, 60 + 20 * k, 60), np.uint8)) for k in range(2)]
    frames[0].save(tmp_path / "in.png", save_all=True, append_images=frames[1:], duration=40, icc_profile=WIDE)
    notes = process(tmp_path / "in.png", tmp_path / "out.png", runtime, look_of(tint)).notes
    assert notes == ["the colours of in.png are converted to sRGB"]
    expected = Profile(WIDE).to_srgb(np.full((1, 1, 3), (60, 60, 200), np.uint8))[0, 0, ::-1]
    with PillowImage.open(tmp_path / "out.png") as made:
        assert np.abs(np.asarray(made.convert("RGB"))[2, 2].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("readable", [False, True])
def test_a_folder_of_heic_alone_says_what_to_do(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.HEIC").write_bytes(b"1")
    monkeypatch.setattr(picture_files, "HEIC_IS_READ", readable)
    with pytest.raises(FileError, match="holds only HEIC pictures, which cannot be written") as refused:
        process(tmp_path / "in", tmp_path / "out", runtime, look_of(tint))
    assert "edit each alone" in str(refused.value)
    assert ("pip install pi-heif" in str(refused.value)) is not readable


def test_a_package_for_heic_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[int] = []
    module = types.ModuleType("pi_heif")
    cast(Any, module).register_heif_opener = lambda: registered.append(1)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pi_heif", module)
    assert picture_files._register_heic()
    assert registered == [1]
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    assert not picture_files._register_heic()


def test_grey_is_converted_by_its_profile(tmp_path: Path) -> None:
    """CMYK goes the same way; its profiles are too large to be made here."""
    picture: Image = np.full((24, 32), 100, np.uint8)
    PillowImage.fromarray(picture).save(tmp_path / "a.png", icc_profile=grey_profile())
    stored = read_stored(tmp_path / "a.png")
    assert stored.notes == ("the colours of a.png are converted to sRGB",)
    assert stored.profile is None
    linear_as_srgb = round(255 * (1.055 * (100 / 255) ** (1 / 2.4) - 0.055))
    assert np.abs(stored.pixels[0, 0].astype(int) - linear_as_srgb).max() <= 2
