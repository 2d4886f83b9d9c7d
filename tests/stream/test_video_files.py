"""Files as people have them: phones, films, HDR, several tracks, names of any kind."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.stream import AttachmentStream

from models.arrays import Image
from stream import hdr, tracks, video_files
from stream.files import main, process
from stream.frame import Region
from stream.picture_files import FileError
from stream.prepare import TURNS, Prepare
from stream.resume import part_of
from stream.runtime import Runtime
from stream.settings import Settings
from tests.stream.conftest import Person, World, look_of
from tests.stream.test_files import StandIn, pictures_of, write_video

SIZE = (64, 48)
BT709, BT601, BT2020, LIMITED, FULL = 1, 6, 9, 1, 2
PATCHES = [(200, 40, 40), (40, 190, 60), (50, 60, 210), (180, 180, 40)]  # RGB of the quarters


@pytest.fixture
def runtime(world: World, make_pipeline: Callable[[World], Any]) -> Runtime:
    world.people = [Person((32, 24), 30)]
    return cast(Runtime, StandIn(world, make_pipeline))


@pytest.fixture
def untouched(tint: Settings) -> Settings:
    """Edits nothing that can be seen."""
    return tint.model_copy(update={"controls": {"amount": 0.0}})


def write(
    path: Path,
    frames: list[av.VideoFrame],
    *,
    codec: str = "libx264",
    format: str = "yuv420p",
    matrix: bytes | None = None,
    times: list[int] | None = None,
    pixel: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A video of frames; 25 a second, unless their times (ms) are given. `matrix` is put into the track's header.

    A pixel is `pixel` times as wide as it is high.
    """
    with av.open(str(path), "w") as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=25, options=options or {"crf": "6"}))
        first = frames[0]
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, format
        context = stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.colorspace, context.color_range = first.colorspace, first.color_range
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        if pixel is not None:
            context.sample_aspect_ratio = pixel
        for k, frame in enumerate(frames):
            frame.pts, frame.time_base = times[k] if times else 40 * k, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if matrix is not None:
        data = bytearray(path.read_bytes())
        unity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
        place = data.index(unity, data.index(b"tkhd"))
        data[place : place + 36] = matrix
        path.write_bytes(data)
    return path


def quarters(size: tuple[int, int] = SIZE) -> Image:
    """(H, W, 3) BGR picture of the four patches."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    for at, patch in enumerate(PATCHES):
        rows, columns = np.s_[: height // 2] if at < 2 else np.s_[height // 2 :], at % 2
        picture[rows, columns * width // 2 : (columns + 1) * width // 2] = patch[::-1]
    return picture


def tagged(picture: Image, primaries: int, transfer: int, matrix: int, span: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(
        format="yuv420p", dst_colorspace=matrix if matrix != BT601 else None, dst_color_range=span
    )
    frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = primaries, transfer, matrix, span
    return frame


def stop_after(
    count: int, monkeypatch: pytest.MonkeyPatch, stop: BaseException | type[BaseException] = KeyboardInterrupt
) -> None:
    """Have a run stop when it has edited some frames."""
    edit, done = video_files.Transcoder._edit, list[int]()

    def fail_later(self: Any, frame: av.VideoFrame) -> None:
        if len(done) == count:
            raise stop
        done.append(1)
        edit(self, frame)

    monkeypatch.setattr(video_files.Transcoder, "_edit", fail_later)


def tags_of(path: Path) -> tuple[int, int, int, int]:
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace), int(frame.color_range)


@pytest.mark.parametrize(
    "tags", [(BT709, BT709, BT709, LIMITED), (BT601, BT601, BT601, LIMITED), (BT709, BT709, BT709, FULL)]
)
def test_all_four_colour_tags_are_carried(
    tmp_path: Path, runtime: Runtime, tint: Settings, tags: tuple[int, int, int, int]
) -> None:
    source = write(tmp_path / "in.mp4", [tagged(quarters(), *tags) for _ in range(3)])
    assert tags_of(source) == tags
    process(source, tmp_path / "out.mp4", runtime, look_of(tint))
    assert tags_of(tmp_path / "out.mp4") == tags


def rgb_of(path: Path) -> Image:
    """The first picture as a player shows it, (H, W, 3) RGB."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        shown = frame.reformat(format="rgb24", src_colorspace=int(frame.colorspace), src_color_range=frame.color_range)
        return np.asarray(shown.to_ndarray(), np.uint8)


