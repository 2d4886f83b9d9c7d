"""A virtual camera that shows what a running session shows: page, OBS and call see the same picture.

    python -m stream.camera --from-session ADDRESS

The page shows the address under "Use in a call".
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import av
import cv2
import httpx
import numpy as np

from models.arrays import Image
from signaling.watch import AddressError, NotThere, Refused, SessionAddress, Show, watch
from stream import camera
from stream.camera import Sink, letterbox
from stream.command_line import CommandError
from stream.slot import LatestSlot, SlotClosed
from stream.yuv import VideoConverter

RETRY_S = 2.0
REPEAT_S = 1.0
"""A program that opens the virtual camera while nothing new comes is given a picture within this time."""
ANSWER_S = 10.0


class Screen:
    """Shows the newest frame on a virtual camera, from a thread of its own; black while there is none.

    Args:
        sink: takes (H, W, 3) uint8 RGB frames of one size.
        size: width and height of that size, pixels.
    """

    def __init__(self, sink: Sink, size: tuple[int, int]) -> None:
        self._sink = sink
        self._size = size
        self._slot: LatestSlot[tuple[av.VideoFrame | None]] = LatestSlot()
        self._converter = VideoConverter()
        self._thread = threading.Thread(target=self._run, name="virtual camera", daemon=True)
        self._thread.start()

    def show(self, frame: av.VideoFrame | None) -> None:
        """Show a frame of any size from now on, or nothing."""
        self._slot.put((frame,))

    def close(self) -> None:
        self._slot.close()
        self._thread.join(REPEAT_S)

    def _run(self) -> None:
        picture = self._draw(None)
        self._sink.send(picture)
        while True:
            try:
                [frame] = self._slot.take(REPEAT_S)
            except TimeoutError:
                pass
            except SlotClosed:
                return
            else:
                picture = self._draw(frame)
            self._sink.send(picture)

    def _draw(self, frame: av.VideoFrame | None) -> Image:
        if frame is None:
            return np.zeros((self._size[1], self._size[0], 3), np.uint8)
        picture = letterbox(self._converter.to_bgr(frame), self._size)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


async def follow(http: httpx.AsyncClient, address: SessionAddress, show: Show, say: Callable[[str], None]) -> None:
    """Show a session whenever it is there, until cancelled.

    Args:
        http: asks the server.
        address: of the session.
        show: takes frames, and None for nothing.
        say: takes a line for the user when something changes.

    Raises:
        Refused: the server does not let this player watch.
    """
    said = ""
    live = False

    def tell(line: str) -> None:
        nonlocal said
        if line != said:
            said = line
            say(line)

    def show_and_tell(frame: av.VideoFrame | None) -> None:
        nonlocal live
        live = live or frame is not None
        if frame is not None:
            tell(f"live, {frame.width}x{frame.height}")
        show(frame)

    while True:
        try:
            live = False
            await watch(http, address, show_and_tell)
            tell("the page has stopped: waiting for it" if live else "no picture comes: trying again")
        except NotThere as error:
            tell(f"{error}; waiting")
        await asyncio.sleep(RETRY_S)


def feed(arguments: argparse.Namespace) -> None:
    """What `python -m stream.camera --from-session ADDRESS` does.

    Raises:
        CommandError: no address, no virtual camera, or the server refuses.
    """
    try:
        address = SessionAddress.read(arguments.from_session)
    except AddressError as error:
        raise CommandError(str(error)) from error
    size = arguments.width, arguments.height
    with camera.open_sink(*size, arguments.fps) as sink:
        print(f"{size[0]}x{size[1]} to {sink.device}; Ctrl-C ends", flush=True)
        screen = Screen(sink, size)
        try:
            with suppress(KeyboardInterrupt):
                asyncio.run(_follow_until_cancelled(address, screen))
        except Refused as error:
            raise CommandError(str(error)) from error
        finally:
            screen.close()


async def _follow_until_cancelled(address: SessionAddress, screen: Screen) -> None:
    # Not through a proxy of the environment: the session is on this machine or beside it.
    async with httpx.AsyncClient(timeout=ANSWER_S, verify=ssl.create_default_context(), trust_env=False) as http:
        await follow(http, address, screen.show, lambda line: print(line, flush=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line of `stream.camera`.

    Returns:
        Its exit status.
    """
    return camera.main(argv, from_session=feed)


if __name__ == "__main__":
    sys.exit(main())
