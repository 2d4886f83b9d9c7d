"""`python -m stream.camera`: this machine's camera into a virtual camera, steered by a page that is served."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from urllib.parse import quote

from aiortc.mediastreams import MediaStreamError
from pydantic import ValidationError

from signaling import memory
from signaling.app import create_app
from signaling.local_camera import CameraTrack, LocalCamera
from signaling.logs import start_logging
from signaling.screen import Screen
from signaling.serving import Server, config_of, why_no_tls, why_not_listen
from signaling.settings import ServerSettings, problems
from signaling.video import EditedTrack, VideoFilter
from stream import camera, command_line
from stream.camera import CameraError, Source
from stream.command_line import CommandError
from stream.frame import Output
from stream.settings import Settings

LOOK_EVERY_S = 1.0


def steer(arguments: argparse.Namespace) -> None:
    """Run the camera and its page until Ctrl-C, or until the camera ends.

    Raises:
        CommandError: no page, no camera or no virtual camera can be had.
    """
    start_logging("warning", "text")
    settings = page_settings(arguments)
    with camera.open_devices(arguments) as (source, size, sink):
        runtime = command_line.load_runtime(arguments)
        look = runtime.look(Settings(), command_line.patch_of(arguments))
        video = VideoFilter(runtime.video_pipeline(), look, settings.max_frame_pixels, speeds=runtime.speeds)
        what = f"camera {arguments.device}, {size[0]} × {size[1]}, shown by {sink.device}"
        app = create_app(settings, runtime, camera=LocalCamera(video, what))
        server = Server(config_of(settings, app), open_page=arguments.open, say=lambda url: say(url, settings))
        screen = Screen(sink, size, arguments.fit)
        print(f"{size[0]}x{size[1]} to {sink.device}; Ctrl-C ends", flush=True)
        memory.settle()
        try:
            with suppress(KeyboardInterrupt):
                asyncio.run(run(source, video, screen, server))
        finally:
            screen.close()
            runtime.close()


def page_settings(arguments: argparse.Namespace) -> ServerSettings:
    """Where the page is served. A port that nobody chose gives way to a free one.

    Raises:
        CommandError: it cannot be served there.
    """
    given = {name: getattr(arguments, name) for name in ("host", "token", "tls_cert", "tls_key", "insecure")}
    chosen = {name: value for name, value in given.items() if value}
    port = arguments.port
    if port is None:
        port = camera.PAGE_PORT if not why_not_listen(arguments.host, camera.PAGE_PORT) else 0
    try:
        settings = ServerSettings(**chosen, port=port)
    except ValidationError as error:
        raise CommandError("; ".join(problems(error))) from error
    if why := why_no_tls(settings.tls_cert, settings.tls_key) or why_not_listen(settings.host, settings.port):
        raise CommandError(why)
    return settings


def say(url: str, settings: ServerSettings) -> None:
    """Say where the page is, with what it takes to be let in."""
    token = "" if settings.token is None else f"/#token={quote(settings.token.get_secret_value())}"
    print(f"steer it at {url}{token}", flush=True)


async def run(source: Source, video: VideoFilter, screen: Screen, server: Server) -> None:
    """Edit the camera, show it and serve the page, until one of them ends.

    Raises:
        CameraError: the camera is silent, or the virtual camera takes no more pictures.
    """
    track = CameraTrack(source)
    watched = video.watch()
    tasks = [asyncio.create_task(one) for one in (video.run(track), server.serve())]
    others = [asyncio.create_task(one) for one in (show(watched, screen), tell(video))]
    shown = asyncio.wrap_future(screen.ended)
    try:
        await asyncio.wait([*tasks, shown], return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        track.stop()
        shown.cancel()
        for task in others:
            task.cancel()
        await asyncio.wait([*tasks, *others])
        await asyncio.to_thread(track.join)
    if not shown.cancelled():
        shown.result()
    if track.problem:
        raise CameraError(track.problem)
    for task in tasks:
        task.result()


async def show(track: EditedTrack, screen: Screen) -> None:
    """Hand every frame to the virtual camera."""
    with suppress(MediaStreamError):
        while True:
            screen.show(await track.recv())


async def tell(video: VideoFilter) -> None:
    """Say on the terminal what the page says at its controls, when it changes."""
    said = ""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        words = words_of(video.last_output)
        if words != said:
            said = words
            print(words or "all controls act, and nothing is left out", flush=True)


def words_of(output: Output | None) -> str:
    """What keeps controls from acting, and what is left out; empty for nothing."""
    if output is None:
        return ""
    found = [f"{control} of {name}: {why}" for name, each in output.obstacles.items() for control, why in each.items()]
    return "; ".join([*found, *([f"to keep up: {output.reduced}"] if output.reduced else [])])
