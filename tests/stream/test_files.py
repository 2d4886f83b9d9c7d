import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from models.arrays import Image
from stream import files
from stream.animations import is_animation
from stream.command_line import NothingEdited
from stream.files import process
from stream.look import Look
from stream.mark.identity import VARIABLE, make_identity
from stream.mark.manifests import read_manifest
from stream.picture_files import FileError
from stream.pipeline import Pipeline
from stream.profile import ChromeTrace
from stream.report import Report
from stream.runtime import Runtime
from stream.settings import Settings
from tests.stream.conftest import Person, World, look_of, noise

FRAMES = 12
RATE = 25


class StandIn:
    """A runtime whose pipelines see the stand-in world, whatever the file shows."""

    def __init__(self, world: World, make: Callable[[World], Pipeline]) -> None:
        self.pipeline = lambda: make(world)


@pytest.fixture
def runtime(world: World, make_pipeline: Callable[[World], Pipeline]) -> Runtime:
    return cast(Runtime, StandIn(world, make_pipeline))


def write_video(
    path: Path, size: tuple[int, int] = (320, 240), audio: bool = True, video: bool = True, codec: str = "libx264"
) -> Path:
    """A short video of a grey ramp with a tone."""
    with av.open(str(path), "w") as container:
        if video:
            stream = cast(av.VideoStream, container.add_stream(codec, rate=RATE))
            stream.width, stream.height = size
            stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        if audio:
            tone = container.add_stream("aac", rate=16000)
        if video:
            for k in range(FRAMES):
                picture = np.full((size[1], size[0], 3), 60 + 5 * k, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(stream.encode(None))
        if audio:
            for k in range(8):
                wave = np.sin(np.arange(1024) / 10).astype(np.float32)[None] * 0.2
                frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16000, 1024 * k
                container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    return path


def pictures_of(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in container.decode(video=0)]


def audio_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_a_video_is_edited_and_its_audio_and_times_kept(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    source, target = write_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    report = process(source, target, runtime, look_of(tint))
    before, after = pictures_of(source), pictures_of(target)
    assert len(after) == len(before) == FRAMES
    change = np.abs(after[5].astype(int) - before[5]).max(2)
    assert change[120, 160] > 40
    assert change[:40].max() < 8
    assert audio_packets(target) == audio_packets(source)
    with av.open(str(source)) as a, av.open(str(target)) as b:
        times = [[float(f.time or 0) for f in c.decode(video=0)] for c in (a, b)]
    np.testing.assert_allclose(times[0], times[1], atol=1e-3)
    summary = report.summary()
    assert (summary["frames"], summary["frames_with_face"], summary["frames_edited"]) == (FRAMES, FRAMES, FRAMES)
    assert summary["stages_ms"]["render"]["p95"] >= summary["stages_ms"]["render"]["p50"] > 0
    json.dumps(summary)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mov"])
def test_other_containers(tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str) -> None:
    source = write_video(tmp_path / "in.mp4", audio=suffix != ".webm")
    process(source, tmp_path / f"out{suffix}", runtime, look_of(tint))
    assert len(pictures_of(tmp_path / f"out{suffix}")) == FRAMES


def test_an_odd_sized_video_is_written_at_the_next_even_size(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    process(write_video(tmp_path / "in.mp4", (17, 33)), tmp_path / "out.mp4", runtime, look_of(tint))
    assert pictures_of(tmp_path / "out.mp4")[0].shape == (34, 18, 3)


def test_a_rotated_video_is_written_upright(tmp_path: Path, runtime: Runtime, tint: Settings, world: World) -> None:
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        picture = np.zeros((32, 64, 3), np.uint8)
        picture[:, :32] = 255
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    data = bytearray(source.read_bytes())
    unity = b"".join(int(v).to_bytes(4, "big") for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    quarter = b"".join(
        (int(v) % (1 << 32)).to_bytes(4, "big") for v in (0, 65536, 0, -65536, 0, 0, 32 * 65536, 0, 1 << 30)
    )
    track = data.index(unity, data.index(b"tkhd"))
    data[track : track + 36] = quarter
    source.write_bytes(data)
    world.people = [Person((16, 32), 20)]
    process(source, tmp_path / "out.mp4", runtime, look_of(tint.model_copy(update={"controls": {"amount": 0.0}})))
    upright = pictures_of(tmp_path / "out.mp4")[0]
    assert upright.shape == (64, 32, 3)
    assert upright[5].mean() > 200
    assert upright[-5].mean() < 55


@pytest.mark.parametrize("case", ["no picture stream", "not a video", "empty", "missing", "directory"])
def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path, runtime: Runtime, tint: Settings, case: str) -> None:
    source = tmp_path / "in.mp4"
    match case:
        case "no picture stream":
            write_video(source, video=False)
        case "not a video":
            source.write_bytes(noise(0, (5000,)).tobytes())
        case "empty":
            source.write_bytes(b"")
        case "directory":
            source.mkdir()
    with pytest.raises(FileError, match=str(source)):
        process(source, tmp_path / "out.mp4", runtime, look_of(tint))
    assert not [path for path in tmp_path.iterdir() if path.name != "in.mp4"]


def test_a_cut_file_gives_what_it_holds(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    whole = write_video(tmp_path / "whole.mkv")
    source = tmp_path / "in.mkv"
    source.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    report = process(source, tmp_path / "out.mkv", runtime, look_of(tint))
    assert 0 < report.frames <= FRAMES
    assert len(pictures_of(tmp_path / "out.mkv")) == report.frames


def test_an_unknown_output_format_leaves_nothing_behind(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    source = write_video(tmp_path / "in.mp4")
    with pytest.raises(FileError, match=r"out\.nonsense"):
        process(source, tmp_path / "out.nonsense", runtime, look_of(tint))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_the_input_is_not_overwritten(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    source = write_video(tmp_path / "in.mp4")
    with pytest.raises(FileError, match="the input itself"):
        process(source, source, runtime, look_of(tint))


@pytest.mark.parametrize("kind", ["colour", "grey", "alpha", "16 bit", "16 bit grey", "tiny"])
def test_pictures_of_every_kind(tmp_path: Path, runtime: Runtime, tint: Settings, world: World, kind: str) -> None:
    shape: tuple[int, ...] = (240, 320, 3)
    if "grey" in kind:
        shape = (240, 320)
    elif kind == "alpha":
        shape = (240, 320, 4)
    elif kind == "tiny":
        shape = (1, 1, 3)
        world.size, world.people = (1, 1), [Person((0.5, 0.5), 1)]
    picture: NDArray[Any] = noise(1, shape) // 2
    if "16" in kind:
        picture = picture.astype(np.uint16) * 257 + 3
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    cv2.imwrite(str(source), picture)
    process(source, target, runtime, look_of(tint))
    written = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert written is not None
    assert written.dtype == picture.dtype
    if kind == "tiny":
        return
    colour = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    np.testing.assert_array_equal(written[:60], colour[:60])
    assert int(written[120, 160, 2]) > int(colour[120, 160, 2])
    if kind == "alpha":
        np.testing.assert_array_equal(written[..., 3], picture[..., 3])


def test_a_picture_without_a_face_is_refused_with_a_way_out(
    tmp_path: Path, runtime: Runtime, tint: Settings, world: World
) -> None:
    world.people.clear()
    cv2.imwrite(str(tmp_path / "in.png"), noise(2, (50, 50, 3)))
    with pytest.raises(NothingEdited, match="both eyes are visible"):
        process(tmp_path / "in.png", tmp_path / "out.png", runtime, look_of(tint))
    assert not (tmp_path / "out.png").exists()


def test_a_cut_picture_is_refused(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), noise(3, (90, 90, 3)))
    (tmp_path / "in.png").write_bytes((tmp_path / "in.png").read_bytes()[:40])
    with pytest.raises(FileError, match="cut off"):
        process(tmp_path / "in.png", tmp_path / "out.png", runtime, look_of(tint))


def test_a_folder_goes_on_after_a_bad_picture(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(folder / name), noise(4, (240, 320, 3)))
    (folder / "broken.png").write_bytes(b"nothing")
    report = process(folder, tmp_path / "out", runtime, look_of(tint))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.jpg"]
    assert report.edited == 2
    assert any("broken.png" in note for note in report.notes)


def test_only_what_was_edited_gets_a_manifest(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that shows a face but is as it was says nothing; nor does a file that this run did not write."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.pem"))
    cast(Any, runtime).identity = make_identity(tmp_path / "key.pem")
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    target.mkdir()
    for name in ("edited.png", "kept.png", "earlier.png"):
        cv2.imwrite(str(folder / name), noise(4, (64, 64, 3)))
    (target / "earlier.png").write_bytes((folder / "earlier.png").read_bytes())

    def edit(source: Path, into: Path, pipeline: Pipeline, look: Look, report: Report) -> bool:
        into.write_bytes(source.read_bytes())
        report.edited += source.name == "edited.png"
        return True

    monkeypatch.setattr(files, "process_picture", edit)
    report = process(folder, target, runtime, look_of(tint), resume=True, sign=True)
    assert report.notes == ["1 pictures were there already"]
    assert {path.name: read_manifest(path) is not None for path in target.iterdir()} == {
        "edited.png": True,
        "kept.png": False,
        "earlier.png": False,
    }


def test_a_folder_keeps_animations_and_names_what_it_leaves_out(
    tmp_path: Path, runtime: Runtime, tint: Settings, world: World
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    first, *others = [PillowImage.fromarray(np.roll(world.picture(), k, axis=2)) for k in range(3)]
    first.save(folder / "a.gif", save_all=True, append_images=others, duration=40)
    (folder / "b.HEIC").write_bytes(b"1")
    report = process(folder, out, runtime, look_of(tint))
    assert (report.edited, report.frames) == (3, 3)
    assert is_animation(out / "a.gif")
    assert any("b.HEIC" in note for note in report.notes)
    world.people.clear()
    assert process(folder, tmp_path / "none", runtime, look_of(tint)).edited == 0
    assert not list((tmp_path / "none").iterdir())


def test_an_empty_report_has_no_rate() -> None:
    assert Report().summary()["fps"] is None


def test_a_profile_is_a_chrome_trace(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    path = tmp_path / "trace.json"
    with ChromeTrace(path) as profile:
        process(write_video(tmp_path / "in.mp4"), tmp_path / "out.mp4", runtime, look_of(tint), profile=profile)
    events = [event for event in json.loads(path.read_text()) if event["ph"] == "X"]
    frames = [event for event in events if event["name"] == "frame"]
    assert [frame["args"]["number"] for frame in frames] == list(range(1, FRAMES + 1))
    assert [frame["args"]["edited"] for frame in frames] == [1] * FRAMES
    stages = [event for event in events if event["name"] != "frame"]
    names = {"convert", "track", "align", "inpaint", "encode", "render", "mark", "blend"}
    assert {stage["name"] for stage in stages} == names
    for before, after in pairwise(frames):
        assert before["ts"] + before["dur"] <= after["ts"] + 0.2, "frames do not overlap"
    for stage in stages:
        inside = [
            f for f in frames if f["ts"] - 0.2 <= stage["ts"] and stage["ts"] + stage["dur"] <= f["ts"] + f["dur"] + 0.2
        ]
        assert len(inside) == 1, "a stage lies in its frame"


def test_a_profile_of_nothing_is_complete(tmp_path: Path) -> None:
    with ChromeTrace(tmp_path / "trace.json"):
        pass
    assert [event["ph"] for event in json.loads((tmp_path / "trace.json").read_text())] == ["M"]
