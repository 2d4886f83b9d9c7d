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
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from engines.base import EngineError
from models.arrays import Image
from models.face.detector import PackError
from stream.frame import STAGES, Frame, Output
from stream.look import Look
from stream.pipeline import Pipeline
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings, SettingsError
from stream.video_pipeline import VideoPipeline

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 100_000_000
CRF = "17"
DEFAULT_RATE = Fraction(30)
# A still has no second chance: the landmarks are read again from where they were found.
STILL_PASSES = 3


class FileError(ValueError):
    """A file cannot be read or written; the message names it and says what to do."""


@dataclass(slots=True)
class Report:
    """What was done to a file.

    Attributes:
        frames: frames or pictures read.
        with_face: of these, how many show a face.
        edited: of these, how many were edited.
        seconds: wall time, reading and writing included.
        stages: milliseconds of every frame per stage.
        notes: what a user should know, in words.
    """

    frames: int = 0
    with_face: int = 0
    edited: int = 0
    seconds: float = 0.0
    stages: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, output: Output) -> None:
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
        0, or 1 when a file or setting was refused (the reason is on standard error).
    """
    arguments = _parser().parse_args(argv)
    try:
        runtime = Runtime.load(
            RuntimeSettings(
                pack=arguments.pack,
                backend=arguments.backend,
                precision=arguments.precision,
                detector_size=arguments.detector_size,
            )
        )
        controls = {**_of_photo(arguments, runtime), **controls_of_pairs(arguments.set)}
        look = runtime.look(Settings(), {"editor": arguments.editor, "controls": controls, **_options(arguments)})
        report = process(Path(arguments.input), Path(arguments.output), runtime, look, progress=not arguments.quiet)
    except SettingsError as error:
        allowed = "" if error.allowed is None else f"; allowed: {json.dumps(error.allowed)}"
        print(f"error: {error}{allowed}", file=sys.stderr)
        return 1
    except (FileError, EngineError, PackError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    summary = report.summary()
    summary["engines"] = [asdict(engine) for engine in runtime.engines()]
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    if arguments.report:
        Path(arguments.report).write_text(json.dumps(summary, indent=2) + "\n")
    print(f"{report.edited} of {report.frames} frames edited, {summary['fps']} per second")
    return 0


def process(source: Path, target: Path, runtime: Runtime, look: Look, *, progress: bool = False) -> Report:
    """Edit a video, a picture, or every picture of a folder.

    Args:
        source: what to read.
        target: where to write; a folder when `source` is one.
        runtime: the loaded networks.
        look: from `Runtime.look`.
        progress: show a progress bar on standard error.

    Returns:
        What was done.

    Raises:
        FileError: nothing can be read or written there, or a single picture shows no face.
    """
    if not source.exists():
        raise FileError(f"{source} does not exist")
    if source.resolve() == target.resolve():
        raise FileError(f"{target} is the input itself; name another output")
    started = time.perf_counter()
    report = Report()
    if source.is_dir():
        _process_folder(source, target, runtime, look, report, progress=progress)
    elif source.suffix.lower() in PICTURES:
        if not process_picture(source, target, runtime.pipeline(), look, report):
            raise FileError(f"no face in {source}: choose a picture where both eyes are visible")
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
    stored = _read_picture(source)
    shown = _as_bgr8(stored)
    output = still(shown, pipeline, look)
    report.add(output)
    if not output.faces:
        return False
    _write_picture(target, _stored_like(stored, shown, output.image))
    return True


def still(picture: Image, pipeline: Pipeline, look: Look) -> Output:
    """Edit one picture (H, W, 3) uint8 BGR. The landmarks are read again from where they were found."""
    calm = Look(look.settings.model_copy(update={"smoothing": 0.0}), look.layers)
    output = pipeline.process(Frame(picture, 0.0), calm)
    for again in range(1, STILL_PASSES):
        output = pipeline.process(Frame(picture, again / 30), calm)
    return output


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
    pictures = sorted(path for path in source.iterdir() if path.suffix.lower() in PICTURES)
    if not pictures:
        raise FileError(f"{source} holds no pictures ({', '.join(sorted(PICTURES))})")
    target.mkdir(parents=True, exist_ok=True)
    for picture in tqdm(pictures, unit="picture", disable=not progress):
        try:
            if not process_picture(picture, target / picture.name, runtime.pipeline(), look, report):
                report.notes.append(f"no face in {picture.name}: nothing written")
        except FileError as error:
            report.notes.append(str(error))


def _read_picture(path: Path) -> Image:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise FileError(f"{path}: {error}") from error
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None:
        raise FileError(f"{path} is not a picture that can be read, or it is cut off")
    if picture.shape[0] * picture.shape[1] > MAX_PIXELS:
        raise FileError(f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels")
    if picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)  # this way OpenCV follows the EXIF orientation
    return cast(Image, picture)


def _as_bgr8(stored: Image) -> Image:
    """(H, W, 3) uint8 BGR of a picture with 1 to 4 channels and 8 or 16 bits."""
    picture = stored
    if picture.dtype == np.uint16:
        picture = np.round(picture / 257).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = np.clip(np.nan_to_num(picture) * 255, 0, 255).astype(np.uint8)
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    match picture.shape[2]:
        case 1 | 2:
            return cv2.cvtColor(np.ascontiguousarray(picture[..., 0]), cv2.COLOR_GRAY2BGR)
        case 4:
            return np.ascontiguousarray(picture[..., :3])
        case _:
            return picture


def _stored_like(stored: Image, shown: Image, edited: Image) -> Image:
    """The edited picture with the alpha and the bit depth of the stored one."""
    if edited is shown:
        return stored
    result = edited
    if stored.dtype == np.uint16:
        colour = stored if stored.ndim == 3 else stored[..., None]
        change = (edited.astype(np.int32) - shown) * 257
        result = np.clip(colour[..., :3] + change, 0, 65535).astype(np.uint16)
    if stored.ndim == 3 and stored.shape[2] == 4:
        alpha = stored[..., 3:] if stored.dtype == result.dtype else np.full((*stored.shape[:2], 1), 255, result.dtype)
        result = np.concatenate([result, alpha], axis=2)
    return result


def _write_picture(path: Path, picture: Image) -> None:
    if path.suffix.lower() not in PICTURES:
        raise FileError(f"{path}: unknown picture format; use one of {', '.join(sorted(PICTURES))}")
    if picture.dtype == np.uint16 and path.suffix.lower() not in {".png", ".tif", ".tiff"}:
        picture = np.round(picture / 257).astype(np.uint8)
    done, data = cv2.imencode(path.suffix.lower(), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    if not done:
        raise FileError(f"{path}: this picture cannot be written in that format")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise FileError(f"{path}: {error}") from error


def controls_of_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """Controls from the command line: each "name=value", the value in JSON or a bare word.

    Raises:
        SettingsError: a pair has no "=".
    """
    controls: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SettingsError(f"controls.{name}", "write it as name=value")
        try:
            controls[name] = json.loads(value)
        except json.JSONDecodeError:
            controls[name] = value
    return controls


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "faces": arguments.faces,
        "lost": arguments.lost,
        "smoothing": arguments.smoothing,
        "badge": arguments.badge,
    }


def _of_photo(arguments: argparse.Namespace, runtime: Runtime) -> dict[str, Any]:
    """The controls that a reference photo sets; none without one."""
    if arguments.photo is None:
        return {}
    from stream import photos  # noqa: PLC0415  it stands on this module

    try:
        return photos.controls_of_photo(runtime, arguments.editor, photos.read_photo(arguments.photo))
    except photos.PhotoError as error:
        raise FileError(f"{arguments.photo}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stream.files", description="Edit the faces of a video or picture.")
    parser.add_argument("input", help="a video, a picture, or a folder of pictures")
    parser.add_argument("output", help="where to write; a folder when the input is one")
    parser.add_argument("--editor", default=Settings().editor, help="name of the editor (default: %(default)s)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a control of the editor; repeatable"
    )
    parser.add_argument(
        "--photo", type=Path, help="what some editors take something from: a second parent, a style, a hair colour"
    )
    parser.add_argument("--faces", choices=("all", "largest", "locked"), default="all", help="which faces to edit")
    parser.add_argument("--lost", choices=("show", "hold", "blur"), default="show", help="what to show without a face")
    parser.add_argument("--smoothing", type=float, default=Settings().smoothing, help="0 to 1 (default: %(default)s)")
    parser.add_argument("--badge", action="store_true", help="draw a small mark that the picture is edited")
    parser.add_argument("--report", metavar="FILE", help="write figures as JSON")
    parser.add_argument("--pack", default="embedded", help="face pack: embedded, a folder, or an InsightFace name")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--detector-size", type=int, default=RuntimeSettings().detector_size)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


if __name__ == "__main__":
    sys.exit(main())
