"""Standard WHIP clients: FFmpeg, as PyAV carries it. It sends H264 only, and all of its candidates at once."""

from __future__ import annotations

import asyncio
import datetime
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = pytest.mark.anyio

CLIENT = """
import sys, time
from fractions import Fraction
import av, numpy as np
url, certificate, key = sys.argv[1:]
options = {"cert_file": certificate, "key_file": key, "whip_flags": "dtls_active", "authorization": "a secret token"}
with av.open(url, "w", format="whip", options=options) as out:
    stream = out.add_stream("libx264", rate=30, options={"tune": "zerolatency", "preset": "ultrafast", "bf": "0"})
    stream.width, stream.height, stream.pix_fmt, stream.profile = 320, 240, "yuv420p", "Baseline"
    for i in range(60):
        frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), i, np.uint8), format="bgr24")
        frame.pts, frame.time_base = i, Fraction(1, 30)
        out.mux(stream.encode(frame))
        time.sleep(1 / 60)
"""


@pytest.mark.skipif("whip" not in av.formats_available, reason="this FFmpeg has no WHIP")
async def test_ffmpeg_sends(serve: Any, until: Any, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    async with serve(token="a secret token") as server:
        web = uvicorn.Server(uvicorn.Config(server.app, port=0, lifespan="off", log_level="warning"))
        serving = asyncio.create_task(web.serve())
        await until(lambda: web.started)
        port = web.servers[0].sockets[0].getsockname()[1]
        command = [sys.executable, "-c", CLIENT, f"http://127.0.0.1:{port}/whip", certificate, key]
        client = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=40, check=False
        )
        assert client.returncode == 0, client.stderr
        assert server.runtime.pipelines[0].sizes.count((320, 240)) > 20
        await until(lambda: server.sessions == 0)  # FFmpeg sends DELETE
        web.should_exit = True
        await serving


def self_signed(folder: Path) -> tuple[str, str]:
    """A certificate and its key, P-256: aiortc's DTLS takes no RSA from FFmpeg."""
    key = ec.generate_private_key(ec.SECP256R1())
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
