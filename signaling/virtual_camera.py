"""What of `python -m stream.camera` takes the network: the page that steers it, or a session that runs elsewhere.

    python -m stream.camera                             # signaling/camera_page.py
    python -m stream.camera --from-session ADDRESS      # page, OBS and call see the same picture

The page shows the address under "Use in a call".
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import av
import httpx

from signaling.camera_page import steer
from signaling.screen import Screen
from signaling.watch import AddressError, NotThere, Refused, SessionAddress, Show, watch
from stream import camera
from stream.command_line import CommandError

RETRY_S = 2.0
ANSWER_S = 10.0


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
        screen = Screen(sink, size, arguments.fit)
        try:
            with suppress(KeyboardInterrupt):
                asyncio.run(show_session(address, screen))
        except Refused as error:
            raise CommandError(str(error)) from error
        finally:
            screen.close()


async def show_session(address: SessionAddress, screen: Screen) -> None:
    """Show a session whenever it is there, until cancelled.

    Raises:
        Refused: the server does not let this player watch.
        CameraError: the virtual camera takes no more pictures.
    """
    # Not through a proxy of the environment: the session is on this machine or beside it.
    async with httpx.AsyncClient(timeout=ANSWER_S, verify=ssl.create_default_context(), trust_env=False) as http:
        following = asyncio.create_task(follow(http, address, screen.show, lambda line: print(line, flush=True)))
        shown = asyncio.wrap_future(screen.ended)
        try:
            for ended in (await asyncio.wait([following, shown], return_when=asyncio.FIRST_COMPLETED))[0]:
                ended.result()
        finally:
            following.cancel()
            shown.cancel()
            await asyncio.wait([following])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line of `stream.camera`.

    Returns:
        Its exit status.
    """
    return camera.main(
        argv, network=lambda arguments: steer(arguments) if arguments.from_session is None else feed(arguments)
    )


if __name__ == "__main__":
    sys.exit(main())
