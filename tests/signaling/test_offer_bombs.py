"""Small offers that cost much: whatever is multiplied in one, it is answered or refused at once."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import OperationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signaling import offers

pytestmark = pytest.mark.anyio

MOST_S = 1.0  # tells an offer that multiplies from a slow machine; memory is being counted, which costs much time
MEMORY = 20 << 20  # most bytes of an offer
TRANSPORT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\na=rtcp-mux\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)
SESSION = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n"


def video(lines: str, codec: str = "a=rtpmap:97 VP8/90000\r\n") -> str:
    return f"m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n{codec}" + TRANSPORT + lines


def bomb(lines: str) -> str:
    return SESSION.replace(" 1 2", "") + video(lines, "")


WILDCARDS_BY_REPEATED_TYPES = bomb("a=rtcp-fb:* x\r\n" * 64 + "a=rtpmap:97 VP8/90000\r\n" * 32)
WILDCARDS_BY_TYPES = bomb(
    "".join(f"a=rtcp-fb:* x{i}\r\n" for i in range(128))
    + "".join(f"a=rtpmap:{i} VP8/90000\r\n" for i in range(35, 127) if not 72 <= i <= 76)
)
ONE_TYPE_250_TIMES = bomb("a=rtpmap:97 VP8/90000\r\n" * 250)
LONG = bomb("a=rtpmap:97 VP8/90000\r\n" + "a\r" * 31_000)


@pytest.mark.parametrize("sdp", [WILDCARDS_BY_REPEATED_TYPES, WILDCARDS_BY_TYPES, ONE_TYPE_250_TIMES, LONG])
async def test_bombs_are_refused_at_once(serve: Any, longest_pause: Any, sdp: str) -> None:
    async with serve() as server, longest_pause() as pauses:
        answer = await server.http.post("/whip", content=sdp, headers={"content-type": "application/sdp"})
        assert answer.status_code == 400
    assert pauses.longest < pauses.most


async def test_the_largest_offer_that_passes_is_answered_at_once(serve: Any, longest_pause: Any) -> None:
    sdp = bomb(
        "".join(f"a=rtpmap:{i} VP8/90000\r\na=fmtp:{i} max-fs=3600\r\n" for i in [*range(35, 72), *range(96, 128)])
        + "".join(f"a=rtcp-fb:* x{i}\r\n" for i in range(8))
        + "".join(f"a=extmap:{i} urn:ietf:params:rtp-hdrext:sdes:mid\r\n" for i in range(1, 64))
        + "".join(f"a=candidate:{i} 1 udp {i} 127.0.0.1 {1024 + i} typ host\r\n" for i in range(64))
        + "".join(f"a=ssrc:{i} cname:a\r\n" for i in range(64))
    )
    async with serve() as server:
        async with longest_pause() as pauses:
            answer = await server.http.post("/whip", content=sdp, headers={"content-type": "application/sdp"})
        assert answer.status_code == 201, answer.text
        assert pauses.longest < pauses.most


def attributes() -> st.SearchStrategy[str]:
    small = st.integers(0, 130)
    return st.one_of(
        st.builds("a=rtpmap:{} {}/90000".format, small, st.sampled_from(["VP8", "H264", "rtx"])),
        st.builds("a=rtcp-fb:{} {}".format, st.one_of(st.just("*"), small), st.sampled_from(["x", "nack", "nack pli"])),
        st.builds("a=rtcp-fb:* x{}".format, small),
        st.builds("a=fmtp:{} apt={}".format, small, small),
        st.builds("a=extmap:{} urn:{}".format, small, small),
        st.builds("a=ssrc:{} cname:{}".format, small, small),
        st.builds("a=ssrc-group:FID {} {}".format, small, small),
        st.builds("a=candidate:{} 1 udp 1 127.0.0.1 {} typ host".format, small, small),
        st.builds("a=candidate:{} 1 udp 1 {}.local 9 typ host".format, small, small),
        st.builds("a=fingerprint:sha-256 AB:{}".format, small),
        st.builds("a=sctp-port:{}".format, st.integers(0, 10**9)),
        st.builds("m=audio 9 UDP/TLS/RTP/SAVPF {}".format, small),
        st.builds("a=mid:{}".format, small),
    )


@st.composite
def products(draw: st.DrawFn) -> str:
    """Offers of up to 64 KiB in which many lines of few kinds meet, each with running or repeated numbers."""
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        pattern = draw(attributes())
        count = draw(st.integers(1, 1200))
        if draw(st.booleans()):
            lines += [pattern] * count
        else:
            first, dot, rest = pattern.partition(":")
            number = "".join(c for c in rest.split(" ")[0] if c.isdigit()) or "0"
            lines += [f"{first}{dot}{rest.replace(number, str(i % 128), 1)}" for i in range(count)]
    codec = draw(st.sampled_from(["a=rtpmap:97 VP8/90000\r\n", ""]))
    sdp = SESSION.replace(" 1 2", "") + video("\r\n".join(lines) + "\r\n", codec)
    return sdp[: offers.MAX_BYTES]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(products())
async def test_no_product_costs_more_than_its_bound(sdp: str) -> None:
    connection = RTCPeerConnection()
    tracemalloc.start()
    try:
        began = time.process_time()
        try:
            offer = offers.read_offer(sdp)
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        except (offers.BadOffer, OperationError):
            pass
        assert time.process_time() - began < MOST_S
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
        await connection.close()
