"""From the pipeline through the live encoder into a file: the detector finds the mark and the signed claim."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.transport.encoders import LiveH264Encoder
from stream.mark import __main__ as command
from stream.mark.claims import Claimant
from stream.mark.identity import Identity
from stream.runtime import Runtime, RuntimeSettings
from stream.settings import Settings
from stream.video_pipeline import VideoPipeline

PICTURE = Path(__file__).resolve().parents[3] / "docs" / "before-after.webp"
IDENTITY = Identity.of(Ed25519PrivateKey.generate())


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime.load(RuntimeSettings(threads=1), IDENTITY)
    yield runtime
    runtime.close()


def test_a_viewer_s_recording_says_that_it_is_edited(
    runtime: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    portrait = np.asarray(cv2.imread(str(PICTURE)), np.uint8)[:, :320]
    look = runtime.look(Settings(), {"controls": {"age": 75}})
    pipeline, claimant = VideoPipeline(runtime.pipeline()), Claimant(IDENTITY)
    encoder = LiveH264Encoder("ultrafast", 300_000, 2_000_000)
    data = bytearray()
    for index in range(16):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.roll(portrait, index // 2, 1)), format="bgr24")
        picture.pts, picture.time_base = index * 3000, Fraction(1, 90_000)
        edited, output = pipeline.process(picture, look)
        edited.opaque = claimant.claim(output.kinds)
        data += b"".join(b"\0\0\0\1" + unit for unit in LiveH264Encoder._split_bitstream(stream_of(encoder, edited)))
    (tmp_path / "viewer.h264").write_bytes(data)
    assert command.main(["detect", str(tmp_path / "viewer.h264"), "--report"]) == 0
    found = json.loads(capsys.readouterr().out)
    operator = f"{IDENTITY.operator:08x}"
    assert [(one["kinds"], one["operator"]) for one in found["pixels"]] == [(["age"], operator)]
    assert [(one["kinds"], one["operator"]) for one in found["claims"]] == [(["age"], operator)]


def stream_of(encoder: LiveH264Encoder, frame: av.VideoFrame) -> bytes:
    """The NAL units of a frame as a byte stream (ITU-T H.264, annex B), from its RTP payloads of single units."""
    payloads, _ = encoder.encode(frame)
    out = bytearray()
    fragments = bytearray()
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == 28:  # FU-A (RFC 6184)
            if payload[1] & 0x80:
                fragments = bytearray([payload[0] & 0xE0 | payload[1] & 0x1F])
            fragments += payload[2:]
            if payload[1] & 0x40:
                out += b"\0\0\0\1" + fragments
        elif kind == 24:  # STAP-A
            at = 1
            while at < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                out += b"\0\0\0\1" + payload[at + 2 : at + 2 + size]
                at += 2 + size
        else:
            out += b"\0\0\0\1" + payload
    return bytes(out)
