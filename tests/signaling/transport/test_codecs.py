"""H264 of every profile and packetization mode is received; constrained baseline is sent, at the peer's level."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.exceptions import OperationError

from signaling import offers, transport
from signaling.settings import ServerSettings
from signaling.transport.codecs import H264Format, formats_of, no_common_codec, understandable
from signaling.transport.encoders import LiveH264Encoder
from signaling.transport.levels import LEVELS, fitting_size, highest_rate, level_for, level_of, macroblocks

pytestmark = pytest.mark.anyio

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
TAIL = (
    "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    "a=setup:actpass\r\na=rtcp-mux\r\na=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
)
ASYMMETRIC = "level-asymmetry-allowed=1;"


def offer(*parameters: str | None, codec: str = "H264") -> str:
    """An offer with a payload type of H264 for each; None for one without parameters."""
    types = range(100, 100 + len(parameters))
    lines = "".join(
        f"a=rtpmap:{number} {codec}/90000\r\n" + (f"a=fmtp:{number} {said}\r\n" if said is not None else "")
        for number, said in zip(types, parameters, strict=True)
    )
    return f"{HEAD}m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, types))}\r\n{TAIL}{lines}"


async def answer(sdp: str, settings: ServerSettings | None = None) -> tuple[Any, str]:
    """The transceiver and the answer."""
    settings = settings or ServerSettings()
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video")
    read = offers.read_offer(sdp)
    try:
        await transport.apply_offer(connection, read)
        transport.tune(connection, settings, read)
        return connection.getTransceivers()[0], (await connection.createAnswer()).sdp
    finally:
        await connection.close()


def mode(number: int) -> str:
    return f"packetization-mode={number};"


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=42e01f", "42e028"),
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=42001f", "420028"),
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=42c01f", "42c028"),
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=4d001f", "4d0028"),
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=4d401f", "4d4028"),
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=64001f", "640028"),
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=640c1f", "640c28"),
        (f"{ASYMMETRIC}{mode(1)}profile-level-id=640028", "640028"),
        (f"{mode(1)}profile-level-id=64001e", "64001e"),  # FFmpeg's WHIP at its defaults
        (f"{mode(1)}profile-level-id=640034", "640028"),
        (f"{ASYMMETRIC}{mode(0)}profile-level-id=42e01f", "42e028"),
        (f"{ASYMMETRIC}profile-level-id=42e01f", "42e028"),
        (" profile-level-id=42E01F; packetization-mode=1", "42e01f"),
        (f"{mode(1)}profile-level-id=7a0028", "7a0028"),  # high 4:2:2
        (None, "42e01f"),
        ("x-other=1", "42e01f"),
    ],
)
async def test_every_profile_and_mode_is_answered_with_itself(said: str | None, answered: str) -> None:
    transceiver, sdp = await answer(offer(said))
    assert f"profile-level-id={answered}" in sdp
    single = said is None or "mode=1" not in said
    assert ("packetization-mode=1" in sdp) is not single
    encoder = transceiver.sender._RTCRtpSender__encoder
    assert isinstance(encoder, LiveH264Encoder)
    assert encoder._single is single


async def test_chromiums_offer_leads_with_constrained_baseline() -> None:
    profiles = ["42001f", "42e01f", "4d001f", "64001f"]
    said = [f"{ASYMMETRIC}{mode(m)}profile-level-id={profile}" for profile in profiles for m in (1, 0)]
    _, sdp = await answer(offer(*said))
    types = re.search(r"m=video \d+ \S+ ([0-9 ]+)", sdp)
    assert types is not None
    assert types[1].split() == ["102", "100", "104", "106", "103", "101", "105", "107"]


async def test_payload_types_that_aiortc_would_renumber_are_left_out() -> None:
    """Chromium's H264 of high profile has payload type 39."""
    both = offer(mode(1)).replace("SAVPF 100", "SAVPF 39 100") + "a=rtpmap:39 H264/90000\r\n"
    both += f"a=fmtp:39 {mode(1)}profile-level-id=64001f\r\n"
    _, sdp = await answer(both)
    assert "m=video 9 UDP/TLS/RTP/SAVPF 100\r\n" in sdp


