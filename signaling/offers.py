"""Read a stranger's SDP offer, and say in words what is wrong with it."""

from __future__ import annotations

import re

from aiortc.sdp import SessionDescription

MAX_BYTES = 64 * 1024
MEDIA_KINDS = ("video", "audio", "application")

# Lines that aiortc's parser compares with one another; browsers stay far below.
MOST_LINES = {"a=rtpmap": 256, "a=fmtp": 256, "a=rtcp-fb": 1024, "a=ssrc": 256, "a=candidate": 128, "a=extmap": 128}
LINE_KIND = re.compile(r"^a=[a-z-]+", re.MULTILINE)


class BadOffer(ValueError):
    """An offer cannot be answered; the message says why, for whoever wrote the client."""


def parse_offer(sdp: str) -> SessionDescription:
    """Parse an offer and check what every session needs: one video that the peer sends.

    Args:
        sdp: session description (RFC 8866), at most `MAX_BYTES`.

    Raises:
        BadOffer: it is malformed, or holds nothing that can be edited.
    """
    if not sdp.startswith("v=0"):
        raise BadOffer('not an SDP session description: it must start with "v=0"')
    _check_size(sdp)
    try:
        offer = SessionDescription.parse(sdp)
    except (ValueError, AssertionError, LookupError, AttributeError, TypeError, StopIteration) as error:
        detail = str(error)
        raise BadOffer("malformed SDP" + (f": {detail}" if detail else "")) from error
    _check_media(offer)
    return offer


def _check_size(sdp: str) -> None:
    counts: dict[str, int] = {}
    for kind in LINE_KIND.findall(sdp):
        counts[kind] = counts.get(kind, 0) + 1
    for kind, most in MOST_LINES.items():
        if counts.get(kind, 0) > most:
            raise BadOffer(f"more than {most} {kind} lines")


def _check_media(offer: SessionDescription) -> None:
    kinds = [media.kind for media in offer.media]
    for kind in kinds:
        if kind not in MEDIA_KINDS:
            raise BadOffer(f"media of kind {kind!r} is not supported: offer one video, at most one audio")
        if kinds.count(kind) > 1:
            raise BadOffer(f"more than one {kind} section: offer one video, at most one audio and one data channel")
    if "video" not in kinds:
        raise BadOffer("there is no video section: nothing to edit")
    mids = [media.rtp.muxId for media in offer.media]
    if not all(mids) or len(set(mids)) != len(mids):
        raise BadOffer("every media section needs its own a=mid")
    for media in offer.media:
        if not media.ice.usernameFragment or not media.ice.password:
            raise BadOffer(f"the {media.kind} section has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
        if media.dtls is None or not media.dtls.fingerprints:
            raise BadOffer(f"the {media.kind} section has no DTLS fingerprint or setup (a=fingerprint, a=setup)")
        if media.kind == "video" and (media.direction or "sendrecv") not in ("sendrecv", "sendonly"):
            raise BadOffer(f"the video is {media.direction}: offer sendrecv, or sendonly to send without watching")
