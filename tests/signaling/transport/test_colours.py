"""What a picture's numbers mean, said beside VP8 in an RTP header extension."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap

from signaling.transport.colours import (
    COLOUR_SPACE,
    PLAIN_VP8,
    Colours,
    ColourSpaceMap,
    ReceivedColours,
    say_colours,
    take_colour_space,
)
from tests.signaling.transport.test_encoders import frame

HD = Colours(1, 1, 1, 1)
MID = RTCRtpHeaderExtensionParameters(id=9, uri="urn:ietf:params:rtp-hdrext:sdes:mid")
OFFER = (
    "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\na=extmap:8 other\r\nm=video 9 X 96\r\na=mid:1\r\na=extmap:{} " + COLOUR_SPACE
)


def transceiver(mid: str = "1") -> Any:
    return SimpleNamespace(
        mid=mid,
        _headerExtensions=[MID],
        receiver=SimpleNamespace(transport=SimpleNamespace(_rtp_header_extensions_map=HeaderExtensionsMap())),
        sender=SimpleNamespace(_RTCRtpSender__rtp_header_extensions_map=HeaderExtensionsMap()),
    )


def test_colours_go_through_a_packet() -> None:
    there = ColourSpaceMap(8)
    there.configure(RTCRtpParameters(headerExtensions=[MID]))
    for colours in (None, HD, Colours(9, 16, 9, 2)):
        there.sent = colours
        values = there.get(*there.set(HeaderExtensions(mid="1")))
        assert values.mid == "1"
        assert getattr(values, "colour_space", None) == colours


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01\x01\x01", b"\x01\x01\x01\x10\x00", b"\x01\x01\x00\x10", b"\x01\x01\x08\x10", b"\x03\x01\x01\x10",
     b"\x01\x03\x01\x10", b"\x01\x01\x01\x00", b"\x01\x01\x01\x30", b"\xff\xff\xff\xff"],
)  # fmt: skip
def test_what_cannot_be_converted_says_nothing(data: bytes) -> None:
    assert Colours.unpack(data) is None


def test_hdr_metadata_after_the_colours_are_left() -> None:
    assert Colours.unpack(bytes([9, 16, 9, 0x15, *range(24)])) == Colours(9, 16, 9, 1)


def test_colours_hold_until_a_key_frame_takes_them_back() -> None:
    received = ReceivedColours()
    found = []
    for said, key in ((None, True), (HD, True), (None, False), (None, True)):
        received.hear(said, key=key)
        picture = frame(0)
        received.tag(picture)
        found.append(Colours.of(picture))
    assert found == [PLAIN_VP8, HD, HD, PLAIN_VP8]


def test_the_extension_is_taken_where_the_video_offers_it() -> None:
    taken, other = transceiver(), transceiver("0")
    take_colour_space(OFFER.format(8), taken)
    take_colour_space(OFFER.format(8), other)
    assert [(one.id, one.uri) for one in taken._headerExtensions[1:]] == [(8, COLOUR_SPACE)]
    assert other._headerExtensions == [MID]
    for number in (0, 15, 99):
        refused = transceiver()
        take_colour_space(OFFER.format(number), refused)
        assert refused._headerExtensions == [MID], "such a number has no room in the header"


def test_packets_say_nothing_of_colours_that_are_vp8s_own() -> None:
    taken = transceiver()
    take_colour_space(OFFER.format(8), taken)
    sent = []
    for colours in (PLAIN_VP8, HD, PLAIN_VP8):
        say_colours(taken.sender, colours)
        sent.append(taken.sender._RTCRtpSender__rtp_header_extensions_map.sent)
    assert sent == [None, HD, PLAIN_VP8]
    say_colours(transceiver().sender, HD)  # a peer that does not take it is told nothing
