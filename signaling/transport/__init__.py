"""Everything aiortc does not do by itself.

Each module mends one thing, on the objects of one peer connection: aiortc itself is left as it is, and so are other
connections in the same process. They reach into private parts, so `tune` does nothing with an aiortc it was not written
for: then calls still work, slower.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription
from aiortc.exceptions import OperationError
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from signaling.logs import limited
from signaling.settings import ServerSettings
from signaling.transport.bitrate import bitrates
from signaling.transport.clock import CaptureClock, audio_clock, steady_arrivals, video_clock
from signaling.transport.codecs import choose_codecs, no_common_codec, sent_format, understandable
from signaling.transport.colours import say_colours, take_colour_space
from signaling.transport.decoders import DecoderStop, bound_decoder
from signaling.transport.encoders import BitrateTarget, LiveH264Encoder, LiveVp8Encoder, use_encoder
from signaling.transport.feedback import NoEstimator, agree, tell_arrivals
from signaling.transport.handshake import leave_quietly, take_rsa
from signaling.transport.intake import Intake
from signaling.transport.jitter import FrameBuffer, release_on_marker
from signaling.transport.levels import MACROBLOCK
from signaling.transport.pacing import pace
from signaling.transport.reports import Dated, report_captures
from signaling.transport.sources import Sources, name_layers, repairs_of, take_one_source
from signaling.transport.uplink import keep_floor

logger = limited(__name__)

WRITTEN_FOR = "1.16."


@dataclass
class Tuned:
    """What a mended connection lets us see.

    Attributes:
        decoders: to wait for after the connection was closed.
        incoming: the buffers of the videos that come in.
        intake: counts what is refused.
        sources: the streams that come in for each video.
        clocks: when "video" and "audio" were captured.
    """

    decoders: list[DecoderStop] = field(default_factory=list)
    incoming: list[FrameBuffer] = field(default_factory=list)
    intake: Intake = field(default_factory=Intake)
    sources: list[Sources] = field(default_factory=list)
    clocks: dict[str, CaptureClock] = field(default_factory=dict)


def supported(installed: str) -> bool:
    """Whether this aiortc's private parts are the ones we know."""
    return installed.startswith(WRITTEN_FOR)


async def apply_offer(connection: RTCPeerConnection, offer: str, installed: str | None = None) -> None:
    """Apply an offer of H264 of any profile.

    Args:
        connection: has the transceiver for the video, if it sends one.
        offer: from `offers.read_offer`.
        installed: aiortc's version; looked up when None.

    Raises:
        OperationError: there is no common codec; the message says which were offered and which are taken.
        Exception: as aiortc's `setRemoteDescription`.
    """
    installed = version("aiortc") if installed is None else installed
    shown = understandable(offer) if supported(installed) else offer
    try:
        await connection.setRemoteDescription(RTCSessionDescription(shown, "offer"))
    except OperationError as error:
        raise OperationError(no_common_codec(offer)) from error


