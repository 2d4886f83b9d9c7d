"""Start the server: `python server.py --help` lists the settings."""

from __future__ import annotations

import contextlib
import sys
from itertools import starmap
from urllib.parse import urlsplit

import cv2
from pydantic import ValidationError

from signaling import lan, memory
from signaling.app import create_app, load_runtime
from signaling.logs import start_logging
from signaling.serving import Server, config_of, why_no_tls, why_not_listen
from signaling.settings import ServerSettings, problems


def main(arguments: list[str]) -> int:
    try:
        settings = ServerSettings.load(arguments)
    except ValidationError as error:
        print("\n".join(problems(error)), file=sys.stderr)
        return 2
    start_logging(settings.log_level, settings.log_format)
    memory.few_heaps()
    state, reached_at = lan.files(), lan.addresses() if settings.lan else []
    if settings.lan:
        try:
            settings = lan.complete(settings, state, reached_at)
        except lan.LanError as error:
            print(error, file=sys.stderr)
            return 1
    cv2.setNumThreads(1)  # a frame's pictures are small: threads would wait for each other, and take cores from others
    if why := why_no_tls(settings.tls_cert, settings.tls_key):
        print(why, file=sys.stderr)
        return 1
    places = [(settings.host, settings.port)] if settings.port else []
    places += [(address, 0) for address in settings.bind_addresses]
    if why := next(filter(None, starmap(why_not_listen, places)), ""):
        print(why, file=sys.stderr)
        return 1
    try:
        runtime = load_runtime(settings)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1

    def say(url: str) -> None:
        print(url)
        if settings.lan:
            print(lan.words(settings, state, reached_at, urlsplit(url).port or 443, code=lan.on_terminal()))

    app = create_app(settings, runtime)
    memory.settle()
    with contextlib.suppress(KeyboardInterrupt):
        Server(config_of(settings, app), open_page=settings.open, say=say).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
