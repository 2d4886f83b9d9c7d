"""A run over a video that was stopped, by a signal or by the power: what it leaves, and how another one goes on."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from stream import video_files
from stream.files import main, process
from stream.picture_files import FileError, write_picture
from stream.report import Report
from stream.resume import Earlier, decoding_times, describe_job, earlier_of, job_of, part_of, whole_pictures
from stream.runtime import Runtime
from stream.settings import Settings
from stream.video_files import is_unfinished
from tests.stream.conftest import Person, World, look_of
from tests.stream.test_files import StandIn, audio_packets, pictures_of, write_video

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "web" / "demo.mp4"
WAIT_S = 120.0


LONG = 150
"""Frames of a video that takes a while."""


@pytest.fixture
def runtime(world: World, make_pipeline: Callable[[World], Any]) -> Runtime:
    world.people = [Person((160, 120), 80)]
    return cast(Runtime, StandIn(world, make_pipeline))


@pytest.mark.parametrize(
    ("shown", "count"),
    [
        ([], 0),
        ([0], 0),
        ([0, 1, 2, 3], 3),
        ([0, 4, 2, 1, 3, 8], 5),
        ([0, 4, 2, 1, 3, 8, 6, 5], 5),
        ([0, 4, 2, 1], 1),
    ],
)
def test_pictures_count_up_to_the_first_gap(shown: list[int], count: int) -> None:
    assert whole_pictures(shown) == count


def test_pictures_are_decoded_before_they_are_shown() -> None:
    assert decoding_times([0, 4, 2, 1, 3]) == [-2, -1, 0, 1, 2]
    assert decoding_times([7]) == [7]
    assert decoding_times([]) == []


def stop_after(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    edit, counter = video_files.Transcoder._edit, itertools.count()

    def edit_some(self: Any, frame: av.VideoFrame) -> None:
        if next(counter) == frames:
            raise KeyboardInterrupt
        edit(self, frame)

    monkeypatch.setattr(video_files.Transcoder, "_edit", edit_some)


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time or 0) for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_a_run_goes_on_where_it_was_stopped(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    source, target = write_video(tmp_path / "in.mp4", audio=suffix != ".webm"), tmp_path / f"out{suffix}"
    whole = tmp_path / f"whole{suffix}"
    process(source, whole, runtime, look_of(tint))
    with monkeypatch.context() as patch:
        stop_after(patch, 7)
        with pytest.raises(FileError, match="keeps the 7 frames that were done, --resume goes on"):
            process(source, target, runtime, look_of(tint))
    first = Earlier(part_of(target)).count
    assert 4 <= first <= 7
    with monkeypatch.context() as patch:  # stopped once more
        stop_after(patch, 2)
        with pytest.raises(FileError, match=f"keeps the {first + 2} frames"):
            process(source, target, runtime, look_of(tint), resume=True)
    report = process(source, target, runtime, look_of(tint), resume=True)
    frames = len(pictures_of(whole))
    assert report.earlier + report.frames == frames
    assert report.earlier > first - 1
    shown = pictures_of(target)
    assert len(shown) == frames
    np.testing.assert_allclose(times_of(target), times_of(whole), atol=2e-3)
    for own, expected in zip(shown, pictures_of(whole), strict=True):
        assert np.abs(own.astype(int) - expected).mean() < 3
    if suffix != ".webm":
        assert audio_packets(target) == audio_packets(whole)
    assert {path.name for path in tmp_path.iterdir()} == {source.name, target.name, whole.name}


def test_no_file_is_made_of_two_edits(
    tmp_path: Path,
    runtime: Runtime,
    tint: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = write_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        stop_after(patch, 7)
        with pytest.raises(FileError, match="stopped after 7"):
            process(source, target, runtime, look_of(tint))
    other = tint.model_copy(update={"controls": {"amount": 0.25}})
    with pytest.raises(FileError, match="was begun with another settings: begin anew with --overwrite"):
        process(source, target, runtime, look_of(other), resume=True)
    os.utime(source, (1, 1))
    with pytest.raises(FileError, match="another source"):
        process(source, target, runtime, look_of(tint), resume=True)
    job_of(target).write_text("{")
    with pytest.raises(FileError, match="another source"):
        process(source, target, runtime, look_of(tint), resume=True)
    assert part_of(target).exists(), "a refusal leaves it"
    assert main([str(source), str(target), "--set", "age=75"]) == 1
    assert "go on with --resume, or begin anew with --overwrite" in capsys.readouterr().err
    process(source, target, runtime, look_of(other))
    assert not part_of(target).exists()


def test_without_an_earlier_run_it_begins_at_the_beginning(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    source, target = write_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    report = process(source, target, runtime, look_of(tint), resume=True)
    assert (report.earlier, len(pictures_of(target))) == (0, report.frames)
    part_of(target).write_bytes(b"\0" * 100)
    job_of(target).write_text(json.dumps(describe_job(source, look_of(tint), keep_hdr=False)))
    assert process(source, target, runtime, look_of(tint), resume=True).earlier == 0
    assert not earlier_of(target).exists()


@pytest.mark.parametrize("name", ["out.part.mp4", "out.earlier.mp4", "out.part.mp4.json"])
def test_files_of_the_users_own_are_not_touched(
    tmp_path: Path, runtime: Runtime, tint: Settings, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source, target, own = write_video(tmp_path / "in.mp4"), tmp_path / "out.mp4", tmp_path / name
    own.write_bytes(b"precious")
    for resume in (False, True):
        with pytest.raises(FileError, match=f"{name} is no file of a run that was stopped"):
            process(source, target, runtime, look_of(tint), resume=resume)
    assert main([str(source), str(target), "--overwrite", "--set", "age=75"]) == 1
    assert "rename it, or name another output" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", name}
    assert own.read_bytes() == b"precious"


def test_formats_of_one_name_do_not_share_a_job(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = write_video(tmp_path / "in.mp4"), tmp_path / "clip.mp4"
    with monkeypatch.context() as patch:
        stop_after(patch, 7)
        with pytest.raises(FileError, match="stopped after 7"):
            process(source, target, runtime, look_of(tint))
    process(source, tmp_path / "clip.mkv", runtime, look_of(tint))
    assert is_unfinished(target)
    assert process(source, target, runtime, look_of(tint), resume=True).earlier >= 4


@pytest.mark.parametrize("earlier", [False, True])
def test_nothing_is_promised_of_a_file_that_cannot_be_read(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    """A muxer may refuse its header behind the last picture, or the disk be full before there is one."""
    source, target = write_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    if earlier:
        with monkeypatch.context() as patch:
            stop_after(patch, 7)
            with pytest.raises(FileError, match="--resume goes on"):
                process(source, target, runtime, look_of(tint))
    run = video_files.Transcoder.run

    def lose_the_header(self: Any, *, progress: bool) -> None:
        run(self, progress=progress)
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(video_files.Transcoder, "run", lose_the_header)
        patch.setattr(video_files, "RECOVERABLE", {})
        patch.setattr(av.container.OutputContainer, "close", lambda self: None)
        with pytest.raises(FileError, match="no space left") as refused:
            process(source, target, runtime, look_of(tint), resume=earlier)
    assert not part_of(target).exists()
    if earlier:
        assert f"{earlier_of(target)} keeps the" in str(refused.value)
        assert process(source, target, runtime, look_of(tint), resume=True).earlier >= 4
    else:
        assert str(refused.value).endswith("what was written cannot be read, and was removed")
        assert {path.name for path in tmp_path.iterdir()} == {"in.mp4"}


@pytest.mark.parametrize(("own", "other"), [("a.jpg", "b.jpg"), ("in.mp4", "out.mp4")])
def test_finished_files_are_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: str, other: str
) -> None:
    source, target = tmp_path / own, tmp_path / other
    source.write_bytes(b"1")
    target.write_bytes(b"2")
    assert main([str(source), str(target), "--resume", "--set", "age=75"]) == 1
    assert f"{target} exists; name another output, or add --overwrite" in capsys.readouterr().err
    assert target.read_bytes() == b"2"


def test_a_stopped_run_may_go_on_over_an_older_file(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.touch()
    part_of(target).touch()
    assert not is_unfinished(target), "nothing tells what it was made of"
    job_of(target).touch()
    assert is_unfinished(target)


def test_a_folder_goes_on_behind_the_pictures_that_are_there(
    tmp_path: Path, runtime: Runtime, tint: Settings, world: World
) -> None:
    pictures, target = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    for name in ("a.png", "b.png"):
        write_picture(pictures / name, world.picture())
    process(pictures, target, runtime, look_of(tint))
    (target / "b.png").unlink()
    kept = (target / "a.png").stat().st_mtime_ns
    report = process(pictures, target, runtime, look_of(tint), overwrite=False, resume=True)
    assert (report.earlier, report.frames) == (1, 1)
    assert (target / "b.png").exists()
    assert (target / "a.png").stat().st_mtime_ns == kept
    with pytest.raises(FileError, match="--overwrite or --resume"):
        process(pictures, target, runtime, look_of(tint), overwrite=False)


# A run in a process of its own, slow enough to be stopped: 25 frames are a fragment of a second.
CHILD = """
import sys, time
from pathlib import Path
from stream import command_line, files, video_files
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.tracking import Tracker
from tests.stream.conftest import Person, World, look_of
from tests.stream.test_files import StandIn

