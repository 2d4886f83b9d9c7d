"""A virtual camera that shows the newest video frame, whatever its size."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import av
import cv2
import numpy as np

from models.arrays import Image
from stream.camera import Fit, Sink, fit_picture, send_picture
from stream.slot import LatestSlot, SlotClosed
from stream.yuv import VideoConverter

REPEAT_S = 1.0
"""A program that opens the virtual camera while nothing new comes is given a picture within this time."""


class Screen:
    """Shows the newest frame on a virtual camera, from a thread of its own; black while there is none.

    Args:
        sink: takes (H, W, 3) uint8 RGB frames of one size.
        size: width and height of that size, pixels.
        fit: how frames of another shape are shown.

    Attributes:
        ended: done when it shows nothing any more: after `close`, or with what went wrong, a `CameraError` where the
            virtual camera takes no more pictures.
    """

    def __init__(self, sink: Sink, size: tuple[int, int], fit: Fit = "whole") -> None:
        self._sink = sink
        self._size = size
        self._fit = fit
        self._slot: LatestSlot[tuple[av.VideoFrame | None]] = LatestSlot()
        self._converter = VideoConverter()
        self.ended: Future[None] = Future()
        self.ended.set_running_or_notify_cancel()  # who waits no more does not cancel it
        self._thread = threading.Thread(target=self._run_to_end, name="virtual camera", daemon=True)
        self._thread.start()

    def show(self, frame: av.VideoFrame | None) -> None:
        """Show a frame of any size from now on, or nothing."""
        self._slot.put((frame,))

    def close(self) -> None:
        self._slot.close()
        self._thread.join(REPEAT_S)

    def _run_to_end(self) -> None:
        try:
            self._run()
        except Exception as error:  # nobody joins a thread to hear of it
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _run(self) -> None:
        picture = self._draw(None)
        send_picture(self._sink, picture)
        while True:
            try:
                [frame] = self._slot.take(REPEAT_S)
            except TimeoutError:
                pass
            except SlotClosed:
                return
            else:
                picture = self._draw(frame)
            send_picture(self._sink, picture)

    def _draw(self, frame: av.VideoFrame | None) -> Image:
        if frame is None:
            return np.zeros((self._size[1], self._size[0], 3), np.uint8)
        picture = fit_picture(self._converter.to_bgr(frame), self._size, self._fit)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
