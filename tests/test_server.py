"""The command itself: what it prints, what it refuses, and that Ctrl-C ends it with peers connected."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, VideoStreamTrack

import server
from signaling import serving
from signaling.settings import ServerSettings
from signaling.transport import gatherer

ROOT = Path(server.__file__).parent
HANGS_S = 60  # a stop takes two seconds at most; this only tells a hang from a busy machine

# The server with the runtime that tests of signaling use: no networks are loaded.
START = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("stand_in", "tests/signaling/conftest.py")
stand_in = importlib.util.module_from_spec(spec)
sys.modules["stand_in"] = stand_in
spec.loader.exec_module(stand_in)
import server
server.load_runtime = lambda settings: stand_in.FakeRuntime()
sys.exit(server.main(sys.argv[1:]))
"""


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the server on a free port. Yields the process and the URL it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", START, "--port", "0", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if match := re.match(r"https?://\S+:\d+$", line):
                yield process, match[0]
                break
        else:
            raise AssertionError("".join(lines))
    finally:
        process.kill()
        process.communicate()


async def call_and_interrupt(process: subprocess.Popen[str], url: str) -> None:
    """Connect a peer, wait for video, send Ctrl-C, wait for the server to end."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(VideoStreamTrack())
    peer.createDataChannel("control")
    frames = 0

    async def watch(track: VideoStreamTrack) -> None:
        nonlocal frames
        try:
            while True:
                await track.recv()
                frames += 1
        except MediaStreamError:
            pass

    watching = []
    peer.on("track", lambda track: watching.append(asyncio.create_task(watch(track))))
    gatherer.offer_addresses(peer, ServerSettings())
    await peer.setLocalDescription(await peer.createOffer())
    async with httpx.AsyncClient(base_url=url) as http:
        headers = {"content-type": "application/sdp"}
        response = await http.post("/whip", content=peer.localDescription.sdp, headers=headers)
        assert response.status_code == 201
        await peer.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        async with asyncio.timeout(HANGS_S):
            while frames < 5:
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        await asyncio.get_running_loop().run_in_executor(None, process.wait, HANGS_S)
    for task in watching:
        task.cancel()
    await peer.close()


def test_it_says_where_it_is_and_ends_on_ctrl_c_with_a_peer_connected() -> None:
    with running() as (process, url):
        assert url.startswith("http://127.0.0.1:")
        asyncio.run(call_and_interrupt(process, url))
        assert process.returncode == 0
        assert process.stdout is not None
        assert "Traceback" not in process.stdout.read()


def test_behind_a_proxy_under_a_path_sessions_are_where_their_location_says() -> None:
    async def offer() -> str:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTransceiver("video")
        await peer.setLocalDescription(await peer.createOffer())
        await peer.close()
        return peer.localDescription.sdp

    with running("--root-path", "/cam/live") as (_, url):  # which the proxy takes off
        assert httpx.get(f"{url}/").status_code == 200
        assert httpx.get(f"{url}/app.js").status_code == 200
        response = httpx.post(f"{url}/whip", content=asyncio.run(offer()), headers={"content-type": "application/sdp"})
        assert response.status_code == 201
        location = response.headers["location"]
        assert location.startswith("/cam/live/whip/")
        assert httpx.delete(url + location.removeprefix("/cam/live")).status_code == 200


def test_it_speaks_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("needs the openssl command")
    with running("--tls-cert", str(certificate), "--tls-key", str(key)) as (_, url):
        assert url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(certificate))
        assert httpx.get(f"{url}/healthz", verify=trust).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--host", "0.0.0.0"], "needs a token and TLS"), (["--max-sessions", "0"], "max_sessions: ")],
)
def test_wrong_settings_are_told_in_a_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_what_cannot_be_loaded_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(settings: ServerSettings) -> None:
        raise RuntimeError("editor.onnx is cut short; mend it with: git checkout -- models/embedded")

    monkeypatch.setattr(server, "load_runtime", load)
    assert server.main([]) == 1
    assert capsys.readouterr().err == "editor.onnx is cut short; mend it with: git checkout -- models/embedded\n"


@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_that_are_no_certificate_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    def load(settings: ServerSettings) -> None:
        raise AssertionError("networks were loaded for nothing")

    monkeypatch.setattr(server, "load_runtime", load)
    file = tmp_path / "c.pem"
    file.write_text(content)
    assert server.main(["--tls-cert", str(file), "--tls-key", str(file)]) == 1
    assert capsys.readouterr().err == f"{file} and {file} have to be a certificate and its key, both in PEM\n"


def test_a_port_in_use_is_noticed_before_networks_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(settings: ServerSettings) -> None:
        raise AssertionError("networks were loaded for nothing")

    monkeypatch.setattr(server, "load_runtime", load)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert server.main(["--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert f"port {port} is in use" in error
    assert "--port 0" in error


def test_media_addresses_of_another_machine_are_noticed_before_networks_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were passed over: without another one, no peer could connect."""
    monkeypatch.setattr(server, "load_runtime", lambda _: pytest.fail("networks were loaded"))
    assert server.main(["--port", "0", "--bind-addresses", "127.0.0.1,192.0.2.1"]) == 1
    assert capsys.readouterr().err.startswith("192.0.2.1 is no address of this machine")


@pytest.mark.parametrize(
    ("host", "words"),
    [("127.0.0.1", ""), ("192.0.2.1", "no address of this machine"), ("no such host", "there is no host")],
)
def test_where_nothing_can_listen_is_told(host: str, words: str) -> None:
    why = serving.why_not_listen(host, 0)
    assert words in why
    assert bool(why) == bool(words)


def test_the_page_is_opened_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    known = threading.Event()

    def note(url: str) -> None:
        opened.append(url)
        known.set()

    monkeypatch.setattr(webbrowser, "open", note)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def start(open_page: bool) -> None:
        running = serving.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None), open_page=open_page)
        running.config.load()
        running.lifespan = running.config.lifespan_class(running.config)
        await running.startup()
        await running.shutdown()

    asyncio.run(start(False))
    assert opened == []
    asyncio.run(start(True))
    assert known.wait(HANGS_S)
    assert opened[0].startswith("http://127.0.0.1:")


def test_a_header_of_64_kb_is_refused() -> None:
    with running() as (_, url):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=HANGS_S) as stranger:
            stranger.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 15_000)
            answer = b""
            try:
                stranger.sendall(b"x" * 50_000 + b"\r\n\r\n")
                while part := stranger.recv(4096):
                    answer += part
            except ConnectionError:
                pass  # closed while it was still sending
        assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]
        assert httpx.get(f"{url}/livez").status_code == 200
        assert 'latentcam_rejected_total{kind="connection"} 1.0' in httpx.get(f"{url}/metrics").text
