"""Take one of the streams that a peer sends for one video.

With simulcast (RFC 8853) the picture comes in several sizes, each with an SSRC of its own on the same payload type. A
sender that starts anew has a new SSRC too. aiortc puts the packets of all of them in one jitter buffer, where they
destroy each other's frames.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiortc import RTCRtpReceiver, RTCRtpTransceiver
from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpHeaderExtensionParameters
from aiortc.rtcrtpreceiver import NackGenerator
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, RtpPacket, pack_remb_fci, unwrap_rtx

from signaling.logs import limited
from signaling.transport.jitter import FrameBuffer
from signaling.transport.sections import sections
from signaling.transport.sizes import Unreadable, coded_size

logger = limited(__name__)

RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
NAL_SPS, NAL_STAP_A = 7, 24  # H264 packets that a key frame begins with: RFC 6184 section 5.2


@dataclass(frozen=True, slots=True)
class Limits:
    """When another stream is taken."""

    sources: int = 16  # streams of one video that are remembered; simulcast has three and their retransmissions
    silence_ms: int = 500  # without a packet, a stream has stopped
    restart_ms: int = 200  # the same, where another stream begins with a key frame
    gaps: float = 3.0  # of the stream's own longest pauses, that it must be silent for as well
    first_gap_ms: float = 700.0  # assumed until it is known
    gap_decay: float = 0.9  # of the longest pause, with each further frame
    longest_silence_ms: int = 5000
    window_ms: int = 1000  # in which packets are counted
    whole: float = 0.9  # share of a window's packets that a stream needs
    windows: int = 2  # in a row that decide
    larger: float = 1.2  # times the pixels of the one that is taken
    retry_ms: int = 5000  # before a layer that came in pieces is tried again; doubled with each try
    longest_retry_ms: int = 60_000
    asks: int = 3  # key frames asked from a layer whose size is not known
    ask_every_ms: int = 1000


LIMITS = Limits()


@dataclass(slots=True)
class Source:
    """One stream of packets, by its SSRC.

    Attributes:
        ssrc: its synchronization source.
        rid: its name in the offer (RFC 8852), "" if it has none.
        size: width and height in pixels, as its last key frame says; None before one came.
        heard_at: when its last packet came, ms.
        gap: its longest pause between frames lately, ms.
        whole: windows in a row in which (nearly) every packet came; negative for those in which too few did.
    """

    ssrc: int
    rid: str = ""
    size: tuple[int, int] | None = None
    heard_at: int = 0
    gap: float = LIMITS.first_gap_ms
    whole: int = 0
    not_before: int = 0  # ms; after it came in pieces
    retry: int = LIMITS.retry_ms
    asked: int = 0
    asked_at: int = -LIMITS.ask_every_ms
    _since: int | None = None  # when the window began, ms
    _highest: int = 0  # sequence number
    _expected: int = 0  # packets in this window
    _received: int = 0

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1] if self.size is not None else 0

    @property
    def name(self) -> str:
        size = f"{self.size[0]}x{self.size[1]}" if self.size is not None else "of unknown size"
        return f"{size} (SSRC {self.ssrc}{f', rid {self.rid!r}' if self.rid else ''})"

    def silent(self, now: int, least: int) -> bool:
        """Whether it has stopped for at least `least` ms, and for longer than its own pauses."""
        longest = max(least, LIMITS.gaps * self.gap)
        return now - self.heard_at > min(longest, LIMITS.longest_silence_ms)

    def heard(self, number: int, now: int) -> None:
        """Count a packet.

        Args:
            number: its sequence number.
            now: ms.
        """
        if self._since is None:
            self._since, self._highest, self._expected, self._received = now, number, 1, 1
        else:
            ahead = (number - self._highest) % 65536
            if ahead < 32768:
                self._highest = number
                self._expected += ahead
            self._received += ahead != 0
            pause = now - self.heard_at
            if pause > 1:
                self.gap = max(float(pause), LIMITS.gap_decay * self.gap)
            if now - self._since >= LIMITS.window_ms:
                arrived = self._received >= LIMITS.whole * self._expected
                self.whole = max(self.whole, 0) + 1 if arrived else min(self.whole, 0) - 1
                self._since, self._expected, self._received = now, 0, 0
        self.heard_at = now


@dataclass(slots=True)
class Verdict:
    """What to do with a packet.

    Attributes:
        taken: whether it belongs to the stream that is shown.
        fresh: whether it is the first one of a stream that was not shown before.
        ask: SSRC that a key frame is wanted from, if any.
    """

    taken: bool
    fresh: bool = False
    ask: int | None = None


class Sources:
    """Decides which of the streams of one video is shown: the largest one that arrives whole.

    It is left for a smaller one when it stops or comes in pieces, and taken again, at a key frame of its own, when it
    came back. A stream that takes the place of one that stopped is a sender that started anew.

    Args:
        names: codec name per RTP payload type.

    Attributes:
        taken: the stream that is shown; None before the first packet.
        left_out: packets of the others.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._sources: dict[int, Source] = {}
        self.taken: Source | None = None
        self.left_out = 0
        self._begun = True  # whether a packet of the one that is shown was taken

    def __len__(self) -> int:
        return len(self._sources)

    def get(self, ssrc: int) -> Source | None:
        """The stream of an SSRC, if it has sent."""
        return self._sources.get(ssrc)

    def named(self, rid: str) -> Source | None:
        """The newest stream of a name."""
        found = [source for source in self._sources.values() if source.rid == rid]
        return max(found, key=lambda source: source.heard_at, default=None)

    def take(self, packet: RtpPacket, now: int) -> Verdict:
        """Decide on a packet of the video itself (no retransmission on an SSRC of its own).

        Args:
            packet: as it came.
            now: ms, of any clock that only goes forward.
        """
        source = self._source_of(packet, now)
        if source is None:
            self.left_out += 1
            return Verdict(taken=False)
        source.heard(packet.sequence_number, now)
        size = self._announced(packet)
        if size is not None:
            source.size = size
        taken = self.taken
        if taken is None:
            return self._switch(source)
        if source is taken:
            below = self._below(source, now) if source.whole <= -LIMITS.windows else None
            if below is None:
                fresh, self._begun = not self._begun, True
                return Verdict(taken=True, fresh=fresh)
            self._give_up(source, below, now)
        elif self._replaces(source, taken, starts=size is not None, now=now):
            return self._switch(source)
        if self.left_out == 0 and self.taken is not None:
            logger.info("several streams come for one video: taking %s, and leaving the others out", self.taken.name)
        self.left_out += 1
        return Verdict(taken=False, ask=self._wanted(source, now))

    def _source_of(self, packet: RtpPacket, now: int) -> Source | None:
        source = self._sources.get(packet.ssrc)
        if source is None:
            if len(self._sources) >= LIMITS.sources:
                oldest = min(self._sources.values(), key=lambda one: one.heard_at)
                if not oldest.silent(now, LIMITS.longest_silence_ms) or oldest is self.taken:
                    return None
                del self._sources[oldest.ssrc]
            source = self._sources[packet.ssrc] = Source(packet.ssrc, heard_at=now)
        if not source.rid and packet.extensions.rtp_stream_id:
            source.rid = packet.extensions.rtp_stream_id
        return source

    def _announced(self, packet: RtpPacket) -> tuple[int, int] | None:
        """The size of the picture, if the packet is the first one of a key frame."""
        codec, payload = self._names.get(packet.payload_type, ""), packet.payload
        if not payload:
            return None
        if codec == "H264":
            begins = payload[0] & 0x1F in (NAL_SPS, NAL_STAP_A)
        else:
            begins = codec == "VP8" and payload[0] & 0x17 == 0x10
        if not begins:
            return None
        try:
            data = depayload(RTCRtpCodecParameters(f"video/{codec}", 90_000, payloadType=packet.payload_type), payload)
            return coded_size(data, codec)
        except (Unreadable, ValueError):
            return None

    def _replaces(self, source: Source, taken: Source, *, starts: bool, now: int) -> bool:
        if taken.silent(now, LIMITS.silence_ms):
            return self._below(taken, now) in (None, source)
        if not starts:
            return False
        if taken.silent(now, LIMITS.restart_ms):
            return True
        return source.pixels > LIMITS.larger * taken.pixels and source.whole >= 0 and now >= source.not_before

    def _below(self, source: Source, now: int) -> Source | None:
        """The largest other stream that arrives whole."""
        others = [
            one
            for one in self._sources.values()
            if one is not source and one.whole > 0 and not one.silent(now, LIMITS.silence_ms)
        ]
        return max(others, key=lambda one: one.pixels, default=None)

    def _give_up(self, source: Source, below: Source, now: int) -> None:
        """Show a smaller stream from its next packet on."""
        source.not_before, source.retry = now + source.retry, min(2 * source.retry, LIMITS.longest_retry_ms)
        source.asked = 0
        self.taken, self._begun = below, False
        logger.info("a video %s comes in pieces: taking %s", source.name, below.name)

    def _wanted(self, source: Source, now: int) -> int | None:
        """The SSRC of a stream that is not shown, if a key frame of it would show that it is better, or how large."""
        taken = self.taken
        if taken is None or source.whole < LIMITS.windows or now < source.not_before:
            return None
        if source.size is not None and source.pixels <= LIMITS.larger * taken.pixels:
            return None
        if now - source.asked_at < LIMITS.ask_every_ms or source.asked >= LIMITS.asks:
            return None
        source.asked, source.asked_at = source.asked + 1, now
        return source.ssrc

    def _switch(self, source: Source) -> Verdict:
        self.taken, self._begun, source.asked = source, True, 0
        if len(self._sources) > 1:
            logger.info("%d streams came for one video: taking %s", len(self._sources), source.name)
        return Verdict(taken=True, fresh=True)


