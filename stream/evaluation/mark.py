"""The mark in the pixels: what it survives, what it costs, whether it is ever seen where it is not.

Clips go through the stream's own pipeline with the shipped editor, are damaged as calls and people damage video, and
are read by the shipped detector.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from engines.base import Engine
from engines.select import load as load_engine
from models import catalog
from models.arrays import Image
from models.editor import AnyEditor, Controls
from models.embedded import EMBEDDED
from models.face.detector import Detector
from models.face.landmarks import Landmarks
from models.face.segmenter import Segmenter
from models.training.data import FaceSet
from stream import photos
from stream.evaluation.flicker import ClipReader, flicker
from stream.frame import Frame
from stream.look import Layer, Look
from stream.mark.payload import Statement
from stream.mark.reader import Reader, Reading
from stream.pipeline import Pipeline
from stream.runtime import LANDMARKS, RuntimeSettings
from stream.settings import Settings

SECONDS = 5.0
USUAL_FPS = 25.0
LINES = 480
"""Height of a call's picture; taller clips are shrunk to it first."""
HD = (1280, 720)
OPERATORS = (0x1234ABCD, 0x0BADCAFE)
EDITS = ({"age": 75}, {"smile": 0.7})
DYE = {"colour": "red", "amount": 1.0}
"""Of another editor, in unmarked videos."""
SNAPSHOT_EVERY = 15
"""Frames between two snapshots of a clip."""
SNAPSHOT_FACE = 160
"""Pixels of a face from which a snapshot counts."""
FALSE_ALARM_WINDOW = 10
"""Frames of a window of unmarked video."""

PARTS = ("videos", "false-alarms", "pictures", "costs")

Frames = list[Image]


class Attack(NamedTuple):
    """A way to damage a video.

    Attributes:
        name: in the table.
        damage: the frames and their rate -> the damaged frames.
        unmarked: whether false alarms are looked for in videos without a mark that were damaged so.
    """

    name: str
    damage: Callable[[Frames, float], Frames]
    unmarked: bool = False


@dataclass(slots=True)
class Row:
    """One line of the table."""

    name: str
    right: int = 0
    wrong: int = 0
    count: int = 0
    missed: list[str] = field(default_factory=list)

    def take(self, label: str, reading: Reading, wanted: set[Statement]) -> None:
        """Count a reading; a payload that nobody wrote is wrong."""
        self.count += 1
        found = set(reading.found)
        self.wrong += bool(found - wanted)
        if found & wanted:
            self.right += 1
        else:
            self.missed.append(label)

    def line(self) -> str:
        missed = f"; not in {', '.join(self.missed)}" if 0 < len(self.missed) <= 4 else ""
        wrong = f"; {self.wrong} wrong payloads" if self.wrong else ""
        return f"| {self.name} | {self.right} of {self.count}{missed}{wrong} |"


