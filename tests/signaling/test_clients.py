"""Standard WHIP clients: FFmpeg, as PyAV carries it, and GStreamer where Debian's packages are there.

Both send all of their candidates with the offer.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from signaling.video import VideoFilter

pytestmark = pytest.mark.anyio

CLIENT = """
import sys, time
from fractions import Fraction
import av, numpy as np
url, certificate, key, preset, profile = sys.argv[1:]
options = {"cert_file": certificate, "key_file": key, "whip_flags": "dtls_active", "authorization": "a secret token"}
with av.open(url, "w", format="whip", options=options) as out:
    stream = out.add_stream("libx264", rate=30, options={"tune": "zerolatency", "preset": preset, "bf": "0"})
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    if profile:
        stream.profile = profile
    for i in range(60):
        frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), i, np.uint8), format="bgr24")
        frame.pts, frame.time_base = i, Fraction(1, 30)
        out.mux(stream.encode(frame))
        time.sleep(1 / 60)
"""


@pytest.fixture(autouse=True)
def _edit_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """These clients only send: their frames are edited all the same, so that the pipeline sees them."""
    monkeypatch.setattr(VideoFilter, "received_by_somebody", True)


GSTREAMER = """
import sys, urllib.request
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC
url, encoder = sys.argv[1:]
Gst.init(None)
pipeline = Gst.parse_launch(
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! " + encoder
    + " ! application/x-rtp,media=video,payload=96 ! webrtcbin name=out bundle-policy=max-bundle"
)
out, loop = pipeline.get_by_name("out"), GLib.MainLoop()

def offer_made(promise, *_):
    reply = promise.get_reply()
    offer = reply.get_value("offer")
    out.emit("set-local-description", offer, Gst.Promise.new())

def gathered(*_):
    if out.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        return
    text = out.get_property("local-description").sdp.as_text()
    request = urllib.request.Request(url, text.encode(), {"Content-Type": "application/sdp"})
    answer = urllib.request.urlopen(request).read().decode()
    _, message = GstSdp.SDPMessage.new_from_text(answer)
    description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
    out.emit("set-remote-description", description, Gst.Promise.new())
    GLib.timeout_add_seconds(5, loop.quit)

def needed(*_):
    out.emit("get-transceiver", 0).set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
    out.emit("create-offer", None, Gst.Promise.new_with_change_func(offer_made))

out.connect("on-negotiation-needed", needed)
out.connect("notify::ice-gathering-state", gathered)
bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message::eos", lambda *_: loop.quit())
bus.connect("message::error", lambda _, message: (print(message.parse_error(), file=sys.stderr), loop.quit()))
GLib.timeout_add_seconds(20, loop.quit)
pipeline.set_state(Gst.State.PLAYING)
loop.run()
pipeline.set_state(Gst.State.NULL)
"""
GSTREAMER_H264 = (
    "x264enc tune=zerolatency speed-preset=superfast ! video/x-h264,profile={} ! rtph264pay config-interval=-1"
)
SYSTEM_PYTHON = "/usr/bin/python3"
NEEDED = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"


def gstreamer_is_there() -> bool:
    if shutil.which("gst-inspect-1.0") is None or not Path(SYSTEM_PYTHON).exists():
        return False
    elements = (["gst-inspect-1.0", name] for name in ("webrtcbin", "x264enc", "nice", "vp8enc"))
    commands = ([SYSTEM_PYTHON, "-c", NEEDED], *elements)
    return all(subprocess.run(one, capture_output=True, check=False).returncode == 0 for one in commands)


@pytest.mark.parametrize(
    "encoder",
    [
        *(GSTREAMER_H264.format(profile) for profile in ("constrained-baseline", "main", "high")),
        "vp8enc deadline=1 ! rtpvp8pay",
    ],
)
@pytest.mark.skipif(not gstreamer_is_there(), reason="needs GStreamer's webrtcbin, x264enc and Python bindings")
async def test_gstreamer_sends(serve: Any, until: Any, encoder: str) -> None:
    async with serve() as server, listening(server, until) as url:
        command = [SYSTEM_PYTHON, "-c", GSTREAMER, url, encoder]
        client = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
        )
        assert server.runtime.pipelines, client.stderr
        assert server.runtime.pipelines[0].sizes.count((320, 240)) > 30, client.stderr


def libdatachannel_python() -> str:
    """A Python that has libdatachannel's package; "" if none is found. It needs 3.13, whatever runs these tests."""
    for name in (os.environ.get("LIBDATACHANNEL_PYTHON", ""), "python3.13", sys.executable):
        command = [name, "-c", "import libdatachannel"]
        if name and shutil.which(name) and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return name
    return ""


