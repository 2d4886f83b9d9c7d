"""Release a video frame on its last packet, and do not show what a lost packet broke.

aiortc's jitter buffer hands a frame on when the first packet of the *next* one arrives: a whole frame interval late.
RTP marks the last packet of a frame (RFC 6184 section 5.1, RFC 7741 section 4.1), so nothing has to be waited for. It
also hands on at most one frame per packet, which keeps a backlog for ever where frames fit in one packet, and decodes
on after a loss, which smears until the next key frame.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterator, Mapping

from aiortc import RTCRtpReceiver
from aiortc.rtp import RtpPacket

from signaling.logs import limited
from signaling.transport.colours import Colours
from signaling.transport.decoders import empty
from signaling.transport.sizes import Unreadable, coded_size, too_large

logger = limited(__name__)

CAPACITY = 1024  # packets; a key frame of 1080p fits several times
VIDEO_CLOCK = 90_000  # RTP ticks a second
STALE = 10 * VIDEO_CLOCK  # an earlier packet this young is a late one; an older one is of a sender that started anew
LOSS_PATIENCE = VIDEO_CLOCK // 2  # how long a retransmission is waited for
KEYFRAME_INTERVAL = VIDEO_CLOCK // 3  # how often a key frame is asked for while there is none
KEYFRAME_PATIENCE = 3 * VIDEO_CLOCK  # then a broken picture is better than none (senders that ignore the request)

MAX_WAITING = 30  # frames that wait for the decoder, a second of video

H264_START = b"\x00\x00\x00\x01"
H264_IDR = 5
H264_SPS = 7
H264_HEAD_PACKETS = 4  # access unit delimiter, SPS, PPS and SEI may each have a packet before the picture


class FrameBuffer:
    """Puts packets in order and frames together. Takes the place of `aiortc.jitterbuffer.JitterBuffer` for video.

    After a loss that no retransmission mends in time it releases nothing until a key frame, and asks for one.

    Args:
        codecs: codec name ("VP8", "H264") per RTP payload type, to recognise key frames.
        max_pixels: larger frames are not released: a decoder would make room for them.

    Attributes:
        oversized: (width, height) of a frame that was too large; None as long as there was none.
    """

    def __init__(self, codecs: Mapping[int, str], max_pixels: int) -> None:
        self._codecs = codecs
        self._max_pixels = max_pixels
        self.oversized: tuple[int, int] | None = None
        self._packets: dict[int, RtpPacket] = {}
        self._ready: deque[ReadyFrame] = deque()
        self._start: int | None = None  # sequence number of the first packet of the frame being put together
        self._end = 0  # sequence number of the first packet that is missing
        self._hole: int | None = None  # sequence number of the missing packet that others came after
        self._hole_since = 0  # RTP timestamp
        self._newest = 0  # RTP timestamp of the newest packet
        self._cut = True  # the frame being put together may lack its beginning
        self._broken_since: int | None = None  # RTP timestamp; None while the decoder has all it needs
        self._asked_at: int | None = None  # RTP timestamp of the last request for a key frame

    def add(self, packet: RtpPacket) -> tuple[bool, ReadyFrame | None]:
        """Take a depayloaded packet (`packet._data`).

        Returns:
            Whether to ask the sender for a key frame (PLI), and the next complete frame; `rest` has further ones.
        """
        if self._start is None:
            self._restart(packet)
        ahead = (packet.sequence_number - self._expected) % 65536
        if ahead >= 32768:
            if -STALE < _ticks(packet.timestamp, self._newest) <= 0:
                return False, self._next_frame()  # a late retransmission
            self._restart(packet)
        elif ahead >= CAPACITY:
            self._restart(packet)
        self._packets[packet.sequence_number] = packet
        if _ticks(packet.timestamp, self._newest) > 0:
            self._newest = packet.timestamp
        self._assemble()
        self._skip_loss()
        return self._must_ask(), self._next_frame()

    def rest(self) -> Iterator[ReadyFrame]:
        """Further complete frames, oldest first."""
        while self._ready:
            yield self._ready.popleft()

    def resync(self) -> None:
        """What was released will not be decoded: start again at the next key frame."""
        self._ready.clear()
        self._break(self._newest)

    def restart(self) -> None:
        """Begin at the next packet, whatever its number: it is of another stream."""
        self._packets.clear()
        self._ready.clear()
        self._start = None
        self._broken_since = None

    @property
    def _expected(self) -> int:
        assert self._start is not None
        return self._start

    def _restart(self, packet: RtpPacket) -> None:
        self._packets.clear()
        self._start = self._end = packet.sequence_number
        self._hole = None
        self._newest = packet.timestamp
        self._break(packet.timestamp)

    def _break(self, timestamp: int) -> None:
        self._cut = True
        if self._broken_since is None:
            self._broken_since = timestamp
            self._asked_at = None

    def _assemble(self) -> None:
        while (packet := self._packets.get(self._end)) is not None:
            if self._end != self._start and packet.timestamp != self._packets[self._expected].timestamp:
                self._release()
            self._end = (self._end + 1) % 65536
            if packet.marker:
                self._release()

    def _release(self) -> None:
        count = (self._end - self._expected) % 65536
        packets = [self._packets.pop((self._expected + i) % 65536) for i in range(count)]
        self._start = self._end
        whole, self._cut = not self._cut, False
        if not any(packet._data for packet in packets):
            return  # padding; an empty packet would tell the decoder that the stream is over
        timestamp = packets[0].timestamp
        if self._broken_since is not None:
            patient = _ticks(timestamp, self._broken_since) < KEYFRAME_PATIENCE
            if patient and not is_keyframe(packets, self._codecs.get(packets[0].payload_type, ""), whole):
                return
            self._broken_since = None
        frame = ReadyFrame(packets)
        if self._decodable(frame):
            self._ready.append(frame)
        else:
            self._break(timestamp)

    def _decodable(self, frame: ReadyFrame) -> bool:
        try:
            size = coded_size(frame.data, self._codecs.get(frame.payload_type, ""))
        except Unreadable:
            return False
        if size is None or not too_large(size, self._max_pixels):
            return True
        self.oversized = size
        return False

    def _skip_loss(self) -> None:
        """Give up on the packet at `_end` when what came after it is too much later."""
        if len(self._packets) == (self._end - self._expected) % 65536:
            return  # nothing came after it
        if self._hole != self._end:
            self._hole, self._hole_since = self._end, self._newest
        if _ticks(self._newest, self._hole_since) <= LOSS_PATIENCE:
            return
        while (number := self._expected) != self._end:
            self._packets.pop(number)
            self._start = (number + 1) % 65536
        self._start = self._end = min(self._packets, key=lambda number: (number - self._end) % 65536)
        self._break(self._packets[self._expected].timestamp)
        self._assemble()

    def _must_ask(self) -> bool:
        if self._broken_since is None:
            return False
        if self._asked_at is not None and _ticks(self._newest, self._asked_at) < KEYFRAME_INTERVAL:
            return False
        if self._asked_at is None and self._cut and self._end != self._start:
            return False  # the first frame is still coming in, and may be a key frame
        self._asked_at = self._newest
        return True

    def _next_frame(self) -> ReadyFrame | None:
        return self._ready.popleft() if self._ready else None


class ReadyFrame:
    """An encoded frame, as aiortc's decoders take it, with its payload type and what it says of its colours."""

    def __init__(self, packets: list[RtpPacket]) -> None:
        self.data = b"".join(packet._data for packet in packets)
        self.timestamp: int = packets[0].timestamp
        self.payload_type: int = packets[0].payload_type
        self.colours: Colours | None = getattr(packets[-1].extensions, "colour_space", None)