@pytest.mark.parametrize("turn", list(TURNS))
def test_every_display_matrix_is_followed(
    tmp_path: Path, runtime: Runtime, untouched: Settings, turn: tuple[int, int, int, int]
) -> None:
    a, b, c, d = (65536 * value for value in turn)
    across, down = (SIZE[0] if 1 in turn[:1] or -1 in turn[:1] else SIZE[1]), 0
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, across * 65536, down, 1 << 30)
    frames = [tagged(quarters(), BT709, BT709, BT709, LIMITED) for _ in range(3)]
    source = write(tmp_path / "in.mp4", frames, matrix=matrix)
    process(source, tmp_path / "out.mp4", runtime, look_of(untouched))
    stored, shown = rgb_of(source), rgb_of(tmp_path / "out.mp4")
    height, width = stored.shape[:2]
    for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
        centred = 2 * x - width + 1, 2 * y - height + 1
        moved = (turn[0] * centred[0] + turn[2] * centred[1], turn[1] * centred[0] + turn[3] * centred[1])
        place = (moved[1] + shown.shape[0] - 1) // 2, (moved[0] + shown.shape[1] - 1) // 2
        assert np.abs(shown[place].astype(int) - stored[y, x]).max() <= 3
    assert tags_of(tmp_path / "out.mp4")[2] == BT709
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_a_matrix_that_turns_by_half_a_right_angle_is_said(
    tmp_path: Path, runtime: Runtime, untouched: Settings
) -> None:
    matrix = struct.pack(">9i", 46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)
    source = write(tmp_path / "in.mp4", [tagged(quarters(), 1, 1, 1, 1)], matrix=matrix)
    report = process(source, tmp_path / "out.mp4", runtime, look_of(untouched))
    assert any("no multiple of 90" in note for note in report.notes)


