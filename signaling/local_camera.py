"""This machine's own camera as a track, and the filter behind it that pages steer."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from models.arrays import Image
from signaling.video import VideoFilter
from stream.camera import CAMERA_SILENT_S, Source

CLOCK_RATE = 90_000
JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class LocalCamera:
    """A camera of this machine that is edited here.

    Attributes:
        video: its filter.
        what: camera and virtual camera, in words for the page.
    """

    video: VideoFilter
    what: str


class CameraTrack(MediaStreamTrack):  # type: ignore[misc]
    """A camera's newest frame; those that are overtaken are dropped. Make it on the event loop.

    Args:
        source: gives (H, W, 3) uint8 BGR frames.

    Attributes:
        problem: why it ended, in words for a user; empty where the camera just ended.
    """

    kind = "video"

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.problem = ""
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._newest: tuple[Image, int] | None = None
        self._waiting = asyncio.Event()
        self._started_at = time.monotonic()
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)
        self._thread.start()

    async def recv(self) -> av.VideoFrame:
        """The next frame, as bgr24.

        Raises:
            MediaStreamError: the camera has ended, was silent for `CAMERA_SILENT_S`, or the track was stopped.
        """
        try:
            async with asyncio.timeout(CAMERA_SILENT_S):
                await self._waiting.wait()
        except TimeoutError:
            self.problem = f"the camera gave no picture for {CAMERA_SILENT_S:g} seconds"
            self.stop()
        self._waiting.clear()
        newest, self._newest = self._newest, None
        if self.readyState != "live" or newest is None:
            raise MediaStreamError
        frame = av.VideoFrame.from_ndarray(newest[0], format="bgr24")
        frame.pts, frame.time_base = newest[1], Fraction(1, CLOCK_RATE)
        return frame

    def stop(self) -> None:
        super().stop()
        self._waiting.set()

    def join(self) -> None:
        """Wait for the frame that is being read, so that the camera can be freed."""
        self._thread.join(JOIN_S)

    def _read(self) -> None:
        there = True
        while there and self.readyState == "live":
            there, image = self._source.read()
            taken = round((time.monotonic() - self._started_at) * CLOCK_RATE)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._put, (image, taken) if there else None)

    def _put(self, newest: tuple[Image, int] | None) -> None:
        self._newest = newest
        if newest is None:
            self.stop()
        self._waiting.set()
