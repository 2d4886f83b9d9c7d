"""Signed claims: what verifies, and what a stranger may send in their place."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import cbor2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stream.mark import __main__ as command
from stream.mark import detect
from stream.mark.claims import COSE_SIGN1, SEI_UUID, Claimant, ClaimError, claim_of_sei, sei_unit, sign, verify
from stream.mark.identity import (
    VARIABLE,
    Identity,
    KeyFileError,
    fingerprint_of,
    load_identity,
    make_identity,
    operator_of,
)
from stream.mark.reader import Reading

IDENTITY = Identity.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KINDS = frozenset({"age", "hair colour"})


def parts(claim: bytes) -> list[object]:
    return list(cbor2.loads(claim).value)


def joined(*message: object, tag: int = COSE_SIGN1) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, list(message)))


def test_a_claim_says_what_was_signed() -> None:
    claim = verify(sign(IDENTITY, KINDS, 1_800_000_000))
    assert (claim.kinds, claim.time, claim.public) == (KINDS, 1_800_000_000, IDENTITY.public)
    assert claim.operator == IDENTITY.operator == operator_of(IDENTITY.public)
    assert claim.fingerprint == fingerprint_of(IDENTITY.public)


def test_no_changed_bit_verifies() -> None:
    claim = sign(IDENTITY, KINDS, 1_800_000_000)
    for bit in range(0, len(claim) * 8, 3):
        changed = bytearray(claim)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            same = verify(bytes(changed))
        except ClaimError:
            continue
        assert (same.kinds, same.time, same.public) == (KINDS, 1_800_000_000, IDENTITY.public)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "damaged"),
        (b"\xff" * 100, "damaged"),
        (b"\x81" * 5000, "damaged"),
        (sign(IDENTITY, KINDS, 1) + b"\0", "damaged"),
        (cbor2.dumps("hello"), "no signed message"),
        (joined(1, 2), "damaged"),
        (joined(b"", {}, b"", b""), "damaged"),
        (joined(*parts(sign(IDENTITY, KINDS, 1)), tag=98), "no signed message"),
        (joined(*parts(sign(IDENTITY, KINDS, 1))[:3], bytes(64)), "does not fit"),
        (sign(IDENTITY, frozenset({"nose"}), 1), "not known here"),
        (sign(IDENTITY, KINDS, 1 << 60), "not known here"),
    ],
)
def test_what_is_no_claim_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ClaimError, match=words):
        verify(data)


def test_another_key_in_the_message_does_not_help() -> None:
    other = Identity.of(Ed25519PrivateKey.generate())
    protected, _, payload, signature = parts(sign(IDENTITY, KINDS, 1))
    with pytest.raises(ClaimError, match="does not fit"):
        verify(joined(protected, {"key": other.public}, payload, signature))


def test_a_claim_is_signed_again_when_it_is_old_or_other() -> None:
    now = [100.0]
    claimant = Claimant(IDENTITY, lambda: now[0])
    first = claimant.claim(KINDS)
    now[0] += 0.5
    assert claimant.claim(KINDS) is first
    now[0] += 0.6
    assert verify(claimant.claim(KINDS)).time == 101
    assert verify(claimant.claim(frozenset({"age"}))).kinds == {"age"}
    assert claimant.claim(frozenset()) == b""


def test_decoders_hand_the_claim_out_and_show_the_picture() -> None:
    claim = sign(IDENTITY, KINDS, 0)  # a time of 0 has zeros in a row
    foreign = bytearray(sei_unit(claim))
    foreign[4] ^= 1
    for unit, expected in ((sei_unit(claim), [KINDS]), (bytes(foreign), []), (sei_unit(claim[:-1] + b"\0\0\0"), [])):
        report = detect.Report("x", "video", Reading())
        for frame in decoded(unit):
            detect._take_claims(frame, report)
        assert [one.kinds for one in report.claims] == expected
        assert bool(report.refused) == (unit == sei_unit(claim[:-1] + b"\0\0\0"))


def test_no_start_code_arises_in_a_unit() -> None:
    unit = sei_unit(b"\0\0\1" + bytes(700) + b"\0\0\3")
    assert all(start not in unit for start in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert claim_of_sei(SEI_UUID.bytes + b"x") == b"x"
    assert claim_of_sei(bytes(16) + b"x") is None


def decoded(unit: bytes) -> list[av.VideoFrame]:
    """The frames of a short H.264 stream with a NAL unit before the first picture."""
    encoder, decoder = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 64, "yuv420p"
    encoder.framerate, encoder.time_base = Fraction(30), Fraction(1, 30)
    encoder.options = {"tune": "zerolatency"}
    picture = av.VideoFrame.from_ndarray(np.full((96, 64), 90, np.uint8), format="yuv420p")
    data = b"".join(bytes(packet) for packet in encoder.encode(picture))
    at = data.index(b"\0\0\1\x65")  # the first slice of a key frame
    frames = decoder.decode(av.Packet(data[:at] + b"\0\0\1" + unit + data[at:])) + decoder.decode(None)
    assert len(frames) == 1
    return frames


def test_the_key_is_made_once_and_only_its_owner_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "of mine" / "key.pem"
    monkeypatch.setenv(VARIABLE, str(path))
    assert load_identity(path) is None
    assert command.main(["key"]) == 0
    shown = capsys.readouterr().out
    identity = load_identity(path)
    assert identity is not None
    assert identity.fingerprint in shown
    assert f"{identity.operator:08x}" in shown
    assert command.main(["key"]) == 0
    assert capsys.readouterr().out == shown
    assert command.main(["key", "--new"]) == 0
    assert capsys.readouterr().out != shown
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        assert command.main(["key"]) == 2
        assert f"chmod 600 {path}" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None])
def test_a_file_that_is_no_key_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    if content is None:
        content = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"is no (private key|Ed25519 key)"):
        load_identity(path)
    with pytest.raises(KeyFileError):
        make_identity(path / "below a file")
