"""The live pipeline over a video, a picture or a folder of pictures.

python -m stream.files IN OUT --editor embedded --set age=75 --report report.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from stream import command_line, photos
from stream.command_line import NothingEdited
from stream.frame import STAGES, Output
from stream.look import Look
from stream.picture_files import SUFFIXES, FileError, as_bgr8, read_stored, stored_like, write_picture
from stream.pipeline import Pipeline
from stream.profile import ChromeTrace
from stream.runtime import Runtime
from stream.settings import Settings
from stream.video_pipeline import VideoPipeline

CRF = "17"
"""Constant rate factor of H.264: hardly distinguishable from the source."""
DEFAULT_RATE = Fraction(30)


@dataclass(slots=True)
class Report:
    """What was done to a file.

    Attributes:
        frames: frames or pictures read.
        with_face: of these, how many show a face.
        edited: of these, how many were edited.
        seconds: wall time, reading and writing included.
        stages: milliseconds of every frame per stage.
        notes: what a user should know, one sentence each.
        profile: gets the stages of every frame.
    """

    frames: int = 0
    with_face: int = 0
    edited: int = 0
    seconds: float = 0.0
    stages: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    profile: ChromeTrace | None = None

    def add(self, output: Output) -> None:
        """Count a frame."""
        if self.profile is not None:
            self.profile.add(output)
        self.frames += 1
        self.with_face += bool(output.faces)
        self.edited += bool(output.edited)
        for stage, ms in output.trace.ms.items():
            self.stages.setdefault(stage, []).append(ms)

    def summary(self) -> dict[str, Any]:
        """The report as JSON-ready data; times are in milliseconds."""
        return {
            "frames": self.frames,
            "frames_with_face": self.with_face,
            "frames_edited": self.edited,
            "dropped": 0,
            "seconds": round(self.seconds, 3),
            "fps": round(self.frames / self.seconds, 2) if self.seconds > 0 else None,
            "stages_ms": {
                stage: {
                    "p50": round(float(np.percentile(self.stages[stage], 50)), 3),
                    "p95": round(float(np.percentile(self.stages[stage], 95)), 3),
                }
                for stage in STAGES
                if stage in self.stages
            },
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "notes": self.notes,
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, 1 when a file or setting was refused, or 3 when nothing was edited (the reason is on standard error).
    """
    arguments = _parser().parse_args(argv)
    return command_line.run(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    runtime = command_line.load_runtime(arguments)
    patch = command_line.patch_of(arguments)
    if arguments.photo is not None:
        editor = patch.get("editor", Settings().editor)
        patch["controls"] = {**_of_photo(arguments.photo, editor, runtime), **patch["controls"]}
    look = runtime.look(Settings(), patch)
    if look.idle:
        raise NothingEdited(f"nothing to edit: {look.idle}; `--set age=+20` is one way")
    with _profile(arguments.trace) as profile:
        report = process(
            arguments.input, arguments.output, runtime, look, profile=profile, progress=not arguments.quiet
        )
    summary = report.summary()
    summary["engines"] = [asdict(engine) for engine in runtime.engines()]
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.report:
        arguments.report.write_text(json.dumps(summary, indent=2) + "\n")
    if report.edited == 0:
        raise NothingEdited(_why_unedited(report, arguments.output))
    print(f"{report.edited} of {report.frames} frames edited, {summary['fps']} per second")


def _why_unedited(report: Report, target: Path) -> str:
    frames = "1 picture" if report.frames == 1 else f"{report.frames} pictures"
    if report.with_face == 0:
        why = f"nothing was edited: no face in {frames}; both eyes have to be visible"
    else:
        why = f"nothing was edited: {report.with_face} of {frames} show a face, and the edit changes none of them"
    return f"{why}; {target} shows what came in" if target.is_file() else why


def _profile(path: Path | None) -> AbstractContextManager[ChromeTrace | None]:
    try:
        return nullcontext() if path is None else ChromeTrace(path)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error


def _of_photo(path: Path, editor: str, runtime: Runtime) -> dict[str, Any]:
    """The controls that a reference photo sets."""
    photo = photos.read_photo(path)  # its refusals name the file
    try:
        return photos.controls_of_photo(runtime, editor, photo)
    except photos.PhotoError as error:
        raise FileError(f"{path}: {error}") from error


def process(
    source: Path,
    target: Path,
    runtime: Runtime,
    look: Look,
    *,
    profile: ChromeTrace | None = None,
    progress: bool = False,
) -> Report:
    """Edit a video, a picture, or every picture of a folder.

    Args:
        source: what to read.
        target: where to write; a folder when `source` is one.
        runtime: the loaded networks.
        look: from `Runtime.look`.
        profile: gets the stages of every frame.
        progress: show a progress bar on standard error.

    Returns:
        What was done.

    Raises:
        FileError: nothing can be read or written there.
        NothingEdited: a single picture shows no face.
    """
    if not source.exists():
        raise FileError(f"{source} does not exist")
    if source.resolve() == target.resolve():
        raise FileError(f"{target} is the input itself; name another output")
    started = time.perf_counter()
    report = Report(profile=profile)
    if source.is_dir():
        _process_folder(source, target, runtime, look, report, progress=progress)
    elif source.suffix.lower() in SUFFIXES:
        if not process_picture(source, target, runtime.pipeline(), look, report):
            raise NothingEdited(f"no face in {source}: choose a picture where both eyes are visible")
    else:
        process_video(source, target, VideoPipeline(runtime.pipeline()), look, report, progress=progress)
    report.seconds = time.perf_counter() - started
    return report


def process_picture(source: Path, target: Path, pipeline: Pipeline, look: Look, report: Report) -> bool:
    """Edit one picture. Alpha and 16 bits are kept; a grey picture becomes a colour one.

    Returns:
        Whether it shows a face; without one nothing is written.

    Raises:
        FileError: it cannot be read or written.
    """
    stored = read_stored(source)
    shown = as_bgr8(stored)
    output = photos.still(shown, pipeline, look)
    report.add(output)
    if not output.faces:
        return False
    write_picture(target, stored_like(stored, shown, output.image))
    return True


def process_video(
    source: Path, target: Path, pipeline: VideoPipeline, look: Look, report: Report, *, progress: bool = False
) -> None:
    """Edit a video. Audio is copied, frame times are kept, a rotated picture is written upright.

    Raises:
        FileError: it has no picture stream, cannot be decoded, or the output format is unknown.
    """
    partial = target.with_name(f".{target.stem}.partial{target.suffix}")
    try:
        with av.open(str(source)) as reader:
            if not reader.streams.video:
                raise FileError(f"{source} has no picture stream")
            with av.open(str(partial), "w") as writer:
                _transcode(reader, writer, pipeline, look, report, progress=progress)
        if report.frames == 0:
            raise FileError(f"{source} has no picture that can be decoded")
        partial.replace(target)
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{source} -> {target}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _transcode(
    reader: av.container.InputContainer,
    writer: av.container.OutputContainer,
    pipeline: VideoPipeline,
    look: Look,
    report: Report,
    *,
    progress: bool,
) -> None:
    video = reader.streams.video[0]
    video.thread_type = "AUTO"
    audio = reader.streams.audio[0] if reader.streams.audio else None
    copied = writer.add_stream_from_template(audio) if audio else None
    upright = _Upright()
    encoder: av.VideoStream | None = None
    early: list[
        av.Packet[Any]
    ] = []  # audio from before the first picture: streams must be known before anything is written
    bar = tqdm(total=video.frames or None, unit="frame", disable=not progress)
    for packet in reader.demux([stream for stream in (video, audio) if stream]):
        if copied is not None and packet.stream is audio:
            if packet.dts is not None:
                packet.stream = copied
                if encoder is None:
                    early.append(packet)
                else:
                    writer.mux(packet)
            continue
        for frame in _decoded(packet, report):
            edited, output = pipeline.process(upright(frame), look)
            report.add(output)
            bar.update()
            if encoder is None:
                encoder = _encoder(writer, video, edited)
                writer.mux(early)
            if (edited.width, edited.height) != (encoder.width, encoder.height):
                edited = edited.reformat(width=encoder.width, height=encoder.height)
            writer.mux(encoder.encode(edited))
    if encoder is not None:
        writer.mux(encoder.encode(None))
    bar.close()


def _decoded(packet: av.Packet[Any], report: Report) -> Iterator[av.VideoFrame]:
    """The frames of a packet; a damaged one is left out and noted once."""
    try:
        yield from packet.decode()
    except av.error.InvalidDataError:
        note = "parts of the video are damaged and were left out"
        if note not in report.notes:
            report.notes.append(note)


def _encoder(writer: av.container.OutputContainer, source: av.VideoStream, first: av.VideoFrame) -> av.VideoStream:
    codec = "libvpx-vp9" if writer.format.name == "webm" else "libx264"
    options = {"crf": CRF, "preset": "veryfast"} if codec == "libx264" else {"crf": "24", "b:v": "0", "cpu-used": "6"}
    stream = cast(av.VideoStream, writer.add_stream(codec, rate=source.average_rate or DEFAULT_RATE, options=options))
    stream.width, stream.height = first.width + first.width % 2, first.height + first.height % 2
    stream.pix_fmt = "yuv420p"
    if source.time_base is not None:
        stream.codec_context.time_base = source.time_base
    stream.codec_context.colorspace = first.colorspace
    stream.codec_context.color_range = first.color_range
    return stream


class _Upright:
    """Turns frames by the rotation that their display matrix tells, so that faces stand upright."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        quarter_turns = round(frame.rotation / 90) % 4
        if quarter_turns == 0:
            return frame
        picture = np.asarray(self._reformatter.reformat(frame, format="bgr24", threads=1).to_ndarray(), np.uint8)
        turned = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(picture, quarter_turns)), format="bgr24")
        turned.pts, turned.time_base = frame.pts, frame.time_base
        return turned


def _process_folder(
    source: Path, target: Path, runtime: Runtime, look: Look, report: Report, *, progress: bool
) -> None:
    pictures = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    if not pictures:
        raise FileError(f"{source} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    target.mkdir(parents=True, exist_ok=True)
    for picture in tqdm(pictures, unit="picture", disable=not progress):
        try:
            if not process_picture(picture, target / picture.name, runtime.pipeline(), look, report):
                report.notes.append(f"no face in {picture.name}: nothing written")
        except FileError as error:
            report.notes.append(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stream.files", description="Edit the faces of a video or picture.")
    parser.add_argument("input", type=Path, help="a video, a picture, or a folder of pictures")
    parser.add_argument("output", type=Path, help="where to write; a folder when the input is one")
    parser.add_argument(
        "--photo", type=Path, help="what some editors take something from: a second parent, a style, a hair colour"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write figures as JSON")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write a profile that ui.perfetto.dev opens")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    command_line.add_settings(parser, leave_out={"bypass"})
    command_line.add_runtime(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
