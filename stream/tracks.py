"""What a video file holds beside its picture: sound, subtitles, chapters, metadata, attachments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import av

from stream.sound import Encoding, can_copy, encoding_of, is_named

MEDIA_TYPES = ("audio", "subtitle")
LEFT_TO_THE_WRITER = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "handler_name",
    "vendor_id",
    "duration",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "_statistics_tags",
    "_statistics_writing_app",
    "_statistics_writing_date_utc",
}
"""Metadata about the source's own file, which do not hold for the new one; lower case, languages cut off."""
QUICKTIME_LANGUAGES = {
    "bod": "tib",
    "ces": "cze",
    "cym": "wel",
    "deu": "ger",
    "ell": "gre",
    "eus": "baq",
    "fas": "per",
    "fra": "fre",
    "hye": "arm",
    "isl": "ice",
    "kat": "geo",
    "mkd": "mac",
    "mri": "mao",
    "msa": "may",
    "mya": "bur",
    "nld": "dut",
    "ron": "rum",
    "slk": "slo",
    "sqi": "alb",
    "zho": "chi",
}
"""ISO 639-2 terminology codes -> bibliographic ones, the only ones that FFmpeg writes into .mov."""
MOST_EARLY = 20_000
"""Packets that are kept until the first picture; minutes of them."""


class Tracks:
    """Copies every track that the output takes, and names the others.

    Sound in a codec that the output does not take is encoded anew.

    Args:
        reader, writer: open containers.
        picture: the video that is edited.
        note: takes a sentence for the user.
    """

    def __init__(
        self,
        reader: av.container.InputContainer,
        writer: av.container.OutputContainer,
        picture: av.VideoStream,
        note: Callable[[str], None],
    ) -> None:
        self._reader, self._writer, self._note = reader, writer, note
        self._copied: dict[int, Any] = {}
        self._encodings: dict[int, Encoding] = {}
        self._encoded: dict[int, Any] = {}
        self._early: list[av.Packet[Any]] = []
        self._others = [stream for stream in reader.streams if stream is not picture]
        takes = _taken_by(writer)
        self.sources: list[Any] = [one for one in self._others if self._route(one, takes)]

    def begin(self) -> None:
        """The output's picture is known: make the other tracks, and write what came before it."""
        self._writer.metadata.update(_kept(self._reader.metadata))
        for source in self.sources:
            if source.index in self._copied:
                made: Any = self._writer.add_stream_from_template(source, opaque=True)
                made.disposition = source.disposition
                self._copied[source.index] = made
            else:
                encoding = self._encodings[source.index]
                made = self._writer.add_stream(encoding.codec, rate=encoding.rate, layout=encoding.layout)
                self._encoded[source.index] = made
            made.metadata.update(self.metadata_of(source))
        chapters = self._reader.chapters()
        if chapters:
            self._writer.set_chapters(chapters)
        for packet in self._early:
            self._write(packet)
        self._early.clear()

    def mux(self, packet: av.Packet[Any], *, ready: bool) -> None:
        """Take a packet of one of `sources`.

        Args:
            packet: as it was read; an empty one says that the track is over.
            ready: whether `begin` was called.
        """
        if ready:
            self._write(packet)
        elif packet.size and len(self._early) < MOST_EARLY:
            self._early.append(packet)
        elif packet.size:
            self._note("the picture begins so late that parts of the other tracks before it are left out")

    def flush(self) -> None:
        """Write what encoders hold."""
        for made in self._encoded.values():
            self._writer.mux(made.encode(None))

    def metadata_of(self, stream: Any) -> dict[str, str]:
        """What to say about a track: its language and title, not how its file was written."""
        said = _kept(stream.metadata)
        if self._writer.format.name == "mov" and said.get("language") in QUICKTIME_LANGUAGES:
            said["language"] = QUICKTIME_LANGUAGES[said["language"]]
        return said

    def _route(self, stream: Any, takes: frozenset[str]) -> bool:
        """Whether a track goes into the output; says so if it does not."""
        codec = stream.codec_context.name if stream.codec_context is not None else None
        if stream.type == "attachment" and self._writer.format.name == "matroska":
            self._writer.add_attachment(stream.name or "attachment", stream.mimetype or "", stream.data or b"")
            return False
        name, is_sound = self._writer.format.name, stream.type == "audio" and codec is not None
        if stream.type in MEDIA_TYPES and codec is not None and _canonical(stream) in takes:
            if can_copy(stream, name):
                self._copied[stream.index] = None
                return True
            codec += "" if not is_sound or is_named(stream.layout) else " whose channels have no places"
        if is_sound and (encoding := encoding_of(stream, name)) is not None:
            self._encodings[stream.index] = encoding
            self._note(f"{_name(stream)} is encoded anew: {name} does not take {codec}")
            if encoding.layout != stream.layout.name and is_named(stream.layout):
                self._note(
                    f"{_name(stream)} has its channels as {encoding.layout}: {stream.layout.name} cannot be encoded"
                )
            return True
        hint = "; .mkv takes it" if stream.type in ("subtitle", "attachment") else ""
        self._note(f"{_name(stream)} is left out: {name} does not take it from here{hint}")
        return False

    def _write(self, packet: av.Packet[Any]) -> None:
        index = packet.stream.index
        if (made := self._encoded.get(index)) is not None:
            for frame in self._decoded(packet):
                self._writer.mux(made.encode(frame))
        elif packet.dts is not None and packet.size:
            packet.stream = self._copied[index]
            self._writer.mux(packet)

    def _decoded(self, packet: av.Packet[Any]) -> list[Any]:
        try:
            return packet.decode()
        except av.error.InvalidDataError:
            self._note(f"parts of {_name(packet.stream)} are damaged and were left out")
            return []


def _taken_by(writer: av.container.OutputContainer) -> frozenset[str]:
    taken = frozenset(writer.supported_codecs)
    return taken - {"subrip", "ass", "webvtt"} if writer.format.name in ("mp4", "mov") else taken


def _canonical(stream: Any) -> str:
    """The codec's name, whatever decodes it."""
    return str(stream.codec.canonical_name)


def _kept(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name.lower().partition("-")[0] not in LEFT_TO_THE_WRITER}


def _name(stream: Any) -> str:
    """How to call a track in a note; what the file says is escaped."""
    words = [f"{stream.type} track {stream.index}"]
    details = [stream.codec_context.name] if stream.codec_context is not None else []
    language = stream.metadata.get("language", "")
    details += [ascii(language[:20])[1:-1]] if language else []
    return f"{words[0]} ({', '.join(details)})" if details else words[0]
