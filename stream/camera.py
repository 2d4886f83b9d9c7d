"""The live pipeline from a local camera to a virtual camera, which any video call or OBS can pick.

    python -m stream.camera --set age=+20               # and a page that steers it (signaling/camera_page.py)
    python -m stream.camera --no-page --set age=+20     # without one
    python -m stream.camera --from-session ADDRESS      # what a page shows, steered there (signaling/virtual_camera.py)

The virtual camera is pyvirtualcam's (OBS's on Windows and macOS, v4l2loopback on Linux). It is under the GPL and
therefore not among the requirements: `pip install pyvirtualcam`.
"""

from __future__ import annotations

import argparse
import platform
import runpy
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np

from models.arrays import Image
from stream import command_line
from stream.command_line import CommandError, NothingEdited
from stream.frame import Frame
from stream.look import Look
from stream.pipeline import Pipeline
from stream.settings import Settings
from stream.slot import LatestSlot, SlotClosed

REPORT_EVERY_S = 5.0
CAMERA_SILENT_S = 5.0
READER_ENDS_S = 1.0
"""How long the end waits for a camera that is being read."""
SESSION_COMMAND = "signaling.virtual_camera"
"""This layer knows nothing of the network: the same command line goes on there."""
PAGE_PORT = 8081
"""Of the page that steers the camera, beside the server's own port."""
Fit = Literal["whole", "fill"]
"""How a picture of another shape is shown: all of it with black beside it, or cropped to fill."""
CROP_ABOVE = 0.35
"""Share of what is cropped that goes at the top: heads are in the upper half."""
MOST_CAMERAS = 8
"""Numbers of cameras that are tried where the system has no list."""


class CameraError(CommandError):
    """The camera or the virtual camera cannot be used; the message says what to do."""


class Source(Protocol):
    """Where frames come from; OpenCV's `VideoCapture` is one."""

    def read(self) -> tuple[bool, Any]: ...


class Sink(Protocol):
    """Where frames go; pyvirtualcam's `Camera` is one."""

    def send(self, frame: Image) -> None: ...