def main(argv: list[str]) -> int:
    """Print the table of docs/mark.md.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m stream.evaluation mark", description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with clips/ and faces/")
    parser.add_argument("--pictures", type=int, default=100, help="portraits that are marked (default: %(default)d)")
    parser.add_argument("--unmarked", type=int, default=300, help="portraits without a mark (default: %(default)d)")
    parser.add_argument("--only", choices=PARTS, help="a part of the table")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    bench = Bench()
    clips = sorted((options.shared / "clips").glob("*.mp4"))
    wanted = PARTS if options.only is None else (options.only,)
    print("| | read |\n|---|---|")
    if "videos" in wanted:
        bench.videos(clips)
    if "false-alarms" in wanted:
        bench.false_alarms(clips)
    if "pictures" in wanted:
        bench.pictures(FaceSet.load(options.shared), options.pictures, options.unmarked)
    if "costs" in wanted:
        bench.costs(clips)
    return 0


class Bench:
    """The shipped networks, and what is measured with them."""

    def __init__(self) -> None:
        settings = RuntimeSettings()
        self._detector = Detector(settings.pack, settings.detector_size)
        self._landmarks = Landmarks(load_engine(LANDMARKS, precision="f32", threads=1))
        self._segmenter = Segmenter(_engine(EMBEDDED / "segmenter.onnx"))
        self._editor: AnyEditor = catalog.entry("embedded").load(_engine)
        self._reader = Reader(self._detector, self._landmarks)

    def videos(self, clips: Sequence[Path]) -> None:
        """Mark, damage and read every clip."""
        rows = {attack.name: Row(attack.name) for attack in ATTACKS}
        twice, snapshots = Row("edited and marked twice"), Row("JPEG 80 snapshots of video")
        statement = Statement(frozenset({"age"}), OPERATORS[0])
        errors = list[float]()
        for path in clips:
            frames, fps = read_clip(path)
            marked, sizes = self._edited(frames, fps, 0)
            plain, _ = self._edited(frames, fps, 0, mark=False)
            errors += [psnr(*pair) for pair in zip(marked, plain, frames, strict=True)]
            label = f"{path.stem} (face {np.median(sizes):.0f} px)"
            for attack in ATTACKS:
                rows[attack.name].take(label, self._read(attack.damage(marked, fps), fps), {statement})
            again, _ = self._edited(marked, fps, 1)
            twice.take(label, self._read(again, fps), {statement, Statement(frozenset({"expression"}), OPERATORS[1])})
            for index in range(SNAPSHOT_EVERY, len(marked), SNAPSHOT_EVERY):
                if sizes[index] >= SNAPSHOT_FACE:
                    snapshots.take(path.stem, self._reader.picture(jpeg(marked[index], 80)), {statement})
            print(f"{path.stem}: {np.nanmean(errors[-len(frames) :]):.1f} dB", file=sys.stderr, flush=True)
        for row in (*rows.values(), twice, snapshots):
            print(row.line(), flush=True)
        print(f"| PSNR of the mark in the edited pixels | {np.nanmean(errors):.1f} dB |")

    def false_alarms(self, clips: Sequence[Path]) -> None:
        """Look for marks in all of every clip, as it is and edited without a mark by two editors, and damaged."""
        alarms = windows = decoded = 0
        for path in clips:
            frames, fps = read_clip(path, seconds=float("inf"))
            aged, _ = self._edited(frames, fps, 0, mark=False)
            dyed = self._dyed(frames, fps)
            for video in (frames, aged, dyed):
                for damage in (attack.damage for attack in ATTACKS if attack.unmarked):
                    shown = damage(video, fps)
                    for start in range(0, len(shown), FALSE_ALARM_WINDOW):
                        reading = self._read(shown[start : start + FALSE_ALARM_WINDOW], fps)
                        alarms += bool(reading.found)
                        windows += reading.decoded > 0
                        decoded += reading.decoded
            print(f"{path.stem}: {alarms} in {windows} windows, {decoded} decodings", file=sys.stderr, flush=True)
        print(f"| false alarms on unmarked clips | {alarms} in {windows} windows, {decoded} decodings |", flush=True)

    def pictures(self, faces: FaceSet, marked: int, unmarked: int) -> None:
        """Mark, damage and read portraits; look for marks in unmarked ones."""
        statement = Statement(frozenset({"age"}), OPERATORS[0])
        rows = {name: Row(f"portraits, {name}") for name in STILL_ATTACKS}
        wrong = 0
        rowset = [row for row in faces.split("val") if abs(faces.labels["yaw"][row]) < 35]
        for row in rowset[:marked]:
            picture = np.ascontiguousarray(faces.image(row)[..., ::-1])
            pipeline = Pipeline(self._reader.tracker(), self._segmenter, operator=OPERATORS[0])
            edited = photos.still(picture, pipeline, self._look(0)).image
            for name, damage in STILL_ATTACKS.items():
                rows[name].take(str(row), self._reader.picture(damage(edited)), {statement})
        decoded = 0
        for row in rowset[-unmarked:]:
            reading = self._reader.picture(np.ascontiguousarray(faces.image(row)[..., ::-1]))
            decoded += reading.decoded
            wrong += bool(reading.found)
        for each in rows.values():
            print(each.line())
        print(f"| false alarms on unmarked portraits | {wrong} in {decoded} faces, each read in 54 ways |", flush=True)

    def costs(self, clips: Sequence[Path]) -> None:
        """Milliseconds a frame of 720p, and flicker with the mark over flicker without it."""
        reader, ratios, milliseconds = ClipReader(), list[float](), list[float]()
        controls = self._editor.Controls(**EDITS[0])
        for path in clips:
            for run in reader.segments(path, 1):
                with_mark, without = (
                    flicker(run, reader.tracker(), self._editor, self._segmenter, controls, mark=mark)
                    for mark in (True, False)
                )
                ratios.append(with_mark / without)
                pipeline = Pipeline(reader.tracker(), self._segmenter)
                spent = [
                    pipeline.process(Frame(cv2.resize(seen.frame.image, HD), seen.frame.time), self._look(0)).trace.ms
                    for seen in run
                ]
                milliseconds += [ms["mark"] for ms in spent if "mark" in ms]
        print(f"| flicker with the mark over flicker without it | {np.mean(ratios):.3f}, worst {max(ratios):.3f} |")
        low, middle = np.percentile(milliseconds, (10, 50))
        print(f"| cost of a frame of 720p, one core | {low:.2f} ms (least decile), {middle:.2f} ms (median) |")

    def _look(self, which: int, *, mark: bool = True) -> Look:
        controls: Controls = self._editor.Controls(**EDITS[which])
        return Look(Settings(mark=mark), (Layer(self._editor.name, self._editor, controls),))

    def _edited(self, frames: Frames, fps: float, which: int, *, mark: bool = True) -> tuple[Frames, list[float]]:
        """The edited frames, and the height of the largest face in each."""
        pipeline = Pipeline(self._reader.tracker(), self._segmenter, operator=OPERATORS[which])
        look = self._look(which, mark=mark)
        outputs = [pipeline.process(Frame(image, index / fps), look) for index, image in enumerate(frames)]
        sizes = [max((float(np.ptp(face.box[1::2])) for face in output.faces), default=0.0) for output in outputs]
        return [output.image for output in outputs], sizes

    def _dyed(self, frames: Frames, fps: float) -> Frames:
        """The frames as the editor of hair colour shows them, without a mark."""
        editor: AnyEditor = catalog.entry("hair").load(_engine)
        pipeline = Pipeline(self._reader.tracker(), self._segmenter)
        look = Look(Settings(mark=False), (Layer(editor.name, editor, editor.Controls(**DYE)),))
        return [pipeline.process(Frame(image, index / fps), look).image for index, image in enumerate(frames)]

    def _read(self, frames: Frames, fps: float) -> Reading:
        return self._reader.video(Frame(image, index / fps) for index, image in enumerate(frames))


def read_clip(path: Path, seconds: float = SECONDS) -> tuple[Frames, float]:
    """The first `seconds` of a clip at `LINES` at most, with even sides, and its frame rate."""
    capture = cv2.VideoCapture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS) or USUAL_FPS
    frames: Frames = []
    while len(frames) < seconds * fps:
        done, image = capture.read()
        if not done:
            break
        if image.shape[0] > LINES:
            size = (round(image.shape[1] * LINES / image.shape[0]), LINES)
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        frames.append(_even(np.asarray(image, np.uint8)))
    return frames, fps


def psnr(marked: Image, plain: Image, camera: Image) -> float:
    """Of the mark, in the pixels that were edited, dB; NaN where nothing was."""
    edited = (plain != camera).any(2) | (marked != plain).any(2)
    if not edited.any() or (marked == plain).all():
        return float("nan")
    error = (marked[edited].astype(np.float32) - plain[edited]) ** 2
    return float(10 * np.log10(255**2 / max(float(error.mean()), 1e-9)))


def encoded(frames: Frames, fps: float, codec: str, bitrate: int) -> Frames:
    """What a viewer sees of frames that were sent at a constant bitrate, as a live encoder does it."""
    options = {
        "libx264": {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "maxrate": str(bitrate),
            "bufsize": str(bitrate // 2),
        },
        "libvpx": {"deadline": "realtime", "cpu-used": "-10", "minrate": str(bitrate), "maxrate": str(bitrate)},
    }[codec]
    encoder, decoder = av.CodecContext.create(codec, "w"), av.CodecContext.create(DECODERS[codec], "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt, encoder.bit_rate, encoder.gop_size = "yuv420p", bitrate, 3000
    encoder.framerate = Fraction(round(fps))
    encoder.time_base, encoder.options = 1 / encoder.framerate, options
    shown: Frames = []
    for index, image in enumerate([*frames, None]):
        frame = None
        if image is not None:
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
            frame.pts = index
        for packet in encoder.encode(frame):
            shown += [_bgr(one) for one in decoder.decode(av.Packet(bytes(packet)))]
    return shown + [_bgr(one) for one in decoder.decode(None)]


DECODERS = {"libx264": "h264", "libvpx": "vp8"}


def jpeg(image: Image, quality: int) -> Image:
    """A picture after JPEG."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def scaled(image: Image, factor: float) -> Image:
    """A picture in another size, with even sides."""
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return _even(np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=way), np.uint8))


