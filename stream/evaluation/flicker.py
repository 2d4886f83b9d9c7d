"""Steadiness: how much more an edited clip flickers than the camera, once motion is taken out.

The clips go through the stream's own pipeline with the shipped tracker and segmenter, so what is measured is what a
user sees, smoothing and all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.base import Engine
from engines.select import load as load_engine
from models import catalog
from models.arrays import Floats, Image
from models.crops import cut, quad_of
from models.editor import AnyEditor, Controls
from models.embedded import EMBEDDED
from models.face.detector import Detector
from models.face.landmarks import Landmarks
from models.face.segmenter import Segmenter
from stream.frame import Face, Frame
from stream.look import Layer, Look
from stream.pipeline import Pipeline
from stream.runtime import LANDMARKS, RuntimeSettings
from stream.settings import Settings
from stream.tracking import Tracker

SEGMENT, WARM = 24, 12
"""Frames that are measured at a time, and frames before them in which the filters settle."""
SEGMENTS_PER_CLIP = 2
SIDE = 320
"""Side in pixels of the square around the face in which frames are compared; it stays where it is."""
USUAL_FPS = 25.0

EDITS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "embedded": ({"age": 75}, {"age": 25}, {"bald": 1}, {"hair_grey": 1}, {"smile": 1}),
    "hair": tuple({"colour": colour, "amount": 1} for colour in ("black", "red", "blond")),
}
"""What is measured by default: controls by the name of their editor in the catalog."""
GOALS = {"embedded": 1.15, "hair": 1.1}


def main(argv: list[str]) -> int:
    """Print how much the shipped edits flicker on the clips.

    Args:
        argv: options as `--help` lists them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m stream.evaluation flicker", description=__doc__)
    parser.add_argument("clips", type=Path, help="folder with video files")
    parser.add_argument("--editor", choices=EDITS, action="append", help="this editor alone; may be repeated")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    segmenter = Segmenter(_engine(EMBEDDED / "segmenter.onnx"))
    for name in options.editor or EDITS:
        editor = catalog.entry(name).load(_engine)
        edits = {
            ", ".join(f"{key}={value}" for key, value in controls.items()): editor.Controls(**controls)
            for controls in EDITS[name]
        }
        print_flicker(options.clips, editor, segmenter, edits, GOALS[name])
    return 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame of a clip and the faces that the tracker found in it."""

    frame: Frame
    faces: tuple[Face, ...]


class ClipReader:
    """Reads clips and tracks their faces with the shipped networks."""

    def __init__(self) -> None:
        settings = RuntimeSettings()
        self._detect = Detector(settings.pack, settings.detector_size)
        self._landmarks = Landmarks(load_engine(LANDMARKS, precision="f32", threads=1))

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing yet."""
        return Tracker(self._detect, self._landmarks)

    def segments(self, clip: Path, count: int) -> Iterator[list[Seen]]:
        """Up to `count` runs of frames, each of `WARM` and `SEGMENT` frames in which the largest face stays the same.

        Args:
            clip: a video file.
            count: how many, spread over the first 400 frames.
        """
        capture = cv2.VideoCapture(str(clip))
        fps = capture.get(cv2.CAP_PROP_FPS) or USUAL_FPS
        frames: list[Image] = []
        while len(frames) < 400 and (read := capture.read())[0]:
            frames.append(read[1].astype(np.uint8, copy=False))
        length = WARM + SEGMENT
        for start in np.linspace(0, max(len(frames) - length, 0), count).astype(int):
            tracker = self.tracker()
            run: list[Seen] = []
            for index, image in enumerate(frames[start : start + length], int(start)):
                frame = Frame(image, index / fps)
                faces, _ = tracker(image, frame.time)
                if not faces or (run and faces[0].id != run[0].faces[0].id):
                    break
                run.append(Seen(frame, faces))
            if len(run) > WARM + 2:
                yield run


def flicker(
    run: list[Seen],
    tracker: Tracker,
    editor: AnyEditor,
    segmenter: Segmenter,
    controls: Controls,
    *,
    mark: bool = True,
) -> float:
    """Mean flow-compensated frame difference where the edit changed anything, edited over camera.

    Args:
        run: from `ClipReader.segments`.
        tracker: a new one.
        editor: what edits.
        segmenter: reads the masks.
        controls: what the editor shall do.
        mark: whether edited faces are marked, as they are by default.
    """
    pipeline = Pipeline(tracker, segmenter)
    look = Look(Settings(faces="largest", mark=mark), (Layer(editor.name, editor, controls),))
    shown = [pipeline.process(seen.frame, look).image for seen in run][WARM:]
    measured = run[WARM:]
    quad = quad_of(measured[0].faces[0], editor.crop)
    camera = [cut(seen.frame.image, quad, SIDE) for seen in measured]
    after = [cut(image, quad, SIDE) for image in shown]
    motion = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8) for image in camera]
    grid = np.stack(np.meshgrid(*[np.arange(SIDE, dtype=np.float32)] * 2), axis=-1)
    ours = theirs = 0.0
    for index in range(1, len(camera)):
        touched = (after[index] != camera[index]).any(axis=2)
        if not touched.any():
            continue
        where = (grid + motion.calc(grey[index], grey[index - 1], None)).astype(np.float32)
        ours += float(_difference(after[index], after[index - 1], where)[touched].mean())
        theirs += float(_difference(camera[index], camera[index - 1], where)[touched].mean())
    return ours / max(theirs, 1e-6)


def print_flicker(
    clips: Path, editor: AnyEditor, segmenter: Segmenter, edits: Mapping[str, Controls], goal: float
) -> None:
    """Print how much each edit flickers on each clip, as Markdown.

    Args:
        clips: folder with video files.
        editor: what edits.
        segmenter: reads the masks.
        edits: what the editor shall do, by the heading of the column.
        goal: what is wanted.
    """
    reader = ClipReader()
    print(f"\n| flicker out / in (goal <= {goal}) | " + " | ".join(edits) + " |")
    print("|---|" + "---|" * len(edits))
    for clip in sorted(clips.glob("*.mp4")):
        ratios = [
            [flicker(seen, reader.tracker(), editor, segmenter, controls) for controls in edits.values()]
            for seen in reader.segments(clip, SEGMENTS_PER_CLIP)
        ]
        if ratios:
            print(f"| {clip.name} | " + " | ".join(f"{value:.2f}" for value in np.mean(ratios, axis=0)) + " |")


def _difference(now: Image, before: Image, where: Floats) -> Floats:
    moved = cv2.remap(before, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.abs(now.astype(np.float32) - moved).mean(2), np.float32)


def _engine(path: Path) -> Engine:
    return load_engine(path, threads=1)
