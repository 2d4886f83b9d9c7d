"""Start the server: `python server.py --help` lists the settings."""

from __future__ import annotations

import contextlib
import sys

import cv2
from pydantic import ValidationError

from signaling.app import create_app, load_runtime
from signaling.logs import start_logging
from signaling.serving import Server, config_of, why_not_listen
from signaling.settings import ServerSettings, problems


def main(arguments: list[str]) -> int:
    try:
        settings = ServerSettings.load(arguments)
    except ValidationError as error:
        print("\n".join(problems(error)), file=sys.stderr)
        return 2
    start_logging(settings.log_level, settings.log_format)
    cv2.setNumThreads(1)  # a frame's pictures are small: threads would wait for each other, and take cores from others
    if settings.port and (why := why_not_listen(settings.host, settings.port)):
        print(why, file=sys.stderr)
        return 1
    try:
        runtime = load_runtime(settings)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    with contextlib.suppress(KeyboardInterrupt):
        Server(config_of(settings, create_app(settings, runtime)), open_page=settings.open).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
