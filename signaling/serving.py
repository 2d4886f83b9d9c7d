"""An app on a port: what is wrong with an address before anything is loaded, and the server that says where it is."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from signaling.connections import MOST_HEADERS, Handshake, PatientProtocol
from signaling.metrics import Metrics
from signaling.settings import ServerSettings

SHUTDOWN_S = 1  # for open HTTP requests; sessions have their own limit


class Server(uvicorn.Server):
    """Says where it listens once it does, and opens the page there if that is wanted.

    Args:
        config: uvicorn's.
        open_page: whether to open the page in a browser.
        say: takes the address.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        open_page: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        super().__init__(config)
        self._open_page = open_page
        self._say = say

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            port = server.sockets[0].getsockname()[1]
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            url = f"{'https' if self.config.is_ssl else 'http'}://{host}:{port}"
            self._say(url)
            sys.stdout.flush()
            if self._open_page:  # in a thread: some systems wait for the browser
                url = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
            break


class Config(uvicorn.Config):
    """uvicorn's, but TLS begins in `signaling.connections`, where those who never finish its handshake are counted.

    Args:
        app: to serve.
        refused: as for `PatientProtocol`.
        named: uvicorn's.
    """

    def __init__(self, app: Any, *, refused: Callable[[], None], **named: Any) -> None:
        super().__init__(app, http="h11", **named)
        self._refused = refused
        self._tls: ssl.SSLContext | None = None

    def load(self) -> None:
        super().load()
        self._tls, self.ssl = self.ssl, None
        self.http_protocol_class = self._connection  # type: ignore[assignment]  # a factory

    def _connection(self, **named: Any) -> asyncio.Protocol:
        protocol = PatientProtocol(**named, refused=self._refused)
        return protocol if self._tls is None else Handshake(protocol, self._tls, self._refused)


def config_of(settings: ServerSettings, app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves an app of `signaling.app.create_app`."""
    metrics: Metrics = app.state.metrics
    return Config(
        app,
        host=settings.host,
        port=settings.port,
        root_path=settings.root_path,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        log_level="warning",
        log_config=None,  # through the root logger, whose lines are limited
        refused=lambda: metrics.reject("connection"),
        ws="none",  # a connection that becomes a WebSocket is not counted any more
        h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
    )


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


def why_no_tls(certificate: Path | None, key: Path | None) -> str:
    """Why TLS cannot be had of a certificate chain and its key; empty where it can, or where none is asked for."""
    if certificate is None or key is None:
        return ""

    def refuse() -> str:  # in place of OpenSSL's question on the terminal
        raise ValueError

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, refuse)
    except ValueError:
        return f"{key} has a passphrase: give a key without one (openssl pkey -in {key} -out OTHER)"
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"{key} is the key of another certificate than {certificate}"
        return f"{certificate} and {key} have to be a certificate and its key, both in PEM"
    except OSError as error:
        return f"{certificate} or {key} cannot be read: {error.strerror}"
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
