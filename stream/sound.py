"""Whether an output takes a track as it is, and which encoder, rate and channel layout its sound gets if not."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple

import av

ENCODERS = {"webm": "libopus"}
"""Encoder for sound that a container does not take; "aac" for others."""
OPUS_RATE = 48_000
DEFAULT_LAYOUTS = {
    "aac": ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1"),
    "libopus": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
}
"""Layout of 1 to 8 channels where the encoder does not take the source's, or the source names none.

FFmpeg's own for AAC; those of RFC 7845, section 5.1.1.2 for Opus."""
SURROUND = "5.1"
LOW = "LFE"


class Encoding(NamedTuple):
    """How a track is encoded anew.

    Attributes:
        codec: name of the encoder.
        rate: samples a second.
        layout: name of the channel layout.
    """

    codec: str
    rate: int
    layout: str


def encoding_of(source: Any, container: str) -> Encoding | None:
    """How to encode a track for a container.

    Args:
        source: an audio stream.
        container: name of the muxer.

    Returns:
        None where the encoder takes neither its channels nor their number.
    """
    codec = ENCODERS.get(container, "aac")
    rate = OPUS_RATE if codec == "libopus" else _nearest(source.rate, av.Codec(codec, "w").audio_rates or [])
    named, channels = is_named(source.layout), source.layout.nb_channels
    wanted = [source.layout.name] if named else []
    if named and any(channel.name == LOW for channel in source.layout.channels):
        wanted += [SURROUND] if channels < 6 else []  # the layouts of 3 to 5 channels may lack it
    if 1 <= channels <= len(DEFAULT_LAYOUTS[codec]):
        wanted.append(DEFAULT_LAYOUTS[codec][channels - 1])
    elif named:
        wanted.append(DEFAULT_LAYOUTS[codec][-1])
    return next((made for layout in wanted if _opens(made := Encoding(codec, rate, layout))), None)


def is_named(layout: av.AudioLayout) -> bool:
    """Whether a layout says where its channels belong; PCM of AVI and Matroska says only how many there are."""
    try:
        return layout.name != f"{layout.nb_channels} channels" and bool(av.AudioLayout(layout.name).channels)
    except ValueError:
        return False


def can_copy(source: Any, container: str) -> bool:
    """Whether a muxer takes a track as it is: its list of codecs promises more than it writes.

    MOV refuses FLAC and Opus with its header, MP4 refuses PCM whose channels have no places behind the last picture
    only; so a header is written in memory, and a sample of PCM.

    Args:
        source: a stream whose codec the container lists.
        container: name of the muxer.
    """
    try:
        trial = av.open(BytesIO(), "w", format=container)
        made: Any = trial.add_stream_from_template(source, opaque=True)
        trial.start_encoding()
        if source.codec_context.name.startswith("pcm_"):
            context = source.codec_context
            packet: av.Packet[Any] = av.Packet(bytes(context.layout.nb_channels * context.format.bytes))
            packet.stream, packet.pts, packet.dts, packet.duration = made, 0, 0, 1
            trial.mux(packet)
            trial.close()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _nearest(rate: int, rates: list[int]) -> int:
    """The lowest of an encoder's rates that loses nothing, or its highest."""
    return min((one for one in rates if one >= rate), default=max(rates, default=rate))


def _opens(encoding: Encoding) -> bool:
    try:
        context: Any = av.CodecContext.create(encoding.codec, "w")
        context.rate, context.layout = encoding.rate, encoding.layout
        context.format = (av.Codec(encoding.codec, "w").audio_formats or [])[0]
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