def release_on_marker(receiver: RTCRtpReceiver, codecs: Mapping[int, str], max_pixels: int) -> FrameBuffer:
    """Give a video receiver that has not started a `FrameBuffer` for a jitter buffer, and its decoder a bounded queue.

    aiortc queues frames without end for a decoder that cannot keep up: the delay grows for as long as the call lasts.

    Args:
        receiver: of a video transceiver.
        codecs: codec name per RTP payload type.
        max_pixels: larger frames are not decoded.
    """
    buffer = FrameBuffer(codecs, max_pixels)
    handle = receiver._handle_rtp_packet

    waiting: queue.Queue[object] = receiver._RTCRtpReceiver__decoder_queue

    async def handle_all(packet: RtpPacket, arrival_time_ms: int) -> None:
        if waiting.qsize() > MAX_WAITING:
            logger.warning("the decoder is %d frames behind: starting again at a key frame", waiting.qsize())
            empty(waiting)
            buffer.resync()
        await handle(packet, arrival_time_ms)
        for frame in buffer.rest():
            codec = receiver._RTCRtpReceiver__codecs[frame.payload_type]
            frame.timestamp = receiver._RTCRtpReceiver__timestamp_mapper.map(frame.timestamp)
            waiting.put((codec, frame))

    receiver._RTCRtpReceiver__jitter_buffer = buffer
    receiver._handle_rtp_packet = handle_all
    return buffer


def is_keyframe(packets: list[RtpPacket], codec: str, whole: bool) -> bool:
    """Whether a frame can be decoded without those before it.

    Args:
        packets: the frame's packets in order.
        codec: "VP8" or "H264"; frames of any other codec count as key frames.
        whole: whether the first packet is known to be the frame's first.
    """
    if codec == "VP8":
        head = packets[0]
        starts = bool(head.payload) and head.payload[0] & 0x17 == 0x10  # RFC 7741: S bit set, partition 0
        return starts and bool(head._data) and head._data[0] & 1 == 0  # RFC 6386 section 9.1: P bit clear
    if codec == "H264":
        heads = [packet._data for packet in packets[:H264_HEAD_PACKETS] if packet._data.startswith(H264_START)]
        kinds = {data[4] & 0x1F for data in heads if len(data) > 4}
        return H264_SPS in kinds or (whole and H264_IDR in kinds)
    return True


def _ticks(timestamp: int, since: int) -> int:
    """RTP time from `since` to `timestamp`, negative if it is before; both wrap at 32 bits."""
    return (timestamp - since + (1 << 31)) % (1 << 32) - (1 << 31)
