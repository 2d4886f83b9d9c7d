"""A video file through the pipeline: its picture edited, everything else kept, or named where it cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
from tqdm import tqdm

from stream.hdr import KEPT_FORMAT, HdrMerge
from stream.look import Look
from stream.names import for_ffmpeg
from stream.picture_files import FileError, plain
from stream.prepare import EDITED_FORMAT, Fit, Prepare
from stream.report import Report
from stream.resume import (
    WARM_UP,
    Earlier,
    check_leftovers,
    describe_job,
    earlier_of,
    job_of,
    keep_earlier,
    part_of,
)
from stream.times import FrameTimes
from stream.tracks import Tracks
from stream.video_pipeline import VideoPipeline

CRF = "17"
"""Constant rate factor of H.264: hardly distinguishable from the source."""
HDR_CRF = "18"
"""The same of HEVC."""
DEFAULT_RATE = Fraction(30)
FRAGMENT_US = "1000000"
"""Microseconds of a fragment: what a file may lack when the power fails, besides what the encoder holds back."""
FRAGMENTED = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": FRAGMENT_US}
RECOVERABLE = {"mp4": FRAGMENTED, "mov": FRAGMENTED, "matroska": {"cluster_time_limit": "1000"}}
"""Options of a muxer that make its file readable when writing stops in the middle."""
APPLES = ("mp4", "mov")


def process_video(
    source: Path,
    target: Path,
    pipeline: VideoPipeline,
    look: Look,
    report: Report,
    *,
    progress: bool = False,
    keep_hdr: bool = False,
    resume: bool = False,
) -> None:
    """Edit a video. Its other tracks, times, chapters and metadata are kept; it is written upright.

    It is written to `part_of(target)`, which takes the target's name when it is complete. When writing stops in the
    middle, that file keeps what was done.

    Args:
        source: what to read.
        target: where to write; its suffix names the format.
        pipeline: for this video.
        look: from `Runtime.look`.
        report: gets what was done.
        progress: show a progress bar on standard error.
        keep_hdr: write HDR as HDR.
        resume: go on where an earlier run was stopped.

    Raises:
        FileError: it has no picture stream, cannot be decoded, the output format is unknown, the earlier run had
            another source or other settings, or a file that no run made stands where this one writes.
    """
    part, job = part_of(target), describe_job(source, look, keep_hdr=keep_hdr)
    if source.resolve() in (part.resolve(), earlier_of(target).resolve()):
        raise FileError(f"{source} is where the output is written until it is complete; rename it")
    check_leftovers(target)
    earlier = keep_earlier(target, part, job) if resume else None
    if earlier is None:
        earlier_of(target).unlink(missing_ok=True)
    else:
        report.earlier = earlier.count
        report.note(f"the first {earlier.count} frames were taken over from the run that was stopped")
    job_of(target).write_text(json.dumps(job))
    try:
        with _opened(source, "rb") as file, av.open(file, "r") as reader:
            if not any(_is_video(stream) for stream in reader.streams):
                raise FileError(f"{source} has no picture stream")
            format = av.format.ContainerFormat(format_of(target), "w")
            options = {**RECOVERABLE.get(format.name, {}), "flush_packets": "1"}
            with _opened(part, "wb") as out, av.open(out, "w", format=format.name, options=options) as writer:
                Transcoder(reader, writer, pipeline, look, report, keep_hdr=keep_hdr, earlier=earlier).run(
                    progress=progress
                )
        if report.frames == 0 and report.earlier == 0:
            raise FileError(f"{source} has no picture that can be decoded")
        part.replace(target)
        for left in (earlier_of(target), job_of(target)):
            left.unlink(missing_ok=True)
    except KeyboardInterrupt:
        raise FileError(f"stopped after {report.frames} frames{_kept(part, target, report)}") from None
    except FileError:
        _discard(part, target)
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise FileError(f"{source} -> {target}: {plain(error)}{_kept(part, target, report)}") from error


def check_unfinished(target: Path) -> None:
    """Check that no earlier run left something of this file.

    Raises:
        FileError: one did, and nobody said what to do with it.
    """
    for left in (part_of(target), earlier_of(target)):
        if left.exists() and job_of(target).exists():
            raise FileError(f"{left} is of a run that was stopped: go on with --resume, or begin anew with --overwrite")


def is_unfinished(target: Path) -> bool:
    """Whether a run that was stopped left something of this file to go on with."""
    return bool(target.name) and job_of(target).exists() and (part_of(target).exists() or earlier_of(target).exists())


def _kept(part: Path, target: Path, report: Report) -> str:
    """What to say about an incomplete file; one that nothing can be taken over from is removed."""
    if report.frames and part.exists() and Earlier(part).count:
        return f"; {part} keeps the {report.earlier + report.frames} frames that were done, --resume goes on from there"
    _discard(part, target)
    if earlier_of(target).exists():
        return (
            f"; {earlier_of(target)} keeps the {report.earlier} frames of the run before, --resume goes on from there"
        )
    return "; what was written cannot be read, and was removed" if report.frames else ""


def _discard(part: Path, target: Path) -> None:
    """Remove an incomplete file; what an earlier run wrote stays, and what it was told."""
    part.unlink(missing_ok=True)
    if not earlier_of(target).exists():
        job_of(target).unlink(missing_ok=True)


def _opened(path: Path, mode: str) -> AbstractContextManager[str | BinaryIO]:
    """What to open for FFmpeg: it takes names in UTF-8 alone, others are opened for it."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return cast(BinaryIO, path.open(mode))
    return nullcontext(for_ffmpeg(path))


