"""What the commands say and how they end: everything is checked before networks are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from models.arrays import Latent
from models.editor import Crop, Edit
from stream import command_line, files, strip
from stream.animations import is_animation
from stream.files import process
from stream.paths import check_input, check_output, is_address
from stream.picture_files import FileError, read_stored, write_picture
from stream.pipeline import Pipeline
from stream.runtime import Runtime
from stream.settings import Settings
from tests.stream.conftest import Tint, World, look_of, noise


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading networks fails the test."""

    def load(arguments: Any) -> Runtime:
        raise AssertionError("networks were loaded for nothing")

    monkeypatch.setattr(command_line, "load_runtime", load)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "in.png"), noise(1, (60, 60, 3)))
    (tmp_path / "film.mp4").write_bytes(b"no film")
    (tmp_path / "there.png").touch()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "circle.png").symlink_to("circle.png")
    return tmp_path


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["https://example.org/a.mp4", "out.mp4"], "is an address: nothing is downloaded"),
        (["in.png", "rtmp://example.org/live"], "is an address: nothing is uploaded"),
        (["gone.png", "out.png"], "gone.png does not exist"),
        (["in.png", "in.png", "--overwrite"], "is the input itself"),
        (["in.png", "there.png"], "there.png exists; name another output, or add --overwrite"),
        (["in.png", "nowhere/out.png"], "nowhere does not exist; make it first"),
        (["in.png", "pictures"], "pictures is a folder; name the file"),
        (["pictures", "film.mp4"], "film.mp4 is a file; the input is a folder"),
        (["in.png", "out.mp4"], "in.png is a picture; name the output"),
        (["film.mp4", "out.png"], "film.mp4 is none"),
        (["film.mp4", "out.nonsense"], "names no video format"),
        (["in.png", f"{'日' * 90}.png"], "File name too long"),
        (["in.png", f"{'日' * 90}.mp4", "--resume"], "File name too long"),
        ([f"{'日' * 90}.png", "out.png"], "File name too long"),
        (["circle.png", "out.png"], "symbolic links"),
        (["in.png", "out.png", "--photo", "gone.jpg"], "gone.jpg does not exist"),
        (["in.png", "out.png", "--report", "nowhere/report.json"], "nowhere does not exist"),
        (["in.png", "out.png", "--report", "in.png", "--overwrite"], "in.png is the input and the report"),
        (["in.png", "out.png", "--report", "out.png"], "out.png is the output and the report"),
        (["in.png", "out.png", "--trace", "in.png", "--resume"], "in.png is the input and the profile"),
        (["in.png", "out.png", "--trace", "t.json", "--report", "t.json"], "t.json is the report and the profile"),
        (["in.png", "out.png", "--photo", "there.png", "--report", "there.png", "--overwrite"], "is the photo and"),
        (["in.png", "out.png", "--report", "there.png"], "there.png exists"),
        (["in.png", f"{'x' * 300}.png"], "File name too long"),
        ([f"{'x' * 300}.png", "out.png"], "File name too long"),
    ],
)
def test_everything_is_checked_before_work_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    assert files.main([*words, "--set", "age=75"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize("words", [["", "out.png"], ["in.png", ""], ["in.png", "out.png", "--report", ""]])
def test_an_empty_name_is_not_this_folder(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        files.main(words)
    assert ended.value.code == 2
    assert "invalid path value: ''" in capsys.readouterr().err


@pytest.mark.usefixtures("unloaded")
def test_a_strip_is_checked_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert strip.main(["in.png", "there.png"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert strip.main(["in.png", "strip.gif"]) == 1
    assert ".png or .jpg" in capsys.readouterr().err


@pytest.mark.parametrize(("path", "address"), [("http://a/b", True), ("C:/a", False), ("a/b", False), ("a:b", False)])
def test_addresses_are_told_from_paths(path: str, address: bool) -> None:
    assert is_address(Path(path)) is address


def test_an_address_is_named_as_it_was_given() -> None:
    """A path makes one slash of two."""
    with pytest.raises(FileError, match=r"^https://example\.com/a\.mp4 is an address"):
        check_input(Path("https://example.com/a.mp4"))
    with pytest.raises(FileError, match=r"^https://example\.com/a\.mp4 is an address"):
        check_output(Path("https://example.com/a.mp4"))


def test_a_folder_that_may_not_be_written_to_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode == os.W_OK and Path(path) == folder))
    with pytest.raises(FileError, match=r"the folder .* may not be written to by this user"):
        check_output(folder / "out.mp4")


def test_what_is_there_is_replaced_when_asked_for(folder: Path) -> None:
    check_output(folder / "there.png", overwrite=True)


def test_nothing_but_our_words_is_on_the_terminal(folder: Path) -> None:
    """OpenCV and FFmpeg said their own, with numbers such as 1094995529."""
    done = subprocess.run(
        [sys.executable, "-m", "stream.files", folder / "film.mp4", folder / "out.mp4", "--set", "age=+20", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, done.stderr
    assert "Invalid data found" in lines[0]
    assert "Errno" not in lines[0]


@pytest.mark.parametrize("coding", ["utf-8", "ascii"])
def test_names_that_the_terminal_cannot_show_are_escaped(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = TextIOWrapper(BytesIO(), coding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert command_line.run(lambda: print(os.fsdecode(b"out-\xff-\xc3\xa9.mp4"))) == 0
    terminal.seek(0)
    assert terminal.read().rstrip() == {"utf-8": "out-\\udcff-é.mp4", "ascii": "out-\\udcff-\\xe9.mp4"}[coding]


class StandIn:
    """A runtime whose pipelines see the stand-in world, whatever the file shows."""

    def __init__(self, world: World, make: Callable[[World], Pipeline]) -> None:
        self.pipeline = lambda: make(world)


@pytest.fixture
def runtime(world: World, make_pipeline: Callable[[World], Pipeline]) -> Runtime:
    return cast(Runtime, StandIn(world, make_pipeline))


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_an_animation_stays_one(tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str) -> None:
    pictures = [PillowImage.fromarray(np.full((240, 320, 3), 40 + 50 * k, np.uint8)) for k in range(4)]
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=[100, 200, 300, 50], loop=3)
    assert is_animation(source)
    report = process(source, target, runtime, look_of(tint))
    assert (report.frames, report.edited) == (4, 4)
    with PillowImage.open(target) as result:
        durations = []
        for k in range(4):
            result.seek(k)
            result.load()
            durations.append(result.info["duration"])
        assert getattr(result, "n_frames", 1) == 4
        assert result.info["loop"] == 3
    assert durations == [100, 200, 300, 50]
    with pytest.raises(FileError, match="is an animation"):
        process(source, tmp_path / "out.jpg", runtime, look_of(tint))


class Bare(Tint):
    """Finds no hair on anybody."""

    def obstacles(self, crop: Crop, latent: Latent, controls: Any) -> dict[str, str]:
        return {"amount": "no hair is seen"}

    def render(self, crop: Crop, latent: Latent, steered: Latent, controls: Any) -> Edit:
        return Edit(mask=np.zeros((64, 64), np.float32))


def test_a_command_that_changes_no_face_says_why(folder: Path, runtime: Runtime, tint: Settings) -> None:
    cv2.imwrite(str(folder / "in.png"), noise(1, (240, 320, 3)))
    report = process(folder / "in.png", folder / "out.png", runtime, look_of(tint, Bare()))
    said = files._why_unedited(report, folder / "out.png")
    assert said == (
        f"nothing was edited: amount of tint changed nothing in 1 of 1: no hair is seen; "
        f"{folder / 'out.png'} shows what came in"
    )
    assert report.summary()["notes"] == ["amount of tint changed nothing in 1 of 1: no hair is seen"]


def test_a_still_png_is_no_animation(folder: Path) -> None:
    assert not is_animation(folder / "in.png")
    assert not is_animation(folder / "film.mp4")


@pytest.mark.parametrize("suffix", [".avif", ".gif"])
def test_pictures_that_only_pillow_knows_are_read_and_written(tmp_path: Path, suffix: str) -> None:
    picture = np.full((64, 64, 3), (200, 40, 90), np.uint8)
    write_picture(tmp_path / f"a{suffix}", picture)
    assert np.abs(read_stored(tmp_path / f"a{suffix}").pixels[..., :3].astype(int) - picture).mean() < 4


def test_heic_names_the_package_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(FileError, match="pi-heif"):
        read_stored(tmp_path / "a.heic")
