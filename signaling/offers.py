"""Read a stranger's SDP offer, and say in words what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Collection

from aiortc.sdp import SessionDescription

MAX_BYTES = 64 * 1024
MEDIA_KINDS = ("video", "audio", "application")

# Lines that aiortc's parser compares with one another; browsers stay far below.
MOST_LINES = {"a=rtpmap": 256, "a=fmtp": 256, "a=rtcp-fb": 1024, "a=ssrc": 256, "a=candidate": 128, "a=extmap": 128}
LINE_KIND = re.compile(r"a=[a-z-]+")


class BadOffer(ValueError):
    """An offer cannot be answered; the message says why, for whoever wrote the client."""


def read_offer(sdp: str, directions: Collection[str] = ("sendrecv", "sendonly")) -> str:
    """Check an offer for what every session needs (one video), and put it into aiortc's words.

    Candidates that browsers hide behind multicast DNS names are left out: looking one up costs a second and rarely
    works, and the peer's own checks tell its address (peer-reflexive candidate). They may come late, so the end of
    candidates, after which ICE would give up, is left out as well.

    Args:
        sdp: session description (RFC 8866) from a stranger, at most `MAX_BYTES`.
        directions: what the video may be, and the audio unless it is inactive; by default the peer sends it.

    Returns:
        The same offer, for `RTCPeerConnection.setRemoteDescription`.

    Raises:
        BadOffer: it is malformed, or holds nothing that can be edited.
    """
    if not sdp.startswith("v=0"):
        raise BadOffer('not an SDP session description: it must start with "v=0"')
    _check_size(sdp)
    offer = _parse(sdp)
    for media in offer.media:
        media.direction = media.direction or "sendrecv"  # RFC 8866 section 6.7
        media.ice_candidates = [one for one in media.ice_candidates if not one.ip.endswith(".local")]
        media.ice_candidates_complete = False
        if media.rtcp_mux and media.rtcp_port is None:  # or aiortc would not write the a=rtcp-mux that it read
            media.rtcp_port, media.rtcp_host = 9, "0.0.0.0"
    _check_media(offer, directions)
    try:
        return str(_parse(str(offer)))
    except ValueError as error:  # addresses are looked at when they are written
        raise BadOffer(f"malformed SDP: {error}") from error


def _parse(sdp: str) -> SessionDescription:
    try:
        return SessionDescription.parse(sdp)
    except (ValueError, AssertionError, LookupError, AttributeError, TypeError, StopIteration) as error:
        detail = str(error)
        raise BadOffer("malformed SDP" + (f": {detail}" if detail else "")) from error


def _check_size(sdp: str) -> None:
    counts: dict[str, int] = {}
    for line in sdp.splitlines():  # as aiortc does: at more than line feeds
        if found := LINE_KIND.match(line):
            kind = found.group()
            counts[kind] = counts.get(kind, 0) + 1
    for kind, most in MOST_LINES.items():
        if counts.get(kind, 0) > most:
            raise BadOffer(f"more than {most} {kind} lines")


def _check_media(offer: SessionDescription, directions: Collection[str]) -> None:
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
    bundled = next((group.items for group in offer.group if group.semantic == "BUNDLE"), mids[:1])
    if sorted(bundled) != sorted(mids):
        raise BadOffer("all media sections must be bundled (a=group:BUNDLE with every a=mid)")
    for media in offer.media:
        if not media.ice.usernameFragment or not media.ice.password:
            raise BadOffer(f"the {media.kind} section has no ICE credentials (a=ice-ufrag, a=ice-pwd)")
        if media.dtls is None or not media.dtls.fingerprints:
            raise BadOffer(f"the {media.kind} section has no DTLS fingerprint or setup (a=fingerprint, a=setup)")
        if media.kind != "application" and not media.rtcp_mux:
            raise BadOffer(f"the {media.kind} section does not multiplex RTCP (a=rtcp-mux)")
        allowed = {"video": directions, "audio": (*directions, "inactive")}.get(media.kind)
        if allowed is not None and media.direction not in allowed:
            raise BadOffer(f"the {media.kind} is {media.direction}: offer {' or '.join(directions)} here")