edit = video_files.Transcoder._edit
def slowly(self, frame):
    time.sleep(0.03)
    edit(self, frame)
video_files.Transcoder._edit = slowly
world = World(people=[Person((160, 120), 80)])
runtime = StandIn(world, lambda world: Pipeline(Tracker(world.detect, world.landmarks)))
look = look_of(Settings(editor="tint", controls={"amount": 1.0}, smoothing=0.0))
with command_line.stopping_by_signals():
    sys.exit(command_line.run(lambda: files.process(Path(sys.argv[1]), Path(sys.argv[2]), runtime, look)))
"""


def write_long_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(LONG):
            picture = np.full((240, 320, 3), k % 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_leaves_a_file_that_plays(
    tmp_path: Path, runtime: Runtime, tint: Settings, number: signal.Signals
) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_long_video(source)
    command = [sys.executable, "-c", CHILD, str(source), str(target)]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    ends_at, part = time.monotonic() + WAIT_S, part_of(target)
    while child.poll() is None and not (part.exists() and part.stat().st_size > 4096 and Earlier(part).count):
        assert time.monotonic() < ends_at, "nothing was written"
        time.sleep(0.05)
    assert child.poll() is None, "it was over before it could be stopped"
    child.send_signal(number)
    _, said = child.communicate(timeout=WAIT_S)
    count = len(pictures_of(part))
    assert count > 0
    assert not target.exists()
    if number == signal.SIGTERM:
        assert child.returncode == 1
        assert f"keeps the {count} frames that were done, --resume goes on from there" in said
    else:
        assert child.returncode == -signal.SIGKILL
    report = process(source, target, runtime, look_of(tint), resume=True)
    assert report.earlier >= count - 5, "all but the group of pictures that was being written"
    assert len(pictures_of(target)) == report.earlier + report.frames == LONG


def test_a_report_tells_what_was_taken_over() -> None:
    assert Report(earlier=3).summary()["frames_of_an_earlier_run"] == 3