@dataclass(slots=True)
class Repairs:
    """Which stream a retransmission (RFC 4588) belongs to.

    Attributes:
        pairs: SSRC of the stream per SSRC of its retransmissions, from `a=ssrc-group:FID` or learnt.
    """

    pairs: dict[int, int] = field(default_factory=dict)

    def original(self, packet: RtpPacket, sources: Sources, missing: set[int]) -> int | None:
        """The SSRC of the stream, or None.

        Args:
            packet: a retransmission.
            sources: the streams.
            missing: sequence numbers that the stream that is shown lacks.
        """
        known = self.pairs.get(packet.ssrc)
        if known is None:
            rid = packet.extensions.repaired_rtp_stream_id
            found = sources.named(rid) if rid else None
            if found is None and not rid and sources.taken is not None and len(packet.payload) >= 2:
                # Nobody said whose it is: it is of the stream that asked for this very packet.
                found = sources.taken if struct.unpack("!H", packet.payload[:2])[0] in missing else None
            if found is None:
                return None
            if len(self.pairs) >= LIMITS.sources:
                self.pairs.pop(next(iter(self.pairs)))
            known = self.pairs[packet.ssrc] = found.ssrc
        return known


class Timeline:
    """Maps RTP timestamps of all streams of a track to one that only goes forward. Stands in for aiortc's mapper.

    Streams have timestamps of their own, from a random start. Where one follows another, or a stream jumps, the time
    that passed is put in between.

    Args:
        rate: RTP ticks a second.
    """

    LONGEST_JUMP_S = 10.0  # further than the time that passed
    REORDERED_S = 1.0  # how far a frame may be decoded before an earlier one: B-frames

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._last: int | None = None
        self._mapped = 0
        self._arrived = 0
        self._anew = False
        self.now = 0

    def begin(self) -> None:
        """The next timestamp is of another stream."""
        self._anew = True

    def map(self, timestamp: int) -> int:
        """The time of a frame that came at `now` (ms), in ticks since the first one."""
        last, passed = self._last, (self.now - self._arrived) * self._rate // 1000
        self._last, self._arrived = timestamp, self.now
        if last is not None:
            ahead = (timestamp - last + (1 << 31)) % (1 << 32) - (1 << 31)
            if self._anew or not -self.REORDERED_S * self._rate <= ahead <= passed + self.LONGEST_JUMP_S * self._rate:
                ahead = max(passed, 1)
            self._mapped += ahead
        self._anew = False
        return self._mapped

    def raw(self, mapped: int) -> int | None:
        """The RTP timestamp of a time that `map` gave lately; None before the first one."""
        return None if self._last is None else (self._last + mapped - self._mapped) % (1 << 32)