def hdr_frame(transfer: int, nits: float = 100.0) -> av.VideoFrame:
    """A ramp of greys, with `nits` in the left half."""
    code = hdr.from_nits(np.full((1, 3), nits), transfer)[0, 0]
    planes = np.full((SIZE[1] * 3 // 2, SIZE[0]), 512, np.uint16)
    planes[: SIZE[1]] = 64 + 876 * np.linspace(0, 1, SIZE[0])
    planes[: SIZE[1], : SIZE[0] // 2] = round(64 + 876 * code)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p10le")
    frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = BT2020, transfer, BT2020, LIMITED
    return frame


@pytest.mark.parametrize("transfer", [hdr.PQ, hdr.HLG])
def test_hdr_is_tone_mapped_and_said(tmp_path: Path, runtime: Runtime, untouched: Settings, transfer: int) -> None:
    frames = [hdr_frame(transfer) for _ in range(3)]
    source = write(tmp_path / "in.mp4", frames, codec="libx265", format="yuv420p10le")
    report = process(source, tmp_path / "out.mp4", runtime, look_of(untouched))
    assert tags_of(tmp_path / "out.mp4") == (BT709, BT709, BT709, LIMITED)
    shown = rgb_of(tmp_path / "out.mp4")[24]
    grey = 255 * hdr.tone_map(hdr.from_nits(np.full((1, 3), 100.0), transfer), transfer)[0, 0]
    assert 180 < grey < 200  # half of diffuse white, on a screen of gamma 2.4
    np.testing.assert_allclose(shown[16], grey, atol=4)
    assert shown[-1].min() >= 250  # the brightest is white
    assert any("tone-mapped" in note for note in report.notes)


@pytest.mark.parametrize("transfer", [hdr.PQ, hdr.HLG])
def test_hdr_is_kept_where_it_is_wanted(tmp_path: Path, runtime: Runtime, tint: Settings, transfer: int) -> None:
    frames = [hdr_frame(transfer) for _ in range(3)]
    source = write(tmp_path / "in.mp4", frames, codec="libx265", format="yuv420p10le")
    report = process(source, tmp_path / "out.mp4", runtime, look_of(tint), keep_hdr=True)
    assert tags_of(tmp_path / "out.mp4") == (BT2020, transfer, BT2020, LIMITED)
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mp4")) as b:
        before, after = (next(container.decode(video=0)) for container in (a, b))
        assert after.format.name == "yuv420p10le"
        change = np.abs(after.to_ndarray().astype(int) - before.to_ndarray())
    assert change[:4].mean() <= 3  # of 1023: another encoder run
    assert report.edited == 3
    # Tone-mapped, it is what an edit of the tone-mapped picture gives.
    none = look_of(tint.model_copy(update={"controls": {"amount": 0.0}}))
    process(tmp_path / "out.mp4", tmp_path / "mapped.mp4", runtime, none)
    process(source, tmp_path / "edited.mp4", runtime, look_of(tint))
    process(source, tmp_path / "plain.mp4", runtime, none)
    mapped, edited, plain = (rgb_of(tmp_path / f"{n}.mp4").astype(int) for n in ("mapped", "edited", "plain"))
    face = np.s_[16:32, 20:30]
    assert np.abs(edited - plain)[face].mean() > 10
    assert np.abs(mapped - edited)[face].mean() < 4
    with pytest.raises(FileError, match=r"choose \.mp4"):
        process(source, tmp_path / "out.webm", runtime, look_of(tint), keep_hdr=True)


@pytest.mark.parametrize("span", [LIMITED, FULL])
def test_hdr_in_rgb_is_kept(tmp_path: Path, runtime: Runtime, untouched: Settings, span: int) -> None:
    frame = av.VideoFrame.from_ndarray(quarters(), format="bgr24").reformat(format="gbrp10le")
    frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = BT2020, hdr.PQ, 0, span
    source = write(tmp_path / "in.mkv", [frame] * 2, codec="ffv1", format="gbrp10le")
    process(source, tmp_path / "out.mkv", runtime, look_of(untouched), keep_hdr=True)
    assert tags_of(tmp_path / "out.mkv") == (BT2020, hdr.PQ, BT2020, span)
    assert np.abs(rgb_of(tmp_path / "out.mkv").astype(int) - quarters()[..., ::-1])[8:16, 8:24].max() <= 4


@pytest.mark.parametrize("span", [LIMITED, FULL])
def test_an_edit_of_hdr_keeps_the_range(span: int) -> None:
    before = np.full((*SIZE[::-1], 3), 100, np.uint8)
    after = before.copy()
    after[20, 20] += 1
    for value in (100, 250, 450):
        planes = np.full((SIZE[1] * 3 // 2, SIZE[0]), 512, np.uint16)
        planes[: SIZE[1]] = value
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p10le")
        frame.colorspace, frame.color_range = BT2020, span
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        merged = hdr.HdrMerge(hdr.PQ)(frame, before, after, [Region(8, 8, 40, 40)])
        assert int(merged.color_range) == span
        change = np.abs(merged.to_ndarray()[: SIZE[1]].astype(int) - value)
        assert change[20, 20] <= 8, "a level of 255 brighter, in the same range"
        change[20, 20] = 0
        assert change.max() == 0


@pytest.mark.parametrize("folder", ["a:b", "it's, [one]; two", "back\\slash"])
def test_hdr_works_whatever_the_temporary_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Paths of Windows have a colon and backslashes."""
    (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
    frame = hdr_frame(hdr.PQ)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    assert Prepare()(frame).frame.format.name == "yuv420p"
    assert not list((tmp_path / folder).iterdir())


def test_the_curves_are_those_of_the_standard() -> None:
    codes = np.random.default_rng(1).random((50, 3))
    for transfer in hdr.NAMES:
        np.testing.assert_allclose(hdr.from_nits(hdr.to_nits(codes, transfer), transfer), codes, atol=1e-6)
    assert hdr.pq_to_nits(np.array([0.5081]))[0] == pytest.approx(100, rel=0.01)  # BT.2408, table 1
    assert hdr.hlg_to_nits(np.full((1, 3), 0.75))[0, 0] == pytest.approx(203, rel=0.01)
    mapped = hdr.tone_map(hdr.nits_to_pq(np.outer(np.geomspace(0.1, 1000, 50), np.ones(3))), hdr.PQ)
    assert (np.diff(mapped[:, 0]) > 0).all()
    assert mapped[-1] == pytest.approx([1, 1, 1], abs=1e-4)
    assert hdr.tone_map(codes, hdr.HLG).min() >= 0


def test_what_the_output_cannot_hold_is_said(tmp_path: Path, runtime: Runtime, untouched: Settings) -> None:
    frames = [tagged(quarters(), 1, 1, 1, 1).reformat(format="yuv422p10le") for _ in range(2)]
    source = write(tmp_path / "in.mov", frames, codec="libx264", format="yuv422p10le")
    notes = process(source, tmp_path / "out.mp4", runtime, look_of(untouched)).notes
    assert any("10 bits" in note for note in notes)
    assert any("4:2:2" in note for note in notes)


@pytest.mark.parametrize(
    ("codec", "format", "options", "said"),
    [
        ("libx264", "yuv420p", {"x264-params": "tff=1"}, "interlaced"),
        ("ffv1", "yuva420p", {}, "transparency"),
        ("ffv1", "bgra", {}, "transparency"),
        ("libx264rgb", "bgr24", {}, "RGB: it is written as 4:2:0"),
    ],
)
def test_what_the_output_cannot_say_is_said(  # noqa: PLR0917
    tmp_path: Path,
    runtime: Runtime,
    untouched: Settings,
    codec: str,
    format: str,
    options: dict[str, str],
    said: str,
) -> None:
    frames = [av.VideoFrame.from_ndarray(quarters(), format="bgr24").reformat(format=format) for _ in range(2)]
    source = write(tmp_path / "in.mkv", frames, codec=codec, format=format, options=options)
    notes = process(source, tmp_path / "out.mp4", runtime, look_of(untouched)).notes
    assert any(said in note for note in notes), notes


def many_tracks(path: Path, start_ms: int = 0) -> Path:
    """A film with two sounds, a subtitle, chapters and a title."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.metadata["language"] = "eng"
        tones: list[Any] = []
        for language in ("eng", "deu"):
            tones.append(container.add_stream("aac", rate=16000, layout="mono"))
            tones[-1].metadata.update(language=language, title=f"Sound {language}")
        words: Any = container.add_mux_stream("subrip")
        words.metadata["language"] = "fra"
        container.metadata.update(title="Ein Film über Öl", artist="someone")
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "First"}}]
        )
        for k in range(12):
            frame = av.VideoFrame.from_ndarray(quarters(), format="bgr24")
            frame.pts, frame.time_base = k + start_ms // 40, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number, tone in enumerate(tones):
            for k in range(8):
                wave = np.sin(np.arange(1024) / (10 + 5 * number)).astype(np.float32)[None] * 0.2
                sound = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                sound.sample_rate, sound.pts = 16000, 1024 * k + 16 * start_ms
                container.mux(tone.encode(sound))
            container.mux(tone.encode(None))
        packet = av.Packet(b"Good evening")
        packet.stream, packet.time_base = words, Fraction(1, 1000)
        packet.pts = packet.dts = 100 + start_ms
        packet.duration = 200
        container.mux(packet)
    return path


def test_every_track_chapter_and_title_is_kept(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    source = many_tracks(tmp_path / "in.mkv")
    report = process(source, tmp_path / "out.mkv", runtime, look_of(tint))
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert [stream.type for stream in made.streams] == ["video", "audio", "audio", "subtitle"]
        assert [stream.metadata.get("language") for stream in made.streams] == ["eng", "eng", "deu", "fra"]
        assert made.streams[2].metadata["title"] == "Sound deu"
        assert made.metadata["title"] == "Ein Film über Öl"
        assert [chapter["metadata"]["title"] for chapter in made.chapters()] == ["First"]
        assert [bytes(packet) for packet in made.demux(subtitles=0) if packet.size] == [b"Good evening"]
    for number in (0, 1):
        with av.open(str(source)) as a, av.open(str(tmp_path / "out.mkv")) as b:
            packets = [[bytes(packet) for packet in c.demux(audio=number) if packet.size] for c in (a, b)]
            assert packets[0] == packets[1]
    assert not any("left out" in note for note in report.notes)


@pytest.mark.parametrize("case", [(".mp4", "aac", "deu"), (".mov", "aac", "ger"), (".webm", "opus", "deu")])
def test_what_a_format_does_not_take_is_named(
    tmp_path: Path, runtime: Runtime, tint: Settings, case: tuple[str, str, str]
) -> None:
    suffix, sounds, second = case
    source = many_tracks(tmp_path / "in.mkv")
    notes = process(source, tmp_path / f"out{suffix}", runtime, look_of(tint)).notes
    words = f"subtitle track 3 (srt, fra) is left out: {suffix[1:]} does not take it from here; .mkv takes it"
    assert words in notes
    with av.open(str(tmp_path / f"out{suffix}")) as made:
        assert [stream.codec_context.name for stream in made.streams.audio] == [sounds, sounds]
        assert [stream.metadata.get("language") for stream in made.streams.audio] == ["eng", second]
    assert any("encoded anew" in note for note in notes) is (suffix == ".webm")


def offsets(path: Path) -> tuple[float, float]:
    """When the picture and the sound begin, seconds; before a decoder leaves out what the sound's encoder put first."""
    starts: dict[str, float] = {}
    with av.open(str(path)) as container:
        for packet in container.demux(video=0, audio=0):
            if packet.pts is not None:
                at = float(packet.pts * packet.time_base)
                starts[packet.stream.type] = min(at, starts.get(packet.stream.type, at))
    return starts["video"], starts["audio"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_file_that_begins_late_keeps_sound_and_picture_together(
    tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str
) -> None:
    source = many_tracks(tmp_path / "in.mkv", start_ms=5000)
    process(source, tmp_path / f"out{suffix}", runtime, look_of(tint))
    before, after = offsets(source), offsets(tmp_path / f"out{suffix}")
    assert after[1] - after[0] == pytest.approx(before[1] - before[0], abs=0.03)


def test_a_picture_that_changes_its_size_is_fitted_into_the_first_one(
    tmp_path: Path, runtime: Runtime, untouched: Settings
) -> None:
    source, parts = tmp_path / "in.h264", []
    for k, size in enumerate([SIZE, (96, 192), (128, 96), SIZE]):
        picture = np.full((size[1], size[0], 3), 200, np.uint8)
        part = write(tmp_path / f"{k}.h264", [av.VideoFrame.from_ndarray(picture, format="bgr24")] * 3)
        parts.append(part.read_bytes())
    source.write_bytes(b"".join(parts))
    report = process(source, tmp_path / "out.mp4", runtime, look_of(untouched))
    shown = pictures_of(tmp_path / "out.mp4")
    assert [picture.shape for picture in shown] == [(48, 64, 3)] * 12
    assert len(report.notes) == 1
    assert "changes its size" in report.notes[0]
    upright = shown[4].mean((0, 2))  # 24 columns of 64
    assert upright[:18].max() < 30
    assert upright[-18:].max() < 30
    assert upright[22:42].min() > 190
    for picture in (shown[0], shown[7], shown[10]):
        assert picture.min() > 190


def test_sound_that_cannot_wait_for_the_picture_is_said(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracks, "MOST_EARLY", 0)
    notes = process(many_tracks(tmp_path / "in.mkv"), tmp_path / "out.mkv", runtime, look_of(tint)).notes
    assert any("begins so late" in note for note in notes), notes


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_uneven_times_are_kept(tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str) -> None:
    times = [0, 40, 100, 400, 410, 1000]
    frames = [tagged(quarters(), 1, 1, 1, 1) for _ in times]
    source = write(tmp_path / "in.mp4", frames, times=times)
    process(source, tmp_path / f"out{suffix}", runtime, look_of(tint))
    with av.open(str(tmp_path / f"out{suffix}")) as made:
        kept = [round(1000 * float(frame.time or 0)) for frame in made.decode(video=0)]
    np.testing.assert_allclose(np.array(kept) - kept[0], times, atol=2)


def times_of(path: Path) -> list[int]:
    """When the pictures that a player shows begin, ms."""
    with av.open(str(path)) as container:
        return [round(1000 * float(frame.time or 0)) for frame in container.decode(video=0)]


def test_an_edit_list_is_followed(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    """A phone that trims a film leaves the pictures in the file, and says in an edit list from where on to play it."""
    frames = [tagged(np.full((*SIZE[::-1], 3), 20 + 15 * k, np.uint8), 1, 1, 1, 1) for k in range(12)]
    source = write(tmp_path / "in.mp4", frames)
    data = bytearray(source.read_bytes())
    entry = data.index(b"elst") + 12  # after version, flags and the number of entries
    duration, media_time = struct.unpack_from(">Ii", data, entry)
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    struct.pack_into(">Ii", data, entry, duration - 200, media_time + scale // 5)
    source.write_bytes(data)
    shown = times_of(source)
    assert len(shown) == 7, "five of twelve pictures are trimmed"
    process(source, tmp_path / "out.mp4", runtime, look_of(tint))
    assert times_of(tmp_path / "out.mp4") == pytest.approx(shown, abs=2)
    corners = [
        [int(frame.to_ndarray(format="gray")[2, 2]) for frame in av.open(str(path)).decode(video=0)]
        for path in (source, tmp_path / "out.mp4")
    ]
    assert corners[1] == pytest.approx(corners[0], abs=4)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_attachments_are_kept_or_named(tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        container.add_attachment("Some Font.ttf", "font/ttf", b"not really a font")
        for k in range(3):
            frame = tagged(quarters(), 1, 1, 1, 1)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    notes = process(source, tmp_path / f"out{suffix}", runtime, look_of(tint)).notes
    with av.open(str(tmp_path / f"out{suffix}")) as made:
        kept = [(one.name, one.mimetype, one.data) for one in made.streams if isinstance(one, AttachmentStream)]
    if suffix == ".mkv":
        assert kept == [("Some Font.ttf", "font/ttf", b"not really a font")]
        assert not notes
    else:
        assert not kept
        assert any("attachment" in note and ".mkv takes it" in note for note in notes), notes


@pytest.mark.parametrize(
    "case",
    [(suffix, stop) for suffix in (".mp4", ".mkv") for stop in (KeyboardInterrupt, OSError("no space left on device"))],
)
def test_what_was_done_is_never_lost(
    tmp_path: Path,
    runtime: Runtime,
    tint: Settings,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, BaseException | type[BaseException]],
) -> None:
    suffix, stop = case
    source, target = write_video(tmp_path / "in.mp4"), tmp_path / f"out{suffix}"
    stop_after(7, monkeypatch, stop)
    with pytest.raises(FileError, match="keeps the 7 frames") as refused:
        process(source, target, runtime, look_of(tint))
    assert str(part_of(target)) in str(refused.value)
    assert not target.exists()
    assert len(pictures_of(part_of(target))) == 7


def test_names_of_any_kind(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    source = write_video(tmp_path / "größer 日本 🎥.mp4")
    process(source, tmp_path / "fertig é.mp4", runtime, look_of(tint))
    assert len(pictures_of(tmp_path / "fertig é.mp4")) == 12
    raw = Path(os.fsdecode(os.fsencode(tmp_path) + b"/not-utf8-\xe9.mp4"))
    source.rename(raw)
    target = Path(os.fsdecode(os.fsencode(tmp_path) + b"/out-\xff.mp4"))
    process(raw, target, runtime, look_of(tint))
    assert target.stat().st_size > 1000


@pytest.mark.parametrize("name", ["10:30.mp4", "100%d.mp4", "file:x.mp4", "-o.mp4", "#?&.mp4"])
def test_names_that_ffmpeg_takes_for_something_else(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "in.mp4").rename(name)
    process(Path(name), Path(f"out {name}"), runtime, look_of(tint))
    process(Path(name), Path(name.replace(".", " out.")), runtime, look_of(tint))
    assert len(pictures_of(tmp_path / f"out {name}")) == len(pictures_of(tmp_path / name.replace(".", " out."))) == 12


@pytest.mark.parametrize("stopped", [False, True])
def test_the_longest_names_of_a_file_system(
    tmp_path: Path, runtime: Runtime, tint: Settings, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    target = tmp_path / f"{'日' * 83}.x.mp4"
    source = write_video(tmp_path / "in.mp4")
    if stopped:
        with monkeypatch.context() as patched:
            stop_after(7, patched)
            with pytest.raises(FileError, match="--resume goes on"):
                process(source, target, runtime, look_of(tint))
        assert part_of(target).exists()
    report = process(source, target, runtime, look_of(tint), resume=stopped)
    assert (report.earlier > 0) is stopped
    assert len(pictures_of(target)) == 12
    assert sorted(tmp_path.iterdir()) == [source, target]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("turned", [False, True])
def test_the_shape_of_pixels_is_kept(
    tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str, turned: bool
) -> None:
    """DV and DVD store 16:9 in 720x576."""
    picture = tagged(quarters(), BT601, BT601, BT601, LIMITED)
    matrix = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30) if turned else None
    source = write(tmp_path / "in.mp4", [picture] * 3, matrix=matrix, pixel=Fraction(16, 11))
    report = process(source, tmp_path / f"out{suffix}", runtime, look_of(tint))
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        stream = container.streams.video[0]
        size, shape = (stream.width, stream.height), stream.sample_aspect_ratio
    if suffix == ".webm":  # PyAV tells its muxer no shape
        assert (size, shape) == ((48, 94) if turned else (94, 48), Fraction(1))
        assert report.notes == ["the source's pixels are not square: webm is written with square ones"]
    else:
        assert (size, shape) == (((48, 64), Fraction(11, 16)) if turned else (SIZE, Fraction(16, 11)))
        assert not report.notes


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, runtime: Runtime, tint: Settings) -> None:
    source = write_video(tmp_path / "in.mp4")
    with pytest.raises(FileError, match="gone does not exist"):
        process(source, tmp_path / "gone" / "out.mp4", runtime, look_of(tint))


def test_the_command_offers_to_keep_hdr(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--keep-hdr" in capsys.readouterr().out
