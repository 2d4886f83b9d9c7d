"""Start the server: `python server.py --help` lists the settings."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys

import cv2
import uvicorn
from pydantic import ValidationError

from signaling.app import create_app, load_runtime
from signaling.connections import MOST_HEADERS, PatientProtocol
from signaling.logs import limit_handlers
from signaling.settings import ServerSettings, problems

SHUTDOWN_S = 1  # for open HTTP requests; sessions have their own limit


class Server(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            port = server.sockets[0].getsockname()[1]
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            print(f"{'https' if self.config.is_ssl else 'http'}://{host}:{port}", flush=True)
            break


def main(arguments: list[str]) -> int:
    try:
        settings = ServerSettings.load(arguments)
    except ValidationError as error:
        print("\n".join(problems(error)), file=sys.stderr)
        return 2
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    limit_handlers()
    for chatty in ("aiortc", "aioice"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    cv2.setNumThreads(1)  # a frame's pictures are small: threads would wait for each other, and take cores from others
    try:
        runtime = load_runtime(settings)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    config = uvicorn.Config(
        create_app(settings, runtime),
        host=settings.host,
        port=settings.port,
        root_path=settings.root_path,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        log_level="warning",
        log_config=None,  # through the root logger, whose lines are limited
        http=PatientProtocol,
        h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