def format_of(target: Path) -> str:
    """The name of the muxer for a file name.

    Raises:
        ValueError: there is none.
    """
    suffix = target.suffix.lower().removeprefix(".")
    named = {"mkv": "matroska", "m4v": "mp4", "ts": "mpegts", "qt": "mov"}.get(suffix, suffix)
    if named not in av.formats_available:
        raise ValueError(f"{target.suffix or 'no suffix'!r} names no video format: choose .mp4, .mov, .mkv or .webm")
    return named


def square_pixels(width: int, height: int, pixel: Fraction) -> tuple[int, int]:
    """The size at which a picture has square pixels and loses none.

    Args:
        width, height: in pixels.
        pixel: width of a pixel by its height.
    """
    return (round(width * pixel), height) if pixel > 1 else (width, round(height / pixel))


def _is_video(stream: Any) -> bool:
    """Whether a stream is the film rather than its cover."""
    return stream.type == "video" and not stream.disposition & av.stream.Disposition.attached_pic


class Transcoder:
    """One run over one file.

    Args:
        reader, writer: open containers.
        pipeline: for this video.
        look: from `Runtime.look`.
        report: gets what was done.
        keep_hdr: write HDR as HDR.
        earlier: pictures that were written before, of the same source and settings.
    """

    def __init__(
        self,
        reader: av.container.InputContainer,
        writer: av.container.OutputContainer,
        pipeline: VideoPipeline,
        look: Look,
        report: Report,
        *,
        keep_hdr: bool,
        earlier: Earlier | None = None,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._pipeline, self._look, self._report = pipeline, look, report
        self._video = next(stream for stream in reader.streams.video if _is_video(stream))
        self._prepare = Prepare(keep_hdr=keep_hdr)
        self._merge: HdrMerge | None = None
        self._encoder: av.VideoStream | None = None
        self._size = (0, 0)  # of the first picture
        self._fit: Fit | None = None
        self._tracks = Tracks(reader, writer, self._video, report.note)
        self._earlier = earlier
        self._kept = 0 if earlier is None else earlier.count  # pictures that are not edited again
        self._packets: Iterator[av.Packet[Any]] = iter(())
        self._written: Fraction | None = None  # time of decoding of the last packet, seconds
        self._decoded_count = 0
        self._times = FrameTimes(reader.format.name, self._video.average_rate or DEFAULT_RATE)

    def run(self, *, progress: bool) -> None:
        """Read to the end."""
        self._video.thread_type = "AUTO"
        bar = tqdm(total=self._video.frames or None, unit="frame", disable=not progress)
        try:
            for packet in self._reader.demux([self._video, *self._tracks.sources]):
                if packet.stream is self._video:
                    for frame in self._decoded(packet):
                        self._decoded_count += 1
                        if self._decoded_count <= self._kept:
                            self._take_over(frame)
                        else:
                            self._edit(frame)
                        bar.update()
                else:
                    self._tracks.mux(packet, ready=self._encoder is not None)
        finally:
            bar.close()
            for note in self._prepare.notes:
                self._report.note(note)
            if self._encoder is not None:  # an incomplete file keeps the last pictures too
                self._write(self._encoder.encode(None))
                self._tracks.flush()

    def _take_over(self, frame: av.VideoFrame) -> None:
        """Copy the next packet of the earlier run in place of editing a frame."""
        if self._encoder is None or self._decoded_count > self._kept - WARM_UP:
            prepared = self._prepare(frame)
            shown = prepared.frame if prepared.kept is None else prepared.kept
            if self._encoder is None and self._earlier is not None:
                self._begin(shown, hdr=prepared.kept is not None)
                self._packets = self._earlier.packets(frame.pts or 0, frame.time_base or self._video.time_base)
            self._pipeline.process(prepared.frame, self._look)
        self._write([next(self._packets)])

    def _begin(self, first: av.VideoFrame, *, hdr: bool) -> av.VideoStream:
        self._encoder = self._open(first, hdr=hdr)
        self._tracks.begin()
        return self._encoder

    def _write(self, packets: Iterable[av.Packet[Any]]) -> None:
        """Write pictures, their times of decoding increasing."""
        for packet in packets:
            packet.stream = self._encoder
            if packet.dts is not None:
                tick = max(packet.time_base, packet.stream.time_base or packet.time_base)
                if self._written is not None and packet.dts * packet.time_base < self._written + tick:
                    packet.dts = ceil((self._written + tick) / packet.time_base)
                self._written = packet.dts * packet.time_base
            self._writer.mux(packet)

    def _edit(self, frame: av.VideoFrame) -> None:
        prepared = self._prepare(frame)
        edited, output = self._pipeline.process(prepared.frame, self._look)
        if prepared.kept is not None:
            self._merge = self._merge or HdrMerge(int(frame.color_trc))
            before = np.asarray(prepared.frame.to_ndarray(format="bgr24"), np.uint8)
            even = prepared.kept.width % 2 == prepared.kept.height % 2 == 0
            changed = bool(output.regions) and even
            edited = self._merge(prepared.kept, before, output.image, output.regions) if changed else prepared.kept
        self._report.add(output)
        encoder = self._encoder or self._begin(edited, hdr=prepared.kept is not None)
        if (edited.width, edited.height) != self._size:
            self._report.note("the picture changes its size: all of it is written at its first size, over black")
            self._fit = self._fit or Fit(encoder.width, encoder.height)
            edited = self._fit(edited)
        elif self._size != (encoder.width, encoder.height):
            edited = edited.reformat(width=encoder.width, height=encoder.height)
        self._write(encoder.encode(edited))

    def _decoded(self, packet: av.Packet[Any]) -> Iterator[av.VideoFrame]:
        """The frames of a packet; a damaged one is left out and noted once."""
        self._times.take(packet)
        try:
            for frame in packet.decode():
                self._times.stamp(frame)
                yield frame
        except av.error.InvalidDataError:
            self._times.leave_out(packet)
            self._report.note("parts of the video are damaged and were left out")

    def _open(self, first: av.VideoFrame, *, hdr: bool) -> av.VideoStream:
        rate = self._video.average_rate or DEFAULT_RATE
        codec, options = self._codec(hdr=hdr)
        stream = cast(av.VideoStream, self._writer.add_stream(codec, rate=rate, options=options))
        self._size = first.width, first.height
        pixel = self._pixel_shape()
        shown = first.width, first.height
        if pixel != 1 and self._writer.format.name == "webm":
            self._report.note("the source's pixels are not square: webm is written with square ones")
            shown, pixel = square_pixels(*shown, pixel), Fraction(1)
        stream.width, stream.height = shown[0] + shown[0] % 2, shown[1] + shown[1] % 2
        stream.pix_fmt = KEPT_FORMAT if hdr else EDITED_FORMAT
        context = stream.codec_context
        if self._video.time_base is not None:
            context.time_base = self._video.time_base
        context.colorspace, context.color_range = first.colorspace, first.color_range
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        if pixel != 1:
            context.sample_aspect_ratio = pixel
        if codec == "libx265" and self._writer.format.name in APPLES:
            context.codec_tag = "hvc1"  # Apple's players take no other
        stream.metadata.update(self._tracks.metadata_of(self._video))
        return stream

    def _pixel_shape(self) -> Fraction:
        """Width of an upright pixel by its height: not 1 for DV, DVD and anamorphic lenses."""
        stored = self._video.sample_aspect_ratio or Fraction(1)
        return 1 / stored if self._prepare.turned else stored

    def _codec(self, *, hdr: bool) -> tuple[str, dict[str, str]]:
        """Encoder and its options.

        Raises:
            FileError: the container has no room for HDR.
        """
        if self._writer.format.name == "webm":
            if hdr:
                raise FileError("--keep-hdr writes HEVC, which .webm does not take: choose .mp4, .mov or .mkv")
            return "libvpx-vp9", {"crf": "24", "b:v": "0", "cpu-used": "6", "row-mt": "1"}
        if hdr:
            return "libx265", {"crf": HDR_CRF, "preset": "fast", "x265-params": "log-level=error"}
        return "libx264", {"crf": CRF, "preset": "veryfast"}
