"""A file server on this machine that cuts, lies, moves and comes back."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()


@dataclass
class Server:
    """What the server does next, and what it was asked.

    Attributes:
        body: the file.
        cut: bytes after which each of the coming answers breaks off; empty for whole answers.
        status: status of each of the coming answers, 200 when empty.
        content_type: of the file.
        tag: the version's ETag, "" for none.
        ranges: the Range headers received, "" where there was none.
        length: whether Content-Length is sent; without it the end of the connection ends the file.
        chunked: whether the file is sent in chunks, which mark their own end.
        location: where to redirect to.
        gate: an answer stops after its first half until this is set.
        waiting: set when an answer has come to the gate.
    """

    body: bytes = DATA
    cut: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    content_type: str = "application/octet-stream"
    tag: str = '"1"'
    ranges: list[str] = field(default_factory=list)
    length: bool = True
    chunked: bool = False
    location: str = ""
    gate: threading.Event | None = None
    waiting: threading.Event = field(default_factory=threading.Event)
    url: str = ""


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            server.ranges.append(asked)
            if server.location:
                self.send_response(302)
                self.send_header("Location", server.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            status = server.status.pop(0) if server.status else 200
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if status == 200 and asked and self.headers.get("If-Range") == server.tag:
                status = 206 if start < len(server.body) else 416
            else:
                start = 0
            body = server.body[start:] if status in (200, 206) else b""
            # Before the first byte goes out: a client that has seen enough may already set the next cut.
            cut = server.cut.pop(0) if server.cut else len(body)
            self.send_response(status)
            self.send_header("Content-Type", server.content_type)
            if server.tag:
                self.send_header("ETag", server.tag)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
            if server.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif server.length:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if server.chunked:
                self.wfile.write(f"{len(body):x}\r\n".encode() + body[:cut])
                if cut == len(body):
                    self.wfile.write(b"\r\n0\r\n\r\n")
            elif server.gate is not None:
                self.wfile.write(body[: cut // 2])
                server.waiting.set()
                # Bytes drip on, so that whoever waits for them notices a cancellation.
                sent = cut // 2
                while not server.gate.wait(0.02) and sent < cut - 1000:
                    self.wfile.write(body[sent : sent + 1])
                    sent += 1
                self.wfile.write(body[sent:cut])
            else:
                self.wfile.write(body[:cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def listening(state: Server | None = None) -> Iterator[Server]:
    """The server, on a free port of 127.0.0.1."""
    state = state or Server()
    with _Quiet(("127.0.0.1", 0), _handler(state)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}/weights.bin"
        yield state
        if state.gate is not None:
            state.gate.set()
        server.shutdown()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    """Says nothing when a client leaves in the middle, which is what a cancelled download does."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass
