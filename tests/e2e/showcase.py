"""`python -m tests.e2e.showcase FILE`: the moving before/after picture of the README (docs/before-after.webp) and of
the page (web/demo.mp4), made with what ships.

The face is NASA's public-domain portrait of Eileen Collins (it comes with scikit-image), swaying as a person in front
of a camera does. Left the camera, right what the stream returns, through the real pipeline, frame by frame.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from models.arrays import Image
from stream.frame import Frame
from stream.runtime import Runtime
from stream.settings import Settings
from tests.e2e import fake_camera

WIDTH, HEIGHT = 640, 480
SHOWN = 320, 320
"""Of each half: the middle of the picture, shrunk."""
FPS = 30
EVERY = 3
"""Only every so manieth frame is written; all are processed."""
QUALITY = 70
"""Of a WebP file."""
H264 = {"crf": "30", "preset": "veryslow", "tune": "film"}
"""Of an MP4 file: a page loads it before anything else."""
SECONDS = 1.6
"""How long each setting is shown."""
SHOWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("camera", "embedded", {}),
    ("age 60", "embedded", {"age": 60}),
    ("age 80", "embedded", {"age": 80}),
    ("age 20", "embedded", {"age": 20}),
    ("red hair", "hair", {"colour": "red"}),
    ("bald, half", "embedded", {"bald": 0.5}),
    ("bald", "embedded", {"bald": 1}),
)
"""What is written under a picture, the editor and its controls."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the animation.

    Args:
        argv: the file to write, ending in .webp or .mp4.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1 or Path(arguments[0]).suffix not in (".webp", ".mp4"):
        print(__doc__, file=sys.stderr)
        return 2
    if Path(arguments[0]).suffix == ".mp4":
        write_mp4(arguments[0], pictures())
        return 0
    animation = cv2.Animation()
    animation.frames = list(pictures())
    animation.durations = [1000 * EVERY // FPS] * len(animation.frames)
    return 0 if cv2.imwriteanimation(arguments[0], animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]) else 1


def write_mp4(path: str, frames: Iterable[Image]) -> None:
    """Write (H, W, 3) uint8 BGR pictures of one size as H.264, to be played while it loads."""
    with av.open(path, "w", options={"movflags": "+faststart"}) as film:
        stream = film.add_stream("libx264", rate=FPS // EVERY, options=H264)
        stream.width, stream.height, stream.pix_fmt = 2 * SHOWN[0], SHOWN[1], "yuv420p"
        for frame in frames:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        film.mux(stream.encode(None))


def pictures() -> Iterator[Image]:
    """Camera and result side by side, BGR, with the setting written under them."""
    runtime = Runtime.load()
    pipeline = runtime.pipeline()
    per_show = round(SECONDS * FPS)
    frames = per_show * len(SHOWS)
    for index in range(frames):
        caption, editor, controls = SHOWS[index // per_show]
        look = runtime.look(Settings(), {"editor": editor, "controls": controls})
        camera = fake_camera.frame(WIDTH, HEIGHT, fake_camera.astronaut(), index, frames)
        edited = pipeline.process(Frame(camera, index / FPS), look).image
        if index % EVERY == 0:
            yield np.hstack([_captioned(camera, "camera"), _captioned(edited, caption)])
    pipeline.close()


def _captioned(picture: Image, caption: str) -> Image:
    left = (WIDTH - HEIGHT) // 2
    shown = cv2.resize(picture[:, left : left + HEIGHT], SHOWN, interpolation=cv2.INTER_AREA)
    place = (10, SHOWN[1] - 12)
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(shown, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, colour, thickness, cv2.LINE_AA)
    return np.asarray(shown, np.uint8)


if __name__ == "__main__":
    sys.exit(main())