def take_one_source(
    receiver: RTCRtpReceiver, codecs: list[RTCRtpCodecParameters], buffer: FrameBuffer, repairs: Repairs
) -> Sources:
    """Make a video receiver that has not started show one stream, and repair it whatever its SSRC.

    Args:
        receiver: of a video transceiver.
        codecs: negotiated.
        buffer: the receiver's.
        repairs: what the offer says about retransmissions.
    """
    by_type = {codec.payloadType: codec for codec in codecs}
    sources = Sources({codec.payloadType: codec.name for codec in codecs})
    timeline = receiver._RTCRtpReceiver__timestamp_mapper = Timeline(90_000)
    handle = receiver._handle_rtp_packet

    async def handle_taken(packet: RtpPacket, arrival_time_ms: int) -> None:
        codec = by_type.get(packet.payload_type)
        timeline.now = arrival_time_ms
        if codec is not None and codec.name.lower() == "rtx":
            apt, missing = codec.parameters.get("apt"), receiver._RTCRtpReceiver__nack_generator.missing
            original = repairs.original(packet, sources, missing)
            if original is None or apt not in by_type or len(packet.payload) < 2:
                return
            packet = unwrap_rtx(packet, payload_type=apt, ssrc=original)
            if sources.taken is None or original != sources.taken.ssrc:
                return
            sources.taken.heard(packet.sequence_number, arrival_time_ms)
            await handle(packet, arrival_time_ms)
            return
        verdict = sources.take(packet, arrival_time_ms)
        if verdict.fresh:
            buffer.restart()
            timeline.begin()
            receiver._RTCRtpReceiver__nack_generator = NackGenerator()
        if verdict.taken:
            await handle(packet, arrival_time_ms)
            return
        await _measure(receiver, packet, arrival_time_ms)
        if verdict.ask is not None:
            await receiver._send_rtcp_pli(verdict.ask)

    receiver._handle_rtp_packet = handle_taken
    return sources


