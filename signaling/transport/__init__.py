"""Everything aiortc does not do by itself.

Each module mends one thing, on the objects of one peer connection: aiortc itself is left as it is, and so are other
connections in the same process. They reach into private parts, so `tune` does nothing with an aiortc it was not written
for: then calls still work, slower.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version

from aiortc import RTCPeerConnection, RTCRtpSender, RTCRtpTransceiver
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from signaling.logs import limited
from signaling.settings import ServerSettings
from signaling.transport.bitrate import bitrates
from signaling.transport.decoders import DecoderStop, bound_decoder
from signaling.transport.encoders import MACROBLOCK_PIXELS, h264_level, use_encoder
from signaling.transport.handshake import leave_quietly
from signaling.transport.intake import Intake
from signaling.transport.jitter import FrameBuffer, release_on_marker
from signaling.transport.sources import Sources, name_layers, repairs_of, take_one_source
from signaling.transport.uplink import keep_floor

logger = limited(__name__)

WRITTEN_FOR = "1.16."
CONSTRAINED_BASELINE = "42e01f"


@dataclass
class Tuned:
    """What a mended connection lets us see.

    Attributes:
        decoders: to wait for after the connection was closed.
        incoming: the buffers of the videos that come in.
        intake: counts what is refused.
        sources: the streams that come in for each video.
    """

    decoders: list[DecoderStop] = field(default_factory=list)
    incoming: list[FrameBuffer] = field(default_factory=list)
    intake: Intake = field(default_factory=Intake)
    sources: list[Sources] = field(default_factory=list)


def supported(installed: str) -> bool:
    """Whether this aiortc's private parts are the ones we know."""
    return installed.startswith(WRITTEN_FOR)


def codec_preferences(codec: str) -> list[RTCRtpCodecCapability]:
    """All video codecs, the wanted one first. H264 starts with constrained baseline: Safari shows no other from us.

    Args:
        codec: "h264" or "vp8".
    """

    def rank(capability: RTCRtpCodecCapability) -> tuple[bool, bool]:
        wanted = capability.mimeType.lower() == f"video/{codec}"
        return not wanted, capability.parameters.get("profile-level-id") != CONSTRAINED_BASELINE

    return sorted(RTCRtpSender.getCapabilities("video").codecs, key=rank)


def tune(
    connection: RTCPeerConnection, settings: ServerSettings, installed: str | None = None, offer: str = ""
) -> Tuned:
    """Mend a peer connection. Call it when the offer was applied, before the answer is made.

    Args:
        connection: codecs are negotiated, nothing has started.
        settings: bitrates, encoder preset, largest frame.
        installed: aiortc's version; looked up when None.
        offer: the description that was applied.
    """
    installed = version("aiortc") if installed is None else installed
    if not supported(installed):
        logger.warning("aiortc %s is not %sx: streams run without our transport fixes, slower", installed, WRITTEN_FOR)
        return Tuned()
    leave_quietly(connection)
    tuned = Tuned()
    for transceiver in connection.getTransceivers():
        tuned.decoders.append(DecoderStop(transceiver.receiver))
        if transceiver.kind == "video" and transceiver._codecs:
            buffer = _tune_video(transceiver, settings)
            name_layers(offer, transceiver)
            receiver, repairs = transceiver.receiver, repairs_of(offer)
            tuned.sources.append(take_one_source(receiver, transceiver._codecs, buffer, repairs))
            tuned.incoming.append(buffer)
    for transport in {transceiver.receiver.transport for transceiver in connection.getTransceivers()}:
        tuned.intake.guard_media(transport)
    if connection.sctp is not None:
        tuned.intake.guard_channels(connection.sctp)
    return tuned


def _tune_video(transceiver: RTCRtpTransceiver, settings: ServerSettings) -> FrameBuffer:
    codecs = transceiver._codecs
    names = {codec.payloadType: codec.name for codec in codecs}
    buffer = release_on_marker(transceiver.receiver, names, settings.max_frame_pixels)
    bound_decoder(transceiver.receiver, settings.max_frame_pixels)
    keep_floor(transceiver.receiver, settings.min_bitrate)
    use_encoder(transceiver.sender, codecs[0].name, settings.h264_preset, settings.min_bitrate, settings.max_bitrate)
    start = bitrates(1280, 720, settings.min_bitrate, settings.max_bitrate).start
    for codec in codecs:
        if codec.name not in ("H264", "VP8"):
            continue
        # What we wish to receive, in kbit/s. Chromium begins at 300, and with a smaller picture, unless told.
        codec.parameters["x-google-start-bitrate"] = start // 1000
        codec.parameters["x-google-max-bitrate"] = settings.max_bitrate // 1000
        if codec.name == "H264":
            level = h264_level(settings.max_frame_pixels // MACROBLOCK_PIXELS)
            profile = str(codec.parameters["profile-level-id"])[:4]
            codec.parameters["profile-level-id"] = f"{profile}{level:02x}"
    return buffer
