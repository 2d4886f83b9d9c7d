"""Junk SDP, and the words it is refused with."""

from __future__ import annotations

import contextlib
import random

import pytest

from signaling.offers import MAX_BYTES, BadOffer, read_offer

TRANSPORT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\na=rtcp-mux\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)
SESSION = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n"
    "a=rtpmap:97 VP8/90000\r\na=rtcp-fb:97 nack\r\n"
) + TRANSPORT
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendrecv\r\na=rtpmap:96 opus/48000/2\r\n"
    + TRANSPORT
)
GOOD = SESSION + VIDEO
BUNDLED = SESSION + "a=group:BUNDLE 0 1\r\n" + VIDEO + AUDIO


def test_good_offers_pass() -> None:
    assert read_offer(GOOD).count("m=") == 1
    assert read_offer(BUNDLED).count("m=") == 2
    read_offer(GOOD.replace("a=sendrecv", "a=sendonly"))
    assert read_offer(GOOD).count("a=rtcp-mux") == 1
    assert "a=sendrecv" in read_offer(GOOD.replace("a=sendrecv\r\n", ""))


def test_names_that_only_multicast_knows_are_not_looked_up() -> None:
    own = "a=candidate:1 1 udp 2130706431 10.0.0.5 40000 typ host\r\n"
    hidden = "a=candidate:2 1 udp 2130706431 0f2a-4c.local 40000 typ host generation 0\r\n"
    offer = read_offer(GOOD + own + hidden + "a=end-of-candidates\r\n")
    assert own in offer
    assert ".local" not in offer
    assert "end-of-candidates" not in offer


@pytest.mark.parametrize(
    ("sdp", "said"),
    [
        ("", "must start with"),
        ("hello", "must start with"),
        ('{"sdp": "v=0"}', "must start with"),
        (SESSION, "no video"),
        (SESSION + AUDIO, "no video"),
        (GOOD + VIDEO.replace("mid:0", "mid:2"), "more than one video"),
        (GOOD + VIDEO.replace("m=video", "m=message"), "'message' is not supported"),
        (GOOD + AUDIO.replace("mid:1", "mid:0"), "a=mid"),
        (GOOD + AUDIO, "bundled"),
        (BUNDLED.replace("BUNDLE 0 1", "BUNDLE 0 2"), "bundled"),
        (GOOD.replace("a=mid:0\r\n", ""), "a=mid"),
        (GOOD.replace("a=ice-pwd:abcdefghijklmnopqrstuv\r\n", ""), "ICE credentials"),
        (GOOD.replace("a=setup:actpass\r\n", ""), "DTLS"),
        (GOOD.replace("a=rtcp-mux\r\n", ""), "rtcp-mux"),
        (GOOD.replace("a=fingerprint", "a=finger"), "DTLS"),
        (GOOD.replace("sendrecv", "recvonly"), "recvonly"),
        (GOOD.replace("sendrecv", "inactive"), "inactive"),
        (GOOD.replace("a=setup:actpass", "a=setup:maybe"), "malformed"),
        (GOOD.replace("m=video 9", "m=video nine"), "malformed"),
        (GOOD.replace("SAVPF 97", "SAVPF 970"), "malformed"),
        (GOOD.replace("rtpmap:97 VP8/90000", "rtpmap:97 VP8"), "malformed"),
        (GOOD + "a=fmtp:42 x=1\r\n", "malformed"),
        (GOOD + "a=candidate:1 2 3\r\n", "malformed"),
        (GOOD + "a=ssrc:1\r\n", "malformed"),
        (GOOD.replace("c=IN IP4 0.0.0.0", "c=IN IP4 home"), "malformed"),
        (GOOD + "a=rtcp-fb:* nack\r\n" * 2000, "more than 1024 a=rtcp-fb"),
        (GOOD + "a=rtpmap:97 VP8/90000\r\n" * 2000, "more than 256 a=rtpmap"),
        (GOOD + "a=rtpmap:97 VP8/90000\r" * 2000, "more than 256 a=rtpmap"),
        (GOOD + "a=ssrc:1 cname:a\u2028" * 2000, "more than 256 a=ssrc"),
    ],
)
def test_bad_offers_are_refused_in_words(sdp: str, said: str) -> None:
    with pytest.raises(BadOffer, match=said):
        read_offer(sdp)


def test_whatever_comes_is_an_offer_or_refused() -> None:
    rng = random.Random(1)
    lines = (GOOD + AUDIO).split("\r\n")
    for _ in range(2000):
        mangled = [line for line in lines if rng.random() > 0.03]
        i = rng.randrange(len(mangled))
        cut = rng.randrange(len(mangled[i]) + 1)
        mangled[i] = (
            mangled[i][:cut] + rng.choice(["", " ", ":", "/", "-1", "\0", "é", "9" * 30]) + mangled[i][cut + 1 :]
        )
        with contextlib.suppress(BadOffer):
            read_offer("\r\n".join(mangled)[:MAX_BYTES])
