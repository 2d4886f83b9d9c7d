"""Sound and times of formats that say less than the output needs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

from stream.files import process
from stream.runtime import Runtime
from stream.settings import Settings
from stream.sound import Encoding, can_copy, encoding_of, is_named
from stream.times import FrameTimes
from tests.stream.conftest import Person, World, look_of
from tests.stream.test_files import StandIn

FRAMES, RATE = 12, 48_000


@pytest.fixture
def runtime(world: World, make_pipeline: Callable[[World], Any]) -> Runtime:
    world.people = [Person((32, 24), 30)]
    return cast(Runtime, StandIn(world, make_pipeline))


def write(path: Path, sound: str = "", layout: str = "stereo", rate: int = RATE) -> Path:
    """A video that grows lighter by 10 with every frame, 25 a second, with silence."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tone: Any = container.add_stream(sound, rate=rate, layout=layout) if sound else None
        for k in range(FRAMES):
            picture = np.full((48, 64, 3), 60 + 10 * k, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode(None))
        if tone is not None:
            channels = av.AudioLayout(layout).nb_channels
            silence = av.AudioFrame.from_ndarray(np.zeros((channels, rate // 5), np.float32), "fltp", layout)
            silence.sample_rate, silence.pts = rate, 0
            container.mux(tone.encode(silence))
            container.mux(tone.encode(None))
    return path


@pytest.mark.parametrize(
    "case",
    [
        ("in.avi", "pcm_s16le", "stereo", "out.mp4", ("aac", "stereo")),
        ("in.mkv", "pcm_s24le", "5.1", "out.mp4", ("aac", "5.1")),
        ("in.mov", "pcm_s16le", "stereo", "out.mp4", ("pcm_s16le", "stereo")),
        ("in.mkv", "pcm_s16le", "stereo", "out.webm", ("opus", "stereo")),
        ("in.mkv", "ac3", "5.1(side)", "out.webm", ("opus", "5.1")),
        ("in.mkv", "ac3", "2.1", "out.webm", ("opus", "5.1")),
        ("in.mkv", "flac", "stereo", "out.mov", ("aac", "stereo")),
    ],
)
def test_sound_that_an_output_does_not_take_is_encoded_anew(
    tmp_path: Path, runtime: Runtime, tint: Settings, case: tuple[str, str, str, str, tuple[str, str]]
) -> None:
    source, sound, layout, target, expected = case
    report = process(write(tmp_path / source, sound, layout), tmp_path / target, runtime, look_of(tint))
    with av.open(str(tmp_path / target)) as made:
        stream = made.streams.audio[0]
        assert (stream.codec_context.name, stream.layout.name) == expected
        heard = sum(frame.samples / frame.sample_rate for frame in made.decode(audio=0))
    assert heard == pytest.approx(0.2, abs=0.05)
    assert any("encoded anew" in note for note in report.notes) is (expected[0] != sound)
    assert any("has its channels as 5.1" in note for note in report.notes) is (sound == "ac3")


def test_every_rate_and_number_of_channels_finds_an_encoding(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "in.mkv", "pcm_s16le", "stereo", 192_000))) as container:
        stream = container.streams.audio[0]
        assert not is_named(stream.layout), "Matroska says only how many channels there are"
        assert not can_copy(stream, "mp4")
        assert can_copy(stream, "mov")
        assert encoding_of(stream, "mp4") == Encoding("aac", 96_000, "stereo")
        assert encoding_of(stream, "webm") == Encoding("libopus", 48_000, "stereo")

    class Source:
        rate = 11_000

        def __init__(self, layout: str) -> None:
            self.layout = av.AudioLayout(layout)

    assert encoding_of(Source("22.2"), "mp4") == Encoding("aac", 11_025, "7.1")
    assert encoding_of(Source("9 channels"), "mp4") is None, "nothing says how to mix them"


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_frames_of_a_file_without_times_stay_in_order(
    tmp_path: Path, runtime: Runtime, tint: Settings, suffix: str
) -> None:
    source = write(tmp_path / "in.avi")
    with av.open(str(source)) as container:
        times = [frame.pts for frame in container.decode(video=0)]
        assert times != sorted(times, key=lambda time: time or 0), "B-frames, of which AVI tells no times"
    process(source, tmp_path / f"out{suffix}", runtime, look_of(tint))
    with av.open(str(tmp_path / f"out{suffix}")) as made:
        shown = [
            (round(25 * float(frame.time or 0)), frame.to_ndarray(format="gray")[2, 2])
            for frame in made.decode(video=0)
        ]
    assert [time for time, _ in shown] == list(range(FRAMES))
    assert np.abs(np.diff([int(grey) for _, grey in shown]) - 10).max() <= 4


def stamped(times: list[int | None]) -> list[int | None]:
    clock, made = FrameTimes("matroska,webm", Fraction(25)), []
    for time in times:
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts, frame.time_base = time, Fraction(1, 1000)
        clock.stamp(frame)
        made.append(frame.pts)
    return made


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ([5, 45, 100, 400], [5, 45, 100, 400]),
        ([0, 40, 40, 120], [0, 40, 80, 120]),
        ([0, 40, None, 120], [0, 40, 80, 120]),
        ([None, None], [0, 40]),
        ([-80, -40, 0], [-80, -40, 0]),
        ([1000, 1040, 0, 40], [1000, 1040, 1080, 1120]),
    ],
)
def test_times_increase(told: list[int | None], kept: list[int | None]) -> None:
    assert stamped(told) == kept