LIBDATACHANNEL = libdatachannel_python()


@pytest.mark.parametrize("sizes", [[(320, 240)], [(640, 480), (320, 240), (160, 120)]])
@pytest.mark.skipif(not LIBDATACHANNEL, reason="needs a Python 3.13 with libdatachannel-py (LIBDATACHANNEL_PYTHON)")
async def test_libdatachannel_sends(serve: Any, until: Any, tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    """One picture, and the three layers of a simulcast, of which the largest is shown."""
    names = [str(write_frames(tmp_path / f"{width}.h264", width, height)) for width, height in sizes]
    async with serve() as server, listening(server, until) as url:
        command = [LIBDATACHANNEL, str(Path(__file__).with_name("libdatachannel_client.py")), url, *names]
        client = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
        )
        assert client.returncode == 0, client.stderr
        shown = server.runtime.pipelines[0].sizes
        assert shown.count(sizes[0]) > 100
        assert len(shown) - shown.count(sizes[0]) < 10
        await until(lambda: server.sessions == 0)


def write_frames(path: Path, width: int, height: int, count: int = 150) -> Path:
    """H264 with a key frame every 15 frames; each access unit after its length, 4 bytes."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuv420p", Fraction(1, 30)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "15"}
    with path.open("wb") as file:
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), number, np.uint8), format="bgr24")
            frame.pts, frame.time_base = number, codec.time_base
            data = b"".join(bytes(packet) for packet in codec.encode(frame))
            file.write(len(data).to_bytes(4, "big") + data)
    return path


@asynccontextmanager
async def listening(server: Any, until: Any) -> AsyncIterator[str]:
    """The address of the server's WHIP endpoint for programs."""
    web = uvicorn.Server(uvicorn.Config(server.app, port=0, lifespan="off", log_level="warning"))
    serving = asyncio.create_task(web.serve())
    await until(lambda: web.started)
    try:
        yield f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}/whip"
    finally:
        web.should_exit = True
        await serving


@pytest.mark.parametrize(
    "coder",
    [
        ("ultrafast", "Baseline", "P-256"),
        ("veryfast", "", "P-256"),
        ("medium", "Main", "P-256"),
        ("veryfast", "", "RSA"),
    ],
)
@pytest.mark.skipif("whip" not in av.formats_available, reason="this FFmpeg has no WHIP")
async def test_ffmpeg_sends(serve: Any, until: Any, tmp_path: Path, coder: tuple[str, str, str]) -> None:
    preset, profile, kind = coder
    certificate, key = self_signed(tmp_path, kind)
    async with serve(token="a secret token") as server, listening(server, until) as url:
        command = [sys.executable, "-c", CLIENT, url, certificate, key, preset, profile]
        client = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=40, check=False
        )
        assert client.returncode == 0, client.stderr
        assert server.runtime.pipelines[0].sizes.count((320, 240)) > 20
        await until(lambda: server.sessions == 0)  # FFmpeg sends DELETE


def self_signed(folder: Path, kind: str) -> tuple[str, str]:
    """A certificate and its key."""
    key = rsa.generate_private_key(65537, 2048) if kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(files[0]), str(files[1])
