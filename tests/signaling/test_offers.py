"""Junk SDP, and the words it is refused with."""

from __future__ import annotations

import contextlib
import random
import re

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
DATA = (
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sctp-port:5000\r\n"
    "a=max-message-size:262144\r\n" + TRANSPORT
)
BUNDLED = SESSION + "a=group:BUNDLE 0 1\r\n" + VIDEO + AUDIO


def candidates(count: int) -> str:
    return "".join(f"a=candidate:{i} 1 udp {i} 10.0.0.5 {40000 + i} typ host\r\n" for i in range(count))


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


def test_addresses_hidden_by_firefox_are_left_out() -> None:
    offer = read_offer(GOOD + "a=rtcp:9 IN IP4 0f2a-4c.local\r\n")
    assert ".local" not in offer
    assert ".local" not in read_offer(GOOD.replace("c=IN IP4 0.0.0.0", "c=IN IP4 0f2a-4c.local"))


def test_host_names_are_never_looked_up() -> None:
    offer = read_offer(GOOD + "a=candidate:2 1 udp 2130706431 example.org 40000 typ host\r\n")
    assert "a=candidate" not in offer


def test_what_is_said_for_all_holds_for_each() -> None:
    offer = read_offer(GOOD + "a=rtpmap:98 H264/90000\r\na=rtcp-fb:* nack pli\r\na=rtcp-fb:98 nack pli\r\n")
    assert offer.count("a=rtcp-fb:97 nack pli") == offer.count("a=rtcp-fb:98 nack pli") == 1
    head, medium = GOOD.split("m=video")
    lines = [line for line in medium.split("\r\n") if line.startswith(("a=ice", "a=setup", "a=finger"))]
    offer = read_offer(
        head + "".join(f"{line}\r\n" for line in lines) + "m=video" + medium.split("a=ice-ufrag")[0] + "a=rtcp-mux\r\n"
    )
    assert offer.count("a=ice-ufrag:abcd") == offer.count("a=setup:actpass") == 1


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("a=msid:first track\r\na=msid:second track", "a=msid:first track"),  # a track of two streams, RFC 8830
        ("a=ssrc:1 cname:a\r\na=ssrc:1 previous-ssrc:5", "a=ssrc:1 cname:a"),  # RFC 5576
        ("a=ssrc:1 cname:a\r\na=ssrc:1 flag", "a=ssrc:1 cname:a"),
        ("a=fmtp:97", ""),
        ("a=fmtp:97 ", ""),
        ("a=rtcp:9 IN IP4 0F2A-4C.LOCAL", ""),
        ("a=rtcp:9 IN IP4 camera.example.org", ""),
        ("c=IN IP4 camera.example.org", ""),
        ("a=candidate:1 1 udp 1 10.0.0.5 40000 typ future", ""),  # RFC 8839 lets types be added
        ("a=candidate:1 1 UDP 1 10.0.0.5 40000 typ host generation", "a=candidate:1 1 UDP 1 10.0.0.5 40000 typ host"),
    ],
)
def test_what_the_standards_allow_is_read(line: str, kept: str) -> None:
    added = set(read_offer(f"{GOOD}{line}\r\n").splitlines()) - set(read_offer(GOOD).splitlines())
    assert added == {kept} - {""}


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
        (GOOD + "a=rtcp-fb:* nack\r\n" * 3000, "more than 2000 lines"),
        (GOOD + "a=x\u2028" * 3000, "more than 2000 lines"),
        (GOOD + f"a=msid:{'x' * 3000}\r\n", "more than 2048 characters"),
        (GOOD + "a=rtpmap:97 VP8/90000\r\n", "payload type 97 is said twice"),
        (GOOD + "a=rtpmap:96 VP8/90000\r" * 250, "payload type 96 is said twice"),
        (GOOD + "a=mid:1\r\n", "a=mid is said twice"),
        (GOOD + "a=ice-pwd:abcdefghijklmnopqrstuw\r\n", "a=ice-pwd is said twice"),
        (GOOD + "a=inactive\r\n", "direction is said twice"),
        (GOOD + "a=fmtp:97 max-fs=1\r\n" * 2, "said twice"),
        (GOOD + "a=fmtp:97 max-fs=many\r\n", "max-fs is not a whole number"),
        (GOOD + "a=extmap:1 urn:a\r\na=extmap:1 urn:b\r\n", "header extension 1 is said twice"),
        (GOOD + "".join(f"a=rtcp-fb:* x{i}\r\n" for i in range(17)), "more than 16 a=rtcp-fb"),
        (GOOD + "".join(f"a=ssrc:{i} cname:a\r\n" for i in range(300)), "more than 256 a=ssrc"),
        (GOOD + "".join(f"a=extmap:{i} urn:a\r\n" for i in range(1, 70)), "more than 64 a=extmap"),
        (GOOD + candidates(70), "more than 64 a=candidate"),
        (GOOD + "a=candidate:1 1 udp 1 example.org 70000 typ host\r\n", "a port is from 0 to 65535"),
        (GOOD + DATA.replace("5000", "99999999"), "an SCTP port is from 1 to 65535"),
        (GOOD + DATA.replace("5000", "0"), "an SCTP port is from 1 to 65535"),
        (GOOD + DATA.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 99999999"), "an SCTP port"),
        (BUNDLED.replace("m=audio", "m=application"), "no a=sctp-port"),
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


LINES = st.sampled_from(
    [
        *(GOOD + AUDIO + DATA).split("\r\n"),
        "a=rtcp:46352 IN IP4 0f2a-4c.local",
        "a=candidate:1 1 udp 2130706431 10.0.0.5 40000 typ host generation 0",
        "a=candidate:1 1 udp 1 0f2a-4c.local 40000 typ srflx raddr 0f2a-4c.local rport 9",
        "a=candidate:1 1 tcp 1 fe80::1%eth0 9 typ host tcptype active",
        "a=fmtp:97 max-fs=12288;max-fr=60",
        "a=ssrc:1 cname:a",
        "a=ssrc:1 previous-ssrc:2",
        "a=msid:stream track",
        "a=fmtp:97",
        "a=rtcp:9 IN IP4 0F2A-4C.LOCAL",
        "a=candidate:2 1 udp 1 10.0.0.5 40000 typ future",
        "a=ssrc-group:FID 1 2",
        "a=extmap:1/sendonly urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=rid:0 send pt=97;max-width=1280",
        "a=simulcast:send 0;~1 recv 2",
        "a=group:BUNDLE 0 1",
        "a=msid-semantic: WMS *",
        "a=rtcp-fb:* transport-cc",
        "a=rtcp-rsize",
        "a=ice-options:trickle",
        "a=identity:x",
        "b=AS:3000",
        "c=IN IP6 ::1",
        "c=IN IP4 224.2.1.1/127",
        "m=video 9 UDP/TLS/RTP/SAVPF 97 98",
        "m=text 9 RTP/AVP 98",
        "i=a title",
    ]
)
JUNK = st.text(alphabet=st.sampled_from("am=ic:-09 .~;,*/VP8\t\x00\x85\u2028é"), max_size=40)
CONNECTIVITY = re.compile(r"(?m)^(?:c=|a=rtcp:|a=candidate:)(.*)$")


def check_read(sdp: str) -> None:
    """What is handed on is parsed by aiortc, names no host, and reads the same again; what is not is refused."""
    try:
        read = read_offer(sdp)
    except BadOffer as error:
        assert str(error).isprintable(), error  # noqa: PT017
        return
    SessionDescription.parse(read)
    assert str(SessionDescription.parse(read))
    assert all(".local" not in said.lower() for said in CONNECTIVITY.findall(read))
    assert read_offer(read) == read


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINES, max_size=40))
def test_any_lines_in_any_order_are_an_offer_or_refused(lines: list[str]) -> None:
    check_read("v=0\r\n" + "\r\n".join(lines))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_change_of_a_good_offer_is_an_offer_or_refused(data: st.DataObject) -> None:
    lines = BUNDLED.split("\r\n")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(1, len(lines) - 1))
        match data.draw(st.sampled_from(["insert", "replace", "cut", "repeat"])):
            case "insert":
                lines.insert(place, data.draw(LINES))
            case "replace":
                lines[place] = data.draw(JUNK)
            case "cut":
                lines[place] = lines[place][: data.draw(st.integers(0, 60))]
            case "repeat":
                lines.insert(place, lines[place])
    check_read("\r\n".join(lines))


def test_firefox_hides_its_addresses_everywhere_and_is_read() -> None:
    hidden = GOOD.replace("c=IN IP4 0.0.0.0", "c=IN IP4 0f2a-4c.local") + "a=rtcp:46352 IN IP4 0f2a-4c.local\r\n"
    hidden += "a=candidate:0 1 UDP 2122252543 0f2a-4c.local 46352 typ host\r\na=rtcp-rsize\r\na=ice-options:trickle\r\n"
    check_read(hidden)
    assert ".local" not in read_offer(hidden)
