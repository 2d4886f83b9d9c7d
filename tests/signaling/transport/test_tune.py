"""What is done to a peer connection, and that nothing is done to an aiortc we do not know."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.jitterbuffer import JitterBuffer

from signaling import transport
from signaling.settings import ServerSettings
from signaling.transport.decoders import DecoderStop
from signaling.transport.encoders import LiveH264Encoder, LiveVp8Encoder
from signaling.transport.feedback import URI, NoEstimator
from signaling.transport.jitter import FrameBuffer
from signaling.transport.uplink import FlooredEstimator

pytestmark = pytest.mark.anyio


async def negotiated(
    codec: str, installed: str | None, offered: str = "h264", *, arrivals: bool = False
) -> tuple[Any, str]:
    """A tuned connection that answered an offer, which may ask for arrival times, and the answer."""
    settings = ServerSettings(codec=codec)
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    codecs = RTCRtpSender.getCapabilities("video").codecs
    peer.addTransceiver("video").setCodecPreferences(
        [one for one in codecs if offered == "h264" or "H264" not in one.mimeType]
    )
    await peer.setLocalDescription(await peer.createOffer())
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video")
    offer = peer.localDescription.sdp
    if arrivals:
        types = re.findall(r"a=rtpmap:(\d+) (?:H264|VP8)", offer)
        offer += f"a=extmap:9 {URI}\r\n" + "".join(f"a=rtcp-fb:{one} transport-cc\r\n" for one in types)
    await transport.apply_offer(connection, offer, installed)
    transport.tune(connection, settings, offer, installed)
    await connection.setLocalDescription(await connection.createAnswer())
    await peer.close()
    await connection.close()
    return connection.getTransceivers()[0], connection.localDescription.sdp


@pytest.mark.parametrize(
    ("codec", "offered", "encoder"),
    [("h264", "h264", LiveH264Encoder), ("vp8", "h264", LiveVp8Encoder), ("h264", "vp8", LiveVp8Encoder)],
)
async def test_the_wanted_codec_leads_if_it_is_offered(codec: str, offered: str, encoder: type[Any]) -> None:
    transceiver, answer = await negotiated(codec, None, offered)
    assert isinstance(transceiver.sender._RTCRtpSender__encoder, encoder)
    assert isinstance(transceiver.receiver._RTCRtpReceiver__jitter_buffer, FrameBuffer)
    assert isinstance(transceiver.receiver._RTCRtpReceiver__remote_bitrate_estimator, FlooredEstimator)
    assert isinstance(transceiver.receiver._RTCRtpReceiver__stop_decoder, DecoderStop)
    first = next(line for line in answer.splitlines() if line.startswith("a=rtpmap:"))
    assert ("H264" if encoder is LiveH264Encoder else "VP8") in first
    assert "x-google-start-bitrate=3000" in answer


async def test_who_asks_for_arrival_times_gets_them_and_no_estimate() -> None:
    transceiver, answer = await negotiated("h264", None, arrivals=True)
    assert isinstance(transceiver.receiver._RTCRtpReceiver__remote_bitrate_estimator, NoEstimator)
    first = next(line for line in answer.splitlines() if line.startswith("m=video")).split()[3]
    for line in (f"a=extmap:9 {URI}", f"a=rtcp-fb:{first} transport-cc", f"a=rtcp-fb:{first} goog-remb"):
        assert line in answer, "what the peer estimates of the way back is still wanted"
    _, answer = await negotiated("h264", "0.0.0", arrivals=True)
    assert URI not in answer
    assert "transport-cc" not in answer


async def test_the_answer_takes_h264_of_the_largest_frames_allowed() -> None:
    _, answer = await negotiated("h264", None)
    assert "profile-level-id=42e028" in answer  # constrained baseline, level 4
    assert answer.index("42e028") < answer.index("420028")
    assert "a=rtpmap:" in answer and "rtx" in answer  # noqa: PT018


async def test_an_unknown_aiortc_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        transceiver, answer = await negotiated("h264", "2.0.0")
    assert "aiortc 2.0.0" in caplog.text
    assert transceiver.sender._RTCRtpSender__encoder is None
    assert isinstance(transceiver.receiver._RTCRtpReceiver__jitter_buffer, JitterBuffer)
    assert "x-google" not in answer


def test_versions() -> None:
    assert transport.supported("1.16.0")
    assert not transport.supported("1.17.0")
    assert not transport.supported("1.1.6")