async def test_only_payload_types_of_the_offer_are_answered() -> None:
    """Chromium takes 39 when it has no number above 95 left; aiortc answered it with 101, which nobody had offered."""
    said = f"{ASYMMETRIC}{mode(1)}profile-level-id=42e01f"
    _, sdp = await answer(offer(said, said).replace(":101 ", ":39 ").replace(" 100 101\r", " 39 100\r"))
    assert "m=video 9 UDP/TLS/RTP/SAVPF 100\r\n" in sdp
    assert "rtpmap:101" not in sdp


async def test_what_cannot_be_decoded_is_left_out() -> None:
    _, sdp = await answer(offer("profile-level-id=ffffff", mode(2) + "profile-level-id=42e01f", mode(1)))
    assert "m=video 9 UDP/TLS/RTP/SAVPF 102\r\n" in sdp


@pytest.mark.parametrize(
    ("sdp", "words"),
    [
        (offer(None, codec="AV1"), ["offered AV1;", "taken H264 (any profile", "VP8"]),
        (offer(mode(2)), ["offered H264 ('packetization-mode=2;' is no H264 that can be decoded)"]),
        (offer("profile-level-id=zz\x9b31m"), [r"'profile-level-id=zz\x9b31m'"]),
    ],
)
async def test_a_refusal_says_what_was_offered_and_what_is_taken(sdp: str, words: list[str]) -> None:
    with pytest.raises(OperationError) as refused:
        await answer(sdp)
    for word in words:
        assert word in str(refused.value)
    assert str(refused.value).isprintable()


def test_only_h264_is_told_otherwise() -> None:
    mixed = offer("profile-level-id=64001f").replace("100\r\n", "100 120\r\n", 1) + "a=rtpmap:120 VP8/90000\r\n"
    mixed += "a=fmtp:120 max-fs=12288\r\n"
    shown = understandable(mixed)
    assert "a=fmtp:120 max-fs=12288" in shown
    assert "64001f" not in shown
    assert list(formats_of(mixed)) == [100]


async def test_the_peers_highest_level_bounds_what_is_sent() -> None:
    for said, idc in (("42e01f", 31), ("42e00b", 11), ("42f00b", 9), ("42e03e", 52)):
        transceiver, _ = await answer(offer(f"{ASYMMETRIC}{mode(1)}profile-level-id={said}"))
        assert transceiver.sender._RTCRtpSender__encoder._most.idc == idc
    both = [f"{ASYMMETRIC}{mode(1)}profile-level-id={said}" for said in ("42e01f", "640034")]
    transceiver, _ = await answer(offer(*both))
    assert transceiver.sender._RTCRtpSender__encoder._most.idc == 52


def test_levels_are_those_of_the_standard() -> None:
    assert level_of(11, constraint_set3=True) == level_of(9)
    assert level_of(77) is None
    assert level_for(macroblocks(1280, 720), 60).idc == 32
    assert level_for(macroblocks(1920, 1080), 60).idc == 42
    assert level_for(macroblocks(320, 240), 30).idc == 30
    assert level_for(macroblocks(1920, 1080), 60, LEVELS[9]).idc == 31


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (3840, 2160), (641, 361), (4000, 20), (1, 1)])
@pytest.mark.parametrize("level", LEVELS)
def test_a_picture_is_made_to_fit_a_level(size: tuple[int, int], level: Any) -> None:
    width, height = fitting_size(*size, level)
    assert width % 2 == height % 2 == 0
    assert macroblocks(width, height) <= level.blocks
    assert highest_rate(width, height, level) >= 15
    assert max(width, height) <= 16 * level.side
    if min(size) > 300:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.05)


def test_formats_are_read_in_any_spelling() -> None:
    read = H264Format.read("PROFILE-LEVEL-ID=42e01f ; Packetization-Mode=1")
    assert read is not None
    assert (read.profile, read.level.idc, read.mode, read.asymmetric) == ("42e0", 31, 1, False)
    assert no_common_codec(offers.read_offer(offer(None, codec="AV1"))).startswith("no codec in common; video: offered")