def tune(connection: RTCPeerConnection, settings: ServerSettings, offer: str, installed: str | None = None) -> Tuned:
    """Mend a peer connection. Call it when the offer was applied, before the answer is made.

    Args:
        connection: codecs are negotiated, nothing has started.
        settings: bitrates, encoder preset, largest frame.
        offer: that `apply_offer` applied.
        installed: aiortc's version; looked up when None.
    """
    installed = version("aiortc") if installed is None else installed
    if not supported(installed):
        logger.warning("aiortc %s is not %sx: streams run without our transport fixes, slower", installed, WRITTEN_FOR)
        return Tuned()
    leave_quietly(connection)
    take_rsa(connection)
    tuned = Tuned()
    telling: dict[RTCDtlsTransport, int] = {}
    for transceiver in connection.getTransceivers():
        tuned.decoders.append(DecoderStop(transceiver.receiver))
        if transceiver.kind == "video" and transceiver._codecs:
            choose_codecs(transceiver, offer, settings.codec, settings.max_frame_pixels // MACROBLOCK**2)
            buffer = _tune_video(transceiver, settings, offer)
            name_layers(offer, transceiver)
            take_colour_space(offer, transceiver)
            receiver, repairs = transceiver.receiver, repairs_of(offer)
            if agree(offer, transceiver):
                receiver._RTCRtpReceiver__remote_bitrate_estimator = NoEstimator()
                telling.setdefault(receiver.transport, transceiver.sender._ssrc)
            sources = take_one_source(receiver, transceiver._codecs, buffer, repairs)
            tuned.sources.append(sources)
            tuned.clocks["video"] = video_clock(receiver, sources)
            tuned.incoming.append(buffer)
        elif transceiver.kind == "audio":
            tuned.clocks["audio"] = audio_clock(transceiver.receiver)
    senders = [transceiver.sender for transceiver in connection.getTransceivers()]
    report_captures([sender for sender in senders if isinstance(sender.track, Dated)])
    for transport, ssrc in telling.items():
        tell_arrivals(transport, ssrc)
    for transport in {transceiver.receiver.transport for transceiver in connection.getTransceivers()}:
        steady_arrivals(transport)
        tuned.intake.guard_media(transport)
    if connection.sctp is not None:
        tuned.intake.guard_channels(connection.sctp)
    return tuned


def receive_promptly(transceiver: RTCRtpTransceiver, max_pixels: int, installed: str | None = None) -> None:
    """Show each frame of a video that only comes in on its last packet. Call it when the answer was applied.

    Args:
        transceiver: of the video; nothing has started.
        max_pixels: larger frames are not decoded.
        installed: aiortc's version; looked up when None.
    """
    if supported(version("aiortc") if installed is None else installed):
        release_on_marker(transceiver.receiver, {one.payloadType: one.name for one in transceiver._codecs}, max_pixels)


def _tune_video(transceiver: RTCRtpTransceiver, settings: ServerSettings, offer: str) -> FrameBuffer:
    codecs = transceiver._codecs
    names = {codec.payloadType: codec.name for codec in codecs}
    buffer = release_on_marker(transceiver.receiver, names, settings.max_frame_pixels)
    bound_decoder(transceiver.receiver, settings.max_frame_pixels)
    keep_floor(transceiver.receiver, settings.min_bitrate)
    if (encoder := _encoder(transceiver, settings, offer)) is not None:
        use_encoder(transceiver.sender, encoder)
        pace(transceiver.sender.transport, transceiver.sender, _bitrate_of(encoder))
    start = bitrates(1280, 720, settings.min_bitrate, settings.max_bitrate).start
    for codec in codecs:
        if codec.name in ("H264", "VP8"):
            # What we wish to receive, in kbit/s. Chromium begins at 300, and with a smaller picture, unless told.
            codec.parameters["x-google-min-bitrate"] = settings.min_bitrate // 1000
            codec.parameters["x-google-start-bitrate"] = start // 1000
            codec.parameters["x-google-max-bitrate"] = settings.max_bitrate // 1000
    return buffer


def _bitrate_of(encoder: BitrateTarget) -> Callable[[], int]:
    """Tells an encoder's bitrate without holding it: its sender frees it in the end, and transports live longer."""
    weak = weakref.ref(encoder)

    def bitrate() -> int:
        held = weak()
        return 0 if held is None else held.target_bitrate

    return bitrate


def _encoder(
    transceiver: RTCRtpTransceiver, settings: ServerSettings, offer: str
) -> LiveH264Encoder | LiveVp8Encoder | None:
    codec: RTCRtpCodecParameters = transceiver._codecs[0]
    if codec.name == "H264":
        format = sent_format(offer, codec.payloadType)
        return LiveH264Encoder(
            settings.h264_preset,
            settings.min_bitrate,
            settings.max_bitrate,
            format.level,
            single=format.mode == 0,
        )
    if codec.name != "VP8":
        return None
    on_colours = partial(say_colours, transceiver.sender)
    return LiveVp8Encoder(settings.min_bitrate, settings.max_bitrate, on_colours=on_colours)