async def _measure(receiver: RTCRtpReceiver, packet: RtpPacket, arrival_time_ms: int) -> None:
    """Count a packet that is not shown as one that came: what fits on the way is what all streams have together."""
    own = receiver._RTCRtpReceiver__rtcp_ssrc
    if packet.extensions.abs_send_time is None or own is None:
        return
    remb = receiver._RTCRtpReceiver__remote_bitrate_estimator.add(
        abs_send_time=packet.extensions.abs_send_time,
        arrival_time_ms=arrival_time_ms,
        payload_size=len(packet.payload) + packet.padding_size,
        ssrc=packet.ssrc,
    )
    if remb is not None:
        await receiver._send_rtcp(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=own, media_ssrc=0, fci=pack_remb_fci(*remb)))


def repairs_of(offer: str) -> Repairs:
    """Who repairs whom, from an offer's `a=ssrc-group:FID` lines (RFC 5576)."""
    pairs = re.findall(r"(?m)^a=ssrc-group:FID ([0-9]+) ([0-9]+)\s*$", offer)
    return Repairs({int(repair): int(stream) for stream, repair in pairs})


def name_layers(offer: str, transceiver: RTCRtpTransceiver) -> None:
    """Take the header extensions that name the layers of a simulcast, where an offer has them. Before the answer."""
    for section in sections(offer):
        if not section.startswith("m=video") or "a=simulcast:" not in section:
            continue
        for number, uri in re.findall(r"(?m)^a=extmap:([0-9]+) (\S+)", section):
            if uri in (RID, REPAIRED_RID):
                transceiver._headerExtensions.append(RTCRtpHeaderExtensionParameters(id=int(number), uri=uri))


def accept_layers(offer: str, answer: str) -> str:
    """An answer that takes every layer of the simulcast that an offer has (RFC 8853, section 5.3.2).

    All of them are wanted: a smaller one is shown when the largest one stops.

    Args:
        offer: from `offers.read_offer`; it has checked `a=rid` and `a=simulcast`.
        answer: with media in the same order.
    """
    answered = sections(answer)
    for place, section in enumerate(sections(offer)):
        layers = re.search(r"(?m)^a=simulcast:send (\S+)", section)
        if layers is None or not section.startswith("m=video") or place >= len(answered):
            continue
        rids = re.findall(r"(?m)^a=rid:(\S+) send", section)
        answered[place] += "".join(f"a=rid:{rid} recv\r\n" for rid in rids) + f"a=simulcast:recv {layers[1]}\r\n"
    return "".join(answered)
