"""Signed claims in the H264 that leaves the server: at key frames and every two seconds, and only of edited frames."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.transport.encoders import LiveH264Encoder
from stream.mark.claims import sei_unit, sign
from stream.mark.identity import Identity

CLAIM = sign(Identity.of(Ed25519PrivateKey.generate()), frozenset({"age"}), 1_800_000_000)


def frame(index: int, claim: bytes | None) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(np.full((180, 160), 100 + index % 50, np.uint8), format="yuv420p")
    picture.pts, picture.time_base = index * 3000, Fraction(1, 90_000)
    if claim is not None:
        picture.opaque = claim
    return picture


def test_a_claim_comes_with_every_key_frame_and_every_two_seconds() -> None:
    encoder, claimed = LiveH264Encoder("ultrafast", 100_000, 1_000_000), []
    for index in range(150):
        payloads, _ = encoder.encode(frame(index, CLAIM), force_keyframe=index == 70)
        if any(sei_unit(CLAIM) in payload for payload in payloads):
            claimed.append(index)
    assert claimed == [0, 60, 70, 130]


def test_an_unedited_frame_claims_nothing() -> None:
    encoder = LiveH264Encoder("ultrafast", 100_000, 1_000_000)
    for index in range(3):
        payloads, _ = encoder.encode(frame(index, None))
        assert not any(CLAIM[:40] in payload for payload in payloads)
