"""SDP offers: read or refused, within the bounds of `signaling.offers`, and what is read is what aiortc can parse."""

from __future__ import annotations

import contextlib
import time

from aiortc.sdp import SessionDescription

from signaling import offers

TRANSPORT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\na=rtcp-mux\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\na=msid-semantic: WMS *\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 97 98 99\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n"
    "a=msid:s t\r\na=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:97 VP8/90000\r\na=rtcp-fb:* nack pli\r\n"
    "a=rtcp-fb:97 goog-remb\r\na=rtpmap:98 rtx/90000\r\na=fmtp:98 apt=97\r\na=rtpmap:99 H264/90000\r\n"
    "a=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=ssrc-group:FID 1 2\r\n"
    "a=ssrc:1 cname:a\r\na=ssrc:2 cname:a\r\n"
    "a=candidate:1 1 udp 2130706431 10.0.0.5 40000 typ host generation 0\r\n"
    f"a=candidate:2 1 udp 1 10.0.0.6 40001 typ srflx raddr 10.0.0.5 rport 40000\r\na=end-of-candidates\r\n{TRANSPORT}"
    f"m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=sendrecv\r\na=rtpmap:96 opus/48000/2\r\n{TRANSPORT}"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n"
    f"a=max-message-size:262144\r\n{TRANSPORT}"
)
MOST_S = 2.0  # ten times what the longest takes on a busy machine


def seeds() -> list[bytes]:
    """A browser's offer, and offers that multiply."""
    wildcards = "".join(f"a=rtcp-fb:* x{i}\r\n" for i in range(60))
    types = "".join(f"a=rtpmap:{i} VP8/90000\r\n" for i in range(96, 127))
    head, _, _ = OFFER.partition("m=audio")
    return [text.encode() for text in (OFFER, head.replace("0 1 2", "0"), head + wildcards + types)]


def target(data: bytes) -> None:
    """Read an offer.

    Raises:
        AssertionError: it took too long, or aiortc cannot parse what came out.
    """
    text = data[: offers.MAX_BYTES].decode(errors="replace")
    began = time.process_time()
    with contextlib.suppress(offers.BadOffer):
        clean = offers.read_offer(text)
        media = SessionDescription.parse(clean).media
        assert [one.kind for one in media].count("video") == 1
        assert ".local" not in " ".join(candidate.ip for one in media for candidate in one.ice_candidates)
    assert time.process_time() - began < MOST_S