def run(
    source: Source,
    sink: Sink,
    pipeline: Pipeline,
    look: Look,
    *,
    report: Callable[[float, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Filter until the camera ends.

    The camera is read in a thread of its own into a one-frame slot, so that a slow edit drops frames and never
    queues them.

    Args:
        source: gives (H, W, 3) uint8 BGR frames.
        sink: takes (H, W, 3) uint8 RGB frames, all of the size of the first one.
        pipeline: of this stream.
        look: from `Runtime.look`.
        report: called every five seconds with frames per second and frames dropped so far.
        clock: seconds.

    Returns:
        How many frames were sent.

    Raises:
        CameraError: the camera gives no frame for five seconds, or the virtual camera takes none.
    """
    slot: LatestSlot[tuple[Image, float]] = LatestSlot()
    stopped = threading.Event()
    reader = threading.Thread(target=_read, args=(source, slot, clock, stopped), name="camera", daemon=True)
    reader.start()
    size: tuple[int, int] | None = None
    sent, reported_at, reported = 0, clock(), 0
    try:
        while True:
            image, captured = slot.take(CAMERA_SILENT_S)
            started = time.perf_counter()
            output = pipeline.process(Frame(image, captured), look)
            pipeline.adapt(time.perf_counter() - started, slot.interval)
            size = size or (output.image.shape[1], output.image.shape[0])
            send_picture(sink, cv2.cvtColor(letterbox(output.image, size), cv2.COLOR_BGR2RGB))
            sent += 1
            now = clock()
            if report is not None and now - reported_at >= REPORT_EVERY_S:
                report((sent - reported) / (now - reported_at), slot.dropped)
                reported_at, reported = now, sent
    except SlotClosed:
        return sent
    except TimeoutError:
        raise CameraError(f"the camera gave no picture for {CAMERA_SILENT_S:g} seconds") from None
    finally:
        stopped.set()
        slot.close()
        reader.join(READER_ENDS_S)  # who called releases the camera next


def send_picture(sink: Sink, picture: Image) -> None:
    """Send a picture to a virtual camera.

    Args:
        sink: the virtual camera.
        picture: (H, W, 3) uint8 RGB.

    Raises:
        CameraError: it does not take it, as when the virtual camera was removed.
    """
    try:
        sink.send(picture)
    except (RuntimeError, OSError) as error:
        raise CameraError(f"the virtual camera takes no more pictures: {str(error).strip()}") from error


def letterbox(image: Image, size: tuple[int, int]) -> Image:
    """A picture of one size from one of any size: whole and centred, over black. Virtual cameras keep their size.

    Args:
        image: (H, W, 3) uint8.
        size: width and height wanted.

    Returns:
        The very picture if it has that size.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    scale = min(size[0] / width, size[1] / height)
    inner = max(1, min(size[0], round(scale * width))), max(1, min(size[1], round(scale * height)))
    out = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out[y : y + inner[1], x : x + inner[0]] = cv2.resize(image, inner, interpolation=interpolation)
    return out


def fit_picture(image: Image, size: tuple[int, int], fit: Fit) -> Image:
    """A picture of one size from one of any size.

    Args:
        image: (H, W, 3) uint8.
        size: width and height wanted.
        fit: "whole" shows all of it (`letterbox`), "fill" crops it to the shape that is wanted.

    Returns:
        The very picture if it has that size.
    """
    if fit == "whole":
        return letterbox(image, size)
    height, width = image.shape[:2]
    inner = min(width, round(height * size[0] / size[1])), min(height, round(width * size[1] / size[0]))
    x, y = (width - inner[0]) // 2, round(CROP_ABOVE * (height - inner[1]))
    part = image[y : y + inner[1], x : x + inner[0]]
    if inner == size:
        return np.ascontiguousarray(part)
    interpolation = cv2.INTER_AREA if inner[0] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, size, interpolation=interpolation), np.uint8)


def _read(
    source: Source, slot: LatestSlot[tuple[Image, float]], clock: Callable[[], float], stopped: threading.Event
) -> None:
    while not stopped.is_set():
        there, image = source.read()
        if not there:
            slot.close()
            return
        slot.put((image, clock()))


def main(argv: Sequence[str] | None = None, network: Callable[[argparse.Namespace], None] | None = None) -> int:
    """Run the command line.

    Args:
        argv: without the program's name.
        network: serves the page, or shows a session that runs elsewhere; None lets the command that can do so go on.

    Returns:
        0 after Ctrl-C or the camera's end, 1 when something was refused (the reason is on standard error).
    """
    arguments = _parser().parse_args(argv)
    if arguments.list or (arguments.no_page and arguments.from_session is None):
        return command_line.run(lambda: _run(arguments))
    if network is not None:
        return command_line.run(lambda: network(arguments))
    sys.argv[1:] = sys.argv[1:] if argv is None else argv
    runpy.run_module(SESSION_COMMAND, run_name="__main__")  # it ends with SystemExit
    return 0


def _run(arguments: argparse.Namespace) -> None:
    if arguments.list:
        print("\n".join(list_cameras()))
        return
    runtime = command_line.load_runtime(arguments)
    look = runtime.look(Settings(), command_line.patch_of(arguments))
    if look.idle:
        raise NothingEdited.by(look)
    with suppress(KeyboardInterrupt), open_devices(arguments) as (source, size, sink):
        print(f"{size[0]}x{size[1]} to {sink.device}; Ctrl-C ends")
        run(source, sink, runtime.pipeline(live=True), look, report=_print_rate)


@contextmanager
def open_sink(width: int, height: int, fps: float) -> Iterator[Any]:
    """A virtual camera of this size, for the time of the block.

    Raises:
        CameraError: there is none; the message says what to install.
    """
    try:
        import pyvirtualcam  # noqa: PLC0415
    except ImportError as error:
        raise CameraError("the virtual camera needs one more package: pip install pyvirtualcam") from error
    try:
        sink = pyvirtualcam.Camera(width, height, fps)
    except RuntimeError as error:
        raise CameraError(f"no virtual camera: {str(error).strip()}{_virtual_camera_help()}") from error
    with sink:
        yield sink


def _virtual_camera_help() -> str:
    """What gives this machine a virtual camera."""
    if platform.system() == "Linux":
        return '\nmake one: sudo modprobe v4l2loopback card_label="Latentcam" exclusive_caps=1'
    return "\ninstall OBS Studio, and press Start Virtual Camera in it once"


@contextmanager
def open_devices(arguments: argparse.Namespace) -> Iterator[tuple[Source, tuple[int, int], Any]]:
    """The camera, the width and height of what it gives, and a virtual camera of that size, for the time of the block.

    Raises:
        CameraError: one of them cannot be used.
    """
    capture = cv2.VideoCapture(arguments.device)
    try:
        if not capture.isOpened():
            raise CameraError(f"camera {arguments.device} cannot be opened; --list shows what there is")
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, arguments.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, arguments.height)
        there_is, first = capture.read()
        if not there_is:
            raise CameraError(f"camera {arguments.device} gives no picture")
        size = first.shape[1], first.shape[0]
        with open_sink(*size, arguments.fps) as sink:
            yield capture, size, sink
    finally:
        capture.release()


