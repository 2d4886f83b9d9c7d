"""Start the server: `python server.py --help` lists the settings."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import threading
import webbrowser
from functools import partial

import cv2
import uvicorn
from pydantic import ValidationError

from signaling.app import create_app, load_runtime
from signaling.connections import MOST_HEADERS, PatientProtocol
from signaling.logs import start_logging
from signaling.metrics import Metrics
from signaling.settings import ServerSettings, problems

SHUTDOWN_S = 1  # for open HTTP requests; sessions have their own limit


class Server(uvicorn.Server):
    """Says where it listens once it does, and opens the page there if that is wanted.

    Args:
        config: uvicorn's.
        open_page: whether to open the page in a browser.
    """

    def __init__(self, config: uvicorn.Config, *, open_page: bool = False) -> None:
        super().__init__(config)
        self._open_page = open_page

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            port = server.sockets[0].getsockname()[1]
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            url = f"{'https' if self.config.is_ssl else 'http'}://{host}:{port}"
            print(url, flush=True)
            if self._open_page:  # in a thread: some systems wait for the browser
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
            break


def why_not_listen(host: str, port: int) -> str:
    """Why nothing can listen there, and what to do about it; empty where it can. Networks take seconds to load."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            if sys.platform != "win32":  # there, it would share the port with whoever has it
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return _advice(error, host, port)
    return ""


def _advice(error: OSError, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror):
        return f"there is no host {host!r} to listen on: 127.0.0.1 is this machine"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use, perhaps by another Latentcam: stop it, or add --port 0 for a free one"
        case errno.EACCES:
            return f"this user may not listen on port {port}: choose one from 1024 on, such as --port 8080"
        case errno.EADDRNOTAVAIL:
            return f"{host} is no address of this machine: 127.0.0.1 is one"
        case _:
            return f"cannot listen on {host}:{port}: {error.strerror}"


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
    app = create_app(settings, runtime)
    metrics: Metrics = app.state.metrics
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        root_path=settings.root_path,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        log_level="warning",
        log_config=None,  # through the root logger, whose lines are limited
        http=partial(PatientProtocol, refused=lambda: metrics.reject("connection")),  # type: ignore[arg-type]
        h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        Server(config, open_page=settings.open).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
