"""What an installation says of a stream, signed: a CBOR map in a COSE_Sign1 message (RFC 8949, RFC 9052) with Ed25519.

In H.264 a claim travels as a supplemental enhancement information message, "user data unregistered" (ITU-T H.264,
D.1.7), with the identifier `SEI_UUID`. Decoders that do not know it ignore it. It says that a stream is edited; as the
public key comes with it, it proves who says so only to those who know the key.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from stream.mark.identity import Identity, fingerprint_of, operator_of
from stream.mark.payload import KINDS

SEI_UUID = UUID("6c617465-6e74-4361-8d6d-61726b2d7631")
FORMAT = "latentcam/1"
COSE_SIGN1 = 18
"""CBOR tag."""
ALGORITHM, EDDSA, KEY_ID = 1, -8, 4
"""COSE header parameters and algorithm."""
PUBLIC_KEY = "key"
"""Unprotected header with the 32 bytes of the public key."""
RENEW_S = 1.0
"""Seconds for which a signed claim is used again."""
MOST_TIME = 1 << 35
"""Seconds since 1970 beyond which a time is nonsense."""
LONGEST = 4096
"""Bytes of a claim that are looked at."""


class ClaimError(ValueError):
    """A claim cannot be trusted; the message says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim whose signature was verified.

    Attributes:
        kinds: of edit, of `stream.mark.payload.KINDS`.
        time: when it was signed, seconds since 1970.
        public: the key that signed it, 32 bytes.
    """

    kinds: frozenset[str]
    time: int
    public: bytes

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.public)

    @property
    def operator(self) -> int:
        """The number of the installation, as in the mark in the pixels."""
        return operator_of(self.public)


def sign(identity: Identity, kinds: frozenset[str], now: int) -> bytes:
    """A signed claim.

    Args:
        identity: who says it.
        kinds: of edit, of `stream.mark.payload.KINDS`.
        now: seconds since 1970.
    """
    protected = cbor2.dumps({ALGORITHM: EDDSA, KEY_ID: bytes.fromhex(identity.fingerprint)[:8]}, canonical=True)
    payload = cbor2.dumps({"format": FORMAT, "edits": sorted(kinds), "time": now}, canonical=True)
    signature = identity.key.sign(_to_be_signed(protected, payload))
    message = [protected, {PUBLIC_KEY: identity.public}, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(COSE_SIGN1, message))


def verify(data: bytes) -> Claim:
    """Read a claim from a stranger.

    Raises:
        ClaimError: it is no claim of this format, or its signature does not fit.
    """
    try:
        message = _load(data[:LONGEST])
        if not (isinstance(message, cbor2.CBORTag) and message.tag == COSE_SIGN1):
            raise ClaimError("it is no signed message (COSE_Sign1)")
        protected, unprotected, payload, signature = message.value
        header, said = _load(protected), _load(payload)
        public = unprotected[PUBLIC_KEY]
        if header[ALGORITHM] != EDDSA:
            raise ClaimError("it is signed with an algorithm that is not known here")
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _to_be_signed(protected, payload))
        if said["format"] != FORMAT:
            raise ClaimError("it is of a format that is not known here")
        kinds, when = frozenset(said["edits"]), said["time"]
        if not kinds <= set(KINDS) or type(when) is not int or not 0 <= when < MOST_TIME:
            raise ClaimError("it says something that is not known here")
    except InvalidSignature as error:
        raise ClaimError("its signature does not fit what it says") from error
    except ClaimError:
        raise
    except (cbor2.CBORDecodeError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ClaimError("it is damaged") from error
    return Claim(kinds, when, public)


class Claimant:
    """Signs the claims of one stream; a claim that still holds is used again."""

    def __init__(self, identity: Identity, clock: Callable[[], float] = time.time) -> None:
        self._identity = identity
        self._clock = clock
        self._kinds: frozenset[str] = frozenset()
        self._signed_at = 0.0
        self._claim = b""

    def claim(self, kinds: frozenset[str]) -> bytes:
        """The claim of a frame with these kinds of edit; empty when it has none."""
        now = self._clock()
        if kinds and (kinds != self._kinds or not 0 <= now - self._signed_at < RENEW_S):
            self._claim, self._signed_at = sign(self._identity, kinds, int(now)), now
        self._kinds = kinds
        return self._claim if kinds else b""


def sei_unit(claim: bytes) -> bytes:
    """A claim as a NAL unit of H.264, without a start code."""
    body = SEI_UUID.bytes + claim
    size = b"\xff" * (len(body) // 255) + bytes([len(body) % 255])
    payload = bytes([5]) + size + body + b"\x80"
    return bytes([6]) + _with_emulation_prevention(payload)


def claim_of_sei(data: bytes) -> bytes | None:
    """The claim in a message "user data unregistered" as decoders hand it out; None if it is somebody else's."""
    return data[16:] if data[:16] == SEI_UUID.bytes else None


def _with_emulation_prevention(payload: bytes) -> bytes:
    """Put 3 after every two zeros that a byte up to 3 follows, so that no start code arises (ITU-T H.264, 7.4.1)."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052, section 4.4."""
    return cbor2.dumps(["Signature1", protected, b"", payload])


def _load(data: bytes) -> Any:
    """One CBOR item and nothing behind it.

    Raises:
        ClaimError: there is something behind it.
    """
    stream = io.BytesIO(data)
    item = cbor2.CBORDecoder(stream).decode()
    if stream.read(1):
        raise ClaimError("it is damaged")
    return item