def list_cameras() -> list[str]:
    """One line for each camera and virtual camera of this machine."""
    if platform.system() == "Linux":
        found = [_linux_camera(path) for path in sorted(Path("/sys/class/video4linux").glob("video*"), key=_number)]
        return found or ["no camera: there is no /dev/video*; for a virtual one: sudo modprobe v4l2loopback"]
    lines = []
    for number in range(MOST_CAMERAS):
        capture = cv2.VideoCapture(number)
        if capture.isOpened():
            width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            lines.append(f"--device {number}: {width}x{height}")
        capture.release()
    return lines or ["no camera can be opened"]


def _linux_camera(path: Path) -> str:
    name = (path / "name").read_text().strip()
    kind = "virtual camera" if "/virtual/" in str(path.resolve()) else "camera"
    return f"--device {_number(path)}: {kind} {name!r} (/dev/{path.name})"


def _number(path: Path) -> int:
    return int(path.name.removeprefix("video"))


def _print_rate(fps: float, dropped: int) -> None:
    print(f"{fps:.1f} fps, {dropped} dropped")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stream.camera", description="Edit a camera into a virtual camera.")
    parser.add_argument("--list", action="store_true", help="list cameras and virtual cameras, and end")
    parser.add_argument(
        "--from-session",
        metavar="ADDRESS",
        help="show what a running page shows, in place of a camera; the page has the address under Use in a call",
    )
    parser.add_argument(
        "--device", type=command_line.not_negative, default=0, help="number of the camera (default: %(default)s)"
    )
    parser.add_argument("--width", type=command_line.positive(int), default=1280)
    parser.add_argument("--height", type=command_line.positive(int), default=720)
    parser.add_argument("--fps", type=command_line.positive(float), default=30.0)
    parser.add_argument(
        "--fit",
        choices=["whole", "fill"],
        default="whole",
        help="how a picture of another shape is shown: whole, with black beside it, or cropped (default: %(default)s)",
    )
    page = parser.add_argument_group("page", "the page that steers the camera while it runs")
    page.add_argument("--no-page", action="store_true", help="serve none")
    page.add_argument("--open", action="store_true", help="open it in a browser")
    page.add_argument("--host", default="127.0.0.1", help="address that it listens on (default: this machine only)")
    page.add_argument("--port", type=int, help=f"its port, 0 for a free one (default: {PAGE_PORT}, or a free one)")
    page.add_argument("--token", help="bearer token that it asks for; needed beyond this machine")
    page.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain, PEM")
    page.add_argument("--tls-key", type=Path, metavar="FILE", help="private key, PEM")
    page.add_argument("--insecure", action="store_true", help="listen beyond this machine without token and TLS")
    command_line.add_settings(parser, leave_out={"bypass"})
    command_line.add_runtime(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