def cropped(image: Image) -> Image:
    """Without the outer eighth on the left and right, and a tenth above and below."""
    height, width = image.shape[:2]
    return _even(image[height // 10 : height - height // 10, width // 8 : width - width // 8])


def rotated(image: Image, degrees: float = 5.0) -> Image:
    """A turned picture."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def graded(image: Image) -> Image:
    """Brighter by 8 %, with a gamma of 0.85."""
    table = np.clip(255 * 1.08 * (np.arange(256) / 255) ** 0.85, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def _every(change: Callable[[Image], Image]) -> Callable[[Frames, float], Frames]:
    return lambda frames, fps: [change(image) for image in frames]


def _even(image: Image) -> Image:
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])


def _bgr(frame: av.VideoFrame) -> Image:
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _engine(path: Path) -> Engine:
    return load_engine(path, threads=1)


ATTACKS = (
    Attack("undamaged", lambda frames, fps: frames, unmarked=True),
    Attack("H.264, 500 kbit/s", lambda frames, fps: encoded(frames, fps, "libx264", 500_000), unmarked=True),
    Attack("VP8, 300 kbit/s", lambda frames, fps: encoded(frames, fps, "libvpx", 300_000)),
    Attack(
        "scaled to 360 lines",
        lambda frames, fps: [scaled(image, 360 / image.shape[0]) for image in frames],
        unmarked=True,
    ),
    Attack("cropped to the head", _every(cropped)),
    Attack("turned by 5 degrees", _every(rotated), unmarked=True),
    Attack("mirrored", _every(lambda image: np.ascontiguousarray(image[:, ::-1]))),
    Attack("brighter, gamma 0.85", _every(graded), unmarked=True),
    Attack(
        "screen recording: H.264 1.5 Mbit/s, scaled by 0.8, H.264 1 Mbit/s",
        lambda frames, fps: encoded(
            [scaled(image, 0.8) for image in encoded(frames, fps, "libx264", 1_500_000)], fps, "libx264", 1_000_000
        ),
    ),
)
STILL_ATTACKS: dict[str, Callable[[Image], Image]] = {
    "undamaged": lambda image: image,
    "JPEG 80": lambda image: jpeg(image, 80),
    "JPEG 60": lambda image: jpeg(image, 60),
    "scaled by 0.75, JPEG 80": lambda image: jpeg(scaled(image, 0.75), 80),
}
